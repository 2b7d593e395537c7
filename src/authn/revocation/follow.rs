//! Keeping a replica's list in step with a store that may be cut off, miss a message, or forget.
//!
//! What is pushed is taken in at once. Each push says where the list stood before it, and a short question twice a
//! second says where it stands; a gap between the two means that something was missed, and the whole list is read.
//! Whatever a reading lacks is written back: that is how a store that was emptied, or that failed over to a copy
//! without the last records, gets its memory again from the replicas.

use super::Revocations;
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
pub struct Follower<'r> {
    revocations: &'r Revocations,
    store: Arc<dyn RevocationStore>,
    /// Where the list stood up to which everything is known; `None`: something may have been missed.
    known: Option<Mark>,
    /// The epoch of the last reading.
    epoch: Option<UnixTime>,
    read_at: UnixTime,
    out_of_sight: bool,
}

/// What an operator should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The store stopped answering. From now on the list grows older.
    Lost(StoreError),
    /// The list is in step again.
    Back,
    /// The store lacked so many records that this replica had, and has got them back.
    WroteBack {
        /// How many.
        records: usize,
        /// True when its list began anew: it was emptied, or another store stands in its place.
        forgot: bool,
    },
    /// The store holds so many records that can't be read.
    Unreadable(usize),
}

impl<'r> Follower<'r> {
    /// A follower for `revocations`; `None` where they are kept nowhere.
    pub(super) fn new(revocations: &'r Revocations) -> Option<Self> {
        let store = Arc::clone(revocations.store.as_ref()?);
        let read_at = UnixTime::default();
        Some(Self { revocations, store, known: None, epoch: None, read_at, out_of_sight: false })
    }

    /// One step: waits for what is pushed, or for about half a second, and then does what is due.
    pub async fn step(&mut self, clock: &dyn Clock) -> Vec<Followed> {
        // Taken before the question: what is answered was true at some moment after it.
        let asked_at = clock.now();
        let done = match self.store.watch(CHECK_EVERY).await {
            Ok(watched) => self.take_in(watched, asked_at, clock).await,
            Err(error) => Err(error),
        };
        self.revocations.purge(clock.now());
        match done {
            Ok(mut heard) => {
                if std::mem::take(&mut self.out_of_sight) {
                    heard.push(Followed::Back);
                }
                heard
            }
            Err(error) => {
                let first = !std::mem::replace(&mut self.out_of_sight, true);
                if first { vec![Followed::Lost(error)] } else { Vec::new() }
            }
        }
    }

    async fn take_in(
        &mut self,
        watched: Watched,
        asked_at: UnixTime,
        clock: &dyn Clock,
    ) -> Result<Vec<Followed>, StoreError> {
        match watched {
            Watched::Added { before, after, changes } => {
                self.revocations.learn(&changes, clock.now());
                self.known = self.known.and_then(|known| beyond(known, before, after));
            }
            Watched::Stands(mark) => {
                // Two empty stores look alike: one that holds nothing lacks whatever we have.
                let lacks_ours = mark.epoch == UnixTime::default() && self.revocations.has_records();
                self.known = self.known.filter(|known| *known == mark && !lacks_ours);
            }
            Watched::Reconnected => self.known = None,
        }
        if self.known.is_some() && asked_at.since(self.read_at) < READ_EVERY {
            self.revocations.in_step_at(asked_at);
            return Ok(Vec::new());
        }
        self.read(clock.now()).await
    }

    /// Reads the whole list, and writes back what it lacks.
    pub(super) async fn read(&mut self, now: UnixTime) -> Result<Vec<Followed>, StoreError> {
        self.known = None;
        let reading = self.store.read().await?;
        self.revocations.learn(&reading.changes, now);
        let missing = self.revocations.missing_from(&reading.changes, now);
        self.write_back(&missing).await?;
        let before = self.epoch.replace(reading.mark.epoch).unwrap_or_default();
        let forgot = before != UnixTime::default() && before != reading.mark.epoch;
        self.known = Some(reading.mark);
        self.read_at = now;
        self.revocations.in_step_at(now);
        let mut heard = Vec::new();
        if forgot || !missing.is_empty() {
            heard.push(Followed::WroteBack { records: missing.len(), forgot });
        }
        if reading.unreadable > 0 {
            heard.push(Followed::Unreadable(reading.unreadable));
        }
        Ok(heard)
    }

