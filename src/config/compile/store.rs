//! `store` → the store room's settings.

use super::server::positive;
use super::{Workbench, certificates};
use crate::config::files;
use crate::config::gather::Written;
use crate::config::schema::store::{Redis, Store};
use crate::config::schema::value::{Duration as WrittenDuration, SecretRef};
use crate::config::site::Site;
use crate::secret::Secret;
use crate::store::{RedisSettings, RedisUrl, Servers, SettingsError};
use crate::upstream::Timeouts;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many claims the embedded store holds if nothing is written.
const DEFAULT_ENTRIES: usize = 1_000_000;
/// How long Redis may take if nothing is written.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(100);
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
    /// A Redis server.
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
            let remedy = "write `embedded: {}`, or `redis:` with a `url`";
            bench.faults.push_missing(&site, "names no store", remedy);
            None
        }
        (Some(embedded), None) => {
            let entries = embedded.max_entries.and_then(|entries| usize::try_from(entries).ok());
            Some(StoreSettings::Embedded { max_entries: entries.unwrap_or(DEFAULT_ENTRIES) })
        }
        (None, Some(redis)) => redis_settings(redis, written, bench).map(Box::new).map(StoreSettings::Redis),
    }
}

fn redis_settings(redis: &Redis, written: &Written, bench: &mut Workbench<'_>) -> Option<RedisSettings> {
    let site = written.root.key("store").key("redis");
    let url = url(redis, &site, bench);
    let username = credential(redis.username.as_ref(), &site.key("username"), bench);
    let password = credential(redis.password.as_ref(), &site.key("password"), bench);
    if redis.username.is_some() && redis.password.is_none() {
        bench.faults.push_missing(&site.key("password"), "is missing beside `username`", "write `password: env:NAME`");
    }
    let timeout = positive(redis.timeout, DEFAULT_TIMEOUT, &site.key("timeout"), bench.faults);
    let ca = authorities(redis, &site.key("ca"), bench);
    let mut settings = RedisSettings::new(Servers::Single(url?));
    settings.username = username.map(|name| name.expose().clone());
    settings.password = password;
    settings.ca = ca;
    settings.timeout = timeout?;
    settings.foreign_memory = longest_connect(written);
    if let Some(prefix) = &redis.key_prefix {
        prefix.as_str().clone_into(&mut settings.key_prefix);
    }
    Some(settings)
}

fn url(redis: &Redis, site: &Site, bench: &mut Workbench<'_>) -> Option<RedisUrl> {
    let place = site.key("url");
    // The URL is never repeated: it may hold a password.
    let url: RedisUrl = match redis.url.as_ref()?.as_str().parse() {
        Ok(url) => url,
        Err(SettingsError::CredentialsInUrl) => {
            let remedy = "write `password: env:NAME` beside `url: redis://HOST:PORT`";
            bench.faults.push(&place, "holds credentials", remedy);
            return None;
        }
        Err(_) => {
            let remedy = "write `redis://HOST:PORT` or `rediss://HOST:PORT`";
            bench.faults.push(&place, "is not the URL of a Redis server", remedy);
            return None;
        }
    };
    let local = url.host == "localhost" || url.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if !url.tls && !local {
        bench.warn(
            &place,
            "crosses a network in clear text: who listens there learns the password; `rediss://` encrypts",
        );
    }
    if !url.tls && redis.ca.is_some() {
        bench.faults.push(&site.key("ca"), "has no use without TLS", "write `rediss://` in `url`, or remove it");
    }
    Some(url)
}

/// The PEM of the authorities; `None` if there are none, and after a fault.
fn authorities(redis: &Redis, site: &Site, bench: &mut Workbench<'_>) -> Option<Vec<u8>> {
    let path = redis.ca.as_ref()?;
    certificates::stack(path, site, bench)?;
    bench.file(path.as_str(), certificates::MAX_PEM, site)
}

/// The longest time in which a connection to an upstream fails: until then a foreign claim may be taken back.
fn longest_connect(written: &Written) -> Duration {
    let timeouts = written.upstreams.iter().map(|upstream| upstream.value.timeouts.as_ref()?.connect);
    let default = Timeouts::default().connect;
    timeouts.map(|connect| connect.map_or(default, WrittenDuration::get)).max().unwrap_or(default)
}

/// A credential; `None` if there is none, and after a fault.
fn credential(reference: Option<&SecretRef>, site: &Site, bench: &mut Workbench<'_>) -> Option<Secret<String>> {
    let reference = reference?;
    let bytes = bench.secret_line(reference, site)?;
    let text = String::from_utf8(bytes.expose().clone()).ok();
    if text.is_none() {
        bench.faults.push(site, format!("names `{reference}`, which is not UTF-8"), "put text there");
    }
    text.map(Secret::new)
}
