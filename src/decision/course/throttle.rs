//! The steps that ask how often: lock-outs and rates, the size of the body, requests under way.

use super::Course;
use crate::authn::token::Verified;
use crate::decision::{Access, Guard, Memory, Reason, RoutePolicy, Stage, StageResult};
use crate::limit::{
    ClientNetwork, Counted, InFlightGuard, LOCKOUT, LimitMemory, Per, RateReport, RateRule, RateVerdict,
};
use crate::request::{Credential, credentials};
use crate::store::{Counting, Store};
use std::time::Duration;

impl<'c> Course<'c> {
    /// Before anything is done for the request: is its client listened to at all, and does it not come too often?
    pub(in crate::decision) async fn admit(&mut self, policy: &RoutePolicy) -> Result<(), Reason> {
        let limits = &policy.edge.limits;
        if limits.failures.is_none() && limits.rate.is_none() {
            return Ok(());
        }
        let Some((memory, store, how)) = self.limit_memory() else {
            self.trace.note(Stage::Limits, StageResult::NotVisible, || "needs a running gateway");
            return Ok(());
        };
        let wait = limits.failures.and_then(|rule| memory.locked_out(self.facts.client, &rule, self.facts.now));
        if let Some(wait) = wait.filter(|_| !self.has_good_verdict(policy)) {
            return Err(self.throttle(policy, Reason::LockedOut, LOCKOUT, wait));
        }
        match limits.rate {
            Some(rule) if rule.per == Per::Client => {
                let what = ClientNetwork::from(self.facts.client).to_string();
                let counted = Counted { route: &policy.name, issuer: "", what: &what };
                let verdict = memory.count(&counted, &rule, self.facts.now, how);
                self.under_rate(policy, rule, verdict)
            }
            Some(rule) if rule.per == Per::Route => {
                let counted = Counted { route: &policy.name, issuer: "", what: "" };
                let verdict = memory.count_with(store, &counted, &rule, self.facts.now, how, self.observer).await;
                self.under_rate(policy, rule, verdict)
            }
            _ => Ok(()),
        }
    }

    /// A body that says itself that it is too large is not waited for.
    pub(in crate::decision) fn body(&mut self, policy: &RoutePolicy) -> Result<(), Reason> {
        let Some(most) = policy.edge.limits.body else { return Ok(()) };
        let length = self.facts.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match length.filter(|length| *length > most) {
            Some(length) => {
                Err(self.refuse(Stage::Limits, Reason::BodyTooLarge, || format!("{length} bytes, at most {most}")))
            }
            None => Ok(()),
        }
    }

    /// The rate by token, before any crypto: this process knows of no more requests than all replicas together do.
    pub(in crate::decision) fn rate_by_token(
        &mut self,
        policy: &RoutePolicy,
        credential: &Credential<'_>,
    ) -> Result<(), Reason> {
        let Some(rule) = policy.edge.limits.rate.filter(|rule| rule.per == Per::Token) else { return Ok(()) };
        let Some((memory, _, how)) = self.limit_memory() else { return Ok(()) };
        let counted = Counted { route: &policy.name, issuer: "", what: credential.token };
        let verdict = memory.count(&counted, &rule, self.facts.now, how);
        self.under_rate(policy, rule, verdict)
    }

    /// The rate by subject, and the rate by token as all replicas count it: only what is proven gets a counter there.
    pub(in crate::decision) async fn rate_by_caller(
        &mut self,
        policy: &RoutePolicy,
        credential: &Credential<'_>,
        token: &Verified,
    ) -> Result<(), Reason> {
        let caller = |rule: &RateRule| matches!(rule.per, Per::Subject | Per::Token);
        let Some(rule) = policy.edge.limits.rate.filter(caller) else { return Ok(()) };
        let Some((memory, store, how)) = self.limit_memory() else { return Ok(()) };
        if rule.per == Per::Token && !store.shares_counts() {
            return Ok(()); // counted before the crypto
        }
        let issuer = self.profile(token.issuer()).map_or("", |profile| &*profile.issuer);
        let what = if rule.per == Per::Subject { token.claims().subject().unwrap_or("") } else { credential.token };
        let counted = Counted { route: &policy.name, issuer, what };
        let verdict = memory.count_with(store, &counted, &rule, self.facts.now, how, self.observer).await;
        self.under_rate(policy, rule, verdict)
    }

