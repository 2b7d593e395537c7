//! What is known of each nonce.

use super::Due;
use crate::clock::UnixTime;
use crate::store::{IfUnknown, Nonce, NonceKey};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Claims that wait for the store to answer again before they can be given back; more stay made.
const MAX_DUE: usize = 10_000;
/// Entries are kept a little longer than the store keeps the claim, never shorter.
const SLACK: Duration = Duration::from_secs(5);

/// Every nonce, and the queues over them.
#[derive(Debug)]
pub(super) struct Table<W> {
    pub(super) entries: HashMap<NonceKey, Entry<W>>,
    by_second: BTreeMap<i64, Vec<NonceKey>>,
    remembered: usize,
    pub(super) due: VecDeque<Due>,
    /// Until this moment some claim of ours may live that the table had no room for.
    pub(super) gaps_until: UnixTime,
}

/// What is known of one nonce.
#[derive(Debug)]
pub(super) struct Entry<W> {
    pub(super) state: State<W>,
    pub(super) until: UnixTime,
}

/// Where a nonce stands.
#[derive(Debug)]
pub(super) enum State<W> {
    /// A claim is on its way. `overdue`: its request was told that the outcome is unknown. `keep`: a request was let
    /// through all the same. `adopted`: after a claim that was made without the store. `exact`: no earlier claim of ours
    /// can be missing from the table.
    Flying { overdue: bool, keep: bool, adopted: bool, exact: bool, waiters: Vec<W> },
    /// A claim of ours, or what may be one, that no request rests on: waits to be given back.
    Owed,
    /// It is being given back.
    Returning { waiters: Vec<W> },
    /// Ours, and used.
    Spent,
    /// The store said "used up" to a claim of at most so many uses.
    Foreign { uses: u32 },
}

/// What stands against a claim, in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Free = 0,
    Busy = 1,
    Unsettled = 2,
    Spent = 3,
}

impl<W> Table<W> {
    pub(super) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            by_second: BTreeMap::new(),
            remembered: 0,
            due: VecDeque::new(),
            gaps_until: UnixTime::default(),
        }
    }

    pub(super) fn view(&self, nonce: &Nonce, now: UnixTime) -> View {
        let Some(entry) = self.entries.get(&nonce.key) else { return View::Free };
        match &entry.state {
            State::Flying { adopted: true, .. } => View::Spent,
            State::Flying { overdue: false, .. } | State::Returning { .. } => View::Busy,
            State::Flying { .. } | State::Owed => View::Unsettled,
            State::Spent if entry.until > now => View::Spent,
            State::Foreign { uses } if entry.until > now && nonce.uses <= *uses => View::Spent,
            State::Spent | State::Foreign { .. } => View::Free,
        }
    }

    pub(super) fn spent(&self, nonces: &[Nonce], now: UnixTime) -> Option<usize> {
        nonces.iter().rposition(|nonce| self.view(nonce, now) == View::Spent)
    }

    pub(super) fn state(&mut self, key: &NonceKey) -> Option<&mut State<W>> {
        self.entries.get_mut(key).map(|entry| &mut entry.state)
    }

    /// A request that was told "unknown" and is let through all the same rests on the claim: it must stay.
    pub(super) fn answered_unknown(&mut self, nonces: &[Nonce], if_unknown: IfUnknown) {
        if if_unknown == IfUnknown::GiveBack {
            return;
        }
        for nonce in nonces {
            match self.state(&nonce.key) {
                Some(State::Flying { keep, .. }) => *keep = true,
                Some(State::Owed) => {
                    self.entries.remove(&nonce.key);
                    self.spend(nonce, usize::MAX);
                }
                _ => {}
            }
        }
    }

    pub(super) fn owe(&mut self, due: Due, capacity: usize) {
        if self.due.len() >= MAX_DUE {
            if due.nonce.uses == 1 {
                self.spend(&due.nonce, capacity);
            }
            return;
        }
        if due.nonce.uses == 1 {
            self.entries.insert(due.nonce.key, Entry { state: State::Owed, until: due.nonce.keep_until });
        }
        self.due.push_back(due);
    }

    pub(super) fn spend(&mut self, nonce: &Nonce, capacity: usize) {
        if !self.remember(nonce.key, State::Spent, nonce.keep_until.plus(SLACK), capacity) {
            self.gaps_until = self.gaps_until.max(nonce.keep_until.plus(SLACK));
        }
    }

    pub(super) fn remember(&mut self, key: NonceKey, state: State<W>, until: UnixTime, capacity: usize) -> bool {
        if self.remembered >= capacity {
            return false;
        }
        self.place(key, Entry { state, until });
        self.by_second.entry(until.as_seconds()).or_default().push(key);
        self.remembered += 1;
        true
    }

    /// Puts `entry` in the place of whatever was there.
    pub(super) fn place(&mut self, key: NonceKey, entry: Entry<W>) {
        if self.entries.insert(key, entry).is_some_and(|old| old.remembers()) {
            self.remembered -= 1;
        }
    }

    pub(super) fn forget(&mut self, key: &NonceKey) {
        if let Some(Entry { state: State::Spent | State::Foreign { .. }, .. }) = self.entries.remove(key) {
            self.remembered -= 1;
        }
    }

    pub(super) fn purge(&mut self, now: UnixTime, at_most: usize) {
        for _ in 0..at_most {
            let Some(mut bucket) = self.by_second.first_entry() else { return };
            if *bucket.key() >= now.as_seconds() {
                return;
            }
            let key = bucket.get_mut().pop();
            if bucket.get().is_empty() {
                bucket.remove();
            }
            let Some(key) = key else { continue };
            // The bucket may name a claim that was since given back, or claimed anew.
            if self.entries.get(&key).is_some_and(|entry| entry.remembers() && entry.until <= now) {
                self.forget(&key);
            }
        }
    }
}

impl<W> Entry<W> {
    fn remembers(&self) -> bool {
        matches!(self.state, State::Spent | State::Foreign { .. })
    }
}
