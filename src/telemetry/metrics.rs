//! The metrics: counted under the names of one table, scraped in Prometheus' text format.
//!
//! Label sets are closed: a route, an issuer, a reason, a status; never a subject, a token or a path. What every request
//! counts is looked up once, when its route, its upstream or the process comes into being.

mod family;
mod label;
mod meter;
mod observed;
mod page;
mod table;

pub use label::{Label, UPSTREAM_ERRORS, Values};
pub use meter::{RouteMeter, UpstreamMeter};
pub use page::{json, markdown, text};
pub use table::{METRICS, MetricInfo, MetricKind};

use label::{AUDIT_RESULT, SPAN_RESULT};
use observed::Observed;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};
use std::time::Duration;
use table::Families;

/// The label values of a metric without labels.
const NONE: [&str; 0] = [];

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    families: Families,
    observed: Observed,
}

impl Metrics {
    /// Registers every metric of the table.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let families = Families::register(&registry)?;
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for counter in [&families.local_conflicts, &families.store_evicted, &families.log_lines_lost] {
            counter.with_label_values(&NONE);
        }
        for result in AUDIT_RESULT.list().unwrap_or_default() {
            families.audit_records.with_label_values(&[result]);
        }
        for result in SPAN_RESULT.list().unwrap_or_default() {
            families.trace_spans.with_label_values(&[result]);
        }
        let observed = Observed::new(&families);
        Ok(Self { registry, families, observed })
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory fails only for a metric without a name; the table has none.
        if TextEncoder::new().encode(&self.registry.gather(), &mut text).is_err() {
            text.clear();
        }
        text
    }

    /// The handles of the route called `route`.
    #[must_use]
    pub fn route(&self, route: &str) -> RouteMeter {
        RouteMeter::new(&self.families, route)
    }

    /// The handles of the upstream called `upstream`.
    #[must_use]
    pub fn upstream(&self, upstream: &str) -> UpstreamMeter {
        UpstreamMeter::new(&self.families, upstream)
    }

    /// Counts one refusal.
    pub fn denied(&self, reason: &str, issuer: &str, route: &str) {
        self.families.denials.with_label_values(&[reason, issuer, route]).inc();
    }

    /// Counts one request that report mode let through.
    pub fn would_deny(&self, reason: &str, issuer: &str, route: &str) {
        self.families.would_denials.with_label_values(&[reason, issuer, route]).inc();
    }

    /// Notes the endpoints there are, as (upstream, endpoint, whether it is well); all others are forgotten.
    pub fn endpoints<'n>(&self, endpoints: impl Iterator<Item = (&'n str, String, bool)>) {
        self.families.upstream_healthy.reset();
        for (upstream, endpoint, well) in endpoints {
            self.families.upstream_healthy.with_label_values(&[upstream, &endpoint]).set(i64::from(well));
        }
    }

    /// Counts one TLS handshake.
    pub fn handshake(&self, version: &str, result: &str) {
        self.families.tls_handshakes.with_label_values(&[version, result]).inc();
    }

    /// The connections that were cut without a request to tell of it, by `why`.
    #[must_use]
    pub fn cut(&self, why: &str) -> IntCounter {
        self.families.connections_cut.with_label_values(&[why])
    }

    /// The requests over HTTP/2 that the engine kept for itself.
    #[must_use]
    pub fn unheard(&self) -> IntCounter {
        self.families.http2_unheard.with_label_values::<&str>(&[])
    }

    /// The number of open connections of `listener`.
    #[must_use]
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.families.connections.with_label_values(&[listener])
    }

    /// Notes when the certificate for `name` expires, in seconds since the Unix epoch.
    pub fn certificate(&self, name: &str, expires_at: i64) {
        self.families.certificate_expiry.with_label_values(&[name]).set(expires_at);
    }

    /// Notes the configuration that came into force.
    pub fn generation(&self, generation: u64) {
        self.families.config_generation.with_label_values(&NONE).set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.families.config_reload.with_label_values(&NONE).set(1);
    }

    /// Notes that a configuration was refused.
    pub fn reload_refused(&self) {
        self.families.config_reload.with_label_values(&NONE).set(0);
    }

    /// Forgets what is measured of issuers and certificates: a reload may have taken some of them away.
    pub fn forget_measured(&self) {
        self.families.issuer_keys.reset();
        self.families.issuer_age.reset();
        self.families.certificate_expiry.reset();
    }

    /// Notes how much cryptography waits to be done.
    pub fn crypto_queue(&self, waiting: usize) {
        self.families.crypto_queue.with_label_values(&NONE).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Notes how many revocations hold, and how old the list is; `None`: it was never read.
    pub fn revocations(&self, count: usize, age: Option<Duration>) {
        self.families.revocations.with_label_values(&NONE).set(i64::try_from(count).unwrap_or(i64::MAX));
        let age = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        self.families.revocation_age.with_label_values(&NONE).set(age);
    }

    /// Counts records of the audit log that are in the file.
    pub fn audit_written(&self, records: u64) {
        self.families.audit_records.with_label_values(&["written"]).inc_by(records);
    }

    /// Counts records that found no place in the queue.
    pub fn audit_dropped(&self, records: u64) {
        self.families.audit_records.with_label_values(&["dropped"]).inc_by(records);
    }

    /// Counts records that could not be written.
    pub fn audit_failed(&self, records: u64) {
        self.families.audit_records.with_label_values(&["failed"]).inc_by(records);
    }

    /// Counts `spans` spans of traces, by what became of them: `exported`, `dropped`, `failed`, `rejected`.
    pub fn spans(&self, result: &'static str, spans: usize) {
        self.families.trace_spans.with_label_values(&[result]).inc_by(spans as u64);
    }

    /// Notes how many lines of the log were lost in all.
    pub fn log_lines_lost(&self, total: u64) {
        let counter = self.families.log_lines_lost.with_label_values(&NONE);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// Notes how far the audit log is on the disk.
    pub fn audit_head(&self, number: u64) {
        self.families.audit_head.with_label_values(&NONE).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Notes how many keys `issuer` has.
    pub fn issuer(&self, issuer: &str, keys: usize) {
        self.families.issuer_keys.with_label_values(&[issuer]).set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Notes how long ago the keys of `issuer` were fetched.
    pub fn issuer_age(&self, issuer: &str, age: Duration) {
        self.families.issuer_age.with_label_values(&[issuer]).set(age.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{ClaimResult, Observer as _};
    use crate::telemetry::Outcome;
    use http::StatusCode;

    #[test]
    fn what_is_counted_is_scraped_under_its_name() {
        let metrics = Metrics::new().unwrap();
        metrics.route("orders").count(Outcome::Denied);
        metrics.denied("expired", "corp", "orders");
        metrics.claimed("once", ClaimResult::Fresh);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"tollgate_requests_total{outcome="denied",route="orders"} 1"#), "{text}");
        assert!(text.contains(r#"tollgate_denials_total{issuer="corp",reason="expired",route="orders"} 1"#));
        assert!(text.contains(r#"tollgate_replay_claims_total{mode="once",result="fresh"} 1"#));
        assert!(text.contains("tollgate_build_info"));
    }

    #[test]
    fn usual_and_unusual_statuses_are_counted_alike() {
        let metrics = Metrics::new().unwrap();
        let meter = metrics.route("orders");
        for status in [200, 418, 777] {
            meter.answered(StatusCode::from_u16(status).ok(), Duration::ZERO);
            meter.answered(StatusCode::from_u16(status).ok(), Duration::ZERO);
        }
        meter.answered(None, Duration::ZERO);
        let text = String::from_utf8(metrics.render()).unwrap();
        for (code, count) in [("200", 2), ("418", 2), ("other", 2), ("none", 1)] {
            let line = format!(r#"tollgate_request_seconds_count{{code="{code}",route="orders"}} {count}"#);
            assert!(text.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_counter_is_there_before_its_first_step() {
        let text = String::from_utf8(Metrics::new().unwrap().render()).unwrap();
        assert!(text.contains(r#"tollgate_replay_claims_total{mode="once",result="replayed"} 0"#), "{text}");
        assert!(text.contains(r#"tollgate_store_errors_total{kind="timeout"} 0"#));
    }
}
