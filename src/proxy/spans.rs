//! The spans of one request: the request itself, its decision, each question to the store, each attempt at an upstream.
//!
//! They are noted as they happen, and handed over when the request has ended. A request has them only where traces are
//! on, and keeps nothing but its place in the trace where its caller says that nothing is recorded.

use super::context::Context;
use super::{Judged, Shared, ingress, request_id};
use crate::clock::{Stopwatch, UnixTime};
use crate::decision::{Denial, Reason};
use crate::observe::Observer;
use crate::telemetry::Outcome;
use crate::telemetry::traces::{
    Span, SpanId, SpanKind, TRACESTATE, Times, TraceContext, TraceId, Traces, Value, is_sound_state,
};
use http::StatusCode;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most questions to the store that are noted of one request.
const MOST_CALLS: usize = 16;

/// The trace of one request.
pub(super) struct Spans {
    traces: Arc<Traces>,
    /// The span of the request itself.
    own: TraceContext,
    /// The caller's span.
    parent: Option<SpanId>,
    /// True where the caller's `tracestate` goes on.
    keeps_state: bool,
    http2: bool,
    origin: UnixTime,
    watch: Stopwatch,
    /// When the decision began, should there be one.
    begun: Duration,
    decision: Option<Decision>,
    asked: Mutex<Vec<Asked>>,
    attempts: Vec<Attempt>,
}

/// The decision, as it was made.
struct Decision {
    id: SpanId,
    ended: Duration,
    outcome: Outcome,
    reason: Option<Reason>,
}

/// One question to the store.
struct Asked {
    operation: &'static str,
    begun: Duration,
    ended: Option<Duration>,
    failure: Option<&'static str>,
}

/// One attempt at an upstream.
struct Attempt {
    id: SpanId,
    begun: Duration,
    ended: Option<Duration>,
    upstream: Arc<str>,
    endpoint: Option<(Arc<str>, u16)>,
    status: Option<StatusCode>,
    failure: Option<&'static str>,
}

fn new_span() -> SpanId {
    // One half of what is drawn is as good as the other.
    SpanId::from_random((request_id::random() >> 64) as u64)
}

impl Spans {
    /// Continues the caller's trace, or begins one; `None` where traces are off.
    pub(super) fn begin(shared: &Shared, session: &ServerSession, context: &Context) -> Option<Box<Self>> {
        let traces = shared.traces.as_ref()?;
        let headers = &session.req_header().headers;
        let caller = TraceContext::of(headers);
        let own = match caller {
            Some(caller) => caller.at(new_span()),
            None => TraceContext::begin(TraceId::from_random(request_id::random()), new_span()),
        };
        Some(Box::new(Self {
            traces: Arc::clone(traces),
            own,
            parent: caller.map(|caller| caller.span),
            keeps_state: caller.is_some() && is_sound_state(headers),
            http2: session.is_http2(),
            origin: context.time,
            watch: context.watch,
            begun: context.watch.elapsed(),
            decision: None,
            asked: Mutex::default(),
            attempts: Vec::new(),
        }))
    }

    /// The trace, where it is recorded.
    pub(super) fn recorded(&self) -> Option<TraceId> {
        self.own.is_sampled().then_some(self.own.trace)
    }

    /// Notes the decision.
    pub(super) fn decided(&mut self, judged: &Result<Judged, Denial>) {
        let ended = self.watch.elapsed();
        let (outcome, reason) = match judged {
            Ok(Judged::Permit(permit)) => {
                (Outcome::permitted(permit), permit.report().and_then(|report| report.would_deny))
            }
            Ok(Judged::Preflight(_)) => (Outcome::Public, None),
            Err(denial) => (Outcome::refused(denial.reason), Some(denial.reason)),
        };
        self.decision = Some(Decision { id: new_span(), ended, outcome, reason });
    }

    /// Notes that an attempt at an upstream begins.
    fn begin_attempt(&mut self, upstream: &Arc<str>, endpoint: Option<(&str, u16)>) {
        self.attempts.push(Attempt {
            id: new_span(),
            begun: self.watch.elapsed(),
            ended: None,
            upstream: Arc::clone(upstream),
            endpoint: endpoint.map(|(host, port)| (host.into(), port)),
            status: None,
            failure: None,
        });
    }

