//! `upstreams`: the backends behind the gateway.

use super::listeners::{Certificate, TlsVersion};
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
    /// How requests are spread over the endpoints that are well. Default: round_robin.
    pub balance: Option<Balance>,
    /// How the endpoints are asked whether they are well. Default: only real requests tell.
    pub health: Option<Health>,
    /// How often the names among the endpoints are resolved again. Default: 10s.
    pub resolve: Option<Duration>,
    /// How long the upstream may take.
    pub timeouts: Option<Timeouts>,
    /// TLS towards endpoints with `https`.
    pub tls: Option<UpstreamTls>,
    /// What is spoken to the endpoints: http1, or http2 as gRPC needs it. Default: http1.
    pub protocol: Option<Protocol>,
    /// How many further attempts a request may have, where another one is safe. Default: 1.
    #[schemars(range(max = 10))]
    pub retries: Option<u8>,
    /// The `Host` the upstream sees: `preserve` (the client's), `upstream` (the endpoint's) or a literal name.
    /// Default: preserve.
    #[schemars(extend("examples" = ["preserve", "upstream", "orders.internal"]))]
    pub host: Option<Line>,
}

/// The URL of an endpoint.
pub type Endpoint = Line;

/// How requests are spread over the endpoints that are well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
    /// Each subject to one endpoint as long as that is well.
    HashSubject,
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS with prior knowledge.
    Http2,
}

/// Health checks: `GET path` to each endpoint, answered with a 2xx status.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path.
    #[schemars(required, extend("examples" = ["/healthz"]))]
    pub path: Option<Line>,
    /// How long after one check the next one follows, and how long an answer may take. Default: 5s.
    pub interval: Option<Duration>,
    /// How many failed checks in a row take an endpoint out. Default: 3.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: Option<u8>,
    /// How many good ones in a row bring it back. Default: 1.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: Option<u8>,
}

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
    /// The certificate by which the gateway shows who it is. Default: none.
    pub client_certificate: Option<Certificate>,
    /// The lowest TLS version spoken. Default: 1.2.
    pub min_version: Option<TlsVersion>,
}
