//! `routes[].access`, the part about theft: keys that tokens are bound to, and the user's authentication.

use super::issuers::SigningAlgorithm;
use super::value::{Duration, Line, List};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which tokens pass by the key they are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// Bound and unbound ones; the bearer of a bound one must hold its key.
    IfBound,
    /// Bound ones, in whichever way.
    Required,
    /// Tokens bound to a DPoP key (RFC 9449).
    Dpop,
    /// Tokens bound to a client certificate (RFC 8705).
    Mtls,
}

/// What is asked of DPoP proofs (RFC 9449).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dpop {
    /// Whether a proof must hold a nonce of the gateway. Default: none.
    pub nonce: Option<DpopNonce>,
    /// How old a proof may be. Default: 60s.
    pub max_age: Option<Duration>,
    /// The algorithms a proof may be signed with. Default: ES256 and EdDSA.
    #[schemars(length(min = 1))]
    pub algorithms: Option<List<SigningAlgorithm>>,
}

/// Whether a proof must hold a nonce of the gateway, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DpopNonce {
    /// It need not.
    None,
    /// It must: proofs can't be made ahead of time.
    Required,
}

/// What is asked of the user's authentication (RFC 9470).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// The values of `acr` of which a token must have one.
    #[schemars(length(min = 1), extend("examples" = ["[urn:loa:2]"]))]
    pub acr_values: Option<List<Line>>,
    /// How long ago the user may have authenticated (`auth_time`).
    pub max_age: Option<Duration>,
    /// The methods of `amr` (RFC 8176), all of which must have been used.
    #[schemars(length(min = 1), extend("examples" = ["[otp]"]))]
    pub amr: Option<List<Line>>,
}
