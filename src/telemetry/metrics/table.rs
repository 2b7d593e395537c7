//! The one table of metrics: names, labels, meanings. The registry, `metrics --list` and the manual are made from it.

use super::family::{DECISION_BUCKETS, Family, REQUEST_BUCKETS};
use super::label::{
    ALGORITHM, AUDIT_RESULT, CACHE_RESULT, CERTIFICATE, CLAIM_RESULT, CODE, CUT, ENDPOINT, FETCH_RESULT,
    HANDSHAKE_RESULT, ISSUER, LIMIT, LISTENER, Label, OPERATION, OUTCOME, REASON, RELEASE_RESULT, REPLAY_MODE, ROUTE,
    SPAN_RESULT, STORE_ERROR, TLS_VERSION, UPSTREAM, UPSTREAM_ERROR, VERSION,
};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Registry};

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
    /// The kind's name in Prometheus' text format.
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
    pub labels: &'static [Label],
    /// What it counts.
    pub meaning: &'static str,
}

macro_rules! table {
    ($( $field:ident $family:ident($($made:tt)*) $name:literal [$($label:literal $values:ident),*] $meaning:literal; )+) => {
        /// Every metric of the gateway, besides the usual `process_*`.
        pub const METRICS: &[MetricInfo] = &[$( MetricInfo {
            name: concat!("tollgate_", $name),
            kind: $family::KIND,
            labels: &[$(Label { name: $label, values: $values }),*],
            meaning: $meaning,
        }, )+];

        /// The families of the table, registered.
        #[derive(Clone)]
        pub(super) struct Families { $( pub(super) $field: $family, )+ }

        impl Families {
            pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $( $field: {
                    let family = $family::made(concat!("tollgate_", $name), $meaning, &[$($label),*], $($made)*)?;
                    registry.register(Box::new(family.clone()))?;
                    family
                }, )+ })
            }
        }
    };
}

