//! `upstreams` → the upstream room's settings.

use super::server::positive;
use super::{Workbench, certificates};
use crate::config::fault::Faults;
use crate::config::gather::{Placed, Written};
use crate::config::schema::listeners::TlsVersion as WrittenVersion;
use crate::config::schema::upstreams::{
    Balance as WrittenBalance, Health, Protocol as WrittenProtocol, Timeouts as WrittenTimeouts, Upstream,
    UpstreamTls as WrittenTls,
};
use crate::config::schema::value::Line;
use crate::config::site::Site;
use crate::request::{Authority, Host};
use crate::upstream::{
    Balance, EndpointSettings, HealthChecks, HostPolicy, Protocol, Timeouts, UpstreamSettings, UpstreamTls,
    UpstreamTlsVersion,
};
use http::Uri;
use http::uri::PathAndQuery;
use std::net::IpAddr;
use std::sync::Arc;

/// Compiles `upstreams` of all files; `None` after a fault.
pub fn compile(written: &Written, bench: &mut Workbench<'_>) -> Option<Vec<UpstreamSettings>> {
    let compiled: Vec<_> = written.upstreams.iter().map(|upstream| compile_one(upstream, bench)).collect();
    compiled.into_iter().collect()
}

fn compile_one(upstream: &Placed<Upstream>, bench: &mut Workbench<'_>) -> Option<UpstreamSettings> {
    let (site, value) = (&upstream.site, &upstream.value);
    let endpoints = endpoints(value, &site.key("endpoints"), bench.faults);
    let timeouts = timeouts(value.timeouts.as_ref(), &site.key("timeouts"), bench.faults);
    let tls = tls(value, endpoints.as_deref(), site, bench);
    let host = host_policy(value.host.as_ref(), &site.key("host"), bench.faults);
    let health = value.health.as_ref().map(|health| health_checks(health, &site.key("health"), bench.faults));
    let base = UpstreamSettings::new(value.name.as_ref()?.as_str(), endpoints?);
    let resolve = positive(value.resolve, base.resolve, &site.key("resolve"), bench.faults);
    Some(UpstreamSettings {
        balance: value.balance.map_or(base.balance, balance),
        health: health.map_or(Some(None), |health| health.map(Some))?,
        timeouts: timeouts?,
        resolve: resolve?,
        tls,
        protocol: value.protocol.map_or(base.protocol, protocol),
        host: host?,
        retries: value.retries.map_or(base.retries, usize::from),
        ..base
    })
}

fn balance(written: WrittenBalance) -> Balance {
    match written {
        WrittenBalance::RoundRobin => Balance::RoundRobin,
        WrittenBalance::Random => Balance::Random,
        WrittenBalance::HashSubject => Balance::HashSubject,
    }
}

fn protocol(written: WrittenProtocol) -> Protocol {
    match written {
        WrittenProtocol::Http1 => Protocol::Http1,
        WrittenProtocol::Http2 => Protocol::Http2,
    }
}

fn health_checks(written: &Health, site: &Site, faults: &mut Faults) -> Option<HealthChecks> {
    let path = written.path.as_ref().map(Line::as_str);
    let sound = path.filter(|path| path.starts_with('/') && path.parse::<PathAndQuery>().is_ok());
    if path.is_some() && sound.is_none() {
        faults.push(&site.key("path"), "is not a path", "write one that begins with `/`, such as `/healthz`");
    }
    let base = HealthChecks::new(sound.unwrap_or_default());
    let interval = positive(written.interval, base.interval, &site.key("interval"), faults);
    sound?;
    Some(HealthChecks {
        interval: interval?,
        unhealthy_after: written.unhealthy_after.map_or(base.unhealthy_after, u32::from),
        healthy_after: written.healthy_after.map_or(base.healthy_after, u32::from),
        ..base
    })
}

fn endpoints(upstream: &Upstream, site: &Site, faults: &mut Faults) -> Option<Vec<EndpointSettings>> {
    let mut parsed: Vec<Option<EndpointSettings>> = Vec::new();
    for (index, url) in upstream.endpoints.as_ref()?.iter() {
        let site = site.index(index);
        let endpoint = endpoint(url.as_str());
        if endpoint.is_none() {
            // The URL is not repeated: it may hold a password.
            let remedy = "write `http://HOST:PORT` or `https://HOST:PORT`, and nothing behind the port";
            faults.push(&site, "is not the URL of an endpoint", remedy);
        } else if parsed.contains(&endpoint) {
            faults.push(&site, "is listed twice", "remove one of the two");
        }
        parsed.push(endpoint);
    }
    parsed.into_iter().collect()
}

