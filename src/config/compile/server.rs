//! `server` and `telemetry` → the settings of the process and its log.

use super::Workbench;
use crate::authn::DpopNonces;
use crate::authn::VerdictBounds;
use crate::config::fault::Faults;
use crate::config::gather::Written;
use crate::config::schema::server::Threads;
use crate::config::schema::telemetry::LogLevel as WrittenLevel;
use crate::config::schema::value::{Duration, Size};
use crate::config::site::Site;
use crate::config::{files, secrets};
use crate::proxy::ServerSettings;
use crate::telemetry::{LogLevel, LogSettings, LogTarget};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration as Span;

/// The largest request header that may be asked for, in bytes.
const MAX_HEADER: u64 = 1 << 20;
/// The smallest, in bytes: less would refuse ordinary browsers.
const MIN_HEADER: u64 = 4 << 10;

/// How much the cache of opened tokens may hold: less would hardly hold a token for each thread.
const CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=64 << 30;

/// Compiles `server`.
pub fn compile(written: &Written, faults: &mut Faults) -> Option<ServerSettings> {
    let site = written.root.key("server");
    let server = written.gateway.server.clone().unwrap_or_default();
    let base = ServerSettings::default();
    let header_timeout = positive(server.header_timeout, base.header_timeout, &site.key("header_timeout"), faults);
    let idle_timeout = positive(server.idle_timeout, base.idle_timeout, &site.key("idle_timeout"), faults);
    let max_header = max_header(server.max_header, base.max_header, &site.key("max_header"), faults);
    Some(ServerSettings {
        threads: match server.threads {
            None | Some(Threads::Auto(_)) => base.threads,
            Some(Threads::Fixed(number)) => usize::from(number),
        },
        runtime_dir: server.runtime_dir.map_or(base.runtime_dir, |path| files::locate(path.as_str(), &site)),
        drain_delay: server.drain_delay.map_or(base.drain_delay, Duration::get),
        shutdown_grace: server.shutdown_grace.map_or(base.shutdown_grace, Duration::get),
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        max_header: max_header?,
        max_connections: count(server.max_connections, base.max_connections),
        max_connections_per_client: count(server.max_connections_per_client, base.max_connections_per_client),
    })
}

/// Compiles `server.verdict_cache`.
pub fn verdicts(written: &Written, faults: &mut Faults) -> Option<VerdictBounds> {
    let cache = written.gateway.server.as_ref().and_then(|server| server.verdict_cache.clone()).unwrap_or_default();
    let base = VerdictBounds::default();
    let bytes = cache.bytes.map_or(base.bytes, Size::bytes);
    if !CACHE_BYTES.contains(&bytes) {
        let site = written.root.key("server").key("verdict_cache").key("bytes");
        faults.push(&site, "is out of range", "write a size from `1MiB` to `64GiB`, or `entries: 0` for no cache");
        return None;
    }
    let entries = cache.entries.map_or(Some(base.entries), |entries| usize::try_from(entries).ok())?;
    Some(VerdictBounds { entries, bytes })
}

/// The time written, or `default`; a fault if it is zero, which would end everything before it begins.
pub fn positive(written: Option<Duration>, default: Span, site: &Site, faults: &mut Faults) -> Option<Span> {
    let span = written.map_or(default, Duration::get);
    if span.is_zero() {
        faults.push(site, "is no time at all", "write a duration above zero, such as `30s`");
        return None;
    }
    Some(span)
}

fn count(written: Option<u32>, default: usize) -> usize {
    written.map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn max_header(written: Option<Size>, default: usize, site: &Site, faults: &mut Faults) -> Option<usize> {
    let Some(asked) = written else { return Some(default) };
    if !(MIN_HEADER..=MAX_HEADER).contains(&asked.bytes()) {
        faults.push(site, "is out of range", "write a size from `4KiB` to `1MiB`");
        return None;
    }
    usize::try_from(asked.bytes()).ok()
}

/// The nonces of `server.dpop_nonce_key`; `None` if there is no such key, and after a fault.
pub fn dpop_nonces(written: &Written, bench: &mut Workbench<'_>) -> Option<Arc<DpopNonces>> {
    let reference = written.gateway.server.as_ref()?.dpop_nonce_key.as_ref()?;
    let site = written.root.key("server").key("dpop_nonce_key");
    let bytes = secrets::read(reference, &site, bench.environment, bench.inputs, bench.faults)?;
    let nonces = crate::jose::shared_secret(bytes.expose()).ok().and_then(|key| DpopNonces::shared(key).ok());
    if nonces.is_none() {
        let problem = format!("names `{reference}`, which is no secret of 32 bytes or more");
        bench.faults.push(&site, problem, "put 32 random bytes or more there, the same for all replicas");
    }
    nonces.map(Arc::new)
}

/// Compiles `telemetry.log`.
pub fn log(written: &Written) -> LogSettings {
    let log = written.gateway.telemetry.as_ref().and_then(|telemetry| telemetry.log.as_ref());
    let level = match log.and_then(|log| log.level) {
        Some(WrittenLevel::Error) => LogLevel::Error,
        Some(WrittenLevel::Warn) => LogLevel::Warn,
        None | Some(WrittenLevel::Info) => LogLevel::Info,
    };
    LogSettings { level, target: LogTarget::Stdout }
}
