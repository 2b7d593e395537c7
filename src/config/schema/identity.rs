//! `routes[].identity`: what the upstream is told about the caller.

use super::value::{ClaimPath, HeaderName, Line, List};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the upstream is told about the caller.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Headers by name, each set from a claim. A header of this name that a client sends is removed, on every route.
    #[schemars(extend("x-keys" = {"x-is": "a header name", "x-write": "letters, digits and `-`, such as `X-User-Id`"}))]
    pub headers: Option<BTreeMap<HeaderName, HeaderSource>>,
    /// Further headers to remove from requests; a trailing `*` stands for any ending.
    pub strip: Option<List<StripPattern>>,
    /// What becomes of the token itself. Default: drop.
    pub token: Option<TokenForwarding>,
}

/// A header name, optionally with a trailing `*`.
pub type StripPattern = Line;

/// The claim a header is set from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderSource {
    /// The claim: a top-level name, or a JSON Pointer.
    #[schemars(required)]
    pub claim: Option<ClaimPath>,
    /// How a list is written. Default: comma.
    pub format: Option<Format>,
    /// How a value that does not fit into a header is written. Default: reject.
    pub encoding: Option<Encoding>,
}

/// How a list is written into headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One header, values joined by commas.
    Comma,
    /// One header, a JSON value.
    Json,
    /// One header a value.
    Repeat,
}

/// How a value that does not fit into a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// The request is refused.
    Reject,
    /// Percent-encoded (RFC 3986 §2.1).
    Percent,
    /// base64url without padding (RFC 4648 §5).
    Base64url,
}

/// What becomes of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenForwarding {
    /// The upstream does not see it.
    Drop,
    /// The upstream gets it as it came.
    Keep,
    /// The upstream gets the JWS out of the JWE.
    Inner,
}
