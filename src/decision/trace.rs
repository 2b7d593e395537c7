//! What each stage saw and answered: read by `explain`. Costs nothing when nobody asks.

use crate::jose::Claims;
use std::fmt::Display;
use std::sync::Arc;

/// A stage of the request's way, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The path's canonical form.
    Path,
    /// The authority, and the server name of the handshake.
    Host,
    /// The route.
    Route,
    /// Lock-out, rate, size of the body, requests under way; noted where the route has such limits.
    Limits,
    /// The one credential.
    Credential,
    /// Form, issuer, header, decryption, signature.
    Token,
    /// Times, audience, presence.
    Claims,
    /// The token's binding to a key.
    Binding,
    /// The list of revocations.
    Revocation,
    /// Audiences of the route, scopes, condition.
    Authorization,
    /// The strength and age of the user's authentication.
    StepUp,
    /// The headers for the upstream.
    Identity,
    /// An endpoint to forward to.
    Upstream,
    /// The one-time claim.
    Replay,
}

impl Stage {
    /// The stage's name in `explain`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Host => "host",
            Self::Route => "route",
            Self::Limits => "limits",
            Self::Credential => "credential",
            Self::Token => "token",
            Self::Claims => "claims",
            Self::Binding => "binding",
            Self::Revocation => "revocation",
            Self::Authorization => "authorization",
            Self::StepUp => "step_up",
            Self::Identity => "identity",
            Self::Upstream => "upstream",
            Self::Replay => "replay",
        }
    }
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageResult {
    /// The request may go on.
    Passed,
    /// The request was refused here.
    Refused,
    /// The route does not ask this.
    NotAsked,
    /// The stage needs the memory of a running gateway, and there is none here.
    NotVisible,
}

impl StageResult {
    /// The result's name in `explain`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::NotAsked => "not_asked",
            Self::NotVisible => "not_visible",
        }
    }
}

/// One line of a trace. `seen` never holds a token, a signature or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub stage: Stage,
    /// How it ended.
    pub result: StageResult,
    /// What the stage saw, for the operator.
    pub seen: String,
}

/// The stages a request went through, if somebody wants to know.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Option<Vec<Entry>>,
    peeked: Option<Arc<Claims>>,
}

impl Trace {
    /// A trace that keeps nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self { entries: None, peeked: None }
    }

    /// A trace that keeps every stage.
    #[must_use]
    pub const fn on() -> Self {
        Self { entries: Some(Vec::new()), peeked: None }
    }

    /// Notes a stage; `seen` is only asked when somebody listens.
    pub fn note<D: Display>(&mut self, stage: Stage, result: StageResult, seen: impl FnOnce() -> D) {
        if let Some(entries) = &mut self.entries {
            entries.push(Entry { stage, result, seen: seen().to_string() });
        }
    }

    /// Notes the claims of a token that a route in report mode has verified, whatever else it found.
    pub fn peeked(&mut self, claims: Option<Arc<Claims>>) {
        self.peeked = claims;
    }

    /// Whose token a route in report mode has verified: for the audit log. The permit of such a route holds no claim, so
    /// that none can reach an upstream.
    #[must_use]
    pub fn reported_claims(&self) -> Option<&Claims> {
        self.peeked.as_deref()
    }

    /// The stages so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }
}
