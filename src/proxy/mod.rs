//! The proxy room: the only one that knows what a session of the HTTP engine is.
//!
//! [`Gateway`] stands below in the order of the engine's phases; each phase is a few lines that say which room does the
//! work. A request is decided once, in `request_filter`, and forwarded only under the permit it got there.

mod arrivals;
mod audit;
mod chunked;
mod context;
mod crossing;
mod door;
mod egress;
mod endpoints;
mod failure;
mod frames;
mod generation;
mod grpc;
mod guard;
mod handshakes;
mod healthz;
mod ingress;
mod lifeline;
pub mod listen;
mod places;
mod plain;
mod record;
mod request_id;
mod respond;
mod retry;
pub mod settings;
mod shared;
mod spans;
pub mod trust;
mod tunnel;
mod upload;
mod vouched;
mod watched;

pub use context::{Context, InFlight};
pub use generation::Generation;
pub use listen::{Connections, Listening, services};
pub use settings::{ListenerKind, ListenerSettings, PublicAddress, Scheme, ServerSettings};
pub use shared::Shared;
pub use trust::{Network, TrustedProxies};

use crate::decision::{Denial, Memory, Permit, Preflight, Reason, Trace, decide, preflight};
use crate::observe::{Both, Observer};
use crate::route::RouteId;
use crate::upstream::Pool;
use async_trait::async_trait;
use bytes::Bytes;
use context::Verdict;
use endpoints::Own;
use http::HeaderMap;
use ingress::Arrival;
use lifeline::Lifeline;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use spans::Spans;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The gateway, as the engine sees it.
pub struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    /// A gateway over what is shared.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks the one decision; a preflight needs none.
    async fn judge(&self, session: &ServerSession, context: &mut Context, trace: &mut Trace) -> Result<Judged, Denial> {
        let arrival = context.arrival.insert(Arrival::of(session, &self.shared.listeners, context.time));
        if let Some(request_id) = arrival.request_id.take() {
            context.request_id = request_id;
        }
        ingress::check_framing(session, self.shared.settings.max_header)?;
        let facts = arrival.facts(session.req_header(), context.time)?;
        let (snapshot, memory) = (&context.generation.snapshot, Memory::Live(&self.shared.memory));
        let (metrics, both): (&dyn Observer, Both<'_>);
        metrics = &*self.shared.metrics;
        let observer = match &context.spans {
            Some(spans) => {
                both = Both(metrics, &**spans);
                &both
            }
            None => metrics,
        };
        match preflight(snapshot, memory, &facts, observer, trace).await {
            Some(answered) => answered.map(Judged::Preflight),
            None => {
                decide(snapshot, memory, &facts, observer, trace).await.map(|permit| Judged::Permit(Box::new(permit)))
            }
        }
    }

    /// Answers a preflight.
    async fn allow(&self, session: &mut ServerSession, context: &mut Context, preflight: Preflight) {
        let also = preflight.headers;
        let hsts = context.hsts(context.generation.snapshot.policy(preflight.route));
        let to = respond::Addressee { request_id: context.request_id.as_str(), hsts, also: &also };
        if respond::preflight(session, to).await.is_err() {
            session.set_keepalive(None);
        }
        context.verdict = Verdict::Preflight(preflight.route);
    }

    /// Answers a request that is not forwarded, or whose forwarding failed.
    async fn refuse(&self, session: &mut ServerSession, context: &mut Context, denial: Denial) {
        context.arrival.get_or_insert_with(|| Arrival::of(session, &self.shared.listeners, context.time));
        let policy = denial.route.and_then(|route| context.generation.snapshot.policy(route));
        let also = crossing::on_refusal(policy, session.req_header());
        let hsts = context.hsts(policy);
        let to = respond::Addressee { request_id: context.request_id.as_str(), hsts, also: &also };
        if respond::refuse(session, &denial, to).await.is_err() {
            session.set_keepalive(None);
        }
        context.verdict = Verdict::Denied(denial);
    }

    /// Answers a balancer.
    async fn tell_health(&self, session: &mut ServerSession, context: &mut Context) {
        if let Err(reason) = ingress::check_framing(session, self.shared.settings.max_header) {
            return self.refuse(session, context, reason.into()).await;
        }
        context.arrival = Some(Arrival::of(session, &self.shared.listeners, context.time));
        let hsts = context.hsts(None);
        let to = respond::Addressee { request_id: context.request_id.as_str(), hsts, also: &[] };
        let status = healthz::status(self.shared.draining.load(Ordering::Acquire));
        if respond::acknowledge(session, status, to).await.is_err() {
            session.set_keepalive(None);
        }
        context.verdict = Verdict::Served(status);
    }

    /// Gives the one-time claim back, if no byte of its request can have reached an upstream.
    async fn release(&self, context: &mut Context) {
        let unsent = context.attempt.as_mut().filter(|attempt| !attempt.sent);
        if let Some(receipt) = unsent.and_then(|attempt| attempt.receipt.take()) {
            spans::releasing(context, self.shared.memory.replay.store().release(&receipt)).await;
        }
    }

    /// The peer for the next attempt. An endpoint whose name can't be resolved is passed over.
    async fn peer(&self, context: &mut Context) -> Result<HttpPeer> {
        let generation = Arc::clone(&context.generation);
        loop {
            let endpoint = context.next_attempt();
            let upstream = endpoint.and_then(|endpoint| generation.upstreams.find(endpoint.upstream)).zip(endpoint);
            let Some((upstream, endpoint)) = upstream else {
                return Error::e_explain(ErrorType::InternalError, "a request without a permit has no peer");
            };
            match upstream.peer(endpoint.index).await {
                Ok((target, peer)) => {
                    context.goes_to(target);
                    return Ok(peer);
                }
                Err(_) if retry::not_connected(context) => {}
                Err(_) => return Err(Error::explain(ErrorType::ConnectNoRoute, "no address").into_up()),
            }
        }
    }
}

