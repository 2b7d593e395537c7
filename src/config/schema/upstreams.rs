//! `upstreams`: the backends behind the gateway.

use super::value::{Duration, FilePath, Line, List, Name};
use schemars::JsonSchema;
use serde::Deserialize;

/// A backend: one service on one or more endpoints.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The upstream's name.
    #[schemars(required)]
    pub name: Option<Name>,
    /// Where the service answers: `http://HOST:PORT` or `https://HOST:PORT`.
    #[schemars(required, length(min = 1), extend("examples" = ["[http://127.0.0.1:8081]"]))]
    pub endpoints: Option<List<Endpoint>>,
    /// How long the upstream may take.
    pub timeouts: Option<Timeouts>,
    /// TLS towards endpoints with `https`.
    pub tls: Option<UpstreamTls>,
    /// The `Host` the upstream sees: `preserve` (the client's), `upstream` (the endpoint's) or a literal name.
    /// Default: preserve.
    #[schemars(extend("examples" = ["preserve", "upstream", "orders.internal"]))]
    pub host: Option<Line>,
}

/// The URL of an endpoint.
pub type Endpoint = Line;

/// How long an upstream may take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection to be made, TLS included. Default: 2s.
    pub connect: Option<Duration>,
    /// Between two reads. Default: 30s.
    pub read: Option<Duration>,
    /// Between two writes. Default: 30s.
    pub write: Option<Duration>,
    /// For which an unused connection is kept. Default: 60s.
    pub idle: Option<Duration>,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The PEM file of the authorities that may sign the upstream's certificate. Default: the system's.
    pub ca: Option<FilePath>,
    /// The name the upstream's certificate must have. Default: the endpoint's host.
    pub server_name: Option<Line>,
}
