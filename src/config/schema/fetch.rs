//! `issuers[].keys` and `issuers[].fetch`: where an issuer's keys come from, and how they are fetched.

use super::value::{Duration, FilePath, Line, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where an issuer's keys come from. Exactly one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerKeys {
    /// `true`: fetched from where the metadata of `issuer` says (OpenID Connect Discovery, RFC 8414).
    pub discovery: Option<bool>,
    /// Fetched from this URL: https, or http to a loopback address.
    #[schemars(extend("examples" = ["https://idp.example.com/jwks"]))]
    pub jwks_uri: Option<Line>,
    /// The file of a public JWKS (RFC 7517 §5); one with a private or symmetric key in it is refused whole.
    pub jwks_file: Option<FilePath>,
    /// A secret shared with the issuer: its raw bytes, or a JWK with `kty: oct`.
    pub shared_secret: Option<SecretRef>,
}

impl IssuerKeys {
    /// The sources written, by their keys.
    #[must_use]
    pub fn sources(&self) -> Vec<&'static str> {
        let all = [
            ("discovery", self.discovery.is_some()),
            ("jwks_uri", self.jwks_uri.is_some()),
            ("jwks_file", self.jwks_file.is_some()),
            ("shared_secret", self.shared_secret.is_some()),
        ];
        all.into_iter().filter(|(_, written)| *written).map(|(key, _)| key).collect()
    }

    /// True if the keys are fetched over the network.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.discovery.is_some() || self.jwks_uri.is_some()
    }
}

/// How keys are fetched over the network.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The PEM file of the authorities that vouch for the issuer's servers. Default: the system's.
    pub ca: Option<FilePath>,
    /// How long one document may take, name resolution and redirects included. Default: 5s.
    pub timeout: Option<Duration>,
    /// The longest time between two fetches; an answer's `max-age` may shorten it. Default: 10m.
    pub refresh: Option<Duration>,
    /// How long keys are believed while the issuer can't be reached. Default: 24h.
    pub max_stale: Option<Duration>,
    /// The shortest time between two fetches, whatever tokens ask for. Default: 30s.
    pub cooldown: Option<Duration>,
    /// A file that keeps the last good keys for a start while the issuer can't be reached.
    pub snapshot: Option<FilePath>,
    /// The proxy to go through: `http://HOST:PORT`. Proxies of the environment are ignored.
    pub proxy: Option<Line>,
    /// True if private and link-local addresses may be fetched from. Default: false.
    pub allow_private_addresses: Option<bool>,
}
