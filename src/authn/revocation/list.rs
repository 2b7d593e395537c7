//! The list itself: every revocation and every tombstone this replica knows of.
//!
//! A merge only adds. That is the whole defence against a store that forgets or lies about the past: whatever is read,
//! nothing that was known gets lost. Entries go by their own date alone.

use crate::clock::UnixTime;
use crate::store::{Change, KEPT_BEYOND, Revocation, RevocationId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::ops::Bound;

/// All records, by id.
#[derive(Default)]
pub(super) struct List {
    entries: BTreeMap<RevocationId, Entry>,
    by_expiry: BinaryHeap<Reverse<(UnixTime, RevocationId)>>,
    revoked: usize,
}

enum Entry {
    Revoked(Revocation),
    TakenBack { expires_at: UnixTime },
}

impl Entry {
    const fn expires_at(&self) -> UnixTime {
        match self {
            Self::Revoked(revocation) => revocation.expires_at,
            Self::TakenBack { expires_at } => *expires_at,
        }
    }
}

/// The records that were seen in a store.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<(RevocationId, bool)>);

impl Seen {
    pub(super) fn add(&mut self, changes: &[Change]) {
        self.0.extend(changes.iter().map(name));
    }
}

/// A revocation and its tombstone are two records under one id.
fn name(change: &Change) -> (RevocationId, bool) {
    (change.id(), matches!(change, Change::TakenBack { .. }))
}

/// What a merge changed for those who look tokens up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) added: Vec<Revocation>,
    pub(super) removed: Vec<Revocation>,
}

impl List {
    /// Adds what is new in `changes`.
    pub(super) fn merge(&mut self, changes: &[Change], now: UnixTime) -> Delta {
        let mut added = BTreeMap::new();
        let mut removed = Vec::new();
        for change in changes.iter().filter(|change| !is_over(change.expires_at(), now)) {
            match (*change, self.entries.get(&change.id())) {
                (Change::Revoked(revocation), None) => {
                    added.insert(revocation.id, revocation);
                    self.enter(revocation.id, Entry::Revoked(revocation), revocation.expires_at);
                }
                // A tombstone may come first: it then waits for its revocation.
                (Change::TakenBack { id, expires_at }, None) => {
                    self.enter(id, Entry::TakenBack { expires_at }, expires_at);
                }
                (Change::TakenBack { id, .. }, Some(Entry::Revoked(revocation))) => {
                    let revocation = *revocation;
                    self.revoked -= 1;
                    let expires_at = revocation.expires_at.max(change.expires_at());
                    self.enter(id, Entry::TakenBack { expires_at }, expires_at);
                    if added.remove(&id).is_none() {
                        removed.push(revocation);
                    }
                }
                // A tombstone must not go before what it holds down.
                (Change::Revoked(revocation), Some(Entry::TakenBack { expires_at })) => {
                    if revocation.expires_at > *expires_at {
                        let expires_at = revocation.expires_at;
                        self.enter(revocation.id, Entry::TakenBack { expires_at }, expires_at);
                    }
                }
                (_, Some(_)) => {}
            }
        }
        Delta { added: added.into_values().collect(), removed }
    }

    fn enter(&mut self, id: RevocationId, entry: Entry, expires_at: UnixTime) {
        self.revoked += usize::from(matches!(entry, Entry::Revoked(_)));
        self.by_expiry.push(Reverse((expires_at, id)));
        self.entries.insert(id, entry);
    }

    /// Drops what is over, and answers with the revocations among it.
    pub(super) fn purge(&mut self, now: UnixTime) -> Vec<Revocation> {
        let mut dropped = Vec::new();
        while let Some(Reverse((expires_at, id))) = self.by_expiry.peek().copied() {
            if !is_over(expires_at, now) {
                break;
            }
            self.by_expiry.pop();
            // The heap may hold an older date of an entry that was since prolonged.
            if self.entries.get(&id).is_some_and(|entry| is_over(entry.expires_at(), now))
                && let Some(Entry::Revoked(revocation)) = self.entries.remove(&id)
            {
                self.revoked -= 1;
                dropped.push(revocation);
            }
        }
        dropped
    }

    /// The records that a store lacks in which all of `seen` were seen.
    pub(super) fn missing_from(&self, seen: &Seen, now: UnixTime) -> Vec<Change> {
        let live = self.changes().filter(|change| !is_over(change.expires_at(), now));
        live.filter(|change| !seen.0.contains(&name(change))).collect()
    }