/// What was decided over a request that is not refused.
enum Judged {
    /// It is forwarded.
    Permit(Box<Permit>),
    /// It is a question, and the gateway answers it.
    Preflight(Preflight),
}

impl Judged {
    fn route(&self) -> RouteId {
        match self {
            Self::Permit(permit) => permit.route(),
            Self::Preflight(preflight) => preflight.route,
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed: the engine's future holds it in many places, and is copied whole for each request.
    type CTX = Box<Context>;

    /// The header section is complete.
    fn new_ctx(&self) -> Box<Context> {
        let lifeline = Lifeline::of_this_task();
        if let Some(lifeline) = &lifeline {
            lifeline.release();
        }
        let shared = &self.shared;
        let mut context =
            Context::new(shared.generation.load_full(), shared.clock.now(), request_id::new(), &shared.in_flight);
        context.lifeline = lifeline;
        Box::new(context)
    }

    /// No module touches a request or a response: compressed answers beside secrets invite BREACH.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, _: &mut Box<Context>) -> Result<()> {
        let idle = self.shared.settings.idle_timeout;
        let ending = self.shared.draining.load(Ordering::Acquire);
        plain::keep_alive(session.as_downstream_mut(), idle.as_secs(), ending);
        session.set_read_timeout(Some(idle));
        session.set_write_timeout(Some(idle));
        Ok(())
    }

    /// The decision: made once, before anything is sent anywhere.
    async fn request_filter(&self, session: &mut Session, context: &mut Box<Context>) -> Result<bool> {
        if healthz::is_asked(session.req_header()) {
            self.tell_health(session.as_downstream_mut(), context).await;
            return Ok(true);
        }
        context.spans = Spans::begin(&self.shared, session.as_downstream(), context);
        if let Some(own) = Own::of(session.req_header()) {
            match self.serve(own, session.as_downstream_mut(), context).await? {
                Ok(status) => context.verdict = Verdict::Served(status),
                Err(denial) => self.refuse(session.as_downstream_mut(), context, denial).await,
            }
            return Ok(true);
        }
        let mut trace = self.trace();
        let judged = self.judge(session.as_downstream(), context, &mut trace).await;
        record::decision(context, &judged);
        self.audit(session.req_header(), context, &judged, &trace).await;
        match judged {
            Ok(Judged::Permit(permit)) => {
                context.permit(permit);
                tunnel::expect(session.as_downstream_mut(), context, &self.shared);
            }
            Ok(Judged::Preflight(preflight)) => self.allow(session.as_downstream_mut(), context, preflight).await,
            Err(denial) => self.refuse(session.as_downstream_mut(), context, denial).await,
        }
        Ok(!matches!(context.verdict, Verdict::Permitted(_)))
    }

    async fn upstream_peer(&self, _: &mut Session, context: &mut Box<Context>) -> Result<Box<HttpPeer>> {
        let mut peer = self.peer(context).await?;
        tunnel::adapt(&mut peer, context);
        spans::attempt(context);
        Ok(Box::new(peer))
    }

    /// Nothing was sent yet, so another endpoint may be tried, with a one-time token too.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Box<Context>,
        error: Box<Error>,
    ) -> Box<Error> {
        Self::record_upstream_failure(context, &error);
        let mut error = error;
        error.set_retry(retry::not_connected(context));
        error
    }

