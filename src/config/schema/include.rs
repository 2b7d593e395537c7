//! A file named by `include`: the routes and upstreams of one team.

use super::routes::Route;
use super::upstreams::Upstream;
use super::value::{HostPattern, Line, List, Name};
use schemars::JsonSchema;
use serde::Deserialize;

/// A file named by `include`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Included {
    /// Who answers for this file.
    #[schemars(required)]
    pub owner: Option<Name>,
    /// The host the routes of this file may not leave; `*.example.com` stands for every name below.
    pub host: Option<HostPattern>,
    /// The path prefix the routes of this file may not leave, in whole segments.
    #[schemars(extend("x-is" = "a path prefix", "x-write" = "literal segments, such as `/orders`",
        "pattern" = r"^(/[A-Za-z0-9._~!$&'()+,=:@-]+)+$"))]
    pub path_prefix: Option<Line>,
    /// Upstreams, as in gateway.yaml.
    pub upstreams: Option<List<Upstream>>,
    /// Routes, as in gateway.yaml.
    pub routes: Option<List<Route>>,
}
