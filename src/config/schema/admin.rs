//! `admin`: where operators and scrapers connect.

use super::value::{Address, FilePath, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// The operators' side: metrics, health, explain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address of the admin API; a loopback address, unless there is `tls`.
    #[schemars(required, extend("examples" = ["127.0.0.1:9901"]))]
    pub address: Option<Address>,
    /// TLS for `address`; `metrics_address` stays without, for probes.
    pub tls: Option<AdminTls>,
    /// An address for /metrics, /livez and /readyz alone, which may be open to scrapers and probes.
    pub metrics_address: Option<Address>,
    /// The bearer token of calls that change or reveal something, at least 32 bytes. Without it such calls answer 403.
    pub token: Option<SecretRef>,
}

/// The TLS of the admin API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminTls {
    /// The PEM file with the certificate, then the intermediate ones.
    #[schemars(required)]
    pub chain: Option<FilePath>,
    /// The private key of the certificate, in PEM.
    #[schemars(required)]
    pub key: Option<SecretRef>,
    /// The PEM file with the authorities of which an operator must show a certificate. Default: none is asked.
    pub client_ca: Option<FilePath>,
}
