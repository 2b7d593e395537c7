//! `store` → the store room's settings.

use super::server::positive;
use super::{Workbench, shared_store};
use crate::config::files;
use crate::config::gather::Written;
use crate::config::schema::store::Store;
use crate::store::RedisSettings;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many claims the embedded store holds if nothing is written.
const DEFAULT_ENTRIES: usize = 1_000_000;
/// How old a list of revocations may be if nothing is written.
const DEFAULT_MAX_STALE: Duration = Duration::from_secs(300);

/// Which store remembers spent tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// Memory of this process.
    Embedded {
        /// How many claims it holds.
        max_entries: usize,
    },
    /// Redis servers.
    Redis(Box<RedisSettings>),
}

/// Where revocations are kept, and how old a list of them may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationSettings {
    /// The file beside the embedded store.
    pub file: Option<PathBuf>,
    /// How long a replica may be cut off from the list before routes that insist on it are answered 503.
    pub max_stale: Duration,
}

/// Compiles `store.revocations_file` and `store.revocation_max_stale`; `None` after a fault.
pub fn revocations(written: &Written, bench: &mut Workbench<'_>) -> Option<RevocationSettings> {
    let site = written.root.key("store");
    let store = written.gateway.store.clone().unwrap_or_default();
    let place = site.key("revocation_max_stale");
    let max_stale = positive(store.revocation_max_stale, DEFAULT_MAX_STALE, &place, bench.faults);
    let Some(file) = &store.revocations_file else {
        return Some(RevocationSettings { file: None, max_stale: max_stale? });
    };
    let place = site.key("revocations_file");
    if store.redis.is_some() {
        bench.faults.push(&place, "has no use with `redis`, which keeps revocations itself", "remove it");
        return None;
    }
    let path = files::locate(file.as_str(), &place);
    // A bare name has an empty parent, which stands for the working directory.
    let holds = |directory: &Path| directory.as_os_str().is_empty() || directory.is_dir();
    if path.is_dir() || !path.parent().is_some_and(holds) {
        let problem = format!("names {}, where no file can be", path.display());
        bench.faults.push(&place, problem, "name a file in a directory that exists");
        return None;
    }
    Some(RevocationSettings { file: Some(path), max_stale: max_stale? })
}

/// Compiles `store`; `None` after a fault.
pub fn compile(written: &Written, bench: &mut Workbench<'_>) -> Option<StoreSettings> {
    let site = written.root.key("store");
    let Some(Store { embedded, redis, .. }) = &written.gateway.store else {
        return Some(StoreSettings::Embedded { max_entries: DEFAULT_ENTRIES });
    };
    match (embedded, redis) {
        (Some(_), Some(_)) => {
            bench.faults.push(&site, "names two stores", "keep one of `embedded` and `redis`");
            None
        }
        (None, None) => {
            let remedy = "write `embedded: {}`, or `redis:` with its servers";
            bench.faults.push_missing(&site, "names no store", remedy);
            None
        }
        (Some(embedded), None) => {
            let entries = embedded.max_entries.and_then(|entries| usize::try_from(entries).ok());
            Some(StoreSettings::Embedded { max_entries: entries.unwrap_or(DEFAULT_ENTRIES) })
        }
        (None, Some(servers)) => {
            shared_store::settings(servers, written, bench).map(Box::new).map(StoreSettings::Redis)
        }
    }
}
