//! One request's course through the decision: each step is one method, and leaves its line in the trace.

use super::authorize::has_scopes;
use super::trace::{Stage, StageResult, Trace};
use super::visible::Request;
use super::{Access, Challenge, ChallengeKind, Denial, Endpoint, Guard, Memory, Reason, RoutePolicy, Snapshot};
use crate::authn::binding::{self, BindingError, BindingRule, Presented, ProofOfPossession};
use crate::authn::replay::{self, NotReplayed, ReplayMode};
use crate::authn::token::{self, Opened, Verified};
use crate::authn::{DpopPolicy, OnTheSpot, ProofTools, Workshop};
use crate::identity::TokenHandling;
use crate::issuer::{IssuerId, IssuerProfile};
use crate::jose::Claims;
use crate::limit::RateReport;
use crate::observe::Observer;
use crate::request::{Authority, CanonicalPath, Credential, Facts, Host, Scheme, TargetUri, credentials};
use crate::route::{Parameters, RouteId, Routed};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

mod report;
mod throttle;

/// What is known of a request so far.
pub(super) struct Course<'c> {
    snapshot: &'c Snapshot,
    memory: Memory<'c>,
    facts: &'c Facts<'c>,
    observer: &'c dyn Observer,
    trace: &'c mut Trace,
    route: Option<RouteId>,
    issuer: Option<IssuerId>,
    claims: Option<Arc<Claims>>,
    scheme: Scheme,
    allow: Vec<http::Method>,
    rate: Option<RateReport>,
    wait: Option<Duration>,
}

impl<'c> Course<'c> {
    pub(super) fn new(
        snapshot: &'c Snapshot,
        memory: Memory<'c>,
        facts: &'c Facts<'c>,
        observer: &'c dyn Observer,
        trace: &'c mut Trace,
    ) -> Self {
        Self {
            snapshot,
            memory,
            facts,
            observer,
            trace,
            route: None,
            issuer: None,
            claims: None,
            scheme: Scheme::Bearer,
            allow: Vec::new(),
            rate: None,
            wait: None,
        }
    }

    /// The refusal for `reason`, with everything that is known by now.
    pub(super) fn denial(self, reason: Reason) -> Denial {
        let policy = self.route.and_then(|route| self.snapshot.policy(route));
        let guarded = policy.and_then(|policy| match &policy.access {
            Access::Guarded(guard) => Some((&policy.name, guard)),
            Access::Public => None,
        });
        let challenges = guarded.map(|(realm, guard)| self.challenges(reason, realm, guard));
        let denial = Denial::new(reason);
        Denial {
            route: self.route,
            issuer: self.issuer,
            claims: self.claims.clone(),
            challenges: challenges.unwrap_or_default(),
            dpop_nonce: guarded.and_then(|(_, guard)| self.dpop_nonce(guard)),
            retry_after: self.wait.or(denial.retry_after),
            rate: self.rate.map(Box::new),
            allow: self.allow,
            ..denial
        }
    }

    /// One challenge in the scheme of the request; without a credential, one for each scheme the route accepts.
    fn challenges(&self, reason: Reason, realm: &Arc<str>, guard: &Guard) -> Vec<Challenge> {
        let kind = reason.challenge();
        let of_scheme = |scheme| Challenge::of(kind, scheme, realm, guard);
        match kind {
            ChallengeKind::Ask => guard.schemes().filter_map(of_scheme).collect(),
            _ => of_scheme(self.scheme).into_iter().collect(),
        }
    }

    /// The nonce for the client's next proof, where the route asks one (RFC 9449 §8.2: on answers of every kind).
    pub(super) fn dpop_nonce(&self, guard: &Guard) -> Option<String> {
        let asked = guard.dpop.as_ref().is_some_and(DpopPolicy::wants_nonce);
        asked.then(|| self.snapshot.dpop_nonces.current(self.facts.now)).flatten()
    }

    /// The route's id, once [`Self::route`] has found one.
    pub(super) fn routed(&self) -> RouteId {
        self.route.unwrap_or(RouteId::new(usize::MAX))
    }

    /// True as long as [`Self::route`] has found none.
    pub(super) fn is_unrouted(&self) -> bool {
        self.route.is_none()
    }

