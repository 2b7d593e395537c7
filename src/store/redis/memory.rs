//! What this process knows of the store's memory: the latest epoch it has seen, and the tag its claims bear.

use super::epoch::{NO_OWNER, Settled};
use crate::clock::UnixTime;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};

/// No epoch is known yet.
const NONE: i64 = i64::MIN;

/// The latest epoch and the owner tag. An epoch never goes back: a store that shows an earlier one has lost its memory.
#[derive(Debug)]
pub(super) struct Memory {
    seen: AtomicI64,
    owner: AtomicU16,
    owner_epoch: AtomicI64,
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self { seen: AtomicI64::new(NONE), owner: AtomicU16::new(NO_OWNER), owner_epoch: AtomicI64::new(NONE) }
    }

    /// The latest epoch seen.
    pub(super) fn epoch(&self) -> Option<UnixTime> {
        known(self.seen.load(Ordering::Acquire))
    }

    /// Takes note of an epoch that the store shows. `false`: it is earlier than one seen before.
    pub(super) fn accepts(&self, epoch: UnixTime) -> bool {
        self.seen.fetch_max(epoch.as_millis(), Ordering::AcqRel) <= epoch.as_millis()
    }

    /// The tag that this process' claims bear.
    pub(super) fn owner(&self) -> u16 {
        self.owner.load(Ordering::Acquire)
    }

    /// The epoch under which the tag was handed out.
    pub(super) fn owner_epoch(&self) -> Option<UnixTime> {
        known(self.owner_epoch.load(Ordering::Acquire))
    }

    /// Takes note of a settled epoch, and of a new tag if there is one.
    pub(super) fn learn(&self, settled: &Settled) {
        self.seen.fetch_max(settled.epoch.as_millis(), Ordering::AcqRel);
        if let Some(owner) = settled.owner {
            self.owner.store(owner, Ordering::Release);
            self.owner_epoch.store(settled.epoch.as_millis(), Ordering::Release);
        }
    }
}

fn known(millis: i64) -> Option<UnixTime> {
    (millis != NONE).then(|| UnixTime::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_never_goes_back() {
        let memory = Memory::new();
        assert_eq!(memory.epoch(), None);
        assert!(memory.accepts(UnixTime::from_seconds(10)));
        assert!(memory.accepts(UnixTime::from_seconds(10)));
        assert!(!memory.accepts(UnixTime::from_seconds(9)));
        assert_eq!(memory.epoch(), Some(UnixTime::from_seconds(10)));
    }
}
