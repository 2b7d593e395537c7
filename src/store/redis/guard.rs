//! What makes a server doubtful although it answers: its policy of eviction, its clock, its missing replicas, its memory.
//!
//! Each change is told once, however often the connection is lost and made anew in between.

use super::dialer::Address;
use super::info::ServerInfo;
use crate::clock::UnixTime;
use crate::store::StoreError;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The farthest our clock and the store's may be apart, in milliseconds. A claim outlives its token by 60 s, which
/// covers twice this.
const MAX_CLOCK_OFFSET: i64 = 30_000;
/// Below this offset the clocks are told to be together again: a little less, so that none is told to come and go.
const GOOD_CLOCK_OFFSET: i64 = 25_000;
/// Above this share of its memory, in per cent, the store will soon refuse claims.
const MEMORY_WARNING: u64 = 80;
/// Below this share it is told to have room again.
const MEMORY_GOOD: u64 = 70;

/// What is known of one server's reliability. Requests read it without a lock.
#[derive(Debug, Default)]
pub(super) struct Guard {
    evicting: AtomicBool,
    alone: AtomicBool,
    clock_offset: AtomicI64,
    ahead: AtomicU64,
    apart: AtomicBool,
    crowded: AtomicBool,
}

/// One change, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Change {
    #[error("maxmemory-policy is not noeviction: live claims can be lost, so nothing is certain")]
    Evicting,
    #[error("maxmemory-policy is noeviction again")]
    NotEvicting,
    #[error("{attached} replicas, but {wanted} must hold a claim")]
    Alone { attached: u32, wanted: u32 },
    #[error("enough replicas again: {attached}")]
    Accompanied { attached: u32 },
    #[error("our clock and the store's are {offset} ms apart, so expiry is not certain")]
    Apart { offset: i64 },
    #[error("our clock and the store's are together again: {offset} ms apart")]
    Together { offset: i64 },
    #[error("{used} of {most} bytes in use; when they are all used, claims are refused")]
    Crowded { used: u64, most: u64 },
    #[error("room again: {used} of {most} bytes in use")]
    Roomy { used: u64, most: u64 },
}

