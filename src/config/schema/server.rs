//! `server`: the process itself.

use super::value::{Duration, FilePath, SecretRef, Size};
use schemars::JsonSchema;
use serde::Deserialize;

/// The process itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Worker threads: `auto` (one a core) or a number. Default: auto.
    pub threads: Option<Threads>,
    /// The directory of the socket for `run --upgrade`; one gateway, one directory. Default: /run/tollgate.
    pub runtime_dir: Option<FilePath>,
    /// How long, after SIGTERM, new connections are still accepted while balancers look away. Default: 5s.
    pub drain_delay: Option<Duration>,
    /// How long running requests may then still take. Default: 30s.
    pub shutdown_grace: Option<Duration>,
    /// The largest request header. Default: 32KiB.
    pub max_header: Option<Size>,
    /// How long a client may take for a request's header. Default: 10s.
    pub header_timeout: Option<Duration>,
    /// How long an unused client connection is kept. Default: 60s.
    pub idle_timeout: Option<Duration>,
    /// How many client connections may be open at once; further ones are closed at once. Default: 10000.
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
    /// How many of them may be of one client address (IPv6: /64), trusted proxies excepted. Default: 1000.
    #[schemars(range(min = 1))]
    pub max_connections_per_client: Option<u32>,
    /// The key under which nonces for DPoP proofs are made, at least 32 bytes, the same for all replicas. Default: a
    /// random one of this process.
    pub dpop_nonce_key: Option<SecretRef>,
    /// What is remembered of tokens that were opened: that their signature and encryption hold, never for how long.
    pub verdict_cache: Option<VerdictCache>,
}

/// The bounds of the cache of opened tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictCache {
    /// How many tokens are remembered at most; 0: none. Default: 100000.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub entries: Option<u64>,
    /// How much memory they may take together. Default: 256MiB.
    pub bytes: Option<Size>,
}

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threads {
    /// One a core.
    Auto(Auto),
    /// So many.
    Fixed(#[schemars(range(min = 1, max = 1024))] u16),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// One a core.
    Auto,
}
