//! What an upstream is told.

use openssl::x509::X509;
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
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// How an `https` endpoint is verified.
    pub tls: UpstreamTls,
    /// The `Host` the upstream sees.
    pub host: HostPolicy,
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