    /// Every record.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        self.entries.iter().map(|(id, entry)| match entry {
            Entry::Revoked(revocation) => Change::Revoked(*revocation),
            Entry::TakenBack { expires_at } => Change::TakenBack { id: *id, expires_at: *expires_at },
        })
    }

    /// The revocation of this id, if it holds.
    pub(super) fn get(&self, id: RevocationId) -> Option<Revocation> {
        match self.entries.get(&id)? {
            Entry::Revoked(revocation) => Some(*revocation),
            Entry::TakenBack { .. } => None,
        }
    }

    /// The revocations that hold, in the order of their ids, from behind `after`.
    pub(super) fn after(&self, after: Option<RevocationId>) -> impl Iterator<Item = Revocation> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range((from, Bound::Unbounded)).filter_map(|(_, entry)| match entry {
            Entry::Revoked(revocation) => Some(*revocation),
            Entry::TakenBack { .. } => None,
        })
    }

    /// How many revocations hold.
    pub(super) const fn revoked(&self) -> usize {
        self.revoked
    }
}

fn is_over(expires_at: UnixTime, now: UnixTime) -> bool {
    now >= expires_at.plus(KEPT_BEYOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Target;
    use proptest::prelude::*;
    use std::time::Duration;

    const EXPIRY: i64 = 100;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    fn revocation(id: u128) -> Revocation {
        let token = id.to_string();
        Revocation::new(RevocationId::from_bits(id), "https://i", Target::Token(&token), at(EXPIRY), at(0))
    }

    fn revoked(id: u128) -> Change {
        Change::Revoked(revocation(id))
    }

    fn taken_back(id: u128) -> Change {
        Change::TakenBack { id: RevocationId::from_bits(id), expires_at: at(EXPIRY) }
    }

    #[test]
    fn a_tombstone_wins_whichever_comes_first() {
        for order in [[revoked(1), taken_back(1)], [taken_back(1), revoked(1)]] {
            let mut list = List::default();
            list.merge(&order[..1], at(0));
            list.merge(&order[1..], at(0));
            list.merge(&[revoked(1)], at(0));
            assert_eq!((list.revoked(), list.get(RevocationId::from_bits(1))), (0, None));
            assert_eq!(List::default().merge(&order, at(0)), Delta::default());
        }
    }

    #[test]
    fn an_emptied_store_takes_nothing_away_and_gets_everything_back() {
        let mut list = List::default();
        list.merge(&[revoked(1), revoked(2), taken_back(2), taken_back(3)], at(0));
        assert_eq!(list.merge(&[], at(1)), Delta::default());
        assert_eq!(list.revoked(), 1);
        assert_eq!(list.missing_from(&Seen::default(), at(1)), [revoked(1), taken_back(2), taken_back(3)]);
        // A store that still has the revocation, but lost its tombstone, gets the tombstone.
        let mut seen = Seen::default();
        seen.add(&[revoked(1), revoked(2), taken_back(3)]);
        assert_eq!(list.missing_from(&seen, at(1)), [taken_back(2)]);
    }

    #[test]
    fn a_tombstone_lasts_as_long_as_what_it_holds_down() {
        let early = Change::TakenBack { id: RevocationId::from_bits(1), expires_at: at(1) };
        for order in [[revoked(1), early], [early, revoked(1)]] {
            let mut list = List::default();
            list.merge(&order, at(0));
            list.purge(at(2).plus(KEPT_BEYOND));
            assert_eq!(list.changes().collect::<Vec<_>>(), [taken_back(1)]);
            list.purge(at(EXPIRY).plus(KEPT_BEYOND));
            assert_eq!(list.changes().count(), 0);
        }
    }

    #[test]
    fn records_go_by_their_own_date() {
        let mut list = List::default();
        list.merge(&[revoked(1), revoked(2), taken_back(2)], at(0));
        let end = at(EXPIRY).plus(KEPT_BEYOND);
        assert!(list.purge(end.minus(Duration::from_millis(1))).is_empty());
        assert_eq!(list.purge(end), [revocation(1)]);
        assert_eq!((list.revoked(), list.changes().count()), (0, 0));
        assert_eq!(list.merge(&[revoked(1)], end), Delta::default(), "what is over is not taken in again");
    }

    proptest! {
        /// Replicas that heard the same records, in any order and any number of times, hold the same list.
        #[test]
        fn lists_converge(
            records in prop::collection::vec((0_u128..8, any::<bool>()), 0..24),
            shuffle in any::<prop::sample::Index>(),
        ) {
            let changes: Vec<Change> =
                records.iter().map(|(id, dead)| if *dead { taken_back(*id) } else { revoked(*id) }).collect();
            let mut other = changes.clone();
            if !other.is_empty() {
                let middle = shuffle.index(other.len());
                other.rotate_left(middle);
                other.extend_from_slice(&changes[..middle]);
            }
            let (mut a, mut b) = (List::default(), List::default());
            a.merge(&changes, at(0));
            for change in &other {
                b.merge(std::slice::from_ref(change), at(0));
            }
            prop_assert_eq!(a.changes().collect::<Vec<_>>(), b.changes().collect::<Vec<_>>());
            prop_assert_eq!(a.revoked(), b.revoked());
            // What one lacks of the other is what makes them equal.
            let mut seen = Seen::default();
            seen.add(&b.changes().collect::<Vec<_>>());
            prop_assert!(a.missing_from(&seen, at(0)).is_empty());
        }
    }
}
