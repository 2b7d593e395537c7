//! What the proxy is told: its listeners and the limits of the whole server.

use super::trust::TrustedProxies;
use crate::tls::TlsSettings;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::request::{PublicAddress, UriScheme as Scheme};

/// One public listener.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The name in gateway.yaml and in metrics.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// True when HTTP/2 is offered beside HTTP/1.1. Without TLS it never is.
    pub http2: bool,
    /// How clients reach it, which behind a balancer is not how it listens.
    pub public: PublicAddress,
    /// The proxies in front of it that are believed.
    pub trusted_proxies: TrustedProxies,
    /// True when such a proxy tells the client's certificate in `Client-Cert` (RFC 9440).
    pub client_certificate_header: bool,
    /// True when connections begin with a PROXY header, which only such a proxy may send.
    pub proxy_protocol: bool,
    /// What it does.
    pub kind: ListenerKind,
}

/// What a listener does.
#[derive(Clone, Debug)]
pub enum ListenerKind {
    /// Serves the routes over TLS.
    Tls(TlsSettings),
    /// Sends every request for a host of ours to HTTPS; serves nothing.
    Redirect {
        /// The public port of the listener it sends them to.
        to: u16,
    },
}

/// The limits of the whole server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The number of threads that serve requests.
    pub threads: usize,
    /// The directory for the process's own files: upgrade socket, pid.
    pub runtime_dir: PathBuf,
    /// How long `/readyz` says no before the listeners close, so that a balancer can turn away first.
    pub drain_delay: Duration,
    /// How long requests in flight may take to end after that.
    pub shutdown_grace: Duration,
    /// How long a whole header section may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection may lie idle between requests.
    pub idle_timeout: Duration,
    /// The largest header section, request line included, in bytes.
    pub max_header: usize,
    /// How many client connections may be open at once.
    pub max_connections: usize,
    /// How many of them may be of one client.
    pub max_connections_per_client: usize,
}

impl Default for ServerSettings {
    /// The defaults of `server:`.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            runtime_dir: PathBuf::from("/run/tollgate"),
            drain_delay: Duration::from_secs(5),
            shutdown_grace: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_header: 32 * 1024,
            max_connections: 10_000,
            max_connections_per_client: 1000,
        }
    }
}
