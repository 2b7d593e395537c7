//! Requests that outlast their answer's header: WebSocket (RFC 6455), server-sent events, gRPC.
//!
//! A token opens them, so they end with it, unless the route says otherwise, and when it is revoked.

use super::context::{Context, Verdict};
use super::{Generation, Shared, grpc, record};
use crate::authn::{RevocationPolicy, Revocations, Verified};
use crate::clock::UnixTime;
use crate::decision::{Access, Permit};
use crate::issuer::IssuerProfile;
use http::{StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::upstreams::peer::HttpPeer;
use prometheus::IntGauge;
use std::sync::Arc;
use std::time::Duration;

/// How long a tunnel may be silent in both directions.
pub(super) const SILENCE: Duration = Duration::from_secs(3600);
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
}

impl Kind {
    /// What `request` may turn into; most turn into nothing.
    pub(super) fn of(request: &RequestHeader, upgrade: bool) -> Option<Self> {
        let headers = &request.headers;
        if upgrade {
            Some(Self::WebSocket)
        } else if grpc::is_grpc(headers) {
            Some(Self::Grpc)
        } else {
            headers
                .get_all(header::ACCEPT)
                .iter()
                .any(|accept| holds(accept, b"text/event-stream"))
                .then_some(Self::Events)
        }
    }

    /// True when `response` opens the tunnel.
    fn opens(self, response: &ResponseHeader) -> bool {
        let media_type = |wanted| response.headers.get(header::CONTENT_TYPE).is_some_and(|found| holds(found, wanted));
        match self {
            Self::WebSocket => response.status == StatusCode::SWITCHING_PROTOCOLS,
            Self::Events => media_type(b"text/event-stream"),
            Self::Grpc => media_type(b"application/grpc"),
        }
    }
}

fn holds(value: &http::HeaderValue, wanted: &[u8]) -> bool {
    value.as_bytes().windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

/// Prepares `session` and `context` for what the request may turn into.
pub(super) fn expect(session: &mut ServerSession, context: &mut Context, shared: &Arc<Shared>) {
    let request = session.req_header();
    let Some(kind) = Kind::of(request, session.is_upgrade_req()) else { return };
    let patience = context.pool().map_or(SILENCE, crate::upstream::Pool::read_timeout);
    context.tunnel = Some(Tunnel {
        kind,
        patience,
        method: request.method.as_str().to_owned(),
        path: request.uri.path().to_owned(),
        status: 0,
        open: None,
        shared: Arc::clone(shared),
        recorded: false,
    });
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
    let (Some(tunnel), Some(lifeline)) = (&context.tunnel, &context.lifeline) else { return };
    match tunnel.kind {
        // The answer to a call may begin when the client has sent everything, which may be never.
        Kind::Grpc => bind(context),
        Kind::WebSocket | Kind::Events => lifeline.limit(tunnel.patience),
    }
}

/// The header of the answer is there.
pub(super) fn answered(response: &ResponseHeader, context: &mut Context) {
    let Some(tunnel) = &mut context.tunnel else { return };
    tunnel.status = response.status.as_u16();
    let informs = response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS;
    if informs || tunnel.open.is_some() {
        return;
    }
    if tunnel.kind.opens(response) {
        let gauge = context.generation.meter(context.record().0).tunnels();
        gauge.inc();
        if let Some(tunnel) = &mut context.tunnel {
            tunnel.open = Some(Open(gauge));
        }
        bind(context);
    } else if let Some(lifeline) = &context.lifeline {
        lifeline.limit(tunnel.patience);
    }
}

/// A part of the answer has come.
pub(super) fn went_on(context: &Context) {
    if let (Some(Tunnel { open: None, patience, .. }), Some(lifeline)) = (&context.tunnel, &context.lifeline) {
        lifeline.limit(*patience);
    }
}

/// Binds the request's life to its token's.
fn bind(context: &Context) {
    let (Some(lifeline), Verdict::Permitted(permit)) = (&context.lifeline, &context.verdict) else { return };
    let (Some(tunnel), Some(hold)) = (&context.tunnel, Hold::of(permit, &context.generation)) else {
        lifeline.release();
        return;
    };
    let shared = Arc::clone(&tunnel.shared);
    lifeline.follow(Box::new(move || hold.left(&shared.memory.revocations, shared.clock.now())));
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
    /// `None` where no token opened the tunnel.
    fn of(permit: &Permit, generation: &Generation) -> Option<Self> {
        let policy = generation.snapshot.policy(permit.route())?;
        let (token, Access::Guarded(guard)) = (permit.token()?, &policy.access) else { return None };
        let profile = Arc::clone(generation.snapshot.issuers.profile(token.issuer())?);
        let end = token.claims().expires_at().map(|end| end.plus(profile.contract.leeway));
        let end = end.filter(|_| !policy.tunnel_beyond_expiry);
        Some(Self { token: token.clone(), profile, revocation: guard.revocation, end })
    }

    /// How long the tunnel may live on before it is asked again; `None` ends it.
    fn left(&self, revocations: &Revocations, now: UnixTime) -> Option<Duration> {
        let left = self.end.map_or(RECHECK, |end| end.since(now).min(RECHECK));
        let stands = !left.is_zero() && revocations.judge(&self.token, &self.profile, self.revocation, now).is_ok();
        stands.then_some(left)
    }
}

impl Drop for Context {
    /// A request that its guard ended comes by no other place.
    fn drop(&mut self) {
        if let Some(tunnel) = self.tunnel.take().filter(|tunnel| !tunnel.recorded) {
            record::cut(self, &tunnel, &tunnel.shared.metrics);
        }
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
        let kind = |name, value| Kind::of(&request(name, value), false);
        assert_eq!(Kind::of(&request("upgrade", "websocket"), true), Some(Kind::WebSocket));
        assert_eq!(kind("accept", "application/json, text/event-stream"), Some(Kind::Events));
        assert_eq!(kind("accept", "*/*"), None);
        assert_eq!(kind("content-type", "application/grpc"), Some(Kind::Grpc));
    }

    #[test]
    fn an_answer_opens_the_tunnel_it_was_asked_for() {
        let response = |status: u16, media_type: &str| {
            let mut response = ResponseHeader::build(status, None).unwrap();
            response.insert_header("content-type", media_type).unwrap();
            response
        };
        assert!(Kind::WebSocket.opens(&response(101, "")));
        assert!(!Kind::WebSocket.opens(&response(200, "text/event-stream")));
        assert!(Kind::Events.opens(&response(200, "text/event-stream; charset=utf-8")));
        assert!(!Kind::Events.opens(&response(200, "application/json")));
        assert!(Kind::Grpc.opens(&response(200, "application/grpc")));
    }
}