    /// A place among the requests under way.
    pub(in crate::decision) fn enter(&mut self, policy: &RoutePolicy) -> Result<Option<InFlightGuard>, Reason> {
        let Some(cap) = &policy.edge.limits.in_flight else { return Ok(None) };
        let (full, place) = match self.memory {
            Memory::Live(_) => {
                let place = cap.enter();
                (place.is_none(), place)
            }
            Memory::Peek(_) => (cap.is_full(), None),
            Memory::Absent => (false, None),
        };
        if full {
            return Err(self.refuse(Stage::Limits, Reason::Overloaded, || "too many requests of the route under way"));
        }
        Ok(place)
    }

    /// Counts a refused credential towards its client's lock-out. `explain` counts none.
    pub(in crate::decision) fn note_failure(&self, reason: Reason) {
        let policy = self.route.and_then(|route| self.snapshot.policy(route));
        let rule = policy.and_then(|policy| policy.edge.limits.failures);
        if let (Some(rule), Memory::Live(memory), true) = (rule, self.memory, reason.is_refused_credential()) {
            memory.limits.failed(self.facts.client, &rule, self.facts.now);
        }
    }

    /// How the request stands under its rate, as far as it was counted.
    pub(in crate::decision) fn rate(&self) -> Option<RateReport> {
        self.rate
    }

    fn limit_memory(&self) -> Option<(&'c LimitMemory, &'c dyn Store, Counting)> {
        let (memory, how) = match self.memory {
            Memory::Live(memory) => (memory, Counting::Count),
            Memory::Peek(memory) => (memory, Counting::Look),
            Memory::Absent => return None,
        };
        Some((&memory.limits, &**memory.replay.store(), how))
    }

    fn under_rate(&mut self, policy: &RoutePolicy, rule: RateRule, verdict: RateVerdict) -> Result<(), Reason> {
        self.rate = Some(RateReport { rule, verdict });
        if !verdict.allowed {
            return Err(self.throttle(policy, Reason::RateLimited, rule.per.name(), verdict.retry_after));
        }
        self.trace.note(Stage::Limits, StageResult::Passed, || {
            format!("rate by {}: {} more at once", rule.per.name(), verdict.remaining)
        });
        Ok(())
    }

    fn throttle(&mut self, policy: &RoutePolicy, reason: Reason, kind: &'static str, wait: Duration) -> Reason {
        self.wait = Some(wait);
        if matches!(self.memory, Memory::Live(_)) {
            self.observer.rate_limited(&policy.name, kind);
        }
        self.refuse(Stage::Limits, reason, || format!("{kind}: free again in {wait:?}"))
    }

    /// True when the request carries a token that was proven before, and still is good: a lock-out is for guesses, and
    /// must not take the honest clients behind the same address down.
    fn has_good_verdict(&self, policy: &RoutePolicy) -> bool {
        let Access::Guarded(guard) = &policy.access else { return false };
        let credential = credentials::find(self.facts.headers).ok();
        credential.is_some_and(|credential| self.is_known_good(guard, credential.token))
    }

    fn is_known_good(&self, guard: &Guard, token: &str) -> bool {
        let (Memory::Live(memory) | Memory::Peek(memory)) = self.memory else { return false };
        let (issuers, now) = (&self.snapshot.issuers, self.facts.now);
        let key = memory.verdicts.key(token, self.snapshot.generation);
        let known = memory.verdicts.find(key, issuers, now).filter(|known| guard.issuers.contains(&known.issuer()));
        known.is_some_and(|known| self.profile(known.issuer()).is_some_and(|profile| known.judge(profile, now).is_ok()))
    }
}
