//! Keeping a replica's list in step with a store that may be cut off, miss a message, or forget.
//!
//! What is pushed is taken in at once. Each push says where the list stood before it, and a short question twice a
//! second says where it stands; a gap between the two means that something was missed, and the whole list is read.
//! Whatever a reading lacks is written back: that is how a store that was emptied, or that failed over to a copy
//! without the last records, gets its memory again from the replicas.

use super::Revocations;
use super::list::Seen;
use crate::clock::{Clock, UnixTime};
use crate::store::{Change, Mark, RevocationStore, StoreError, Watched};
use std::sync::Arc;
use std::time::Duration;

/// How long nothing is asked while nothing is pushed.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// How often the whole list is read although nothing seems to be missing: two stores can stand at the same mark and
/// hold different records, when a failover went unnoticed.
const READ_EVERY: Duration = Duration::from_secs(60);
/// How many records are written back in one step, so that none keeps the store from its claims for long.
const AT_ONCE: usize = 256;

/// Follows a shared store for one list.
pub struct Follower {
    revocations: Arc<Revocations>,
    store: Arc<dyn RevocationStore>,
    /// Where the list stood up to which everything is known; `None`: something may have been missed.
    known: Option<Mark>,
    /// The reading that is under way. It goes on page by page, so that what is pushed meanwhile does not wait for it.
    reading: Option<Reading>,
    /// What the store lacked at the last reading, and has not got back yet.
    due: Vec<Change>,
    /// The epoch of the last reading.
    epoch: UnixTime,
    read_at: UnixTime,
    out_of_sight: bool,
}

#[derive(Default)]
struct Reading {
    /// Where the list stood at the first page, and up to where pushes went on from there without a gap.
    mark: Option<Mark>,
    next: Option<String>,
    seen: Seen,
    unreadable: usize,
}

/// What an operator should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The store stopped answering. From now on the list grows older.
    Lost(StoreError),
    /// The list is in step again.
    Back,
    /// The store lacked so many records that this replica had, and gets them back.
    WritesBack {
        /// How many.
        records: usize,
        /// True when its list began anew: it was emptied, or another store stands in its place.
        forgot: bool,
    },
    /// The store holds so many records that can't be read.
    Unreadable(usize),
}

impl Follower {
    pub(super) fn new(revocations: Arc<Revocations>, store: Arc<dyn RevocationStore>) -> Self {
        let (epoch, read_at) = (UnixTime::default(), UnixTime::default());
        Self { revocations, store, known: None, reading: None, due: Vec::new(), epoch, read_at, out_of_sight: false }
    }

    /// True once the list was read to its end.
    #[must_use]
    pub const fn is_in_step(&self) -> bool {
        self.known.is_some()
    }

    /// One step: waits for what is pushed, or for about half a second, and does a part of what is due.
    pub async fn step(&mut self, clock: &dyn Clock) -> Vec<Followed> {
        let busy = self.reading.is_some() || !self.due.is_empty();
        // Taken before the question: what is answered was true at some moment after it.
        let asked_at = clock.now();
        let done = match self.store.watch(if busy { Duration::ZERO } else { CHECK_EVERY }).await {
            Ok(watched) => self.take_in(watched, asked_at, clock).await,
            Err(error) => Err(error),
        };
        self.revocations.purge(clock.now());
        let mut heard = done.unwrap_or_else(|error| {
            // Half a reading is none: what is missed from here on would be missed for ever.
            (self.known, self.reading) = (None, None);
            self.due.clear();
            let first = !std::mem::replace(&mut self.out_of_sight, true);
            if first { vec![Followed::Lost(error)] } else { Vec::new() }
        });
        if self.known.is_some() && std::mem::take(&mut self.out_of_sight) {
            heard.push(Followed::Back);
        }
        heard
    }

    async fn take_in(
        &mut self,
        watched: Watched,
        asked_at: UnixTime,
        clock: &dyn Clock,
    ) -> Result<Vec<Followed>, StoreError> {
        self.go_on(&watched);
        if let Watched::Added { changes, .. } = &watched {
            self.revocations.learn(changes, clock.now());
        }
        if self.known.is_some() {
            self.revocations.in_step_at(asked_at);
        }
        let is_due = self.known.is_none() || asked_at.since(self.read_at) >= READ_EVERY;
        self.write_back().await?;
        // Not before everything is written back: it would be missed once more.
        if self.reading.is_none() && is_due && self.due.is_empty() {
            self.reading = Some(Reading::default());
        }
        self.read_on(asked_at, clock).await
    }

