//! `store`: the memory all replicas share.

use super::value::{FilePath, Line, SecretRef};
use super::{routes::OnLoss, value::Duration};
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

/// The Redis store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// The server: `redis://HOST:PORT`, or `rediss://HOST:PORT` for TLS; credentials are keys of their own.
    #[schemars(required, extend("x-is" = "the URL of a Redis server",
        "x-write" = "`redis://HOST:PORT` or `rediss://HOST:PORT`", "examples" = ["redis://127.0.0.1:6379"]))]
    pub url: Option<Line>,
    /// The user name.
    pub username: Option<SecretRef>,
    /// The password.
    pub password: Option<SecretRef>,
    /// The PEM file of the authorities that may sign the server's certificate. Default: the system's.
    pub ca: Option<FilePath>,
    /// How long an answer may take. Default: 100ms.
    pub timeout: Option<Duration>,
    /// What every key begins with. Default: tollgate.
    #[schemars(extend("x-is" = "a key prefix", "x-write" = "1 to 9 letters, digits, `-`, `_`, `.` or `:`",
        "pattern" = "^[A-Za-z0-9._:-]{1,9}$", "examples" = ["tollgate"]))]
    pub key_prefix: Option<Line>,
}
