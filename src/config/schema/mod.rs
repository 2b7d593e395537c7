//! gateway.yaml as written, one to one: a file a room, the doc comments being the descriptions in `tollgate schema`.
//!
//! A mandatory key is an `Option` here and `required` in the schema. That way a file with a fault in it can still be
//! read as far as it goes, and one run of `tollgate check` finds all faults; past the schema check, what is mandatory
//! and absent has been reported already.
//!
//! A key of the contract that is not built yet has no place here; it stands in [`unsupported`](super::unsupported).

pub mod admin;
pub mod binding;
pub mod defaults;
pub mod edge;
pub mod fetch;
mod generate;
pub mod identity;
pub mod include;
pub mod issuers;
pub mod listeners;
pub mod routes;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod upstreams;
pub mod value;

pub use generate::{gateway, included};

use schemars::JsonSchema;
use serde::Deserialize;
use value::{Line, List};

/// The configuration of tollgate.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The version of this format: 1.
    #[schemars(required, extend("const" = 1, "x-is" = "a known version", "x-write" = "`1`", "examples" = [1]))]
    pub version: Option<u64>,
    /// Where clients connect.
    #[schemars(required, length(min = 1))]
    pub listeners: Option<List<listeners::Listener>>,
    /// Where operators and scrapers connect. Default: nowhere.
    pub admin: Option<admin::Admin>,
    /// The memory all replicas share. Default: embedded.
    pub store: Option<store::Store>,
    /// Whose tokens are believed.
    pub issuers: Option<List<issuers::Issuer>>,
    /// The backends. Here or in an included file.
    pub upstreams: Option<List<upstreams::Upstream>>,
    /// Which requests go where, and what they must show. Here or in an included file.
    pub routes: Option<List<routes::Route>>,
    /// Files with further `routes` and `upstreams`; `*` stands for any part of a file name.
    pub include: Option<List<Line>>,
    /// What every route starts from.
    pub defaults: Option<defaults::Defaults>,
    /// What the gateway writes about its work.
    pub telemetry: Option<telemetry::Telemetry>,
    /// The process itself.
    pub server: Option<server::Server>,
}