    /// Up to where everything is known after what was told.
    fn go_on(&mut self, watched: &Watched) {
        match watched {
            Watched::Added { before, after, .. } => {
                self.known = self.known.and_then(|known| beyond(known, *before, *after));
                self.keep_reading(|mark| beyond(mark, *before, *after));
            }
            Watched::Stands(stands) => {
                // Two empty stores look alike: one that holds nothing lacks whatever we have.
                let lacks_ours = stands.epoch == UnixTime::default() && self.revocations.has_records();
                self.known = self.known.filter(|known| known == stands && !lacks_ours);
                self.keep_reading(|mark| (mark == *stands).then_some(mark));
            }
            Watched::Reconnected => (self.known, self.reading) = (None, None),
        }
    }

    /// A reading behind which there is a gap begins again.
    fn keep_reading(&mut self, go_on: impl FnOnce(Mark) -> Option<Mark>) {
        if let Some(Reading { mark: Some(mark), .. }) = &mut self.reading {
            match go_on(*mark) {
                Some(further) => *mark = further,
                None => self.reading = None,
            }
        }
    }

    /// Reads one page.
    async fn read_on(&mut self, asked_at: UnixTime, clock: &dyn Clock) -> Result<Vec<Followed>, StoreError> {
        let Some(reading) = &mut self.reading else { return Ok(Vec::new()) };
        let page = self.store.page(reading.next.as_deref()).await?;
        self.revocations.learn(&page.changes, clock.now());
        reading.seen.add(&page.changes);
        reading.unreadable += page.unreadable;
        reading.mark.get_or_insert(page.mark);
        reading.next = page.next;
        if reading.next.is_some() {
            return Ok(Vec::new());
        }
        let Some(Reading { mark: Some(mark), seen, unreadable, .. }) = self.reading.take() else {
            return Ok(Vec::new());
        };
        let now = clock.now();
        self.due = self.revocations.missing_from(&seen, now);
        let before = std::mem::replace(&mut self.epoch, mark.epoch);
        (self.known, self.read_at) = (Some(mark), now);
        self.revocations.in_step_at(asked_at);
        let (records, forgot) = (self.due.len(), before != UnixTime::default() && before != mark.epoch);
        let mut heard = Vec::new();
        if forgot || records > 0 {
            heard.push(Followed::WritesBack { records, forgot });
        }
        if unreadable > 0 {
            heard.push(Followed::Unreadable(unreadable));
        }
        Ok(heard)
    }

    /// Gives the store some of what it lacked.
    async fn write_back(&mut self) -> Result<(), StoreError> {
        let rest = self.due.len().saturating_sub(AT_ONCE);
        if let Some(some) = self.due.get(rest..).filter(|some| !some.is_empty()) {
            self.store.append(some).await?;
            self.due.truncate(rest);
        }
        Ok(())
    }
}