    /// The header fields, as sent.
    pub(super) fn headers(&self) -> &'c http::HeaderMap {
        self.facts.headers
    }

    pub(super) fn path(&mut self) -> Result<CanonicalPath, Reason> {
        let parsed = CanonicalPath::parse(self.facts.path);
        match parsed {
            Ok(path) => Ok(self.pass(Stage::Path, path, |path| path.as_str().to_owned())),
            Err(ambiguous) => Err(self.refuse(Stage::Path, Reason::AmbiguousPath, || ambiguous)),
        }
    }

    pub(super) fn host(&mut self) -> Result<Host, Reason> {
        let Some(authority) = self.facts.authority.and_then(Authority::parse) else {
            return Err(self.refuse(Stage::Host, Reason::BadFraming, || "no sound Host header"));
        };
        match &self.facts.transport.server_name {
            Some(name) if !authority.host.is(name) => {
                let name = Arc::clone(name);
                Err(self.refuse(Stage::Host, Reason::Misdirected, || {
                    format!("{authority}, but the handshake named {name}")
                }))
            }
            _ => Ok(self.pass(Stage::Host, authority.host, Host::to_string)),
        }
    }

    pub(super) fn route(&mut self, host: &Host, path: &CanonicalPath) -> Result<(&'c RoutePolicy, Parameters), Reason> {
        match self.snapshot.routes.find(host, path, self.facts.method) {
            Routed::Nowhere => Err(self.refuse(Stage::Route, Reason::NoRoute, || "no route for this host and path")),
            Routed::Ambiguous => Err(self.refuse(
                Stage::Route,
                Reason::AmbiguousPath,
                || "as written the path leads to one route, decoded to another",
            )),
            Routed::WrongMethod(allow) => {
                self.allow = allow;
                Err(self.refuse(Stage::Route, Reason::MethodNotAllowed, || "a route, but not for this method"))
            }
            Routed::To(id, parameters) => {
                let policy = self.snapshot.policy(id).ok_or(Reason::NoRoute)?;
                self.route = Some(id);
                let asks = if matches!(policy.access, Access::Public) { " (public)" } else { "" };
                self.trace.note(Stage::Route, StageResult::Passed, || format!("{}{asks}", policy.name));
                Ok((policy, parameters))
            }
        }
    }

    pub(super) fn credential(&mut self) -> Result<Credential<'c>, Reason> {
        match credentials::find(self.facts.headers) {
            Ok(credential) => {
                self.scheme = credential.scheme;
                Ok(self.pass(Stage::Credential, credential, |found| {
                    format!("{} token, {} bytes", found.scheme.name(), found.token.len())
                }))
            }
            Err(error) => Err(self.refuse(Stage::Credential, Reason::from(error), || error)),
        }
    }

    pub(super) async fn open(&mut self, guard: &Guard, credential: &Credential<'_>) -> Result<Opened, Reason> {
        match self.open_or_recall(guard, credential.token).await {
            Ok(opened) => {
                self.issuer = Some(opened.issuer());
                self.claims = Some(Arc::clone(opened.claims()));
                let name = self.snapshot.issuer_name(self.issuer);
                self.trace.note(Stage::Token, StageResult::Passed, || format!("proven by the keys of {name}"));
                Ok(opened)
            }
            Err(refused) => {
                self.issuer = refused.issuer;
                self.want_newer_keys(refused);
                let name = self.snapshot.issuer_name(refused.issuer);
                if refused.error == token::TokenError::KeysUnavailable && matches!(self.memory, Memory::Absent) {
                    // Keys that are fetched are in the memory of a running gateway alone.
                    self.trace.note(Stage::Token, StageResult::NotVisible, || format!("needs the keys of {name}"));
                    return Err(Reason::KeysUnavailable);
                }
                Err(self
                    .refuse(Stage::Token, Reason::from(refused.error), || format!("{}; issuer: {name}", refused.error)))
            }
        }
    }

    /// A real request that lacks a key lets the issuer's keys be fetched again, and does not wait; `explain` lets
    /// nothing be fetched.
    fn want_newer_keys(&self, refused: token::Refused) {
        let profile = refused.issuer.filter(|_| refused.newer_keys_may_help).and_then(|issuer| self.profile(issuer));
        if let (Some(profile), Memory::Live(_)) = (profile, self.memory) {
            profile.keys.want_newer();
        }
    }

    /// Opens the token, or recalls the verdict on these very bytes. One-time tokens come once: they go past the cache.
    async fn open_or_recall(&self, guard: &Guard, token: &str) -> Result<Opened, token::Refused> {
        let (issuers, now) = (&self.snapshot.issuers, self.facts.now);
        let Memory::Live(memory) = self.memory else {
            return token::open(issuers, &guard.issuers, token, now, self.observer);
        };
        let open = || token::open_in(&*memory.workshop, issuers, &guard.issuers, token, now, self.observer);
        if guard.replay != ReplayMode::None {
            self.observer.verdict_cache("bypass");
            return open().await;
        }
        let key = memory.verdicts.key(token, self.snapshot.generation);
        let recalled = memory.verdicts.find(key, issuers, now).filter(|known| guard.issuers.contains(&known.issuer()));
        if let Some(opened) = recalled {
            self.observer.verdict_cache("hit");
            return Ok(opened);
        }
        self.observer.verdict_cache("miss");
        let opened = open().await?;
        // One that comes once would only take a place. But a lock-out is for guesses, and lets proven tokens pass.
        if self.snapshot.locks_out || memory.verdicts.comes_again(key) {
            memory.verdicts.remember(key, &opened);
        }
        Ok(opened)
    }

    pub(super) fn judge(&mut self, opened: Opened) -> Result<Verified, Reason> {
        let profile = self.profile(opened.issuer()).ok_or(Reason::UnknownIssuer)?;
        match opened.judge(profile, self.facts.now) {
            Ok(token) => Ok(self.pass(Stage::Claims, token, |token| {
                let expires = token.claims().expires_at().unwrap_or_default();
                format!("sub {}, exp {}", token.claims().subject().unwrap_or("absent"), expires.as_seconds())
            })),
            Err(error) => Err(self.refuse(Stage::Claims, Reason::from(error), || error)),
        }
    }

    /// Whoever presents the token must hold every key it is bound to.
    pub(super) async fn binding(
        &mut self,
        guard: &Guard,
        credential: &Credential<'_>,
        token: &Verified,
        host: &Host,
        path: &CanonicalPath,
    ) -> Result<ProofOfPossession, Reason> {
        let profile = self.profile(token.issuer()).ok_or(Reason::UnknownIssuer)?;
        let presented = Presented {
            scheme: credential.scheme,
            token: credential.token,
            headers: self.facts.headers,
            method: self.facts.method,
            target: TargetUri::of(self.facts.transport.public, host, path),
            certificate: self.facts.transport.client_certificate,
            now: self.facts.now,
            leeway: profile.contract.leeway,
        };
        let (keys, workshop) = match self.memory {
            Memory::Live(memory) => (Some(&memory.proof_keys), &*memory.workshop),
            Memory::Peek(_) | Memory::Absent => (None, &OnTheSpot as &dyn Workshop),
        };
        let tools = ProofTools { keys, workshop, nonces: &self.snapshot.dpop_nonces, observer: self.observer };
        match binding::prove(guard.binding, guard.dpop.as_ref(), token, &presented, tools).await {
            Ok(possession) if possession.method() == "none" => {
                self.trace.note(Stage::Binding, StageResult::NotAsked, || "unbound token");
                Ok(possession)
            }
            Ok(possession) => Ok(self.pass(Stage::Binding, possession, ProofOfPossession::method)),
            Err(error) => {
                self.scheme = self.helpful_scheme(guard, error);
                Err(self.refuse(Stage::Binding, Reason::from(error), || error))
            }
        }
    }

    /// Where the scheme of the request is what was wrong, the challenge names the one that would do.
    fn helpful_scheme(&self, guard: &Guard, error: BindingError) -> Scheme {
        match error {
            BindingError::Downgraded => Scheme::Dpop,
            BindingError::Unbound if guard.binding == BindingRule::Dpop => Scheme::Dpop,
            _ => self.scheme,
        }
    }

    pub(super) fn revocation(&mut self, guard: &Guard, token: &Verified) -> Result<(), Reason> {
        let (Memory::Live(memory) | Memory::Peek(memory)) = self.memory else {
            self.trace.note(Stage::Revocation, StageResult::NotVisible, || "needs a running gateway");
            return Ok(());
        };
        let (profile, now) = (self.profile(token.issuer()).ok_or(Reason::UnknownIssuer)?, self.facts.now);
        let list = &memory.revocations;
        match list.judge(token, profile, guard.revocation, now) {
            Ok(()) => {
                let age = list.age(now).unwrap_or_default();
                self.trace.note(Stage::Revocation, StageResult::Passed, || {
                    format!("not revoked, as of {} s ago", age.as_secs())
                });
                Ok(())
            }
            Err(refusal) => Err(self.refuse(Stage::Revocation, Reason::from(refusal), || refusal)),
        }
    }

    pub(super) fn authorize(
        &mut self,
        guard: &Guard,
        token: &Verified,
        host: &Host,
        path: &CanonicalPath,
        parameters: &[(String, String)],
    ) -> Result<(), Reason> {
        let claims = token.claims();
        let for_route = |audience: &str| guard.audiences.iter().any(|own| own == audience);
        if !guard.audiences.is_empty() && !claims.audiences().any(for_route) {
            return Err(self.refuse(Stage::Authorization, Reason::WrongAudience, || "no audience of this route"));
        }
        let profile = self.profile(token.issuer()).ok_or(Reason::UnknownIssuer)?;
        if !has_scopes(claims.lookup(&profile.contract.scope_claim), &guard.scopes) {
            let wanted = guard.scopes.text().cloned().unwrap_or_default();
            return Err(self.refuse(Stage::Authorization, Reason::InsufficientScope, || format!("asked: {wanted}")));
        }
        if let Some(when) = &guard.when {
            let request = Request { facts: self.facts, host, path, parameters, firewall: &self.snapshot.firewall };
            if !when.holds(claims, &request) {
                return Err(self.refuse(Stage::Authorization, Reason::ConditionFalse, || when.source().to_owned()));
            }
        }
        self.trace.note(Stage::Authorization, StageResult::Passed, || "audience, scopes and condition hold");
        Ok(())
    }

    /// The user must have authenticated strongly and recently enough; the client can do something about it.
    pub(super) fn step_up(&mut self, guard: &Guard, token: &Verified) -> Result<(), Reason> {
        let Some(asked) = &guard.step_up else {
            self.trace.note(Stage::StepUp, StageResult::NotAsked, || "any authentication will do");
            return Ok(());
        };
        let profile = self.profile(token.issuer()).ok_or(Reason::UnknownIssuer)?;
        match asked.check(token.claims(), self.facts.now, profile.contract.leeway) {
            Ok(()) => {
                self.trace.note(Stage::StepUp, StageResult::Passed, || "strong and recent enough");
                Ok(())
            }
            Err(lack) => Err(self.refuse(Stage::StepUp, Reason::StepUpRequired, || lack)),
        }
    }

    pub(super) fn identity(&mut self, token: &Verified) -> Result<(Vec<(String, HeaderValue)>, TokenHandling), Reason> {
        let plan = self.snapshot.identities.get(self.routed().index()).ok_or(Reason::NoRoute)?;
        match plan.values(token.claims()) {
            Ok(headers) => Ok(self.pass(Stage::Identity, (headers, plan.token), |(headers, _)| {
                headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
            })),
            Err(unencodable) => Err(self.refuse(Stage::Identity, Reason::IdentityUnencodable, || unencodable)),
        }
    }

    pub(super) fn endpoint(&mut self, policy: &RoutePolicy, subject: Option<&str>) -> Result<Endpoint, Reason> {
        let endpoints = &self.snapshot.endpoints;
        let found = match self.memory {
            Memory::Live(_) => endpoints.choose(policy.upstream, subject),
            Memory::Peek(_) => endpoints.peek(policy.upstream, subject),
            Memory::Absent => {
                self.trace.note(Stage::Upstream, StageResult::NotVisible, || "needs a running gateway");
                return Ok(Endpoint { upstream: policy.upstream, index: 0 });
            }
        };
        match found {
            Some(endpoint) => {
                Ok(self.pass(Stage::Upstream, endpoint, |endpoint| format!("endpoint {}", endpoint.index)))
            }
            None => Err(self.refuse(Stage::Upstream, Reason::UpstreamUnavailable, || "no endpoint is available")),
        }
    }

    pub(super) async fn claim(
        &mut self,
        guard: &Guard,
        token: &Verified,
        possession: &ProofOfPossession,
    ) -> Result<NotReplayed, Reason> {
        let profile = self.profile(token.issuer()).ok_or(Reason::UnknownIssuer)?;
        let demand = match replay::demand(guard.replay, token, possession, profile) {
            Ok(Some(demand)) => demand,
            Ok(None) => {
                self.trace.note(Stage::Replay, StageResult::NotAsked, || "tokens may be used again here");
                return Ok(NotReplayed::not_asked());
            }
            Err(refusal) => return Err(self.refuse(Stage::Replay, Reason::from(refusal), || refusal)),
        };
        let answer = match self.memory {
            Memory::Live(memory) => memory.replay.claim(&demand, guard.on_loss, self.facts.now, self.observer).await,
            Memory::Peek(memory) => {
                let seen = memory.replay.peek(&demand, guard.on_loss, self.facts.now, self.observer).await;
                seen.map(|()| NotReplayed::not_asked())
            }
            Memory::Absent => {
                self.trace.note(Stage::Replay, StageResult::NotVisible, || "needs a running gateway");
                return Ok(NotReplayed::not_asked());
            }
        };
        match answer {
            Ok(fresh) => Ok(self.pass(Stage::Replay, fresh, |_| "not used before")),
            Err(refusal) => Err(self.refuse(Stage::Replay, Reason::from(refusal), || refusal)),
        }
    }

    fn profile(&self, issuer: IssuerId) -> Option<&'c IssuerProfile> {
        self.snapshot.issuers.profile(issuer).map(|profile| &**profile)
    }

    fn pass<T, D: std::fmt::Display>(&mut self, stage: Stage, value: T, seen: impl FnOnce(&T) -> D) -> T {
        self.trace.note(stage, StageResult::Passed, || seen(&value));
        value
    }

    fn refuse<D: std::fmt::Display>(&mut self, stage: Stage, reason: Reason, seen: impl FnOnce() -> D) -> Reason {
        self.trace.note(stage, StageResult::Refused, seen);
        reason
    }
}
