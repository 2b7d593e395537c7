//! `admin`: where operators and scrapers connect.

use super::value::{Address, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// The operators' side: metrics, health, explain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address of the admin API; a loopback address.
    #[schemars(required, extend("examples" = ["127.0.0.1:9901"]))]
    pub address: Option<Address>,
    /// An address for /metrics, /livez and /readyz alone, which may be open to scrapers and probes.
    pub metrics_address: Option<Address>,
    /// The bearer token of calls that change or reveal something, at least 32 bytes. Without it such calls answer 403.
    pub token: Option<SecretRef>,
}
