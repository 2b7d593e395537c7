//! One upstream, and the terms on which the engine connects to its endpoints.

use super::address::Address;
use super::{EndpointSettings, HostPolicy, UpstreamSettings};
use http::HeaderValue;
use openssl::hash::MessageDigest;
use openssl::x509::X509;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// One upstream.
pub struct Upstream {
    name: Arc<str>,
    host: HostPolicy,
    connect: std::time::Duration,
    endpoints: Vec<EndpointState>,
}

struct EndpointState {
    settings: EndpointSettings,
    address: Address,
    /// Everything about a connection but the address, made once.
    template: HttpPeer,
    /// The `Host` the upstream sees, where it is not the client's.
    host: Option<HeaderValue>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endpoints: Vec<&EndpointSettings> = self.endpoints.iter().map(|endpoint| &endpoint.settings).collect();
        f.debug_struct("Upstream").field("name", &self.name).field("endpoints", &endpoints).finish_non_exhaustive()
    }
}

/// Why settings make no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It has no endpoint.
    #[error("upstream {0} has no endpoint")]
    Empty(Arc<str>),
    /// An `https` endpoint without a DNS name to verify would not be verified at all.
    #[error(
        "upstream {0} has an https endpoint that is an address: set tls.server_name to the name in its certificate"
    )]
    Unverifiable(Arc<str>),
    /// The host is not one.
    #[error("upstream {0} has a host that can't be written into a Host header")]
    BadHost(Arc<str>),
}

/// Why there is no peer for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The endpoint belongs to another generation of the configuration.
    #[error("no such endpoint")]
    Unknown,
    /// Its name can't be resolved.
    #[error("the endpoint's name can't be resolved")]
    Unresolved,
}

impl Upstream {
    pub(super) fn new(settings: UpstreamSettings, generation: u64) -> Result<Self, UpstreamError> {
        if settings.endpoints.is_empty() {
            return Err(UpstreamError::Empty(settings.name));
        }
        let state = |endpoint: &EndpointSettings| {
            Ok(EndpointState {
                settings: endpoint.clone(),
                address: Address::new(endpoint),
                template: template(&settings, endpoint, generation)?,
                host: fixed_host(&settings, endpoint)?,
            })
        };
        let endpoints = settings.endpoints.iter().map(state).collect::<Result<_, UpstreamError>>()?;
        Ok(Self { name: settings.name.clone(), connect: settings.timeouts.connect, host: settings.host, endpoints })
    }

    /// The name in gateway.yaml and in metrics.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The `Host` it sees.
    #[must_use]
    pub fn host_policy(&self) -> &HostPolicy {
        &self.host
    }

    /// How many endpoints it has.
    #[must_use]
    pub fn endpoint_count(&self) -> usize {
        self.endpoints.len()
    }

    /// How many attempts to connect can differ from each other: each endpoint, and each address of its name.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.address.alternatives()).sum()
    }

    /// The peer for an attempt at the endpoint at `index`.
    pub async fn peer(&self, index: usize) -> Result<HttpPeer, PeerError> {
        let endpoint = self.endpoints.get(index).ok_or(PeerError::Unknown)?;
        let address = endpoint.address.resolve(self.connect).await.ok_or(PeerError::Unresolved)?;
        let mut peer = endpoint.template.clone();
        peer._address = pingora::protocols::l4::socket::SocketAddr::Inet(address);
        Ok(peer)
    }

    /// Notes that the endpoint at `index` could not be connected to.
    pub fn refused(&self, index: usize) {
        if let Some(endpoint) = self.endpoints.get(index) {
            endpoint.address.refused();
        }
    }

    /// The `Host` for a request to the endpoint at `index`; `None` keeps the client's.
    #[must_use]
    pub fn host(&self, index: usize) -> Option<&HeaderValue> {
        self.endpoints.get(index).and_then(|endpoint| endpoint.host.as_ref())
    }
}