/// Up to where everything is known after a push, if there is no gap before it. A push may be older than the reading.
fn beyond(known: Mark, before: Mark, after: Mark) -> Option<Mark> {
    if known.epoch != after.epoch || known.changes < before.changes {
        None
    } else if known.changes < after.changes {
        Some(after)
    } else {
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NotKept;
    use super::super::pair::Pair;
    use super::super::tests::{at, block_on, revocation};
    use super::*;
    use crate::store::RevocationId;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_is_pushed_is_known_without_a_reading() {
        let pair = Pair::new();
        let [_, mut second] = pair.followers();
        pair.revoke(0, 1).unwrap();
        assert_eq!(pair.known(), [1, 0]);
        block_on(second.step(&pair.clock));
        assert_eq!(pair.known(), [1, 1]);
        assert!(second.known.is_some_and(|mark| mark.changes == 1), "no gap: no reading is due");
    }

    #[test]
    fn a_missed_message_heals() {
        let pair = Pair::new();
        let [_, mut second] = pair.followers();
        pair.revoke(0, 1).unwrap();
        pair.lines[1].miss_everything_pushed();
        assert_eq!(pair.steps(&mut second), []);
        assert_eq!(pair.known(), [1, 1]);
        // A push behind a gap tells of the gap too.
        pair.revoke(0, 2).unwrap();
        pair.lines[1].miss_everything_pushed();
        pair.revoke(0, 3).unwrap();
        pair.steps(&mut second);
        assert_eq!(pair.known(), [3, 3]);
    }

    #[test]
    fn an_emptied_store_gets_its_memory_back() {
        let pair = Pair::new();
        let [mut first, mut second] = pair.followers();
        for id in 0..600 {
            pair.revoke(0, id).unwrap();
        }
        block_on(pair.lists[0].take_back(RevocationId::from_bits(7), at(0))).unwrap().unwrap();
        pair.lines[1].miss_everything_pushed();
        pair.steps(&mut second);
        assert_eq!(pair.known(), [599, 599]);
        pair.shared.lock().unwrap().empty();
        // The first has not even heard yet that there was a list.
        assert_eq!(pair.steps(&mut first), [Followed::WritesBack { records: 600, forgot: false }]);
        assert_eq!(pair.known(), [599, 599]);
        assert_eq!(pair.shared.lock().unwrap().records.len(), 600);
        assert_eq!(pair.steps(&mut second), [Followed::WritesBack { records: 0, forgot: true }]);
        assert_eq!(pair.steps(&mut first), [], "and that is all there is to tell");
    }

    #[test]
    fn a_failover_to_a_copy_without_the_last_record_is_healed_on_reconnecting() {
        let pair = Pair::new();
        let [mut first, mut second] = pair.followers();
        pair.revoke(0, 1).unwrap();
        pair.steps(&mut first);
        pair.steps(&mut second);
        {
            let mut shared = pair.shared.lock().unwrap();
            shared.records.clear();
            shared.records.insert(Change::Revoked(revocation(2)).to_string());
        }
        assert_eq!(pair.steps(&mut first), [], "same epoch, same number: nothing to be seen");
        pair.lines[0].heard.lock().unwrap().push_back(Watched::Reconnected);
        assert_eq!(pair.steps(&mut first), [Followed::WritesBack { records: 1, forgot: false }]);
        assert_eq!(pair.known(), [2, 1]);
        pair.lines[1].heard.lock().unwrap().push_back(Watched::Reconnected);
        pair.steps(&mut second);
        assert_eq!(pair.known(), [2, 2]);
    }

    #[test]
    fn the_whole_list_is_read_now_and_then_although_nothing_seems_to_be_missing() {
        let pair = Pair::new();
        let [mut first, _] = pair.followers();
        pair.shared.lock().unwrap().records.insert(Change::Revoked(revocation(1)).to_string());
        pair.steps(&mut first);
        assert_eq!(pair.known(), [0, 0]);
        pair.clock.0.fetch_add(60, Ordering::Relaxed);
        pair.steps(&mut first);
        assert_eq!(pair.known(), [1, 0]);
    }

    #[test]
    fn a_list_out_of_reach_keeps_what_it_has_grows_old_and_catches_up() {
        let pair = Pair::new();
        let [mut first, mut second] = pair.followers();
        pair.revoke(0, 1).unwrap();
        pair.steps(&mut second);
        pair.lines[1].cut.store(true, Ordering::Relaxed);
        assert_eq!(pair.steps(&mut second), [Followed::Lost(StoreError::Timeout)], "said once");
        pair.clock.0.store(301, Ordering::Relaxed);
        pair.steps(&mut first);
        pair.steps(&mut second);
        assert!(pair.lists[1].is_stale(at(301)) && !pair.lists[0].is_stale(at(301)));
        assert_eq!(pair.known(), [1, 1]);
        // What is revoked here holds here, and reaches the others once the store is back.
        assert_eq!(pair.revoke(1, 2), Err(NotKept::HereOnly(StoreError::Connection)));
        assert_eq!(pair.known(), [1, 2]);
        pair.lines[1].cut.store(false, Ordering::Relaxed);
        let heard = pair.steps(&mut second);
        assert_eq!(heard, [Followed::WritesBack { records: 1, forgot: false }, Followed::Back]);
        assert!(!pair.lists[1].is_stale(at(301)));
        pair.steps(&mut first);
        assert_eq!(pair.known(), [2, 2]);
    }

    #[test]
    fn a_list_that_was_never_read_is_stale() {
        let pair = Pair::new();
        assert!(pair.lists[0].is_stale(at(0)));
        assert_eq!(pair.lists[0].age(at(0)), None);
        pair.steps(&mut pair.lists[0].follower().unwrap());
        assert_eq!(pair.lists[0].age(at(3)), Some(Duration::from_secs(3)));
    }

    /// The first has revoked a thousand; the second has missed them all, and has read a part.
    fn in_the_middle_of_a_reading() -> (Pair, Follower) {
        let pair = Pair::new();
        for id in 0..1000 {
            pair.revoke(0, id).unwrap();
        }
        let mut second = pair.lists[1].follower().unwrap();
        pair.lines[1].miss_everything_pushed();
        block_on(second.step(&pair.clock));
        (pair, second)
    }

    #[test]
    fn what_is_pushed_does_not_wait_for_a_reading() {
        let (pair, mut second) = in_the_middle_of_a_reading();
        assert_eq!((pair.known()[1], second.is_in_step()), (100, false));
        pair.revoke(0, 5000).unwrap();
        block_on(second.step(&pair.clock));
        let pushed = RevocationId::from_bits(5000);
        assert!(pair.lists[1].get(pushed).is_some() && !second.is_in_step(), "known in the middle of the reading");
        pair.steps(&mut second);
        assert!(second.is_in_step() && pair.known() == [1001, 1001]);
    }

    #[test]
    fn a_reading_behind_which_something_was_missed_begins_again() {
        let (pair, mut second) = in_the_middle_of_a_reading();
        pair.revoke(0, 5000).unwrap();
        pair.lines[1].miss_everything_pushed();
        pair.steps(&mut second);
        assert!(second.is_in_step() && pair.known() == [1001, 1001]);
    }
}
