//! What an upstream is told.

use openssl::x509::X509;
use pingora::utils::tls::CertKey;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One upstream: the endpoints that can answer for it, and on what terms they are asked.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The name in gateway.yaml and in metrics.
    pub name: Arc<str>,
    /// The endpoints, at least one.
    pub endpoints: Vec<EndpointSettings>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// How they are asked whether they are well; `None`: only real requests tell.
    pub health: Option<HealthChecks>,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// How often names are resolved again.
    pub resolve: Duration,
    /// How an `https` endpoint is verified.
    pub tls: UpstreamTls,
    /// What is spoken to them.
    pub protocol: Protocol,
    /// The `Host` the upstream sees.
    pub host: HostPolicy,
    /// How many further attempts a request may have, where another one is safe.
    pub retries: usize,
}

impl UpstreamSettings {
    /// An upstream called `name` on `endpoints`, everything else as it is when nothing is written.
    #[must_use]
    pub fn new(name: &str, endpoints: Vec<EndpointSettings>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            balance: Balance::default(),
            health: None,
            timeouts: Timeouts::default(),
            resolve: Duration::from_secs(10),
            tls: UpstreamTls::default(),
            protocol: Protocol::default(),
            host: HostPolicy::default(),
            retries: 1,
        }
    }
}

/// How requests are spread over the endpoints that are well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// By chance.
    Random,
    /// Each subject to one endpoint, as long as that is well; requests without a subject in turn.
    HashSubject,
}

/// How endpoints are asked whether they are well: `GET path`, answered with a 2xx status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChecks {
    /// The path, with its query.
    pub path: String,
    /// How long after one question the next one follows; also how long an answer may take.
    pub interval: Duration,
    /// How many bad answers in a row take an endpoint out.
    pub unhealthy_after: u32,
    /// How many good ones bring it back.
    pub healthy_after: u32,
}

impl HealthChecks {
    /// Checks of `path`, everything else as it is when nothing is written.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), interval: Duration::from_secs(5), unhealthy_after: 3, healthy_after: 1 }
    }
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http1,
    /// HTTP/2 (RFC 9113), as gRPC needs it; without TLS with prior knowledge.
    Http2,
}

/// Where one endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// True for `https`.
    pub https: bool,
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for EndpointSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

/// How long each phase of one attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, TLS handshake included.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// For one write.
    pub write: Duration,
    /// How long an idle connection is kept for the next request.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// The defaults of `upstreams[].timeouts`.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// How an `https` endpoint is verified. It always is.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// The authorities that are believed instead of the system's.
    pub ca: Option<Vec<X509>>,
    /// The name the certificate must carry; default: the endpoint's host. Mandatory where that is an address.
    pub server_name: Option<String>,
    /// The certificate by which the gateway shows who it is.
    pub client_certificate: Option<Arc<CertKey>>,
    /// The lowest version that is spoken.
    pub min_version: UpstreamTlsVersion,
}

/// The lowest TLS version spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UpstreamTlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl UpstreamTlsVersion {
    /// True when the version the handshake came to, as OpenSSL spells it, is high enough.
    #[must_use]
    pub fn allows(self, version: &str) -> bool {
        version == "TLSv1.3" || (self == Self::V1_2 && version == "TLSv1.2")
    }
}

/// The `Host` the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// The one the client asked for.
    #[default]
    Preserve,
    /// The endpoint's own name and port.
    Upstream,
    /// A fixed one.
    Literal(String),
}
