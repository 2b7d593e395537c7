//! `routes`: which requests go where, and what they must show. `defaults` share the types.

use super::binding::{Binding, Dpop, StepUp};
use super::edge::{Cors, Limits, Rewrite};
use super::identity::Identity;
use super::value::{HeaderName, HostPattern, Line, List, Name};
use crate::store::MAX_USES;
use schemars::JsonSchema;
use serde::Deserialize;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// One way through the gateway.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The route's name.
    #[schemars(required)]
    pub name: Option<Name>,
    /// Which requests take this route; the most specific match wins: host, then path, then method.
    #[schemars(required, extend("examples" = ["{ path: \"/orders/{id}\" }"]))]
    pub r#match: Option<Match>,
    /// The upstream the requests go to.
    #[schemars(required)]
    pub upstream: Option<Name>,
    /// What a request must show: `public`, or a mapping. Mandatory unless `defaults.access` is given.
    pub access: Option<Access>,
    /// What the upstream is told about the caller.
    pub identity: Option<Identity>,
    /// Whose pages may read answers across origins. Default: what the upstream says.
    pub cors: Option<Cors>,
    /// How often, and how large.
    pub limits: Option<Limits>,
    /// How many requests may be under way at once; more are answered 503. Default: any number.
    #[schemars(range(min = 1))]
    pub in_flight: Option<u32>,
    /// The path the upstream sees. Default: the one that was matched.
    pub rewrite: Option<Rewrite>,
    /// Headers of every answer of the route, in place of the upstream's; an empty value takes the upstream's away.
    /// `Strict-Transport-Security` is `max-age=31536000` unless it stands here or comes from the upstream; an empty value
    /// leaves it out. Once any route writes it, answers that belong to no route have none.
    #[schemars(extend("x-keys" = {"x-is": "a header name", "x-write": "letters, digits and `-`, such as `X-Frame-Options`"}))]
    pub response_headers: Option<BTreeMap<HeaderName, String>>,
    /// Whether WebSockets, event streams and gRPC calls may outlive the token that opened them; a revocation ends them
    /// all the same. Default: false.
    pub tunnel_beyond_expiry: Option<bool>,
}

/// Which requests take a route.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The hosts, each literal or with one leading `*.`. Default: every host.
    #[schemars(length(min = 1))]
    pub hosts: Option<List<HostPattern>>,
    /// The path: literal segments, `{name}` for one segment, `{*rest}` at the end for one or more.
    #[schemars(required, extend("x-is" = "a path", "x-write" = "a path that begins with `/`, such as `/orders/{id}`",
        "pattern" = r"^/[^\x00-\x20\x7f]*$", "maxLength" = 1024, "examples" = ["\"/orders/{id}\""]))]
    pub path: Option<Line>,
    /// The methods; GET includes HEAD. Default: every method.
    #[schemars(length(min = 1))]
    pub methods: Option<List<Method>>,
}

/// A request method, in capitals.
pub type Method = Line;

/// What a request must show.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Access {
    /// Nothing: everyone may come.
    Public(Public),
    /// A token that passes these rules.
    Rules(Box<AccessRules>),
}

/// The word `public`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Public {
    /// Everyone may come.
    Public,
}

/// The rules a token must pass.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRules {
    /// The issuers whose tokens are believed here.
    #[schemars(length(min = 1))]
    pub issuers: Option<List<Name>>,
    /// Where the token may stand. Default: header.
    #[schemars(length(min = 1))]
    pub credentials: Option<List<Credential>>,
    /// The audiences of which a token must name at least one; a subset of the issuers'. Default: all of theirs.
    #[schemars(length(min = 1))]
    pub audiences: Option<List<Line>>,
    /// The scopes a token must have, all of them.
    pub scopes: Option<List<Scope>>,
    /// A condition in CEL over `claims`, `request` and `path`, at most 1 KiB, with brackets and choices at most 8 deep
    /// and 32 operations in one another; an error counts as false.
    #[schemars(extend("x-is" = "a condition", "x-write" = "a CEL expression of at most 1 KiB",
        "pattern" = r"^[^\x00-\x08\x0b-\x1f\x7f]+$", "maxLength" = 1024))]
    pub when: Option<String>,
    /// Which tokens pass by the key they are bound to. Default: if_bound.
    pub binding: Option<Binding>,
    /// What is asked of DPoP proofs.
    pub dpop: Option<Dpop>,
    /// What is asked of the user's authentication.
    pub step_up: Option<StepUp>,
    /// Whether a token may be used again. Default: none (it may).
    pub replay: Option<Replay>,
    /// What happens when the store can't answer. Default: `store.on_loss`.
    pub on_loss: Option<OnLoss>,
    /// What happens when the list of revocations is older than `store.revocation_max_stale`. Default: required with
    /// `replay`, else last_known.
    pub revocation: Option<Revocation>,
    /// Whether refusals are made or only counted. Default: enforce.
    pub mode: Option<Mode>,
}

/// A scope (RFC 6749 §3.3).
pub type Scope = Line;

/// Where a token may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// In the header `Authorization`.
    Header,
}

/// Whether a token may be used again.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-is" = "one of the words known here", "x-write" = "`none`, `once` or `{ uses: 3 }`"))]
pub enum Replay {
    /// As often as it is valid, or once.
    Word(ReplayWord),
    /// So many times.
    Counted(Counted),
}

/// `none` or `once`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayWord {
    /// As often as it is valid.
    None,
    /// Once.
    Once,
}

/// How often a token may be used.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// How often in all, on all routes together; 1 is `once`.
    #[schemars(required, range(min = 1, max = MAX_USES), extend("examples" = [3]))]
    pub uses: Option<u32>,
}

impl Replay {
    /// How often a token may be used; `None`: as often as it is valid.
    #[must_use]
    pub fn uses(self) -> Option<u32> {
        match self {
            Self::Word(ReplayWord::None) => None,
            Self::Word(ReplayWord::Once) => Some(1),
            // Uses that are out of range were cut out, with a fault: what is left means the strictest.
            Self::Counted(counted) => Some(counted.uses.unwrap_or(1)),
        }
    }

    /// The fewer uses, the stricter.
    fn strictness(self) -> Reverse<u32> {
        Reverse(self.uses().unwrap_or(u32::MAX))
    }
}

impl PartialEq for Replay {
    fn eq(&self, other: &Self) -> bool {
        self.strictness() == other.strictness()
    }
}

impl PartialOrd for Replay {
    /// Loosest first.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.strictness().partial_cmp(&other.strictness())
    }
}

/// What happens when the store can't answer, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// The request is let through, counted and audited.
    Open,
    /// A bounded table in the process stands in for the store.
    Local,
    /// The request is answered 503.
    Closed,
}

/// Whether refusals are made or only counted, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every request goes on, and none has an identity; what would have been refused is counted.
    Report,
    /// What does not pass is refused.
    Enforce,
}

/// What happens when the list of revocations may be out of date, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// The list as last known counts.
    LastKnown,
    /// The request is answered 503.
    Required,
}
