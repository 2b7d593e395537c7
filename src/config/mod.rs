//! gateway.yaml, from bytes to finished types; every fault at once, each with its line and remedy.

mod check;
mod fault;
mod path;
pub mod schema;
mod site;
mod source;
pub mod unsupported;

pub use fault::{Fault, Faults};

/// The JSON Schema of gateway.yaml, as `tollgate schema` prints it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schema::gateway()
}
