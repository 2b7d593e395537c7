//! What the admin listener is told.

use crate::secret::Secret;
use crate::tls::TlsSettings;
use std::net::SocketAddr;

/// The admin listener, and the one for scrapers.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where the admin API listens: a loopback address, unless it has TLS.
    pub address: SocketAddr,
    /// Its TLS.
    pub tls: Option<TlsSettings>,
    /// Where `/metrics`, `/livez` and `/readyz` alone are served.
    pub metrics_address: Option<SocketAddr>,
    /// The bearer token for calls that change or reveal; without it they answer 403.
    pub token: Option<Secret<String>>,
}
