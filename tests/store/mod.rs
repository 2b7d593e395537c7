//! What the scenes of the store share: stores on a server of our own, nonces, and an observer that remembers.

#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

pub mod relay;
pub mod servers;

use crate::common::Redis;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tollgate::clock::{Clock, Stopwatch, SystemClock, UnixTime};
use tollgate::observe::{ClaimResult, Observer};
use tollgate::store::{ClaimAnswer, IfUnknown, Nonce, NonceKey, Receipt, RedisSettings, RedisStore, Servers, Store};

/// Generous, because it only costs when a test fails.
const DEADLINE: Duration = Duration::from_secs(30);
/// Two busy cores must not look like a slow store.
pub const TIMEOUT: Duration = Duration::from_secs(2);

pub fn now() -> UnixTime {
    SystemClock.now()
}

/// Settings for the one server at `url`.
pub fn settings(url: &str) -> RedisSettings {
    let mut settings = RedisSettings::new(Servers::Single(url.parse().unwrap()));
    settings.timeout = TIMEOUT;
    settings
}

/// A store that nobody watches.
pub fn store(settings: RedisSettings) -> RedisStore {
    observed(settings).0
}

/// A store and what it reports.
pub fn observed(settings: RedisSettings) -> (RedisStore, Arc<Reports>) {
    let reports = Arc::new(Reports::default());
    let observer: Arc<dyn Observer> = Arc::clone(&reports) as Arc<dyn Observer>;
    (RedisStore::new(settings, Arc::new(SystemClock), observer).unwrap(), reports)
}

/// A one-time nonce for five minutes.
pub fn nonce(id: &str) -> Nonce {
    counted(id, 1)
}

/// A nonce of so many uses for five minutes.
pub fn counted(id: &str, uses: u32) -> Nonce {
    Nonce { key: NonceKey::new("jti", "issuer", id), uses, keep_until: now().plus(Duration::from_secs(300)) }
}

/// Claims one nonce whose request is refused if the store can't tell.
pub async fn claim(store: &RedisStore, id: &str) -> ClaimAnswer {
    store.claim(&[nonce(id)], now(), IfUnknown::GiveBack).await
}

pub fn receipt(answer: ClaimAnswer) -> Receipt {
    match answer {
        ClaimAnswer::Fresh { receipt, .. } => receipt,
        other => panic!("not fresh: {other:?}"),
    }
}

pub fn is_fresh(answer: &ClaimAnswer) -> bool {
    matches!(answer, ClaimAnswer::Fresh { .. })
}

pub fn is_replayed(answer: &ClaimAnswer) -> bool {
    matches!(answer, ClaimAnswer::Replayed { .. })
}

pub fn is_unknown(answer: &ClaimAnswer) -> bool {
    matches!(answer, ClaimAnswer::Unknown(_))
}

/// The epoch beside an answer.
pub fn epoch(answer: &ClaimAnswer) -> UnixTime {
    match answer {
        ClaimAnswer::Fresh { epoch, .. } | ClaimAnswer::Replayed { epoch, .. } => *epoch,
        ClaimAnswer::Unknown(error) => panic!("unknown: {error}"),
    }
}

/// Asks `probe` until it answers true; panics with `what` when it does not in time.
pub async fn until<F: Future<Output = bool>>(what: &str, mut probe: impl FnMut() -> F) {
    let watch = Stopwatch::start();
    while !probe().await {
        assert!(watch.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `store` answers, by claiming nonces that nobody else uses; the first that was fresh is returned.
pub async fn until_it_answers(store: &RedisStore) -> ClaimAnswer {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let answer = Mutex::new(None);
    until("the store answers", || async {
        let id = format!("probe {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let claimed = claim(store, &id).await;
        let known = is_fresh(&claimed);
        *answer.lock().unwrap() = Some(claimed);
        known
    })
    .await;
    answer.into_inner().unwrap().unwrap()
}

/// How often the server was told to SET something: a claim that was sent counts, also one that found its key.
pub fn sets(redis: &Redis) -> u64 {
    let stats: String = redis.command(&["INFO", "commandstats"]);
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_set:calls="));
    calls.and_then(|calls| calls.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

/// Everything a store has reported.
#[derive(Default)]
pub struct Reports {
    pub released: Mutex<Vec<&'static str>>,
    pub failed: Mutex<Vec<&'static str>>,
    pub epochs: Mutex<Vec<UnixTime>>,
    pub degraded: Mutex<Vec<bool>>,
    pub evicted: AtomicU64,
    pub conflicts: AtomicU64,
}

impl Observer for Reports {
    fn verified(&self, _: &'static str, _: Duration) {}
    fn claimed(&self, _: &'static str, _: ClaimResult) {}
    fn verdict_cache(&self, _: &'static str) {}
    fn store_failed(&self, kind: &'static str) {
        self.failed.lock().unwrap().push(kind);
    }
    fn store_degraded(&self, degraded: bool) {
        self.degraded.lock().unwrap().push(degraded);
    }
    fn store_epoch(&self, epoch: UnixTime) {
        self.epochs.lock().unwrap().push(epoch);
    }
    fn store_evicted_keys(&self, total: u64) {
        self.evicted.store(total, Ordering::Relaxed);
    }
    fn claim_released(&self, result: &'static str) {
        self.released.lock().unwrap().push(result);
    }
    fn local_claim_conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }
}
