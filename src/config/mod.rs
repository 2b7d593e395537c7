//! gateway.yaml, from bytes to finished types; every fault at once, each with its line and remedy.
//!
//! The way of a file: `source` reads it into a tree with positions, `check` holds the tree against the JSON Schema and
//! answers gateway.yaml as written ([`schema`]), `gather` joins the files of a configuration, `compile` makes the rooms'
//! own types of it. A fault ends none of these steps; what is faulty is left out, and the rest is judged.

mod check;
mod compile;
mod defaults;
mod fault;
mod files;
mod gather;
mod include;
mod lint;
mod loaded;
mod path;
mod policies;
mod possession;
pub mod schema;
mod secrets;
mod site;
mod source;
pub mod unsupported;
mod warning;

pub use compile::{RevocationSettings, Rule, StoreSettings};
pub use fault::{Fault, Faults};
pub use lint::lint;
pub use loaded::Loaded;
pub use policies::{Policies, effective_policies};
pub use secrets::{Environment, ProcessEnvironment};
pub use warning::Warning;

use std::path::Path;

/// Loads the configuration at `path`: reads every file it names and builds what `run` would build, or answers all
/// faults.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    load_with(path, &ProcessEnvironment)
}

/// As [`load`], with `env:` secrets looked up in `environment`.
pub fn load_with(path: &Path, environment: &dyn Environment) -> Result<Loaded, Faults> {
    let mut faults = Faults::default();
    let written = gather::gather(path, &mut faults);
    let root = written.root.clone();
    // Past a break nothing is known: names may be missing that stand behind it.
    let loaded = if written.complete { compile::compile(written, environment, &mut faults) } else { None };
    if loaded.is_none() && faults.is_empty() {
        faults.push(&root, "can't be compiled, for no known reason", "report this as a defect of tollgate");
    }
    faults.into_result(loaded)
}

/// The JSON Schema of gateway.yaml, as `tollgate schema` prints it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schema::gateway()
}