/// The peer without its address.
fn template(
    settings: &UpstreamSettings,
    endpoint: &EndpointSettings,
    generation: u64,
) -> Result<HttpPeer, UpstreamError> {
    let server_name = settings.tls.server_name.clone().unwrap_or_else(|| endpoint.host.clone());
    // The engine takes an empty name for "do not verify", and an address verifies against no DNS name.
    if endpoint.https && (server_name.is_empty() || server_name.parse::<IpAddr>().is_ok()) {
        return Err(UpstreamError::Unverifiable(Arc::clone(&settings.name)));
    }
    let placeholder = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), endpoint.port);
    let server_name = if endpoint.https { server_name } else { String::new() };
    let mut peer = HttpPeer::new(placeholder, endpoint.https, server_name);
    let (timeouts, options) = (&settings.timeouts, &mut peer.options);
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    options.read_timeout = Some(timeouts.read);
    options.write_timeout = Some(timeouts.write);
    options.idle_timeout = Some(timeouts.idle);
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    options.ca = settings.tls.ca.as_ref().map(|roots| Arc::new(roots.clone().into_boxed_slice()));
    peer.group_key = group_key(settings, endpoint, generation);
    Ok(peer)
}

/// What connections must share before one may be reused for another request. The engine's own key knows neither the
/// authorities nor the configuration.
fn group_key(settings: &UpstreamSettings, endpoint: &EndpointSettings, generation: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (generation, &settings.name, &endpoint.host, endpoint.port, endpoint.https).hash(&mut hasher);
    let fingerprint = |root: &X509| root.digest(MessageDigest::sha256()).map(|digest| digest.to_vec()).ok();
    settings.tls.ca.iter().flatten().for_each(|root| fingerprint(root).hash(&mut hasher));
    hasher.finish()
}

/// The `Host` that stands in the configuration, as a header value.
fn fixed_host(settings: &UpstreamSettings, endpoint: &EndpointSettings) -> Result<Option<HeaderValue>, UpstreamError> {
    let default_port = if endpoint.https { 443 } else { 80 };
    let text = match &settings.host {
        HostPolicy::Preserve => return Ok(None),
        HostPolicy::Literal(host) => host.clone(),
        HostPolicy::Upstream if endpoint.port == default_port && !endpoint.host.contains(':') => endpoint.host.clone(),
        HostPolicy::Upstream => endpoint.to_string(),
    };
    let sound = crate::request::Authority::parse(&text).is_some();
    let value = HeaderValue::from_str(&text).ok().filter(|_| sound);
    value.map(Some).ok_or_else(|| UpstreamError::BadHost(Arc::clone(&settings.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Timeouts, UpstreamTls};

    fn settings(https: bool, host: &str, policy: HostPolicy) -> UpstreamSettings {
        UpstreamSettings {
            name: "orders".into(),
            endpoints: vec![EndpointSettings { https, host: host.into(), port: 8443 }],
            timeouts: Timeouts::default(),
            tls: UpstreamTls::default(),
            host: policy,
        }
    }

    #[test]
    fn https_is_never_unverified() {
        let refused = Upstream::new(settings(true, "10.0.0.6", HostPolicy::Preserve), 1).unwrap_err();
        assert_eq!(refused, UpstreamError::Unverifiable("orders".into()));
        let named = Upstream::new(settings(true, "orders.internal", HostPolicy::Preserve), 1).unwrap();
        assert_eq!(named.endpoints[0].template.sni, "orders.internal");
        assert!(named.endpoints[0].template.options.verify_cert && named.endpoints[0].template.options.verify_hostname);
    }

    #[test]
    fn every_phase_has_a_time_out() {
        let upstream = Upstream::new(settings(false, "10.0.0.6", HostPolicy::Preserve), 1).unwrap();
        let options = &upstream.endpoints[0].template.options;
        let all = [
            options.connection_timeout,
            options.total_connection_timeout,
            options.read_timeout,
            options.write_timeout,
            options.idle_timeout,
        ];
        assert!(all.iter().all(Option::is_some));
    }

    #[test]
    fn connections_are_not_shared_between_generations() {
        let key = |generation| {
            Upstream::new(settings(false, "a.test", HostPolicy::Preserve), generation).unwrap().endpoints[0]
                .template
                .group_key
        };
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn the_host_follows_the_policy() {
        let host = |policy, name: &str| {
            let upstream = Upstream::new(settings(false, name, policy), 1).unwrap();
            upstream.host(0).map(|host| host.to_str().unwrap().to_owned())
        };
        assert_eq!(host(HostPolicy::Preserve, "a.test"), None);
        assert_eq!(host(HostPolicy::Upstream, "a.test").as_deref(), Some("a.test:8443"));
        assert_eq!(host(HostPolicy::Upstream, "::1").as_deref(), Some("[::1]:8443"));
        assert_eq!(host(HostPolicy::Literal("legacy".into()), "a.test").as_deref(), Some("legacy"));
        assert!(Upstream::new(settings(false, "a.test", HostPolicy::Literal("a b".into())), 1).is_err());
    }
}
