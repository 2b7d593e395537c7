//! Two replicas on one store in memory, for tests: lines can be cut, messages missed, and the store emptied.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::tests::{at, block_on, revocation};
use super::{Followed, Follower, NotKept, Revocations};
use crate::clock::{Clock, UnixTime};
use crate::store::{Change, Mark, Page, RevocationStore, StoreError, Watched};
use async_trait::async_trait;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A store in memory, which some replicas share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) records: BTreeSet<String>,
    epoch: i64,
    next_epoch: i64,
    changes: u64,
    pushed: Vec<(Mark, Mark, Vec<Change>)>,
}

impl Shared {
    fn mark(&self) -> Mark {
        Mark { epoch: at(self.epoch), changes: self.changes }
    }

    pub(super) fn empty(&mut self) {
        *self = Self { next_epoch: self.next_epoch + 1, ..Self::default() };
    }
}

/// One replica's way to it.
pub(super) struct Line {
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) heard: Mutex<VecDeque<Watched>>,
    next: Mutex<usize>,
    pub(super) cut: AtomicBool,
}

impl Line {
    pub(super) fn miss_everything_pushed(&self) {
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

    async fn page(&self, next: Option<&str>) -> Result<Page, StoreError> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(StoreError::Connection);
        }
        let shared = self.shared.lock().unwrap();
        let from = next.map_or(0, |next| next.parse().unwrap());
        let lines = shared.records.iter().skip(from).take(100);
        let changes: Vec<Change> = lines.filter_map(|line| line.parse().ok()).collect();
        let next = (from + changes.len() < shared.records.len()).then(|| (from + changes.len()).to_string());
        Ok(Page { mark: shared.mark(), changes, unreadable: 0, next })
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
pub(super) struct Hand(pub(super) AtomicI64);

impl Clock for Hand {
    fn now(&self) -> UnixTime {
        at(self.0.load(Ordering::Relaxed))
    }
}

/// Two replicas on one store.
pub(super) struct Pair {
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) lines: [Arc<Line>; 2],
    pub(super) lists: [Arc<Revocations>; 2],
    pub(super) clock: Hand,
}

impl Pair {
    pub(super) fn new() -> Self {
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
        let list = |line: &Arc<Line>| Arc::new(Revocations::new(Arc::<Line>::clone(line), Duration::from_secs(300)));
        let lists = [list(&lines[0]), list(&lines[1])];
        Self { shared, lines, lists, clock: Hand::default() }
    }

    pub(super) fn followers(&self) -> [Follower; 2] {
        let mut followers = [0, 1].map(|n: usize| self.lists[n].follower().unwrap());
        for follower in &mut followers {
            self.steps(follower);
        }
        followers
    }

    /// Steps until there is nothing more to hear.
    pub(super) fn steps(&self, follower: &mut Follower) -> Vec<Followed> {
        (0..32).flat_map(|_| block_on(follower.step(&self.clock))).collect()
    }

    pub(super) fn revoke(&self, replica: usize, id: u128) -> Result<(), NotKept> {
        block_on(self.lists[replica].revoke(revocation(id), self.clock.now()))
    }

    pub(super) fn known(&self) -> [usize; 2] {
        [self.lists[0].len(), self.lists[1].len()]
    }
}
