//! What is counted and logged of a request.

use super::context::Context;
use super::door::MAX_LINE;
use super::tunnel::Tunnel;
use super::{Gateway, Judged, Shared, failure};
use crate::decision::{Denial, Reason};
use crate::request::RequestId;
use crate::telemetry::{AccessLine, Metrics, Outcome};
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
pub(super) fn faulty_head(
    shared: &Shared,
    request_id: &RequestId,
    client: IpAddr,
    head: &[u8],
    reason: Reason,
    took: Duration,
) {
    let (outcome, status) = (Outcome::refused(reason), reason.status());
    shared.generation.load().meter(None).count(outcome);
    shared.metrics.denied(reason.label(), "none", "none");
    shared.metrics.answered("none", &status.to_string(), took);
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.get(..MAX_LINE).unwrap_or(line));
    let mut words = line.split(' ');
    AccessLine {
        time: shared.clock.now(),
        request_id: request_id.as_str(),
        client,
        method: words.next().filter(|word| word.len() <= 16).unwrap_or("-"),
        path: words.next().unwrap_or("-"),
        route: "none",
        issuer: "none",
        status,
        outcome,
        reason: Some(reason.label()),
        upstream: None,
        duration: took,
    }
    .write();
}

impl Gateway {
    /// Counts a failed attempt, where the upstream is at fault.
    pub(super) fn record_upstream_failure(&self, context: &Context, error: &Error) {
        if let (Some(upstream), Some(kind)) = (upstream_name(context), failure::upstream_kind(error)) {
            self.shared.metrics.upstream_failed(upstream, kind);
        }
    }

    /// Notes how long the upstream took to begin its answer.
    pub(super) fn record_upstream_answer(&self, context: &Context) {
        if let (Some(upstream), Some(attempt)) = (upstream_name(context), &context.attempt) {
            self.shared.metrics.upstream_answered(upstream, attempt.watch.elapsed());
        }
    }

    /// Counts and logs the request as a whole.
    pub(super) fn record_end(&self, session: &ServerSession, context: &mut Context) {
        let request = session.req_header();
        let status = session.response_written().map(|response| response.status);
        finish(context, &self.shared.metrics, (request.method.as_str(), request.uri.path()), status);
        if let Some(tunnel) = &mut context.tunnel {
            tunnel.recorded = true;
        }
    }
}

/// Counts and logs a request that its guard has ended.
pub(super) fn cut(context: &Context, tunnel: &Tunnel, metrics: &Metrics) {
    let status = StatusCode::from_u16(tunnel.status).ok();
    finish(context, metrics, (&tunnel.method, &tunnel.path), status);
}

fn finish(context: &Context, metrics: &Metrics, (method, path): (&str, &str), status: Option<StatusCode>) {
    let (route, issuer, outcome, reason) = context.record();
    let snapshot = &context.generation.snapshot;
    let (route_name, issuer_name) = (snapshot.route_name(route), snapshot.issuer_name(issuer));
    let took = context.watch.elapsed();
    context.generation.meter(route).count(outcome);
    if let Some(reason) = reason {
        metrics.denied(reason.label(), issuer_name, route_name);
    }
    metrics.answered(route_name, status.as_ref().map_or("none", StatusCode::as_str), took);
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

fn upstream_name(context: &Context) -> Option<&str> {
    let attempt = context.attempt.as_ref()?;
    context.generation.upstreams.name(attempt.endpoint.upstream).map(|name| &**name)
}