fn endpoint(url: &str) -> Option<EndpointSettings> {
    let uri: Uri = url.parse().ok()?;
    let https = match uri.scheme_str()? {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let bare = uri.query().is_none() && matches!(uri.path(), "" | "/") && !url.contains('#');
    let authority = Authority::parse(uri.authority()?.as_str()).filter(|_| bare)?;
    let host = authority.host.as_str().trim_matches(['[', ']']).to_owned();
    Some(EndpointSettings { https, host, port: authority.port.unwrap_or(if https { 443 } else { 80 }) })
}

fn timeouts(written: Option<&WrittenTimeouts>, site: &Site, faults: &mut Faults) -> Option<Timeouts> {
    let written = written.cloned().unwrap_or_default();
    let base = Timeouts::default();
    let connect = positive(written.connect, base.connect, &site.key("connect"), faults);
    let read = positive(written.read, base.read, &site.key("read"), faults);
    let write = positive(written.write, base.write, &site.key("write"), faults);
    let idle = positive(written.idle, base.idle, &site.key("idle"), faults);
    Some(Timeouts { connect: connect?, read: read?, write: write?, idle: idle? })
}

fn tls(
    upstream: &Upstream,
    endpoints: Option<&[EndpointSettings]>,
    site: &Site,
    bench: &mut Workbench<'_>,
) -> UpstreamTls {
    let place = site.key("tls");
    let written = upstream.tls.clone().unwrap_or_default();
    if upstream.tls.is_some() && endpoints.is_some_and(|all| !all.iter().any(|endpoint| endpoint.https)) {
        bench.faults.push(&place, "has no use: no endpoint begins with `https://`", "remove it, or write `https://`");
    }
    let nameless = |endpoint: &EndpointSettings| endpoint.https && endpoint.host.parse::<IpAddr>().is_ok();
    if endpoints.is_some_and(|all| all.iter().any(nameless)) && written.server_name.is_none() {
        let remedy = "write the name the upstream's certificate carries, such as `server_name: orders.internal`";
        bench.faults.push_missing(&place.key("server_name"), "is missing: an `https` endpoint is an address", remedy);
    }
    let ca = written.ca.as_ref().and_then(|path| certificates::stack(path, &place.key("ca"), bench));
    let server_name = server_name(&written, &place.key("server_name"), bench.faults);
    let client_certificate = written.client_certificate.as_ref();
    let client_certificate = client_certificate
        .and_then(|one| certificates::certificate(one, &place.key("client_certificate"), bench))
        .map(|certificate| Arc::new(certificate.to_pair()));
    let min_version = match written.min_version {
        None | Some(WrittenVersion::Tls12) => UpstreamTlsVersion::V1_2,
        Some(WrittenVersion::Tls13) => UpstreamTlsVersion::V1_3,
    };
    UpstreamTls { ca, server_name, client_certificate, min_version }
}

/// The name the certificate must carry; `None` if none is written, and after a fault.
fn server_name(written: &WrittenTls, site: &Site, faults: &mut Faults) -> Option<String> {
    let host = Host::parse(written.server_name.as_ref()?.as_str()).filter(|host| !host.as_str().starts_with('['));
    if host.is_none() {
        faults.push(site, "is not a host name", "write a name such as `orders.internal`");
    }
    host.map(|host| host.as_str().to_owned())
}

fn host_policy(written: Option<&Line>, site: &Site, faults: &mut Faults) -> Option<HostPolicy> {
    match written.map(Line::as_str) {
        None | Some("preserve") => Some(HostPolicy::Preserve),
        Some("upstream") => Some(HostPolicy::Upstream),
        Some(literal) => {
            let authority = Authority::parse(literal);
            if authority.is_none() {
                let remedy = "write `preserve`, `upstream` or a name such as `orders.internal`";
                faults.push(site, "is not a host", remedy);
            }
            authority.map(|authority| HostPolicy::Literal(authority.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn an_endpoint_is_scheme_host_and_port_alone() {
        let shown = |url: &str| endpoint(url).map(|endpoint| (endpoint.https, endpoint.to_string()));
        assert_eq!(shown("http://10.0.0.5:8080"), Some((false, "10.0.0.5:8080".to_owned())));
        assert_eq!(shown("https://[::1]/"), Some((true, "[::1]:443".to_owned())));
        assert_eq!(shown("http://Orders.internal"), Some((false, "orders.internal:80".to_owned())));
        for url in [
            "",
            "orders",
            "10.0.0.5:80",
            "ftp://a",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "http://a:0",
            "http://a#b",
            "http://",
        ] {
            assert_eq!(shown(url), None, "{url}");
        }
    }
}