    /// An upstream below the lowest TLS version is not spoken to. Nothing was sent yet.
    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _: bool,
        _: &HttpPeer,
        _: RawFd,
        digest: Option<&Digest>,
        context: &mut Box<Context>,
    ) -> Result<()> {
        let tls = digest.and_then(|digest| digest.ssl_digest.as_ref());
        let lowest = context.pool().map(Pool::min_version).unwrap_or_default();
        match tls.filter(|tls| !lowest.allows(&tls.version)) {
            Some(_) => Err(Error::explain(ErrorType::TLSHandshakeFailure, "TLS version").into_up()),
            None => Ok(()),
        }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        egress::prepare(session.req_header(), upstream_request, context)?;
        context.sending();
        tunnel::sent(context);
        upload::expect(session.as_downstream_mut(), context, &self.shared);
        Ok(())
    }

    /// Counts the body: one without a length, or over HTTP/2, is found to be too large only on its way.
    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        context: &mut Box<Context>,
    ) -> Result<()> {
        upload::went_on(context, body.as_ref().map_or(0, Bytes::len), end);
        if context.is_too_large(body.as_ref().map_or(0, Bytes::len)) {
            return Err(Error::new(failure::BODY_TOO_LARGE).into_down());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        Self::record_upstream_answer(context, response.status);
        context.target_answered();
        tunnel::answered(session.req_header(), response, context, &self.shared);
        egress::finish(response, session.req_header(), context)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        context: &mut Box<Context>,
    ) -> Result<Option<Bytes>> {
        egress::finish_trailers(trailers, session.req_header(), context).map(|()| None)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        context: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        tunnel::went_on(context);
        Ok(None)
    }

    /// After a byte was sent only what is safe to do twice is tried again; what spent a one-time token never is.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Box<Context>,
        reused: bool,
    ) -> Box<Error> {
        Self::record_upstream_failure(context, &error);
        let mut error = error;
        error.set_retry(retry::interrupted(&error, session.as_ref(), context, reused));
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Box<Context>) -> FailToProxy {
        self.release(context).await;
        let reason = failure::reason(error).filter(|_| session.response_written().is_none());
        if let Some(reason) = reason {
            // The engine does not reuse a connection whose forwarding failed: say so.
            session.set_keepalive(None);
            let denial = context.failure(reason);
            self.refuse(session.as_downstream_mut(), context, denial).await;
        }
        FailToProxy { error_code: reason.map_or(0, Reason::status), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, context: &mut Box<Context>) {
        self.record_end(session.as_downstream(), context);
    }

    /// The engine's own summary holds path and query.
    fn request_summary(&self, _: &Session, context: &Box<Context>) -> String {
        context.request_id.as_str().to_owned()
    }

    /// The access log tells it, with its reason and without what the client sent.
    fn suppress_error_log(&self, _: &Session, _: &Box<Context>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Box<Context>, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