table! {
    requests IntCounterVec(&[]) "requests_total" ["route" ROUTE, "outcome" OUTCOME] "Requests answered.";
    denials IntCounterVec(&[]) "denials_total" ["reason" REASON, "issuer" ISSUER, "route" ROUTE] "Requests refused, by reason.";
    would_denials IntCounterVec(&[]) "would_deny_total" ["reason" REASON, "issuer" ISSUER, "route" ROUTE] "Requests that report mode let through and that would have been refused, by reason.";
    request_seconds HistogramVec(REQUEST_BUCKETS) "request_seconds" ["route" ROUTE, "code" CODE] "From the request's header to the end of its answer.";
    decision_seconds HistogramVec(DECISION_BUCKETS) "decision_seconds" ["route" ROUTE] "From the request's header to the decision.";
    upstream_seconds HistogramVec(REQUEST_BUCKETS) "upstream_seconds" ["upstream" UPSTREAM] "From the decision to the header of the upstream's answer.";
    upstream_errors IntCounterVec(&[]) "upstream_errors_total" ["upstream" UPSTREAM, "kind" UPSTREAM_ERROR] "Attempts that failed.";
    upstream_healthy IntGaugeVec(&[]) "upstream_healthy" ["upstream" UPSTREAM, "endpoint" ENDPOINT] "1 while requests are sent to the endpoint.";
    verify_seconds HistogramVec(DECISION_BUCKETS) "verify_seconds" ["algorithm" ALGORITHM] "One cryptographic opening of a token or a proof.";
    verdict_cache IntCounterVec(&[]) "verdict_cache_total" ["result" CACHE_RESULT] "Questions to the verdict cache; one-time tokens go past it.";
    crypto_queue IntGaugeVec(&[]) "crypto_queue_depth" [] "Tokens and proofs whose cryptography takes long, and that wait for a thread to do it.";
    replay_claims IntCounterVec(&[]) "replay_claims_total" ["mode" REPLAY_MODE, "result" CLAIM_RESULT] "One-time claims.";
    claim_releases IntCounterVec(&[]) "claim_releases_total" ["result" RELEASE_RESULT] "Claims to be given back, since no byte reached an upstream.";
    local_conflicts IntCounterVec(&[]) "local_claim_conflicts_total" [] "Claims made without the store that another replica had made too.";
    rate_limited IntCounterVec(&[]) "rate_limited_total" ["route" ROUTE, "kind" LIMIT] "Requests refused by a limit, by whose requests it counts.";
    store_seconds HistogramVec(DECISION_BUCKETS) "store_seconds" ["operation" OPERATION] "One answer of the store.";
    store_errors IntCounterVec(&[]) "store_errors_total" ["kind" STORE_ERROR] "Times the store could not answer, or not be relied on.";
    store_degraded IntGaugeVec(&[]) "store_degraded" [] "1 while the store does not answer, or can't be relied on.";
    store_epoch GaugeVec(&[]) "store_epoch_timestamp_seconds" [] "Since when the store has not forgotten.";
    store_clock_offset GaugeVec(&[]) "store_clock_offset_seconds" [] "How far our clock is ahead of the store's.";
    store_evicted IntCounterVec(&[]) "store_evicted_keys_total" [] "Keys the store has evicted: each may have been a claim.";
    revocations IntGaugeVec(&[]) "revocations" [] "Revocations that hold.";
    revocation_age GaugeVec(&[]) "revocation_age_seconds" [] "Since when the list of revocations may be out of date; +Inf before its first reading.";
    issuer_keys IntGaugeVec(&[]) "issuer_keys" ["issuer" ISSUER] "Keys of the issuer that may be believed.";
    issuer_age GaugeVec(&[]) "issuer_keys_age_seconds" ["issuer" ISSUER] "How long ago the keys of the issuer were fetched.";
    issuer_fetches IntCounterVec(&[]) "issuer_fetch_total" ["issuer" ISSUER, "result" FETCH_RESULT] "Fetches of keys.";
    audit_records IntCounterVec(&[]) "audit_records_total" ["result" AUDIT_RESULT] "Records of the audit log.";
    audit_head IntGaugeVec(&[]) "audit_head" [] "The number of the last record of the audit log that is on the disk, exported every minute.";
    log_lines_lost IntCounterVec(&[]) "log_lines_lost_total" [] "Lines of the log that were not written: it is not read fast enough, or its disk is full.";
    trace_spans IntCounterVec(&[]) "trace_spans_total" ["result" SPAN_RESULT] "Spans of traces, by what became of them.";
    tunnels IntGaugeVec(&[]) "tunnels" ["route" ROUTE] "Open WebSockets, event streams and gRPC calls.";
    tls_handshakes IntCounterVec(&[]) "tls_handshakes_total" ["version" TLS_VERSION, "result" HANDSHAKE_RESULT] "TLS handshakes.";
    certificate_expiry IntGaugeVec(&[]) "certificate_expiry_timestamp_seconds" ["name" CERTIFICATE] "When the certificate for the name expires.";
    connections IntGaugeVec(&[]) "connections" ["listener" LISTENER] "Open connections.";
    connections_cut IntCounterVec(&[]) "connections_cut_total" ["why" CUT] "Connections that were ended, and of which no request tells: a head took too long, or a plain connection found no place.";
    http2_unheard IntCounterVec(&[]) "http2_unheard_requests_total" [] "Requests over HTTP/2 that were malformed, too many or taken back, and were answered or reset before the gateway saw them; counted when their connection ends.";
    config_generation IntGaugeVec(&[]) "config_generation" [] "The generation of the configuration.";
    config_reload IntGaugeVec(&[]) "config_last_reload_success" [] "1 when the last load of the configuration succeeded.";
    build_info IntGaugeVec(&[]) "build_info" ["version" VERSION] "Always 1.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_names_each_metric_once_and_says_what_it_means() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(METRICS.iter().all(|metric| metric.meaning.ends_with('.')));
    }

    #[test]
    fn counters_and_only_they_end_in_total() {
        for metric in METRICS {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == MetricKind::Counter, "{}", metric.name);
        }
    }
}
