//! `store`: the memory all replicas share.

use super::listeners::Certificate;
use super::routes::OnLoss;
use super::value::{Duration, FilePath, Line, List, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// The memory of spent tokens. Exactly one of `embedded` and `redis`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Memory of this one process, gone when it stops.
    pub embedded: Option<Embedded>,
    /// A Redis server, shared by all replicas.
    pub redis: Option<Redis>,
    /// What a route does when the store can't answer and the route itself does not say. Default: closed.
    pub on_loss: Option<OnLoss>,
    /// The file in which the revocations of the embedded store survive a restart. Without it nothing can be revoked
    /// there; Redis keeps them itself.
    pub revocations_file: Option<FilePath>,
    /// How long a replica may be cut off from the list of revocations before routes that insist on it are answered
    /// 503. Default: 5m.
    pub revocation_max_stale: Option<Duration>,
}

/// The embedded store.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// How many claims it holds; a full one answers "unknown" and never evicts a live claim. Default: 1000000.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_entries: Option<u64>,
}

/// The Redis store. Exactly one of `url`, `cluster` and `sentinel`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// The one server: `redis://HOST:PORT`, or `rediss://HOST:PORT` for TLS; credentials are keys of their own.
    #[schemars(extend("x-is" = "the URL of a Redis server",
        "x-write" = "`redis://HOST:PORT` or `rediss://HOST:PORT`", "examples" = ["redis://127.0.0.1:6379"]))]
    pub url: Option<Line>,
    /// Nodes of a Redis Cluster, as in `url`; the others are found through any of them.
    #[schemars(length(min = 1), extend("examples" = ["[redis://127.0.0.1:7000]"]))]
    pub cluster: Option<List<Line>>,
    /// The Sentinels that know the primary.
    pub sentinel: Option<Sentinel>,
    /// The user name.
    pub username: Option<SecretRef>,
    /// The password.
    pub password: Option<SecretRef>,
    /// The PEM file of the authorities that may sign the server's certificate. Default: the system's.
    pub ca: Option<FilePath>,
    /// The certificate by which the gateway shows who it is. Default: none.
    pub client_certificate: Option<Certificate>,
    /// How long an answer may take. Default: 100ms.
    pub timeout: Option<Duration>,
    /// Connections to each server, which requests take in turn. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    pub connections: Option<u8>,
    /// How many replicas must hold a claim before it counts (WAIT). Default: 0, none.
    #[schemars(range(min = 0, max = 32))]
    pub replica_acks: Option<u8>,
    /// What every key begins with. Default: tollgate.
    #[schemars(extend("x-is" = "a key prefix", "x-write" = "1 to 9 letters, digits, `-`, `_`, `.` or `:`",
        "pattern" = "^[A-Za-z0-9._:-]{1,9}$", "examples" = ["tollgate"]))]
    pub key_prefix: Option<Line>,
}

/// The Sentinels that know the primary.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// The Sentinels themselves: `redis://HOST:PORT`, or `rediss://HOST:PORT` for TLS, to them and to the servers.
    #[schemars(required, length(min = 1), extend("examples" = ["[redis://127.0.0.1:26379]"]))]
    pub urls: Option<List<Line>>,
    /// The name under which they watch the primary.
    #[schemars(required, extend("examples" = ["tollgate"]))]
    pub service: Option<Line>,
}
