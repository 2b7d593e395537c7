//! Requests that outlast their answer's header: WebSocket (RFC 6455), server-sent events, gRPC.
//!
//! A token opens them, so they end with it, unless the route says otherwise, and when it is revoked.

use super::context::{Context, Verdict};
use super::{Shared, grpc};
use crate::authn::{RevocationPolicy, Revocations, Verified};
use crate::clock::{Stopwatch, UnixTime};
use crate::decision::Access;
use crate::issuer::IssuerProfile;
use crate::telemetry::Metrics;
use crate::upstream::Protocol;
use http::{StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::upstreams::peer::HttpPeer;
use prometheus::IntGauge;
use std::sync::Arc;
use std::time::Duration;

/// How long a tunnel may be silent in both directions.
pub(super) const SILENCE: Duration = Duration::from_secs(3600);
/// How long an answer that announces no end may take beyond its token's: an honest one is done by then.
const GRACE: Duration = Duration::from_secs(300);
/// What is a stream by its very type, as it begins.
const STREAMS: [&str; 8] = [
    "text/event-stream",
    "application/grpc",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/stream+json",
    "multipart/x-mixed-replace",
];
/// How often it is asked whether the token of an open tunnel still stands.
const RECHECK: Duration = Duration::from_secs(2);

/// What a request may turn into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It asks for an upgrade.
    WebSocket,
    /// It would take a stream of events. Many clients say so that get an ordinary answer most of the time.
    Events,
    /// It is a call, of which only the two ends know whether it streams.
    Grpc,
    /// It said nothing of the kind, and is answered by a stream all the same, or by what may be one.
    Unannounced,
}

/// A tunnel that is open, or about to be.
pub(super) struct Tunnel {
    kind: Kind,
    /// How long the upstream may take for the header, and between two parts of an answer that is no stream after all.
    patience: Duration,
    /// What the record needs when the guard ends the request.
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    open: Option<Open>,
    /// What ends an answer that is no stream by its type, but may have no end.
    hold: Option<Arc<Hold>>,
    shared: Arc<Shared>,
    /// True once the request has its record.
    pub(super) recorded: bool,
}

/// Counts one open tunnel.
struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Tunnel {
    /// True when bytes go both ways without end, so that what the client sends is no body.
    pub(super) fn is_upgrade(&self) -> bool {
        self.kind == Kind::WebSocket
    }

    /// Where it is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// True where the client may send for as long as it likes, and when it likes.
    pub(super) fn streams_up(&self) -> bool {
        matches!(self.kind, Kind::WebSocket | Kind::Grpc)
    }
}

impl Kind {
    /// What `request` may turn into; most turn into nothing. Only where a call can be made at all is one believed in: it
    /// gets more time than anything else.
    fn of(request: &RequestHeader, upgrade: bool, calls: bool) -> Option<Self> {
        let headers = &request.headers;
        if upgrade {
            Some(Self::WebSocket)
        } else if calls && grpc::is_grpc(headers) {
            Some(Self::Grpc)
        } else {
            headers
                .get_all(header::ACCEPT)
                .iter()
                .any(|accept| holds(accept, b"text/event-stream"))
                .then_some(Self::Events)
        }
    }
}

impl Tunnel {
    fn new(kind: Kind, request: &RequestHeader, context: &Context, shared: &Arc<Shared>) -> Self {
        Self {
            kind,
            patience: context.pool().map_or(SILENCE, crate::upstream::Pool::read_timeout),
            method: request.method.as_str().to_owned(),
            path: request.uri.path().to_owned(),
            status: 0,
            open: None,
            hold: None,
            shared: Arc::clone(shared),
            recorded: false,
        }
    }

    /// How long the next part may take; `None` where the engine itself watches that.
    fn patience(&self) -> Option<Duration> {
        (self.kind != Kind::Unannounced).then_some(self.patience)
    }
}

