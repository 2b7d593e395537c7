//! From what is written to what the rooms work with, one file a room; every fault is collected, none ends the work.
//!
//! A part that is faulty compiles to nothing, and whatever refers to it goes on with its name. Nothing here is half
//! finished: [`load`](super::load) gives all of it, or the faults.

mod access;
mod addresses;
mod admin;
mod audit;
mod binding;
mod certificates;
mod clients;
mod edge;
mod identity;
mod issuers;
mod keys;
mod limits;
mod listeners;
mod names;
mod otlp;
mod remote;
mod routes;
mod server;
mod shared_store;
mod store;
mod upstreams;

pub use routes::Rule;
pub use store::{RevocationSettings, StoreSettings};

use super::fault::Faults;
use super::files;
use super::gather::Written;
use super::inputs::Inputs;
use super::loaded::{Loaded, Places};
use super::schema::value::SecretRef;
use super::secrets::{self, Environment};
use super::site::Site;
use super::warning::Warning;
use crate::issuer::Registry;
use crate::secret::Secret;
use names::Names;
use std::path::Path;

/// What every file of this directory works with.
struct Workbench<'e> {
    environment: &'e dyn Environment,
    inputs: &'e mut Inputs,
    faults: &'e mut Faults,
    warnings: Vec<Warning>,
}

impl Workbench<'_> {
    /// The content of the file `name`; `None` after a fault at `site`.
    fn file(&mut self, name: &str, limit: usize, site: &Site) -> Option<Vec<u8>> {
        self.warn_of_writers(&files::locate(name, site), site);
        files::read(name, limit, site, self.inputs, self.faults)
    }

    /// The bytes `reference` stands for; `None` after a fault at `site`.
    fn secret(&mut self, reference: &SecretRef, site: &Site) -> Option<Secret<Vec<u8>>> {
        self.warn_of_readers(reference, site);
        secrets::read(reference, site, self.environment, self.inputs, self.faults)
    }

    /// As [`secret`](Self::secret), for one line of text.
    fn secret_line(&mut self, reference: &SecretRef, site: &Site) -> Option<Secret<Vec<u8>>> {
        self.warn_of_readers(reference, site);
        secrets::read_line(reference, site, self.environment, self.inputs, self.faults)
    }

    fn warn_of_readers(&mut self, reference: &SecretRef, site: &Site) {
        let SecretRef::File(path) = reference else { return };
        let path = files::locate(path, site);
        if files::is_open_to_all(&path) {
            self.warn(site, "names a file that every user of this machine may read");
        }
        self.warn_of_writers(&path, site);
    }

    fn warn_of_writers(&mut self, path: &Path, site: &Site) {
        if files::is_writable_by_all(path) {
            self.warn(site, "names a file that every user of this machine may write");
        }
    }

    fn warn(&mut self, site: &Site, weakness: impl Into<String>) {
        self.warnings.push(Warning::new(site, weakness));
    }
}

/// Compiles the configuration; `None` after a fault. What it reads is noted among `inputs`.
pub fn compile(
    written: Written,
    environment: &dyn Environment,
    inputs: &mut Inputs,
    faults: &mut Faults,
) -> Option<Loaded> {
    let names = Names::collect(&written, faults);
    let mut bench = Workbench { environment, inputs, faults, warnings: Vec::new() };
    let listeners = listeners::compile(&written, &names, &mut bench);
    let admin = admin::compile(&written, &mut bench);
    addresses::check(&written, bench.faults);
    let store = store::compile(&written, &mut bench);
    let revocations = store::revocations(&written, &mut bench);
    let server = server::compile(&written, bench.faults);
    let dpop_nonces = server::dpop_nonces(&written, &mut bench);
    let verdicts = server::verdicts(&written, bench.faults);
    let audit = audit::compile(&written, &mut bench);
    let traces = otlp::compile(&written, &mut bench);
    let upstreams = upstreams::compile(&written, &mut bench);
    let believed = issuers::compile(&names, &mut bench);
    let rules = routes::compile(&written, &names, bench.faults);
    let warnings = bench.warnings;
    let issuers::Believed { issuers, remote_keys } = believed?;
    let loaded = Loaded {
        listeners: listeners?,
        admin: admin?,
        store: store?,
        revocations: revocations?,
        upstreams: upstreams?,
        server: server?,
        dpop_nonces,
        verdicts: verdicts?,
        log: server::log(&written),
        audit,
        traces,
        issuers: Registry::new(issuers),
        remote_keys,
        routes: rules.as_ref()?.table()?,
        firewall: identity::firewall(&written),
        rules: rules?.rules,
        warnings,
        places: Places::of(&written),
        files: written.files,
    };
    Some(loaded)
}
