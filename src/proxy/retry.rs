//! When a failed attempt may be followed by another one.

use super::context::Context;
use crate::upstream::{Fault, Protocol};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorSource, ErrorType};

/// Judges a failure before anything was sent: another target may always be tried, with a one-time token too.
pub(super) fn not_connected(context: &mut Context) -> bool {
    context.target_failed(Fault::Broken);
    context.try_another()
}

/// Judges a failure after the request may have been sent. Another attempt is safe while no answer has begun, if the
/// method may be carried out twice; a request that spent a one-time token never gets one.
pub(super) fn interrupted(error: &Error, session: &ServerSession, context: &mut Context, reused: bool) -> bool {
    if *error.esource() != ErrorSource::Upstream || session.response_written().is_some() {
        return false;
    }
    let slow = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    let http1 = context.pool().is_some_and(|pool| pool.protocol() == Protocol::Http1);
    // A server may close an idle connection at any moment; over HTTP/2 it says so first.
    let stale = reused && http1 && !slow;
    if !stale {
        context.target_failed(if slow { Fault::Slow } else { Fault::Broken });
    }
    let whole = !session.retry_buffer_truncated();
    let repeatable = session.req_header().method.is_idempotent() && whole && !context.has_claim();
    repeatable && ((stale && context.try_fresh_connection()) || context.try_another())
}
