//! What this process knows of the store's memory: the latest epoch of each group, and the tag its claims bear.

use super::epoch::{NO_OWNER, Settled};
use crate::clock::UnixTime;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};

/// No epoch is known yet.
const NONE: i64 = i64::MIN;

/// The latest epochs and the owner tag. An epoch never goes back: a store that shows an earlier one has lost its memory.
#[derive(Debug)]
pub(super) struct Memory {
    seen: Vec<AtomicI64>,
    latest: AtomicI64,
    owner: AtomicU16,
    owner_epoch: AtomicI64,
}

impl Memory {
    pub(super) fn new(groups: u16) -> Self {
        Self {
            seen: (0..groups).map(|_| AtomicI64::new(NONE)).collect(),
            latest: AtomicI64::new(NONE),
            owner: AtomicU16::new(NO_OWNER),
            owner_epoch: AtomicI64::new(NONE),
        }
    }

    /// The latest epoch seen in a group.
    pub(super) fn epoch(&self, group: u16) -> Option<UnixTime> {
        known(self.seen[usize::from(group)].load(Ordering::Acquire))
    }

    /// The latest epoch seen in any group.
    pub(super) fn latest(&self) -> Option<UnixTime> {
        known(self.latest.load(Ordering::Acquire))
    }

    /// Takes note of an epoch that the store shows. `false`: it is earlier than one seen before.
    pub(super) fn accepts(&self, group: u16, epoch: UnixTime) -> bool {
        let (seen, millis) = (&self.seen[usize::from(group)], epoch.as_millis());
        let before = seen.load(Ordering::Acquire);
        if before != millis {
            self.latest.fetch_max(millis, Ordering::AcqRel);
            return seen.fetch_max(millis, Ordering::AcqRel) <= millis;
        }
        true
    }

    /// The tag that this process' claims bear.
    pub(super) fn owner(&self) -> u16 {
        self.owner.load(Ordering::Acquire)
    }

    /// The epoch of the first group under which the tag was handed out.
    pub(super) fn owner_epoch(&self) -> Option<UnixTime> {
        known(self.owner_epoch.load(Ordering::Acquire))
    }

    /// Takes note of a settled epoch, and of a new tag if there is one.
    pub(super) fn learn(&self, group: u16, settled: &Settled) {
        self.accepts(group, settled.epoch);
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
        let memory = Memory::new(2);
        assert_eq!(memory.epoch(0), None);
        assert!(memory.accepts(0, UnixTime::from_seconds(10)));
        assert!(memory.accepts(0, UnixTime::from_seconds(10)));
        assert!(!memory.accepts(0, UnixTime::from_seconds(9)));
        assert_eq!(memory.epoch(0), Some(UnixTime::from_seconds(10)));
    }

    #[test]
    fn every_group_has_its_own_epoch() {
        let memory = Memory::new(2);
        assert!(memory.accepts(0, UnixTime::from_seconds(10)));
        assert!(memory.accepts(1, UnixTime::from_seconds(9)));
        assert_eq!(memory.epoch(1), Some(UnixTime::from_seconds(9)));
        assert_eq!(memory.latest(), Some(UnixTime::from_seconds(10)));
    }
}
