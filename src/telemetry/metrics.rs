//! The metrics: one table of names, labels and meanings, from which the registry and `metrics --list` are made.
//!
//! Label sets are closed: a route, an issuer, a reason, a status; never a subject, a token or a path.

use super::Outcome;
use crate::clock::UnixTime;
use crate::observe::{ClaimResult, FetchResult, Observer};
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::time::Duration;

/// The label values of a metric without labels.
const NONE: [&str; 0] = [];
/// Seconds for whole requests: from a quick answer to one that times out.
const REQUEST_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds for work inside the process: from a cached verdict to an RSA operation and a slow store.
const DECISION_BUCKETS: &[f64] =
    &[0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.05, 0.25];

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It sorts durations into buckets.
    Histogram,
}

impl MetricKind {
    /// The kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct MetricInfo {
    /// The name, as scraped.
    pub name: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The labels, in order.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub meaning: &'static str,
}

macro_rules! table {
    ($( $field:ident $family:ident($($made:tt)*) $name:literal [$($label:literal),*] $meaning:literal; )+) => {
        /// Every metric of the gateway, besides the usual `process_*`.
        pub const METRICS: &[MetricInfo] = &[$( MetricInfo {
            name: concat!("tollgate_", $name),
            kind: $family::KIND,
            labels: &[$($label),*],
            meaning: $meaning,
        }, )+];

        #[derive(Clone)]
        struct Families { $( $field: $family, )+ }

        impl Families {
            fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $( $field: {
                    let family = $family::made(concat!("tollgate_", $name), $meaning, &[$($label),*], $($made)*)?;
                    registry.register(Box::new(family.clone()))?;
                    family
                }, )+ })
            }
        }
    };
}

/// A family of metrics that the table can make.
trait Family: Sized {
    const KIND: MetricKind;
    fn made(name: &str, meaning: &str, labels: &[&str], buckets: &[f64]) -> Result<Self, prometheus::Error>;
}

impl Family for IntCounterVec {
    const KIND: MetricKind = MetricKind::Counter;
    fn made(name: &str, meaning: &str, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, meaning), labels)
    }
}

impl Family for IntGaugeVec {
    const KIND: MetricKind = MetricKind::Gauge;
    fn made(name: &str, meaning: &str, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, meaning), labels)
    }
}

impl Family for GaugeVec {
    const KIND: MetricKind = MetricKind::Gauge;
    fn made(name: &str, meaning: &str, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, meaning), labels)
    }
}

impl Family for HistogramVec {
    const KIND: MetricKind = MetricKind::Histogram;
    fn made(name: &str, meaning: &str, labels: &[&str], buckets: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(HistogramOpts::new(name, meaning).buckets(buckets.to_vec()), labels)
    }
}

table! {
    requests IntCounterVec(&[]) "requests_total" ["route", "outcome"] "Requests answered.";
    denials IntCounterVec(&[]) "denials_total" ["reason", "issuer", "route"] "Requests refused, by reason.";
    request_seconds HistogramVec(REQUEST_BUCKETS) "request_seconds" ["route", "code"] "From the request's header to the end of its answer.";
    decision_seconds HistogramVec(DECISION_BUCKETS) "decision_seconds" ["route"] "From the request's header to the decision.";
    upstream_seconds HistogramVec(REQUEST_BUCKETS) "upstream_seconds" ["upstream"] "From the decision to the header of the upstream's answer.";
    upstream_errors IntCounterVec(&[]) "upstream_errors_total" ["upstream", "kind"] "Attempts that failed: unreachable, failed or timeout.";
    upstream_healthy IntGaugeVec(&[]) "upstream_healthy" ["upstream", "endpoint"] "1 while requests are sent to the endpoint.";
    verify_seconds HistogramVec(DECISION_BUCKETS) "verify_seconds" ["algorithm"] "One cryptographic opening of a token.";
    verdict_cache IntCounterVec(&[]) "verdict_cache_total" ["result"] "Questions to the verdict cache: hit, miss or bypass.";
    replay_claims IntCounterVec(&[]) "replay_claims_total" ["mode", "result"] "One-time claims: fresh, replayed, unknown or local.";
    claim_releases IntCounterVec(&[]) "claim_releases_total" ["result"] "Claims to be given back, since no byte reached an upstream: released, kept, lost or refused.";
    local_conflicts IntCounterVec(&[]) "local_claim_conflicts_total" [] "Claims made without the store that another replica had made too.";
    rate_limited IntCounterVec(&[]) "rate_limited_total" ["route", "kind"] "Requests refused by a limit: client, subject, token, route or lockout.";
    store_seconds HistogramVec(DECISION_BUCKETS) "store_seconds" ["operation"] "One answer of the store: claim, release, peek, probe, count, connect, revoke or revocations.";
    store_errors IntCounterVec(&[]) "store_errors_total" ["kind"] "Times the store could not answer: timeout, connection, full or refused.";
    store_degraded IntGaugeVec(&[]) "store_degraded" [] "1 while the store does not answer, or can't be relied on.";
    store_epoch GaugeVec(&[]) "store_epoch_timestamp_seconds" [] "Since when the store has not forgotten.";
    store_clock_offset GaugeVec(&[]) "store_clock_offset_seconds" [] "How far our clock is ahead of the store's.";
    store_evicted IntCounterVec(&[]) "store_evicted_keys_total" [] "Keys the store has evicted: each may have been a claim.";
    revocations IntGaugeVec(&[]) "revocations" [] "Revocations that hold.";
    revocation_age GaugeVec(&[]) "revocation_age_seconds" [] "Since when the list of revocations may be out of date; +Inf before its first reading.";
    issuer_keys IntGaugeVec(&[]) "issuer_keys" ["issuer"] "Keys of the issuer that may be believed.";
    issuer_age GaugeVec(&[]) "issuer_keys_age_seconds" ["issuer"] "How long ago the keys of the issuer were fetched.";
    issuer_fetches IntCounterVec(&[]) "issuer_fetch_total" ["issuer", "result"] "Fetches of keys: changed, unchanged, forbidden, unreachable, timed_out, bad_status, too_large or invalid.";
    tunnels IntGaugeVec(&[]) "tunnels" ["route"] "Open WebSockets, event streams and gRPC calls.";
    tls_handshakes IntCounterVec(&[]) "tls_handshakes_total" ["version", "result"] "TLS handshakes: done, unknown_name, failed, or refused before they began.";
    certificate_expiry IntGaugeVec(&[]) "certificate_expiry_timestamp_seconds" ["name"] "When the certificate for the name expires.";
    connections IntGaugeVec(&[]) "connections" ["listener"] "Open connections.";
    config_generation IntGaugeVec(&[]) "config_generation" [] "The generation of the configuration.";
    config_reload IntGaugeVec(&[]) "config_last_reload_success" [] "1 when the last load of the configuration succeeded.";
    build_info IntGaugeVec(&[]) "build_info" ["version"] "Always 1.";
}

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    families: Families,
}

