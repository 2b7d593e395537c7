//! What the rooms report while they work on a request: the handles are looked up once a process.

use super::family::Members;
use super::label::{ALGORITHM, CACHE_RESULT, CLAIM_RESULT, OPERATION, RELEASE_RESULT, REPLAY_MODE, STORE_ERROR};
use super::table::Families;
use super::{Metrics, NONE};
use crate::clock::UnixTime;
use crate::observe::{ClaimResult, FetchResult, Observer};
use prometheus::{HistogramVec, IntCounter, IntCounterVec};
use std::time::Duration;

/// The handles.
pub(super) struct Observed {
    verify: Members<HistogramVec>,
    verdict_cache: Members<IntCounterVec>,
    /// By mode.
    claims: Vec<(&'static str, Members<IntCounterVec>)>,
    releases: Members<IntCounterVec>,
    store: Members<HistogramVec>,
    store_errors: Members<IntCounterVec>,
}

impl Observed {
    pub(super) fn new(families: &Families) -> Self {
        let of_mode = |mode| (mode, Members::new(&families.replay_claims, &[mode], CLAIM_RESULT).present());
        Self {
            verify: Members::new(&families.verify_seconds, &[], ALGORITHM),
            verdict_cache: Members::new(&families.verdict_cache, &[], CACHE_RESULT).present(),
            claims: REPLAY_MODE.list().unwrap_or_default().into_iter().map(of_mode).collect(),
            releases: Members::new(&families.claim_releases, &[], RELEASE_RESULT).present(),
            store: Members::new(&families.store_seconds, &[], OPERATION),
            store_errors: Members::new(&families.store_errors, &[], STORE_ERROR).present(),
        }
    }
}

impl Observer for Metrics {
    fn verified(&self, algorithm: &'static str, took: Duration) {
        self.observed.verify.with(algorithm, |seconds| seconds.observe(took.as_secs_f64()));
    }

    fn claimed(&self, mode: &'static str, result: ClaimResult) {
        match self.observed.claims.iter().find(|(known, _)| *known == mode) {
            Some((_, results)) => results.with(result.label(), IntCounter::inc),
            None => self.families.replay_claims.with_label_values(&[mode, result.label()]).inc(),
        }
    }

    fn verdict_cache(&self, result: &'static str) {
        self.observed.verdict_cache.with(result, IntCounter::inc);
    }

    fn rate_limited(&self, route: &str, kind: &'static str) {
        self.families.rate_limited.with_label_values(&[route, kind]).inc();
    }

    fn store_answered(&self, operation: &'static str, took: Duration) {
        self.observed.store.with(operation, |seconds| seconds.observe(took.as_secs_f64()));
    }

    fn store_failed(&self, kind: &'static str) {
        self.observed.store_errors.with(kind, IntCounter::inc);
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
        self.observed.releases.with(result, IntCounter::inc);
    }

    fn issuer_fetch(&self, issuer: &str, result: FetchResult) {
        self.families.issuer_fetches.with_label_values(&[issuer, result.label()]).inc();
    }

    fn local_claim_conflict(&self) {
        self.families.local_conflicts.with_label_values(&NONE).inc();
    }
}