    /// Notes that the attempt failed; `failure` where that is the upstream's fault.
    pub(super) fn failed(&mut self, failure: Option<&'static str>) {
        let now = self.watch.elapsed();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.failure = failure;
            attempt.ended = Some(now);
        }
    }

    /// Notes the status of the upstream's answer.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = Some(status);
        }
    }

    /// Tells the upstream where in the trace the attempt stands.
    pub(super) fn tell(&self, upstream_request: &mut RequestHeader) -> Result<()> {
        let span = self.attempts.last().map_or(self.own.span, |attempt| attempt.id);
        if !self.keeps_state {
            upstream_request.remove_header(&TRACESTATE);
        }
        upstream_request.insert_header("traceparent", self.own.at(span).to_string())
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of what the rooms report, a trace keeps the questions to the store.
impl Observer for Spans {
    fn verified(&self, _: &'static str, _: Duration) {}
    fn claimed(&self, _: &'static str, _: crate::observe::ClaimResult) {}
    fn verdict_cache(&self, _: &'static str) {}

    fn store_asked(&self, operation: &'static str) {
        let begun = self.watch.elapsed();
        let mut asked = self.asked();
        if self.own.is_sampled() && asked.len() < MOST_CALLS {
            asked.push(Asked { operation, begun, ended: None, failure: None });
        }
    }

    fn store_replied(&self, failure: Option<&'static str>) {
        let now = self.watch.elapsed();
        if let Some(last) = self.asked().last_mut().filter(|last| last.ended.is_none()) {
            last.ended = Some(now);
            last.failure = failure;
        }
    }
}

/// Notes that an attempt at the upstream begins.
pub(super) fn attempt(context: &mut Context) {
    let (generation, attempt) = (&context.generation, &context.attempt);
    let endpoint = attempt.as_ref().map(|attempt| attempt.endpoint);
    let pool = endpoint.and_then(|endpoint| generation.upstreams.find(endpoint.upstream));
    if let (Some(spans), Some(pool), Some(endpoint)) = (&mut context.spans, pool, endpoint) {
        spans.begin_attempt(pool.name(), pool.named(endpoint.index));
    }
}

/// Notes that a claim is given back, which `work` does.
pub(super) async fn releasing(context: &Context, work: impl Future<Output = ()>) {
    if let Some(spans) = &context.spans {
        spans.store_asked("release");
    }
    work.await;
    if let Some(spans) = &context.spans {
        spans.store_replied(None);
    }
}

/// Hands the spans of the request over. It has ended, with `status` where there was an answer.
pub(super) fn finish(context: &mut Context, method: &str, status: Option<StatusCode>) {
    let Some(spans) = context.spans.take().filter(|spans| spans.own.is_sampled()) else { return };
    let told = Told::of(&spans, context, method, status);
    spans.traces.hand_in(told.all());
}

/// What is written of a request that has ended.
struct Told<'t> {
    spans: &'t Spans,
    ended: Duration,
    route: Option<(Arc<str>, Arc<str>)>,
    issuer: Option<Arc<str>>,
    outcome: Outcome,
    reason: Option<Reason>,
    method: Option<&'static str>,
    scheme: &'static str,
    /// The name of the handshake, for which there is a certificate: a `Host` may say anything.
    host: Option<Arc<str>>,
    request_id: Arc<str>,
    status: Option<StatusCode>,
}

impl<'t> Told<'t> {
    fn of(spans: &'t Spans, context: &Context, method: &str, status: Option<StatusCode>) -> Self {
        let (route, issuer, outcome, reason) = context.record();
        let snapshot = &context.generation.snapshot;
        let pattern = route.and_then(|route| snapshot.routes.pattern(route));
        let name = route.and_then(|route| snapshot.policy(route)).map(|policy| &policy.name);
        Self {
            spans,
            ended: spans.watch.elapsed(),
            route: name.cloned().zip(pattern.cloned()),
            issuer: issuer.map(|issuer| snapshot.issuer_name(Some(issuer)).into()),
            outcome,
            reason,
            method: known(method),
            scheme: context.arrival.as_ref().map_or("http", ingress::Arrival::scheme),
            host: context.arrival.as_ref().and_then(|arrival| arrival.transport.server_name.clone()),
            request_id: context.request_id.as_str().into(),
            status,
        }
    }

    fn all(&self) -> Vec<Span> {
        let asked = self.spans.asked();
        let mut all = Vec::with_capacity(2 + asked.len() + self.spans.attempts.len());
        all.push(self.request());
        all.extend(self.spans.decision.as_ref().map(|decision| self.decision(decision)));
        all.extend(asked.iter().map(|asked| self.store(asked)));
        all.extend(self.spans.attempts.iter().enumerate().map(|(number, attempt)| self.attempt(number, attempt)));
        all
    }

    fn request(&self) -> Span {
        let method = self.method.unwrap_or("HTTP");
        let name = match &self.route {
            Some((_, pattern)) => format!("{method} {pattern}"),
            None => method.to_owned(),
        };
        let mut span = Span::new(self.spans.own, self.spans.parent, name, self.times(Duration::ZERO, None));
        span.remote_parent = self.spans.parent.is_some();
        span.kind = SpanKind::Server;
        span.failed = self.status.is_some_and(|status| status.is_server_error());
        span.note("http.request.method", self.method.unwrap_or("_OTHER"));
        span.note("url.scheme", self.scheme);
        span.note("network.protocol.version", if self.spans.http2 { "2" } else { "1.1" });
        span.note_any("http.route", self.route.as_ref().map(|(_, pattern)| Arc::clone(pattern)));
        span.note_any("server.address", self.host.clone());
        span.note_any("http.response.status_code", self.status.map(|status| status.as_u16()));
        span.note("tollgate.request_id", Arc::clone(&self.request_id));
        self.verdict(&mut span, self.outcome, self.reason);
        // Of a fault of ours the reason says more than the status; of the upstream's own there is none.
        let reason = self.reason.filter(|_| self.outcome == Outcome::Error).map(|reason| reason.label().into());
        let status = self.status.filter(StatusCode::is_server_error).map(|status| Value::Text(status.as_str().into()));
        span.note_any("error.type", reason.or(status));
        span
    }

    fn decision(&self, decision: &Decision) -> Span {
        let times = self.times(self.spans.begun, Some(decision.ended));
        let mut span = Span::new(self.spans.own.at(decision.id), Some(self.spans.own.span), "decision", times);
        self.verdict(&mut span, decision.outcome, decision.reason);
        span.failed = decision.outcome == Outcome::Error;
        span
    }

    /// How it was decided, by the names that metrics have too.
    fn verdict(&self, span: &mut Span, outcome: Outcome, reason: Option<Reason>) {
        span.note("tollgate.outcome", outcome.label());
        span.note_any("tollgate.reason", reason.map(Reason::label));
        span.note_any("tollgate.route", self.route.as_ref().map(|(name, _)| Arc::clone(name)));
        span.note_any("tollgate.issuer", self.issuer.clone());
    }

    /// The decision asks the store; what is asked later, because of an attempt that came to nothing, is asked by the
    /// request.
    fn store(&self, asked: &Asked) -> Span {
        let decision = self.spans.decision.as_ref().filter(|decision| asked.begun <= decision.ended);
        let parent = decision.map_or(self.spans.own.span, |decision| decision.id);
        let (store, times) = (self.spans.traces.store(), self.times(asked.begun, asked.ended));
        let name = format!("{store} {}", asked.operation);
        let mut span = Span::new(self.spans.own.at(new_span()), Some(parent), name, times);
        span.kind = if store == "embedded" { SpanKind::Internal } else { SpanKind::Client };
        span.note("db.system.name", store);
        span.note("db.operation.name", asked.operation);
        span.note_any("error.type", asked.failure);
        span.failed = asked.failure.is_some();
        span
    }

    fn attempt(&self, number: usize, attempt: &Attempt) -> Span {
        let (own, method) = (self.spans.own, self.method.unwrap_or("HTTP"));
        let mut span = Span::new(own.at(attempt.id), Some(own.span), method, self.times(attempt.begun, attempt.ended));
        span.kind = SpanKind::Client;
        span.note("http.request.method", self.method.unwrap_or("_OTHER"));
        span.note_any("server.address", attempt.endpoint.as_ref().map(|(host, _)| Arc::clone(host)));
        span.note_any("server.port", attempt.endpoint.as_ref().map(|(_, port)| *port));
        span.note_any("http.response.status_code", attempt.status.map(|status| status.as_u16()));
        span.note("tollgate.upstream", Arc::clone(&attempt.upstream));
        if number > 0 {
            span.note_any("http.request.resend_count", u16::try_from(number).ok());
        }
        // To whoever asked, an answer of 400 and more is a failure.
        let refused = attempt.status.filter(|status| status.as_u16() >= 400);
        let refused = refused.map(|status| Value::Text(status.as_str().into()));
        let error = attempt.failure.map(Value::from).or(refused);
        span.failed = error.is_some();
        span.note_any("error.type", error);
        span
    }

    fn times(&self, begun: Duration, ended: Option<Duration>) -> Times {
        Times::of(self.spans.origin, begun, ended.unwrap_or(self.ended))
    }
}

/// The method, if it is one that the semantic conventions know: others are a client's text.
fn known(method: &str) -> Option<&'static str> {
    const NAMES: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    NAMES.into_iter().find(|name| *name == method)
}