    async fn write_back(&self, missing: &[Change]) -> Result<(), StoreError> {
        for some in missing.chunks(AT_ONCE) {
            self.store.append(some).await?;
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
    use super::super::tests::{at, block_on, revocation};
    use super::*;
    use crate::store::{Reading, RevocationId};
    use async_trait::async_trait;
    use std::collections::{BTreeSet, VecDeque};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    /// A store in memory, which some replicas share.
    #[derive(Default)]
    struct Shared {
        records: BTreeSet<String>,
        epoch: i64,
        next_epoch: i64,
        changes: u64,
        pushed: Vec<(Mark, Mark, Vec<Change>)>,
    }

    impl Shared {
        fn mark(&self) -> Mark {
            Mark { epoch: at(self.epoch), changes: self.changes }
        }

        fn empty(&mut self) {
            *self = Self { next_epoch: self.next_epoch + 1, ..Self::default() };
        }
    }

    /// One replica's way to it.
    struct Line {
        shared: Arc<Mutex<Shared>>,
        heard: Mutex<VecDeque<Watched>>,
        next: Mutex<usize>,
        cut: AtomicBool,
    }

    impl Line {
        fn miss_everything_pushed(&self) {
            *self.next.lock().unwrap() = self.shared.lock().unwrap().pushed.len();
        }
    }

    #[async_trait]
    impl RevocationStore for Line {
        async fn append(&self, changes: &[Change]) -> Result<(), StoreError> {
            if self.cut.load(Ordering::Relaxed) {
                return Err(StoreError::Connection);
            }
            let mut shared = self.shared.lock().unwrap();
            if shared.epoch == 0 {
                shared.next_epoch += 1;
                shared.epoch = shared.next_epoch;
            }
            let before = shared.mark();
            let new: Vec<Change> =
                changes.iter().filter(|change| shared.records.insert(change.to_string())).copied().collect();
            shared.changes += new.len() as u64;
            let after = shared.mark();
            if !new.is_empty() {
                shared.pushed.push((before, after, new));
            }
            Ok(())
        }

        async fn read(&self) -> Result<Reading, StoreError> {
            if self.cut.load(Ordering::Relaxed) {
                return Err(StoreError::Connection);
            }
            let shared = self.shared.lock().unwrap();
            let changes = shared.records.iter().filter_map(|line| line.parse().ok()).collect();
            Ok(Reading { mark: shared.mark(), changes, unreadable: 0 })
        }

        async fn watch(&self, _: Duration) -> Result<Watched, StoreError> {
            if self.cut.load(Ordering::Relaxed) {
                return Err(StoreError::Timeout);
            }
            if let Some(watched) = self.heard.lock().unwrap().pop_front() {
                return Ok(watched);
            }
            let shared = self.shared.lock().unwrap();
            let mut next = self.next.lock().unwrap();
            *next = (*next).min(shared.pushed.len());
            let Some((before, after, changes)) = shared.pushed.get(*next).cloned() else {
                return Ok(Watched::Stands(shared.mark()));
            };
            *next += 1;
            Ok(Watched::Added { before, after, changes })
        }

        fn is_shared(&self) -> bool {
            true
        }
    }

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> UnixTime {
            at(self.0.load(Ordering::Relaxed))
        }
    }

    /// Two replicas on one store.
    struct Pair {
        shared: Arc<Mutex<Shared>>,
        lines: [Arc<Line>; 2],
        lists: [Revocations; 2],
        clock: Hand,
    }

    impl Pair {
        fn new() -> Self {
            let shared = Arc::new(Mutex::new(Shared::default()));
            let line = || {
                Arc::new(Line {
                    shared: Arc::clone(&shared),
                    heard: Mutex::default(),
                    next: Mutex::default(),
                    cut: AtomicBool::new(false),
                })
            };
            let lines = [line(), line()];
            let list = |line: &Arc<Line>| Revocations::new(Arc::<Line>::clone(line), Duration::from_secs(300));
            let lists = [list(&lines[0]), list(&lines[1])];
            Self { shared, lines, lists, clock: Hand::default() }
        }

        fn followers(&self) -> [Follower<'_>; 2] {
            let mut followers = [0, 1].map(|n: usize| self.lists[n].follower().unwrap());
            for follower in &mut followers {
                self.steps(follower);
            }
            followers
        }

        /// Steps until there is nothing more to hear.
        fn steps(&self, follower: &mut Follower<'_>) -> Vec<Followed> {
            (0..8).flat_map(|_| block_on(follower.step(&self.clock))).collect()
        }

        fn revoke(&self, replica: usize, id: u128) -> Result<(), super::super::NotKept> {
            block_on(self.lists[replica].revoke(revocation(id), self.clock.now()))
        }

        fn known(&self) -> [usize; 2] {
            [self.lists[0].len(), self.lists[1].len()]
        }
    }

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
        block_on(second.step(&pair.clock));
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
        assert_eq!(pair.steps(&mut first), [Followed::WroteBack { records: 600, forgot: false }]);
        assert_eq!(pair.known(), [599, 599]);
        assert_eq!(pair.shared.lock().unwrap().records.len(), 600);
        assert_eq!(pair.steps(&mut second), [Followed::WroteBack { records: 0, forgot: true }]);
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
        assert_eq!(pair.steps(&mut first), [Followed::WroteBack { records: 1, forgot: false }]);
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
        assert_eq!(pair.revoke(1, 2), Err(super::super::NotKept::HereOnly(StoreError::Connection)));
        assert_eq!(pair.known(), [1, 2]);
        pair.lines[1].cut.store(false, Ordering::Relaxed);
        let heard = pair.steps(&mut second);
        assert_eq!(heard, [Followed::WroteBack { records: 1, forgot: false }, Followed::Back]);
        assert!(!pair.lists[1].is_stale(at(301)));
        pair.steps(&mut first);
        assert_eq!(pair.known(), [2, 2]);
    }

    #[test]
    fn a_list_that_was_never_read_is_stale() {
        let pair = Pair::new();
        assert!(pair.lists[0].is_stale(at(0)));
        assert_eq!(pair.lists[0].age(at(0)), None);
        block_on(pair.lists[0].load(at(0))).unwrap();
        assert_eq!(pair.lists[0].age(at(3)), Some(Duration::from_secs(3)));
    }
}
