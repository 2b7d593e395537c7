//! What the proxy knows of one request between its phases.

use super::generation::Generation;
use super::ingress::Arrival;
use super::lifeline::Lifeline;
use super::spans::Spans;
use super::tunnel::Tunnel;
use super::upload::Upload;
use crate::authn::replay::NotReplayed;
use crate::clock::{Stopwatch, UnixTime};
use crate::decision::{Denial, Endpoint, Permit, Reason, RoutePolicy};
use crate::issuer::IssuerId;
use crate::request::RequestId;
use crate::route::RouteId;
use crate::store::Receipt;
use crate::telemetry::Outcome;
use crate::upstream::{Fault, Pool};
use http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One request.
pub struct Context {
    /// The configuration it is served under, whatever is loaded meanwhile.
    pub(super) generation: Arc<Generation>,
    pub(super) request_id: RequestId,
    /// When its header was complete.
    pub(super) time: UnixTime,
    pub(super) watch: Stopwatch,
    pub(super) arrival: Option<Arrival>,
    pub(super) verdict: Verdict,
    pub(super) attempt: Option<Attempt>,
    /// Where the request says how long it may live.
    pub(super) lifeline: Option<Arc<Lifeline>>,
    /// What it may turn into.
    pub(super) tunnel: Option<Tunnel>,
    /// Its trace, where traces are on.
    pub(super) spans: Option<Box<Spans>>,
    /// What its record needs when its guard ends it for want of its body.
    pub(super) upload: Option<Upload>,
    _in_flight: Counted,
}

/// What was decided.
pub(super) enum Verdict {
    /// Nothing yet.
    Open,
    /// It may be forwarded.
    Permitted(Box<Permit>),
    /// It is a question about this route, which the gateway answers itself.
    Preflight(RouteId),
    /// It was for an endpoint of our own, which answered so.
    Served(StatusCode),
    /// It was refused; or its forwarding failed, which ends a permit.
    Denied(Denial),
}

/// The forwarding of a request.
pub(super) struct Attempt {
    /// Where to.
    pub(super) endpoint: Endpoint,
    /// Since when.
    pub(super) watch: Stopwatch,
    /// How often it was tried.
    pub(super) count: usize,
    /// The targets that failed.
    tried: Vec<usize>,
    /// True once an attempt failed on a connection that its other end had closed meanwhile.
    stale: bool,
    /// True once a byte of the request may have reached an upstream.
    pub(super) sent: bool,
    /// How much of the body has gone out in this attempt.
    body: u64,
    /// How much may.
    body_limit: Option<u64>,
    /// What gives the claim back, as long as nothing was sent.
    pub(super) receipt: Option<Receipt>,
    /// True where the request spends something one-time.
    claimed: bool,
    /// The route and the issuer of the permit, for the record of a failure.
    route: RouteId,
    issuer: Option<IssuerId>,
}

impl Context {
    pub(super) fn new(
        generation: Arc<Generation>,
        time: UnixTime,
        request_id: RequestId,
        in_flight: &InFlight,
    ) -> Self {
        Self {
            generation,
            request_id,
            time,
            watch: Stopwatch::start(),
            arrival: None,
            verdict: Verdict::Open,
            attempt: None,
            lifeline: None,
            tunnel: None,
            spans: None,
            upload: None,
            _in_flight: in_flight.count(),
        }
    }

    /// Takes the permit over: from here on the request may be forwarded.
    pub(super) fn permit(&mut self, permit: Box<Permit>) {
        self.attempt = Some(Attempt {
            endpoint: permit.endpoint(),
            watch: Stopwatch::start(),
            count: 0,
            tried: Vec::new(),
            stale: false,
            sent: false,
            body: 0,
            body_limit: self.generation.snapshot.policy(permit.route()).and_then(|policy| policy.edge.limits.body),
            receipt: permit.freshness().and_then(|fresh| fresh.receipt().cloned()),
            claimed: permit.freshness().is_some_and(NotReplayed::has_claimed),
            route: permit.route(),
            issuer: permit.issuer(),
        });
        self.verdict = Verdict::Permitted(permit);
    }

    /// The refusal for a forwarding that failed.
    pub(super) fn failure(&self, reason: Reason) -> Denial {
        let attempt = self.attempt.as_ref();
        Denial {
            route: attempt.map(|attempt| attempt.route),
            issuer: attempt.and_then(|attempt| attempt.issuer),
            ..Denial::new(reason)
        }
    }

