//! The terms on which the engine connects to an endpoint.

use super::{EndpointSettings, HostPolicy, Protocol, UpstreamSettings};
use http::HeaderValue;
use openssl::hash::MessageDigest;
use openssl::x509::X509;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Streams on one HTTP/2 connection; the next one opens another connection.
const STREAMS: usize = 100;
/// How often an HTTP/2 connection is asked whether its other end is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// The same for TCP: a tunnel may be silent for long.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    count: 4,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// The terms of one endpoint.
pub(super) struct Terms {
    pub(super) endpoint: EndpointSettings,
    /// Everything about a connection but the address, made once.
    template: HttpPeer,
    /// The `Host` the upstream sees, where it is not the client's.
    host: Option<HeaderValue>,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("endpoint", &self.endpoint).finish_non_exhaustive()
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
    /// The target belongs to another generation of the configuration.
    #[error("no such target")]
    Unknown,
    /// Its name can't be resolved.
    #[error("the endpoint's name can't be resolved")]
    Unresolved,
}

impl Terms {
    pub(super) fn new(
        settings: &UpstreamSettings,
        endpoint: &EndpointSettings,
        generation: u64,
    ) -> Result<Self, UpstreamError> {
        Ok(Self {
            endpoint: endpoint.clone(),
            template: template(settings, endpoint, generation)?,
            host: fixed_host(settings, endpoint)?,
        })
    }

    /// The address that is written as the endpoint; `None` where a name is.
    pub(super) fn fixed_address(&self) -> Option<SocketAddr> {
        self.endpoint.host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, self.endpoint.port))
    }

    /// The peer at `address`.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = self.template.clone();
        peer._address = pingora::protocols::l4::socket::SocketAddr::Inet(address);
        peer
    }

    /// The `Host` that is sent; `None` keeps the client's.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
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
    options.tcp_keepalive = Some(KEEP_ALIVE);
    options.ca = settings.tls.ca.as_ref().map(|roots| Arc::new(roots.clone().into_boxed_slice()));
    if settings.protocol == Protocol::Http2 {
        options.set_http_version(2, 2);
        options.max_h2_streams = STREAMS;
        options.h2_ping_interval = Some(PING_EVERY);
    }
    if endpoint.https {
        peer.client_cert_key.clone_from(&settings.tls.client_certificate);
    }
    peer.group_key = group_key(settings, endpoint, generation);
    Ok(peer)
}

/// What connections must share before one may be reused for another request. The engine's own key knows neither the
/// authorities nor the configuration.
fn group_key(settings: &UpstreamSettings, endpoint: &EndpointSettings, generation: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    let protocol = settings.protocol == Protocol::Http2;
    (generation, &settings.name, &endpoint.host, endpoint.port, endpoint.https, protocol).hash(&mut hasher);
    let fingerprint = |root: &X509| root.digest(MessageDigest::sha256()).map(|digest| digest.to_vec()).ok();
    settings.tls.ca.iter().flatten().for_each(|root| fingerprint(root).hash(&mut hasher));
    settings.tls.client_certificate.iter().for_each(|pair| fingerprint(pair.leaf()).hash(&mut hasher));
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

    fn terms(https: bool, host: &str, policy: HostPolicy, generation: u64) -> Result<Terms, UpstreamError> {
        let endpoint = EndpointSettings { https, host: host.into(), port: 8443 };
        let settings = UpstreamSettings { host: policy, ..UpstreamSettings::new("orders", vec![endpoint.clone()]) };
        Terms::new(&settings, &endpoint, generation)
    }

    #[test]
    fn https_is_never_unverified() {
        let refused = terms(true, "10.0.0.6", HostPolicy::Preserve, 1).unwrap_err();
        assert_eq!(refused, UpstreamError::Unverifiable("orders".into()));
        let named = terms(true, "orders.internal", HostPolicy::Preserve, 1).unwrap().template;
        assert_eq!(named.sni, "orders.internal");
        assert!(named.options.verify_cert && named.options.verify_hostname);
    }

    #[test]
    fn every_phase_has_a_time_out() {
        let options = terms(false, "10.0.0.6", HostPolicy::Preserve, 1).unwrap().template.options;
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
        let key = |generation| terms(false, "a.test", HostPolicy::Preserve, generation).unwrap().template.group_key;
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn the_host_follows_the_policy() {
        let host = |policy, name: &str| {
            let terms = terms(false, name, policy, 1).unwrap();
            terms.host().map(|host| host.to_str().unwrap().to_owned())
        };
        assert_eq!(host(HostPolicy::Preserve, "a.test"), None);
        assert_eq!(host(HostPolicy::Upstream, "a.test").as_deref(), Some("a.test:8443"));
        assert_eq!(host(HostPolicy::Upstream, "::1").as_deref(), Some("[::1]:8443"));
        assert_eq!(host(HostPolicy::Literal("legacy".into()), "a.test").as_deref(), Some("legacy"));
        assert!(terms(false, "a.test", HostPolicy::Literal("a b".into()), 1).is_err());
    }
}
