//! What is counted and logged of a request.

use super::context::{Attempt, Context};
use super::tunnel::Tunnel;
use super::{Gateway, failure};
use crate::decision::{Denial, Permit};
use crate::telemetry::{AccessLine, Metrics, Outcome, UpstreamMeter};
use http::StatusCode;
use pingora::Error;
use pingora::protocols::http::ServerSession;
use std::net::{IpAddr, Ipv4Addr};

/// Notes how long the decision took.
pub(super) fn decision(context: &Context, judged: &Result<Permit, Denial>) {
    let route = match judged {
        Ok(permit) => Some(permit.route()),
        Err(denial) => denial.route,
    };
    context.generation.meter(route).decided(context.watch.elapsed());
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
