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
mod inputs;
mod lint;
mod loaded;
mod path;
mod policies;
mod possession;
mod reach;
pub mod schema;
mod secrets;
mod site;
mod source;
mod spending;
mod suggest;
pub mod unsupported;
mod warning;
mod watch;
mod words;

pub use compile::{RevocationSettings, Rule, StoreSettings};
pub use fault::{Fault, Faults};
pub use inputs::Inputs;
pub use lint::lint;
pub use loaded::Loaded;
pub use policies::{Policies, effective_policies};
pub use secrets::{Environment, ProcessEnvironment};
pub use warning::Warning;
pub use watch::{Look, Watch};

use std::path::Path;

/// Loads the configuration at `path`: reads every file it names and builds what `run` would build, or answers all
/// faults.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    load_with(path, &ProcessEnvironment)
}

/// As [`load`], with `env:` secrets looked up in `environment`.
pub fn load_with(path: &Path, environment: &dyn Environment) -> Result<Loaded, Faults> {
    read(path, environment).outcome
}

/// A reading of the configuration, and what was read: a faulty one has to be watched too, for the day it is mended.
#[derive(Debug)]
pub struct Reading {
    /// The configuration, or all its faults.
    pub outcome: Result<Loaded, Faults>,
    /// Every file and directory it was read from.
    pub inputs: Inputs,
}

/// As [`load_with`], for one who goes on watching the files.
pub fn read(path: &Path, environment: &dyn Environment) -> Reading {
    let mut inputs = Inputs::default();
    let outcome = build(path, environment, &mut inputs);
    Reading { outcome, inputs }
}

fn build(path: &Path, environment: &dyn Environment, inputs: &mut Inputs) -> Result<Loaded, Faults> {
    let mut faults = Faults::default();
    let written = gather::gather(path, inputs, &mut faults);
    let root = written.root.clone();
    // Past a break nothing is known: names may be missing that stand behind it.
    let loaded = if written.complete { compile::compile(written, environment, inputs, &mut faults) } else { None };
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