/// True when `response` is a stream, whatever its client has asked for.
fn is_stream(response: &ResponseHeader) -> bool {
    let media_type = response.headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let begins = |name: &[u8]| media_type.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    response.status == StatusCode::SWITCHING_PROTOCOLS || STREAMS.iter().any(|name| begins(name.as_bytes()))
}

/// True when nobody can say how long the body of `response` will be.
fn is_open_ended(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let bodiless = request.method == http::Method::HEAD
        || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !bodiless && !response.headers.contains_key(header::CONTENT_LENGTH)
}

fn holds(value: &http::HeaderValue, wanted: &[u8]) -> bool {
    value.as_bytes().windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

/// Prepares `session` and `context` for what the request may turn into.
pub(super) fn expect(session: &mut ServerSession, context: &mut Context, shared: &Arc<Shared>) {
    let calls = session.is_http2() && context.pool().is_some_and(|pool| pool.protocol() == Protocol::Http2);
    let request = session.req_header();
    let Some(kind) = Kind::of(request, session.is_upgrade_req(), calls) else { return };
    context.tunnel = Some(Tunnel::new(kind, request, context, shared));
    session.set_read_timeout(Some(SILENCE));
}

/// Lets `peer` be silent for as long as a tunnel may: until its header comes the guard watches in its place.
pub(super) fn adapt(peer: &mut HttpPeer, context: &Context) {
    if context.tunnel.is_some() {
        peer.options.read_timeout = Some(SILENCE);
    }
}

/// The request is on its way.
pub(super) fn sent(context: &Context) {
    let Some(tunnel) = &context.tunnel else { return };
    match (tunnel.kind, Hold::of(context, Duration::ZERO)) {
        // The answer to a call may begin when the client has sent everything, which may be never.
        (Kind::Grpc, Some(hold)) => hang(context, Some(hold), None),
        _ => hang(context, None, Some(tunnel.patience)),
    }
}

/// A part of the body has gone out: until the last one has, nobody waits for the answer.
pub(super) fn body_went_on(context: &Context) {
    if context.tunnel.as_ref().is_some_and(|tunnel| tunnel.kind == Kind::Events && tunnel.status == 0) {
        sent(context);
    }
}

/// The header of the answer is there. It says whether this is a stream: what the client has asked for is the client's
/// word, and a thief would ask for something else.
pub(super) fn answered(
    request: &RequestHeader,
    response: &ResponseHeader,
    context: &mut Context,
    shared: &Arc<Shared>,
) {
    let informs = response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS;
    let streams = is_stream(response);
    let held = if streams || informs || !is_open_ended(request, response) { None } else { Hold::of(context, GRACE) };
    if context.tunnel.is_none() && (streams || held.is_some()) {
        context.tunnel = Some(Tunnel::new(Kind::Unannounced, request, context, shared));
    }
    let Some(tunnel) = &mut context.tunnel else { return };
    tunnel.status = response.status.as_u16();
    if informs || tunnel.open.is_some() {
        return;
    }
    tunnel.hold.clone_from(&held);
    let patience = tunnel.patience();
    if streams {
        let gauge = context.generation.meter(context.record().0).tunnels();
        gauge.inc();
        if let Some(tunnel) = &mut context.tunnel {
            tunnel.open = Some(Open(gauge));
        }
        hang(context, Hold::of(context, Duration::ZERO), None);
    } else {
        hang(context, held, patience);
    }
}

/// A part of the answer has come.
pub(super) fn went_on(context: &Context) {
    if let Some(tunnel) = context.tunnel.as_ref().filter(|tunnel| tunnel.open.is_none() && tunnel.patience().is_some())
    {
        hang(context, tunnel.hold.clone(), tunnel.patience());
    }
}

/// Lets the request live for as long as `hold` stands, and `patience` lasts from now.
fn hang(context: &Context, hold: Option<Arc<Hold>>, patience: Option<Duration>) {
    let (Some(lifeline), Some(tunnel)) = (&context.lifeline, &context.tunnel) else { return };
    let Some(hold) = hold else {
        return match patience {
            Some(patience) => lifeline.limit(patience),
            None => lifeline.release(),
        };
    };
    let (watch, shared) = (Stopwatch::start(), Arc::clone(&tunnel.shared));
    lifeline.follow(Box::new(move || {
        let stands = hold.left(&shared.memory.revocations, shared.clock.now())?;
        let part = patience.map_or(stands, |patience| patience.saturating_sub(watch.elapsed()));
        Some(part.min(stands)).filter(|left| !left.is_zero())
    }));
}

/// What a tunnel hangs on.
struct Hold {
    token: Verified,
    profile: Arc<IssuerProfile>,
    revocation: RevocationPolicy,
    /// When the token ends; `None` where the tunnel may outlive it. A revocation ends it all the same.
    end: Option<UnixTime>,
}

impl Hold {
    /// What the permit of `context` rests on; its end is no nearer than `grace`. `None` where no token was asked for.
    fn of(context: &Context, grace: Duration) -> Option<Arc<Self>> {
        let (Verdict::Permitted(permit), generation) = (&context.verdict, &context.generation) else { return None };
        let policy = generation.snapshot.policy(permit.route())?;
        let (token, Access::Guarded(guard)) = (permit.token()?, &policy.access) else { return None };
        let profile = Arc::clone(generation.snapshot.issuers.profile(token.issuer())?);
        let end = token.claims().expires_at().map(|end| end.plus(profile.contract.leeway));
        let nearest = context.time.plus(grace);
        let end = end.map(|end| end.max(nearest)).filter(|_| !policy.tunnel_beyond_expiry);
        Some(Arc::new(Self { token: token.clone(), profile, revocation: guard.revocation, end }))
    }

    /// How long the tunnel may live on before it is asked again; `None` ends it.
    fn left(&self, revocations: &Revocations, now: UnixTime) -> Option<Duration> {
        let left = self.end.map_or(RECHECK, |end| end.since(now).min(RECHECK));
        let stands = !left.is_zero() && revocations.judge(&self.token, &self.profile, self.revocation, now).is_ok();
        stands.then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &'static str, value: &str) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.insert_header(name, value).unwrap();
        request
    }

    #[test]
    fn a_request_says_what_it_may_turn_into() {
        let kind = |name, value, calls| Kind::of(&request(name, value), false, calls);
        assert_eq!(Kind::of(&request("upgrade", "websocket"), true, false), Some(Kind::WebSocket));
        assert_eq!(kind("accept", "application/json, text/event-stream", false), Some(Kind::Events));
        assert_eq!(kind("accept", "*/*", true), None);
        assert_eq!(kind("content-type", "application/grpc", true), Some(Kind::Grpc));
        assert_eq!(kind("content-type", "application/grpc", false), None, "over HTTP/1.1 there are no calls");
    }

    fn response(status: u16, name: &'static str, value: &str) -> ResponseHeader {
        let mut response = ResponseHeader::build(status, None).unwrap();
        response.insert_header(name, value).unwrap();
        response
    }

    #[test]
    fn an_answer_says_whether_it_is_a_stream() {
        let streams = |status: u16, media_type: &str| is_stream(&response(status, "content-type", media_type));
        assert!(streams(101, ""));
        for media_type in [
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "application/grpc",
            "application/grpc-web+proto",
            "application/x-ndjson",
        ] {
            assert!(streams(200, media_type), "{media_type}");
        }
        for media_type in ["application/json", "text/html", "text/event", ""] {
            assert!(!streams(200, media_type), "{media_type}");
        }
    }

    #[test]
    fn an_answer_without_a_length_may_have_no_end() {
        let get = RequestHeader::build("GET", b"/", None).unwrap();
        let head = RequestHeader::build("HEAD", b"/", None).unwrap();
        let chunked = response(200, "transfer-encoding", "chunked");
        assert!(is_open_ended(&get, &chunked) && !is_open_ended(&head, &chunked));
        assert!(!is_open_ended(&get, &response(200, "content-length", "5")));
        assert!(!is_open_ended(&get, &response(204, "x", "y")));
    }
}
