//! Bodies that stand still. Over HTTP/1 the engine has a time-out for single reads, over HTTP/2 it has none, and neither
//! sees a client that sends a byte now and then; so the guard of the request watches how its body comes.

use super::Shared;
use super::context::Context;
use super::tunnel::{self, Tunnel};
use crate::telemetry::Metrics;
use pingora::protocols::http::ServerSession;
use std::sync::Arc;

/// What the record needs when the guard ends the request.
pub(super) struct Upload {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) metrics: Arc<Metrics>,
}

/// The request is on its way: from here on its body must come, unless it may be a stream without an end.
pub(super) fn expect(session: &mut ServerSession, context: &mut Context, shared: &Shared) {
    let Some(lifeline) = context.lifeline.clone() else { return };
    if session.is_body_done() || context.tunnel.as_ref().is_some_and(Tunnel::streams_up) {
        return;
    }
    let request = session.req_header();
    context.upload = Some(Upload {
        method: request.method.as_str().to_owned(),
        path: request.uri.path().to_owned(),
        metrics: Arc::clone(&shared.metrics),
    });
    lifeline.await_body(shared.settings.idle_timeout);
}

/// A part of the body has come; the last one where it is the `end`.
pub(super) fn went_on(context: &Context, bytes: usize, end: bool) {
    if let (Some(lifeline), Some(_)) = (&context.lifeline, &context.upload) {
        lifeline.body_went_on(bytes, end);
        tunnel::body_went_on(context);
    }
}
