//! What is counted and logged of a request.

use super::context::{Attempt, Context};
use super::door::MAX_LINE;
use super::{Gateway, Judged, Shared, audit, failure};
use crate::decision::{Denial, Reason};
use crate::request::RequestId;
use crate::telemetry::{AccessLine, Metrics, Outcome, UpstreamMeter};
use http::StatusCode;
use pingora::Error;
use pingora::protocols::http::ServerSession;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Notes how long the decision took.
pub(super) fn decision(context: &Context, judged: &Result<Judged, Denial>) {
    let route = match judged {
        Ok(judged) => Some(judged.route()),
        Err(denial) => denial.route,
    };
    context.generation.meter(route).decided(context.watch.elapsed());
}

/// Counts and logs a request that was refused for its head, before the engine read it.
pub(super) async fn faulty_head(
    shared: &Shared,
    request_id: &RequestId,
    client: IpAddr,
    head: &[u8],
    reason: Reason,
    took: Duration,
) {
    let (outcome, status) = (Outcome::refused(reason), reason.status());
    let generation = shared.generation.load_full();
    generation.meter(None).count(outcome);
    shared.metrics.denied(reason.label(), "none", "none");
    generation.meter(None).answered(StatusCode::from_u16(status).ok(), took);
    let time = shared.clock.now();
    let (method, path) = first_words(head);
    AccessLine {
        time,
        request_id: request_id.as_str(),
        client,
        method,
        path,
        route: "none",
        issuer: "none",
        status,
        outcome,
        reason: Some(reason.label()),
        upstream: None,
        duration: took,
    }
    .write();
    audit::refused_unasked(shared, (time, request_id.as_str()), (method, path), client, reason).await;
}

/// What looks like a method and a path in a faulty head. Anything else may be a part of another message, with a secret
/// in it.
fn first_words(head: &[u8]) -> (&str, &str) {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = std::str::from_utf8(line.get(..MAX_LINE).unwrap_or(line)).unwrap_or_default();
    let mut words = line.split(' ');
    let is_method = |word: &&str| word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_path = |word: &&str| word.starts_with('/') && word.bytes().all(|byte| byte.is_ascii_graphic());
    let (Some(method), Some(target)) = (words.next().filter(is_method), words.next()) else { return ("-", "-") };
    let path = target.split(['?', '#']).next().filter(is_path);
    (method, path.unwrap_or("-"))
}

impl Gateway {
    /// Counts a failed attempt, where the upstream is at fault.
    pub(super) fn record_upstream_failure(context: &Context, error: &Error) {
        if let (Some((meter, _)), Some(kind)) = (forwarding(context), failure::upstream_kind(error)) {
            meter.failed(kind);
        }
    }

    /// Notes how long the upstream took to begin its answer.
    pub(super) fn record_upstream_answer(context: &Context) {
        if let Some((meter, attempt)) = forwarding(context) {
            meter.answered(attempt.watch.elapsed());
        }
    }

    /// Counts and logs the request as a whole.
    pub(super) fn record_end(&self, session: &ServerSession, context: &mut Context) {
        let request = session.req_header();
        let status = session.response_written().map(|response| response.status);
        finish(context, &self.shared.metrics, (request.method.as_str(), request.uri.path()), status);
        context.upload = None;
        if let Some(tunnel) = &mut context.tunnel {
            tunnel.recorded = true;
        }
    }
}

impl Drop for Context {
    /// Counts and logs a request that its guard has ended: it comes by no other place.
    fn drop(&mut self) {
        let upload = self.upload.take();
        if let Some(tunnel) = self.tunnel.take() {
            if !tunnel.recorded {
                let status = StatusCode::from_u16(tunnel.status).ok();
                finish(self, tunnel.metrics(), (&tunnel.method, &tunnel.path), status);
            }
        } else if let Some(upload) = upload {
            finish(self, &upload.metrics, (&upload.method, &upload.path), None);
        }
    }
}

fn finish(context: &Context, metrics: &Metrics, (method, path): (&str, &str), status: Option<StatusCode>) {
    let (route, issuer, outcome, reason) = context.record();
    let snapshot = &context.generation.snapshot;
    let (route_name, issuer_name) = (snapshot.route_name(route), snapshot.issuer_name(issuer));
    let took = context.watch.elapsed();
    let meter = context.generation.meter(route);
    meter.count(outcome);
    if let Some(reason) = reason {
        match outcome {
            Outcome::WouldDeny => metrics.would_deny(reason.label(), issuer_name, route_name),
            _ => metrics.denied(reason.label(), issuer_name, route_name),
        }
    }
    meter.answered(status, took);
    if !log::log_enabled!(target: crate::telemetry::logs::ACCESS, log::Level::Info) {
        return;
    }
    AccessLine {
        time: context.time,
        request_id: context.request_id.as_str(),
        client: context.arrival.as_ref().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |arrival| arrival.client),
        method,
        path,
        route: route_name,
        issuer: issuer_name,
        status: status.map_or(0, |status| status.as_u16()),
        outcome,
        reason: reason.map(crate::decision::Reason::label),
        upstream: upstream_name(context),
        duration: took,
    }
    .write();
}

/// The meter of the upstream, and the forwarding of the request.
fn forwarding(context: &Context) -> Option<(&UpstreamMeter, &Attempt)> {
    let attempt = context.attempt.as_ref()?;
    Some((context.generation.upstream_meter(attempt.endpoint.upstream)?, attempt))
}

fn upstream_name(context: &Context) -> Option<&str> {
    let attempt = context.attempt.as_ref()?;
    context.generation.upstreams.name(attempt.endpoint.upstream).map(|name| &**name)
}

#[cfg(test)]
mod tests {
    use super::first_words;

    #[test]
    fn of_a_faulty_head_only_a_method_and_a_path_are_told() {
        for (head, told) in [
            (&b"GET /orders?token=secret HTTP/1.1\nHost: a"[..], ("GET", "/orders")),
            (b"GET /a#b\r\n\r\n", ("GET", "/a")),
            (b"GET http://a.test/ HTTP/1.1", ("GET", "-")),
            (b"GET /\x1b[2J HTTP/1.1", ("GET", "-")),
            (b"Cookie: session=secret", ("-", "-")),
            (b"SECRET", ("-", "-")),
            (b"\xff\xff", ("-", "-")),
        ] {
            assert_eq!(first_words(head), told, "{}", head.escape_ascii());
        }
    }
}
