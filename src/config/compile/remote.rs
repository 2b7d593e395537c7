//! Keys over the network: `issuers[].keys.discovery` or `jwks_uri`, with `issuers[].fetch`.

use super::Workbench;
use super::certificates::{self, MAX_PEM};
use super::server::positive;
use crate::config::schema::fetch::{Fetch, IssuerKeys};
use crate::config::schema::issuers::Issuer;
use crate::config::schema::value::Line;
use crate::config::site::Site;
use crate::config::{fault::Faults, files};
use crate::issuer::http::{FetchSettings, KeySource, RemoteKeys, SourceError};
use crate::issuer::refresh::RefreshPolicy;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// Keys that were withdrawn are believed so long while their issuer is out of reach: more is worth a warning.
const LONG_STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The snapshots on disk seen so far, each with the source that it holds.
#[derive(Default)]
pub struct Snapshots(HashMap<PathBuf, (KeySource, Site)>);

/// The keys of an issuer that are fetched, and how; `None` after a fault, and for keys from elsewhere.
pub fn compile(
    issuer: &Issuer,
    site: &Site,
    snapshots: &mut Snapshots,
    bench: &mut Workbench<'_>,
) -> Option<RemoteKeys> {
    let keys = issuer.keys.as_ref().filter(|keys| keys.is_remote());
    if keys.is_some_and(|keys| keys.discovery == Some(false)) {
        let remedy = "write `discovery: true`, or another source in its place";
        bench.faults.push(&site.key("keys").key("discovery"), "is `false`, and so no source", remedy);
    }
    if issuer.fetch.is_some() && keys.is_none() && !bench.faults.touches(&site.key("keys")) {
        let remedy = "remove it, or write `discovery: true` or `jwks_uri` in `keys`";
        bench.faults.push(&site.key("fetch"), "has no use: the issuer's keys are not fetched", remedy);
    }
    let (source, place) = source(keys?, issuer.issuer.as_ref(), site);
    let settings = settings(issuer.fetch.as_ref(), &site.key("fetch"), bench);
    let source = source?.map_err(|error| refuse(error, &place, &site.key("fetch"), bench.faults)).ok()?;
    let settings = settings?;
    if let Some(path) = &settings.snapshot {
        snapshots.add(path, &source, &site.key("fetch").key("snapshot"), bench.faults);
    }
    RemoteKeys::new(source, settings).map_err(|error| refuse(error, &place, &site.key("fetch"), bench.faults)).ok()
}

/// The source, and the place where its URL is written; none while there is no URL.
fn source(keys: &IssuerKeys, issuer: Option<&Line>, site: &Site) -> (Option<Result<KeySource, SourceError>>, Site) {
    match &keys.jwks_uri {
        Some(url) => (Some(KeySource::jwks(url.as_str())), site.key("keys").key("jwks_uri")),
        None => (issuer.map(|issuer| KeySource::discovery(issuer.as_str())), site.key("issuer")),
    }
}

/// Notes why a URL or a setting can't be used. The URL is not repeated: it may hold a password.
fn refuse(error: SourceError, url: &Site, fetch: &Site, faults: &mut Faults) {
    let (site, remedy) = match error {
        SourceError::Malformed | SourceError::Scheme => (url, "write `https://HOST/PATH`; keys are fetched from there"),
        SourceError::Parts => (url, "write scheme, host, port and path alone; keys are fetched from there"),
        SourceError::Address => (url, "write a public name, or `fetch: { allow_private_addresses: true }`"),
        SourceError::Ca => (&fetch.key("ca"), "name a PEM file with one certificate or more"),
        SourceError::Proxy => (&fetch.key("proxy"), "write `http://HOST:PORT`"),
        SourceError::Tls => (fetch, "check the authorities in `ca`"),
    };
    faults.push(site, error.to_string(), remedy);
}

fn settings(written: Option<&Fetch>, site: &Site, bench: &mut Workbench<'_>) -> Option<FetchSettings> {
    let written = written.cloned().unwrap_or_default();
    let base = FetchSettings::default();
    let ca = match &written.ca {
        None => Some(None),
        Some(path) => {
            let place = site.key("ca");
            certificates::stack(path, &place, bench)
                .and_then(|_| bench.file(path.as_str(), MAX_PEM, &place))
                .map(|pem| Some(pem.into()))
        }
    };
    let timeout = positive(written.timeout, base.timeout, &site.key("timeout"), bench.faults);
    let refresh = policy(&written, base.refresh, site, bench);
    Some(FetchSettings {
        ca: ca?,
        timeout: timeout?,
        refresh: refresh?,
        snapshot: written.snapshot.map(|path| files::locate(path.as_str(), site)),
        proxy: written.proxy.map(|proxy| proxy.to_string()),
        allow_private_addresses: written.allow_private_addresses.unwrap_or(base.allow_private_addresses),
    })
}

/// When to fetch. The three times must leave each other room.
fn policy(written: &Fetch, base: RefreshPolicy, site: &Site, bench: &mut Workbench<'_>) -> Option<RefreshPolicy> {
    let refresh = positive(written.refresh, base.refresh, &site.key("refresh"), bench.faults);
    let max_stale = positive(written.max_stale, base.max_stale, &site.key("max_stale"), bench.faults);
    let cooldown = positive(written.cooldown, base.cooldown, &site.key("cooldown"), bench.faults);
    let policy = RefreshPolicy { refresh: refresh?, max_stale: max_stale?, cooldown: cooldown? };
    if policy.cooldown > policy.refresh {
        let problem = "is longer than `refresh`, which it would keep from happening";
        bench.faults.push(&site.key("cooldown"), problem, "write a shorter one, such as `30s`");
    }
    if policy.max_stale < policy.refresh {
        let problem = "is shorter than `refresh`: the keys would be too old before they are fetched again";
        bench.faults.push(&site.key("max_stale"), problem, "write a longer one, such as `24h`");
    }
    if policy.max_stale > LONG_STALE {
        let weakness = "is long: so long a withdrawn key is believed while its issuer can't be reached";
        bench.warn(&site.key("max_stale"), weakness);
    }
    Some(policy)
}

impl Snapshots {
    /// Notes a file that two sources would overwrite for each other.
    fn add(&mut self, path: &std::path::Path, source: &KeySource, site: &Site, faults: &mut Faults) {
        match self.0.get(path) {
            Some((other, first)) if other != source => {
                faults.push(site, format!("is the file of {first}, which has other keys"), "name a file of its own");
            }
            _ => {
                self.0.insert(path.to_path_buf(), (source.clone(), site.clone()));
            }
        }
    }
}
