//! The handles of one route and of one upstream, looked up once for all their requests.

use super::family::Members;
use super::label::UPSTREAM_ERROR;
use super::table::Families;
use crate::telemetry::Outcome;
use http::StatusCode;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use std::sync::OnceLock;
use std::time::Duration;

/// Statuses whose member of `request_seconds` is kept at hand; others are looked up.
const USUAL: [u16; 24] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503,
    504,
];

/// The handles of one route.
pub struct RouteMeter {
    name: String,
    outcomes: [IntCounter; Outcome::ALL.len()],
    decision: Histogram,
    seconds: HistogramVec,
    usual: [OnceLock<Histogram>; USUAL.len()],
    tunnels: IntGauge,
}

impl RouteMeter {
    pub(super) fn new(families: &Families, route: &str) -> Self {
        Self {
            name: route.to_owned(),
            outcomes: Outcome::ALL.map(|outcome| families.requests.with_label_values(&[route, outcome.label()])),
            decision: families.decision_seconds.with_label_values(&[route]),
            seconds: families.request_seconds.clone(),
            usual: [const { OnceLock::new() }; USUAL.len()],
            tunnels: families.tunnels.with_label_values(&[route]),
        }
    }

    /// Counts one request.
    pub fn count(&self, outcome: Outcome) {
        self.outcomes[outcome.index()].inc();
    }

    /// The number of open tunnels.
    #[must_use]
    pub fn tunnels(&self) -> IntGauge {
        self.tunnels.clone()
    }

    /// Notes how long the decision took.
    pub fn decided(&self, took: Duration) {
        self.decision.observe(took.as_secs_f64());
    }

    /// Notes the end of one request; `None` where the client was gone before there was an answer.
    pub fn answered(&self, status: Option<StatusCode>, took: Duration) {
        let usual = status.and_then(|status| USUAL.binary_search(&status.as_u16()).ok());
        let find = || self.seconds.with_label_values(&[self.name.as_str(), code(status.as_ref())]);
        match usual.and_then(|at| self.usual.get(at)) {
            Some(member) => member.get_or_init(find).observe(took.as_secs_f64()),
            None => find().observe(took.as_secs_f64()),
        }
    }
}

/// The value of the label. An upstream may answer any number of three digits, which would be no closed list.
fn code(status: Option<&StatusCode>) -> &str {
    match status {
        Some(status) if status.as_u16() < 600 => status.as_str(),
        Some(_) => "other",
        None => "none",
    }
}

/// The handles of one upstream.
pub struct UpstreamMeter {
    seconds: Histogram,
    errors: Members<IntCounterVec>,
}

impl UpstreamMeter {
    pub(super) fn new(families: &Families, upstream: &str) -> Self {
        Self {
            seconds: families.upstream_seconds.with_label_values(&[upstream]),
            errors: Members::new(&families.upstream_errors, &[upstream], UPSTREAM_ERROR).present(),
        }
    }

    /// Notes how long the upstream took to begin its answer.
    pub fn answered(&self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts one failed attempt, by a kind of [`UPSTREAM_ERRORS`](super::UPSTREAM_ERRORS).
    pub fn failed(&self, kind: &str) {
        self.errors.with(kind, IntCounter::inc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_statuses_are_in_order_and_unusual_ones_share_a_name() {
        assert!(USUAL.is_sorted());
        assert_eq!(code(StatusCode::from_u16(200).ok().as_ref()), "200");
        assert_eq!(code(StatusCode::from_u16(599).ok().as_ref()), "599");
        assert_eq!(code(StatusCode::from_u16(999).ok().as_ref()), "other");
        assert_eq!(code(None), "none");
    }
}
