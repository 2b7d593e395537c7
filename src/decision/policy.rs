//! What one route asks, as finished types.

use super::authorize::Condition;
use super::edge::Edge;
use crate::authn::{BindingRule, DpopPolicy, OnLoss, ReplayMode, RevocationPolicy, StepUp};
use crate::issuer::IssuerId;
use crate::request::Scheme;
use std::sync::Arc;

/// The number of an upstream within one generation of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(u16);

impl UpstreamId {
    /// The id of the upstream at `index`.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The position of the upstream in every table that is ordered by upstream.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where one request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The upstream.
    pub upstream: UpstreamId,
    /// The number of the target: of one address of one of its endpoints.
    pub index: usize,
}

/// The upstreams, as far as a decision needs them: is there anyone to forward to?
pub trait Endpoints: Send + Sync {
    /// Chooses an endpoint for a request that is about to be forwarded; `None` when none can take it.
    fn choose(&self, upstream: UpstreamId, subject: Option<&str>) -> Option<Endpoint>;

    /// What [`Self::choose`] would answer, without counting as a choice.
    fn peek(&self, upstream: UpstreamId, subject: Option<&str>) -> Option<Endpoint>;
}

/// The policy of one route.
#[derive(Debug)]
pub struct RoutePolicy {
    /// The route's name: the realm of its challenges and the label of its metrics.
    pub name: Arc<str>,
    /// Who may pass.
    pub access: Access,
    /// Where to.
    pub upstream: UpstreamId,
    /// What the edge itself does: origins, limits, rewriting, headers of answers.
    pub edge: Edge,
    /// True when a WebSocket, an event stream or a gRPC call may outlive the token that opened it.
    pub tunnel_beyond_expiry: bool,
}

/// Who may pass.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a route, read on every request: no further step to it")]
pub enum Access {
    /// Everybody; identity headers are stripped here too.
    Public,
    /// Whoever holds a token that fulfils this.
    Guarded(Guard),
}

/// What a token must fulfil on one route.
#[derive(Debug)]
pub struct Guard {
    /// The issuers that are believed here.
    pub issuers: Vec<IssuerId>,
    /// The audiences of which a token must name at least one; empty: those of its issuer.
    pub audiences: Vec<String>,
    /// The scopes, all of which a token must have.
    pub scopes: Scopes,
    /// The condition over claims and request.
    pub when: Option<Condition>,
    /// Which tokens pass: bound to a key, or unbound ones too.
    pub binding: BindingRule,
    /// What is asked of proofs; `None` on a route for any host, where none can be checked (the proof names the host).
    pub dpop: Option<DpopPolicy>,
    /// What is asked of the user's authentication.
    pub step_up: Option<StepUp>,
    /// How often one token may be used.
    pub replay: ReplayMode,
    /// What happens when the store can't answer.
    pub on_loss: OnLoss,
    /// What happens when the list of revocations may be out of date.
    pub revocation: RevocationPolicy,
    /// Whether what does not pass is refused.
    pub mode: Mode,
}

/// Whether a route's policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// What does not pass is refused.
    #[default]
    Enforce,
    /// Every caller is let through, and none is told to the upstream; what would have been refused is counted. Framing,
    /// path, limits and the stripping of headers stay as they are.
    Report,
}

impl Guard {
    /// The schemes under which a token may come, in the order in which they are offered to a client without one.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> {
        let provable = |scheme: &Scheme| *scheme == Scheme::Bearer || self.dpop.is_some();
        let accepted = move |scheme: &Scheme| self.binding.accepts(*scheme) && provable(scheme);
        [Scheme::Bearer, Scheme::Dpop].into_iter().filter(accepted)
    }
}

/// Scopes a route asks, with the text of its challenge made once (RFC 6750 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    names: Vec<String>,
    text: Option<Arc<str>>,
}

impl Scopes {
    /// All of `names`.
    #[must_use]
    pub fn all_of(names: Vec<String>) -> Self {
        let text = (!names.is_empty()).then(|| names.join(" ").into());
        Self { names, text }
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names separated by spaces, as the challenge lists them; `None` when there are none.
    #[must_use]
    pub fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }
}