impl Guard {
    /// Takes note of what a server says of itself: `offset` is how many milliseconds our clock is ahead of its, `wanted`
    /// how many replicas must hold a claim. Answers with what has changed.
    pub(super) fn judge(&self, facts: &ServerInfo, offset: i64, wanted: u32) -> Vec<Change> {
        self.clock_offset.store(offset, Ordering::Relaxed);
        let attached = facts.replicas;
        let (used, most) = facts.memory;
        let (distance, share) = (offset.saturating_abs(), used.saturating_mul(100).checked_div(most).unwrap_or(0));
        let was_apart = self.apart.load(Ordering::Relaxed);
        let is_apart = distance > if was_apart { GOOD_CLOCK_OFFSET } else { MAX_CLOCK_OFFSET };
        let was_crowded = self.crowded.load(Ordering::Relaxed);
        let is_crowded = share >= if was_crowded { MEMORY_GOOD } else { MEMORY_WARNING };
        [
            turned(&self.evicting, facts.evicting, Change::NotEvicting, Change::Evicting),
            turned(
                &self.alone,
                attached < wanted,
                Change::Accompanied { attached },
                Change::Alone { attached, wanted },
            ),
            turned(&self.apart, is_apart, Change::Together { offset }, Change::Apart { offset }),
            turned(&self.crowded, is_crowded, Change::Roomy { used, most }, Change::Crowded { used, most }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Takes note of how far our clock was ahead of its when the question was sent. Its answer came later, so that the
    /// way there and back never makes it look more than it is.
    pub(super) fn note_ahead(&self, ahead: Duration) {
        self.ahead.store(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How far our clock is ahead of its, at least.
    pub(super) fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead.load(Ordering::Relaxed))
    }

    /// Why a fresh claim proves nothing, if so.
    pub(super) fn doubt(&self) -> Option<StoreError> {
        if self.evicting.load(Ordering::Relaxed) {
            Some(StoreError::Evicting)
        } else if self.is_apart() {
            Some(StoreError::Clock)
        } else if self.is_alone() {
            Some(StoreError::Unreplicated)
        } else {
            None
        }
    }

    /// Whether its clock and ours are too far apart for an epoch or an expiry to mean the same.
    pub(super) fn is_apart(&self) -> bool {
        self.clock_offset.load(Ordering::Relaxed).saturating_abs() > MAX_CLOCK_OFFSET
    }

    /// Whether fewer replicas are attached than must hold a claim.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// The latest moment at which the store's clock may stand when ours shows `now`. A claim that is dated by it lives
    /// no shorter than it must, whichever of the two is ahead.
    pub(super) fn dated(&self, now: UnixTime) -> UnixTime {
        let ahead = self.clock_offset.load(Ordering::Relaxed).max(0);
        UnixTime::from_millis(now.as_millis().saturating_sub(ahead))
    }
}

impl Change {
    /// Logs it, of the server at `address`: as loudly as it weighs on requests.
    pub(super) fn tell(self, address: &Address) {
        match self {
            Self::Evicting | Self::Alone { .. } | Self::Apart { .. } => log::error!("redis at {address}: {self}"),
            Self::Crowded { .. } => log::warn!("redis at {address}: {self}"),
            Self::NotEvicting | Self::Accompanied { .. } | Self::Together { .. } | Self::Roomy { .. } => {
                log::info!("redis at {address}: {self}");
            }
        }
    }
}

fn turned(state: &AtomicBool, is: bool, good: Change, bad: Change) -> Option<Change> {
    (state.swap(is, Ordering::Relaxed) != is).then_some(if is { bad } else { good })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ServerInfo {
        ServerInfo {
            run: String::new(),
            replication: String::new(),
            promoted: false,
            primary: true,
            evicted_keys: 0,
            evicting: false,
            memory: (0, 0),
            replicas: 1,
            version: String::new(),
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_not_told() {
        let guard = Guard::default();
        assert_eq!(guard.judge(&facts(), 0, 1), []);
        assert_eq!(guard.doubt(), None);
    }

    #[test]
    fn each_change_is_told_once() {
        let guard = Guard::default();
        let bad = ServerInfo { evicting: true, replicas: 0, memory: (81, 100), ..facts() };
        let told = [
            Change::Evicting,
            Change::Alone { attached: 0, wanted: 1 },
            Change::Apart { offset: -30_001 },
            Change::Crowded { used: 81, most: 100 },
        ];
        assert_eq!(guard.judge(&bad, -30_001, 1), told);
        assert_eq!(guard.doubt(), Some(StoreError::Evicting));
        assert_eq!(guard.judge(&bad, -30_002, 1), []);
        let good = ServerInfo { memory: (10, 100), ..facts() };
        let told = [
            Change::NotEvicting,
            Change::Accompanied { attached: 1 },
            Change::Together { offset: 5 },
            Change::Roomy { used: 10, most: 100 },
        ];
        assert_eq!(guard.judge(&good, 5, 1), told);
        assert_eq!(guard.judge(&good, 5, 1), []);
        assert_eq!(guard.doubt(), None);
    }

    #[test]
    fn what_stands_at_its_bound_is_not_told_to_come_and_go() {
        let guard = Guard::default();
        let with = |used| ServerInfo { memory: (used, 100), ..facts() };
        assert_eq!(guard.judge(&with(80), 30_001, 0).len(), 2);
        assert_eq!(guard.judge(&with(79), 29_999, 0), []);
        assert_eq!(guard.doubt(), None, "but what is within bounds is believed at once");
        assert_eq!(guard.judge(&with(81), 30_001, 0), []);
        assert_eq!(guard.doubt(), Some(StoreError::Clock));
        assert_eq!(guard.judge(&with(69), 24_000, 0).len(), 2);
    }

    #[test]
    fn a_clock_that_is_ahead_shortens_no_claim() {
        let (guard, now) = (Guard::default(), UnixTime::from_seconds(100));
        guard.judge(&facts(), 20_000, 0);
        assert_eq!(guard.dated(now), UnixTime::from_seconds(80));
        guard.judge(&facts(), -20_000, 0);
        assert_eq!(guard.dated(now), now);
    }
}
