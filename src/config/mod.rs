//! gateway.yaml, from bytes to finished types; every fault at once, each with its line and remedy.

mod check;
mod defaults;
mod fault;
mod files;
mod gather;
mod include;
mod path;
pub mod schema;
mod secrets;
mod site;
mod source;
pub mod unsupported;

pub use fault::{Fault, Faults};
pub use secrets::{Environment, ProcessEnvironment};

/// The JSON Schema of gateway.yaml, as `tollgate schema` prints it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schema::gateway()
}