impl Metrics {
    /// Registers every metric of the table.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let families = Families::register(&registry)?;
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self { registry, families })
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

    /// The handles of the route called `route`, looked up once for all its requests.
    #[must_use]
    pub fn route(&self, route: &str) -> RouteMeter {
        RouteMeter {
            outcomes: Outcome::ALL.map(|outcome| self.families.requests.with_label_values(&[route, outcome.label()])),
            decision: self.families.decision_seconds.with_label_values(&[route]),
            tunnels: self.families.tunnels.with_label_values(&[route]),
        }
    }

    /// Counts one refusal.
    pub fn denied(&self, reason: &str, issuer: &str, route: &str) {
        self.families.denials.with_label_values(&[reason, issuer, route]).inc();
    }

    /// Counts the end of one request.
    pub fn answered(&self, route: &str, code: &str, took: Duration) {
        self.families.request_seconds.with_label_values(&[route, code]).observe(took.as_secs_f64());
    }

    /// Notes how long an upstream took to begin its answer.
    pub fn upstream_answered(&self, upstream: &str, took: Duration) {
        self.families.upstream_seconds.with_label_values(&[upstream]).observe(took.as_secs_f64());
    }

    /// Counts one failed attempt: `unreachable`, `failed` or `timeout`.
    pub fn upstream_failed(&self, upstream: &str, kind: &str) {
        self.families.upstream_errors.with_label_values(&[upstream, kind]).inc();
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

    /// Notes how many revocations hold, and how old the list is; `None`: it was never read.
    pub fn revocations(&self, count: usize, age: Option<Duration>) {
        self.families.revocations.with_label_values(&NONE).set(i64::try_from(count).unwrap_or(i64::MAX));
        let age = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        self.families.revocation_age.with_label_values(&NONE).set(age);
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

/// The handles of one route.
#[derive(Clone, Debug)]
pub struct RouteMeter {
    outcomes: [IntCounter; Outcome::ALL.len()],
    decision: prometheus::Histogram,
    tunnels: IntGauge,
}

impl RouteMeter {
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
}

impl Observer for Metrics {
    fn verified(&self, algorithm: &'static str, took: Duration) {
        self.families.verify_seconds.with_label_values(&[algorithm]).observe(took.as_secs_f64());
    }

    fn claimed(&self, mode: &'static str, result: ClaimResult) {
        self.families.replay_claims.with_label_values(&[mode, result.label()]).inc();
    }

    fn verdict_cache(&self, result: &'static str) {
        self.families.verdict_cache.with_label_values(&[result]).inc();
    }

    fn rate_limited(&self, route: &str, kind: &'static str) {
        self.families.rate_limited.with_label_values(&[route, kind]).inc();
    }

    fn store_answered(&self, operation: &'static str, took: Duration) {
        self.families.store_seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
    }

    fn store_failed(&self, kind: &'static str) {
        self.families.store_errors.with_label_values(&[kind]).inc();
    }

    fn store_degraded(&self, degraded: bool) {
        self.families.store_degraded.with_label_values(&NONE).set(i64::from(degraded));
    }

    fn store_epoch(&self, epoch: UnixTime) {
        let seconds = epoch.since(UnixTime::default()).as_secs_f64();
        self.families.store_epoch.with_label_values(&NONE).set(seconds);
    }

    fn store_clock_offset(&self, millis: i64) {
        let offset = Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
        let signed = if millis < 0 { -offset } else { offset };
        self.families.store_clock_offset.with_label_values(&NONE).set(signed);
    }

    /// The store tells a total of its own, which begins anew when it does; ours only grows.
    fn store_evicted_keys(&self, total: u64) {
        let counter = self.families.store_evicted.with_label_values(&NONE);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    fn claim_released(&self, result: &'static str) {
        self.families.claim_releases.with_label_values(&[result]).inc();
    }

    fn issuer_fetch(&self, issuer: &str, result: FetchResult) {
        self.families.issuer_fetches.with_label_values(&[issuer, result.label()]).inc();
    }

    fn local_claim_conflict(&self) {
        self.families.local_conflicts.with_label_values(&NONE).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_table_names_each_metric_once_and_says_what_it_means() {
        let names: std::collections::HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(METRICS.iter().all(|metric| metric.meaning.ends_with('.')));
    }
}
