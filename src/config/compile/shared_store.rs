//! `store.redis` → the store room's settings.

use super::server::positive;
use super::{Workbench, certificates};
use crate::config::gather::Written;
use crate::config::schema::listeners::Certificate;
use crate::config::schema::store::{Redis, Sentinel};
use crate::config::schema::value::{Duration as WrittenDuration, Line, List, SecretRef};
use crate::config::site::Site;
use crate::secret::Secret;
use crate::store::{ClientCertificate, RedisSettings, RedisUrl, Servers, SettingsError};
use crate::upstream::Timeouts;
use std::net::IpAddr;
use std::time::Duration;

/// How long Redis may take if nothing is written.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(100);

/// Compiles `store.redis`; `None` after a fault.
pub fn settings(redis: &Redis, written: &Written, bench: &mut Workbench<'_>) -> Option<RedisSettings> {
    let site = written.root.key("store").key("redis");
    let servers = servers(redis, &site, bench);
    let username = credential(redis.username.as_ref(), &site.key("username"), bench);
    let password = credential(redis.password.as_ref(), &site.key("password"), bench);
    if redis.username.is_some() && redis.password.is_none() {
        bench.faults.push_missing(&site.key("password"), "is missing beside `username`", "write `password: env:NAME`");
    }
    let timeout = positive(redis.timeout, DEFAULT_TIMEOUT, &site.key("timeout"), bench.faults);
    let ca = authorities(redis, &site.key("ca"), bench);
    let certificate = redis.client_certificate.as_ref();
    let client_certificate =
        certificate.and_then(|written| client_certificate(written, &site.key("client_certificate"), bench));
    let base = RedisSettings::new(servers?);
    Some(RedisSettings {
        username: username.map(|name| name.expose().clone()),
        password,
        ca,
        client_certificate,
        timeout: timeout?,
        connections: redis.connections.map_or(base.connections, usize::from),
        replica_acks: redis.replica_acks.map_or(base.replica_acks, u32::from),
        foreign_memory: longest_connect(written),
        key_prefix: redis.key_prefix.as_ref().map_or(base.key_prefix, ToString::to_string),
        ..base
    })
}

/// Where the data lies; `None` after a fault.
fn servers(redis: &Redis, site: &Site, bench: &mut Workbench<'_>) -> Option<Servers> {
    let Redis { url, cluster, sentinel, .. } = redis;
    if [url.is_some(), cluster.is_some(), sentinel.is_some()].iter().filter(|given| **given).count() > 1 {
        bench.faults.push(site, "names its servers in several ways", "keep one of `url`, `cluster` and `sentinel`");
        return None;
    }
    let servers = if let Some(url) = url {
        let place = site.key("url");
        let parsed = parse(url, &place, bench)?;
        warn_of_clear_text(std::slice::from_ref(&parsed), &place, bench);
        Servers::Single(parsed)
    } else if let Some(list) = cluster {
        let urls = several(list, &site.key("cluster"), bench)?;
        if urls.iter().any(|url| url.database != 0) {
            let remedy = "write nothing behind the port";
            bench.faults.push(&site.key("cluster"), "names a database, and a cluster has only the one", remedy);
            return None;
        }
        Servers::Cluster(urls)
    } else if let Some(Sentinel { urls, service }) = sentinel {
        let urls = several(urls.as_ref()?, &site.key("sentinel").key("urls"), bench)?;
        Servers::Sentinel { urls, service: service.as_ref()?.to_string() }
    } else {
        if ["url", "cluster", "sentinel"].iter().all(|key| !site.key(key).is_written()) {
            let remedy =
                "write `url: redis://HOST:PORT`, `cluster: [URL]` or `sentinel: { urls: [URL], service: NAME }`";
            bench.faults.push_missing(site, "names no server", remedy);
        }
        return None;
    };
    let encrypted = servers.urls().iter().any(|url| url.tls);
    for (key, given) in [("ca", redis.ca.is_some()), ("client_certificate", redis.client_certificate.is_some())] {
        if given && !encrypted {
            bench.faults.push(&site.key(key), "has no use without TLS", "write `rediss://`, or remove it");
        }
    }
    Some(servers)
}

/// The URLs of servers that belong together: all encrypted or none, of one database, each once.
fn several(list: &List<Line>, site: &Site, bench: &mut Workbench<'_>) -> Option<Vec<RedisUrl>> {
    let mut urls: Vec<Option<RedisUrl>> = Vec::new();
    for (index, url) in list.iter() {
        let place = site.index(index);
        let parsed = parse(url, &place, bench);
        if parsed.is_some() && urls.contains(&parsed) {
            bench.faults.push(&place, "is listed twice", "remove one of the two");
        }
        urls.push(parsed);
    }
    let urls: Vec<RedisUrl> = urls.into_iter().collect::<Option<_>>()?;
    let first = urls.first()?;
    if urls.iter().any(|url| url.tls != first.tls) {
        bench.faults.push(site, "mixes `redis://` and `rediss://`", "write the same for all");
        return None;
    }
    if urls.iter().any(|url| url.database != first.database) {
        bench.faults.push(site, "names different databases", "write the same for all, or none");
        return None;
    }
    warn_of_clear_text(&urls, site, bench);
    Some(urls)
}

/// One URL. It is never repeated: it may hold a password.
fn parse(url: &Line, place: &Site, bench: &mut Workbench<'_>) -> Option<RedisUrl> {
    match url.as_str().parse() {
        Ok(url) => Some(url),
        Err(SettingsError::CredentialsInUrl) => {
            let remedy = "write `password: env:NAME` beside it, and only `redis://HOST:PORT` here";
            bench.faults.push(place, "holds credentials", remedy);
            None
        }
        Err(_) => {
            let remedy = "write `redis://HOST:PORT` or `rediss://HOST:PORT`";
            bench.faults.push(place, "is not the URL of a Redis server", remedy);
            None
        }
    }
}

fn warn_of_clear_text(urls: &[RedisUrl], place: &Site, bench: &mut Workbench<'_>) {
    let local = |url: &RedisUrl| url.host == "localhost" || url.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if urls.iter().any(|url| !url.tls && !local(url)) {
        let weakness = "crosses a network in clear text: who listens there learns the password; `rediss://` encrypts";
        bench.warn(place, weakness);
    }
}

/// The PEM of the authorities; `None` if there are none, and after a fault.
fn authorities(redis: &Redis, site: &Site, bench: &mut Workbench<'_>) -> Option<Vec<u8>> {
    let path = redis.ca.as_ref()?;
    certificates::stack(path, site, bench)?;
    bench.file(path.as_str(), certificates::MAX_PEM, site)
}

/// The certificate the gateway shows to the store, its key proven to belong to it; `None` after a fault.
fn client_certificate(written: &Certificate, site: &Site, bench: &mut Workbench<'_>) -> Option<ClientCertificate> {
    let (chain, key) = certificates::pair(written, site, bench)?;
    let mut pem = Vec::new();
    for certificate in &chain {
        pem.extend(certificate.to_pem().ok()?);
    }
    Some(ClientCertificate { chain: pem, key: Secret::new(key.private_key_to_pem_pkcs8().ok()?) })
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
