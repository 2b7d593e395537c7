//! `routes[]`, the part about the edge: other origins, limits, rewriting, headers of answers.

use super::routes::Method;
use super::value::{Duration, HeaderName, Line, List, Size};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whose pages may read answers across origins (CORS). What the upstream says of it is replaced.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// The origins, such as `https://app.example.com`; `*` alone stands for any, never together with credentials.
    #[schemars(required, length(min = 1), extend("examples" = [["https://app.example.com"]]))]
    pub origins: Option<List<Line>>,
    /// The methods a page may use. Default: those of `match`, else GET, HEAD and POST.
    #[schemars(length(min = 1))]
    pub methods: Option<List<Method>>,
    /// The request headers a page may set, such as `Authorization`.
    pub headers: Option<List<HeaderName>>,
    /// The response headers a page may read, besides those it needs to act on a refusal.
    pub expose: Option<List<HeaderName>>,
    /// Whether the browser may send cookies and certificates along. Default: false.
    pub credentials: Option<bool>,
    /// How long a browser may remember the answer to its preflight. Default: 10m.
    pub max_age: Option<Duration>,
}

/// How often, and how large.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How often requests may come.
    pub rate: Option<Rate>,
    /// The largest request body. Default: any.
    pub body: Option<Size>,
    /// How many refused tokens lock a client out.
    pub failures: Option<Failures>,
}

/// How often requests may come: `requests` at once, and as many more in each `period`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Whose requests are counted together.
    #[schemars(required)]
    pub per: Option<RatePer>,
    /// How many.
    #[schemars(required, range(min = 1, max = 1_000_000))]
    pub requests: Option<u32>,
    /// In which time.
    #[schemars(required)]
    pub period: Option<Duration>,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RatePer {
    /// Those of one client address (IPv6: /64), before anything is known of it.
    Client,
    /// Those of one subject of one issuer.
    Subject,
    /// Those under one token.
    Token,
    /// All of the route.
    Route,
}

/// `count` refused tokens within `period` lock a client out for `lock`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// Whose refused tokens are counted together. Default: client.
    pub per: Option<FailuresPer>,
    /// How many lock out.
    #[schemars(required, range(min = 1, max = 1_000_000))]
    pub count: Option<u32>,
    /// Within which time.
    #[schemars(required)]
    pub period: Option<Duration>,
    /// For how long.
    #[schemars(required)]
    pub lock: Option<Duration>,
}

/// Whose refused tokens are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailuresPer {
    /// Those of one client address (IPv6: /64).
    Client,
}

/// The path the upstream sees, where it is not the one that was matched.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// The segments that are taken off the beginning.
    pub strip_prefix: Option<Line>,
    /// The segments that are put in their place.
    pub add_prefix: Option<Line>,
}