    /// True when the request spent a one-time token or proof, in the store or, on its loss, without it.
    pub(super) fn has_claim(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.claimed)
    }

    /// Begins an attempt, and says where to. Without a permit there is none.
    pub(super) fn next_attempt(&mut self) -> Option<Endpoint> {
        let attempt = self.attempt.as_mut()?;
        attempt.count += 1;
        Some(attempt.endpoint)
    }

    /// Notes that the request is about to be written to an upstream.
    pub(super) fn sending(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.sent = true;
            attempt.body = 0;
        }
    }

    /// Counts `more` bytes of the body; true when it has become larger than the route takes.
    pub(super) fn is_too_large(&mut self, more: usize) -> bool {
        let upgraded = self.tunnel.as_ref().is_some_and(Tunnel::is_upgrade);
        let Some(attempt) = self.attempt.as_mut().filter(|_| !upgraded) else { return false };
        attempt.body = attempt.body.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        attempt.body_limit.is_some_and(|most| attempt.body > most)
    }

    /// Notes which target an attempt really goes to.
    pub(super) fn goes_to(&mut self, target: usize) {
        if let Some(attempt) = &mut self.attempt {
            attempt.endpoint.index = target;
        }
    }

    /// Turns to another target; false when there is none worth a try, or the request has had its attempts.
    pub(super) fn try_another(&mut self) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let Some(pool) = self.generation.upstreams.find(attempt.endpoint.upstream) else { return false };
        attempt.tried.push(attempt.endpoint.index);
        if attempt.count > pool.retries() {
            return false;
        }
        let next = pool.another(&attempt.tried);
        attempt.endpoint.index = next.unwrap_or(attempt.endpoint.index);
        next.is_some()
    }

    /// Allows one more attempt at the same target, because it had closed the connection before the request came. That
    /// is nobody's fault, so it counts as no attempt; once a request.
    pub(super) fn try_fresh_connection(&mut self) -> bool {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| !attempt.stale) else { return false };
        attempt.stale = true;
        attempt.count -= 1;
        true
    }

    /// The upstream the request goes to.
    pub(super) fn pool(&self) -> Option<&Pool> {
        self.generation.upstreams.find(self.attempt.as_ref()?.endpoint.upstream)
    }

    /// Tells the upstream that the target has answered.
    pub(super) fn target_answered(&self) {
        if let (Some(pool), Some(attempt)) = (self.pool(), &self.attempt) {
            pool.answered(attempt.endpoint.index);
        }
    }

    /// Tells the upstream that the target has failed.
    pub(super) fn target_failed(&self, fault: Fault) {
        if let (Some(pool), Some(attempt)) = (self.pool(), &self.attempt) {
            pool.failed(attempt.endpoint.index, fault);
        }
    }

    /// True when the request came over TLS.
    pub(super) fn encrypted(&self) -> bool {
        self.arrival.as_ref().is_some_and(|arrival| arrival.transport.encrypted)
    }

    /// True if an answer by the route of `policy`, or by none, pins its host to HTTPS.
    pub(super) fn hsts(&self, policy: Option<&RoutePolicy>) -> bool {
        self.encrypted() && self.generation.snapshot.pins_https(policy)
    }

    /// The route, the issuer, the outcome and the reason, for the record.
    pub(super) fn record(&self) -> (Option<RouteId>, Option<IssuerId>, Outcome, Option<Reason>) {
        match &self.verdict {
            Verdict::Permitted(permit) => {
                let would_deny = permit.report().and_then(|report| report.would_deny);
                (Some(permit.route()), permit.issuer(), Outcome::permitted(permit), would_deny)
            }
            Verdict::Denied(denial) => {
                (denial.route, denial.issuer, Outcome::refused(denial.reason), Some(denial.reason))
            }
            Verdict::Preflight(route) => (Some(*route), None, Outcome::Public, None),
            Verdict::Served(status) if status.is_success() => (None, None, Outcome::Public, None),
            Verdict::Served(status) if status.is_server_error() => (None, None, Outcome::Error, None),
            Verdict::Served(_) => (None, None, Outcome::Denied, None),
            Verdict::Open => (None, None, Outcome::Error, None),
        }
    }
}

/// How many requests are being served, so that a shutdown knows when it may end.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

/// One of them.
struct Counted(InFlight);

impl InFlight {
    /// The number of requests at this moment.
    #[must_use]
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
