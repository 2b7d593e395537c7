//! What this replica itself knows of claims: exact, bounded, in front of a shared store.
//!
//! It does two things. A replay of what the replica saw a moment ago is answered here, so that a flood of one stolen
//! token costs the store nothing. And it keeps one claim of a nonce in flight at a time: the value in the store names
//! the replica, not the request, so only here can an unanswered claim be told from a good one of the same replica. A
//! claim is given back only if this table proves that no request ever rested on it.

use super::{IfUnknown, Nonce, NonceKey};
use crate::clock::UnixTime;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Claims that wait for the store to answer again before they can be given back; more stay made.
const MAX_DUE: usize = 10_000;
/// Entries are kept a little longer than the store keeps the claim, never shorter.
const SLACK: Duration = Duration::from_secs(5);
/// Expired entries dropped with each claim.
const PURGE_PER_CLAIM: usize = 4;

/// What a claim may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Ask the store, then [`Recent::land`].
    Granted,
    /// At least one nonce is known to be used up.
    Replayed,
    /// Another claim of this nonce is on its way: [`Recent::wait`] for it, then ask again.
    Busy(NonceKey),
    /// An earlier claim of one of the nonces was never answered, and what became of it is not known yet.
    Unsettled,
}

/// How a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landing {
    /// It is made. `answered`: the request is told so; otherwise it is told that the outcome is unknown.
    Fresh { owner: u16, epoch: UnixTime, answered: bool },
    /// The nonce at this place was used up; nothing was claimed.
    Replayed(usize),
    /// The store did nothing.
    NotMade,
    /// The answer is lost. `owner` is the tag the claim would bear, if no other replica can bear it.
    Lost { owner: Option<u16>, epoch: UnixTime },
}

/// A claim to be given back: delete the key if it holds `owner`, or count one use less, as long as the store's epoch
/// is not later than `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub nonce: Nonce,
    pub owner: u16,
    pub epoch: UnixTime,
}

/// How giving back a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    /// The store did it, or found that nothing of ours is there.
    Settled,
    /// The store did nothing: try again later.
    NotSent,
    /// The answer is lost. It is not tried again: a release that is carried out twice could hit the next claim.
    Lost,
}

/// The table. `W` is what a waiting claim leaves behind; dropping it wakes the claim.
#[derive(Debug)]
pub(crate) struct Recent<W> {
    capacity: usize,
    foreign_memory: Duration,
    table: Mutex<Table<W>>,
}

#[derive(Debug)]
struct Table<W> {
    entries: HashMap<NonceKey, Entry<W>>,
    by_second: BTreeMap<i64, Vec<NonceKey>>,
    remembered: usize,
    due: VecDeque<Due>,
    /// Until this moment some claim of ours may live that the table had no room for.
    gaps_until: UnixTime,
}

#[derive(Debug)]
struct Entry<W> {
    state: State<W>,
    until: UnixTime,
}

#[derive(Debug)]
enum State<W> {
    /// A claim is on its way. `overdue`: its request was told that the outcome is unknown. `keep`: a request was let
    /// through all the same. `exact`: no earlier claim of ours can be missing from the table.
    Flying { overdue: bool, keep: bool, exact: bool, waiters: Vec<W> },
    /// A claim of ours, or what may be one, that no request rests on: waits to be given back.
    Owed,
    /// It is being given back.
    Returning { waiters: Vec<W> },
    /// Ours, and used.
    Spent,
    /// The store said "used up" to a claim of at most so many uses.
    Foreign { uses: u32 },
}

impl<W> Recent<W> {
    /// An empty table that remembers at most `capacity` claims, and foreign ones for `foreign_memory`.
    pub(crate) fn new(capacity: usize, foreign_memory: Duration) -> Self {
        let table = Table {
            entries: HashMap::new(),
            by_second: BTreeMap::new(),
            remembered: 0,
            due: VecDeque::new(),
            gaps_until: UnixTime::default(),
        };
        Self { capacity, foreign_memory, table: Mutex::new(table) }
    }

    /// Asks leave to claim all `nonces`. After `Granted`, [`Self::land`] must follow, however the claim ends.
    pub(crate) fn begin(&self, nonces: &[Nonce], if_unknown: IfUnknown, now: UnixTime) -> Admission {
        let mut table = self.lock();
        table.purge(now, PURGE_PER_CLAIM);
        let refusal = nonces.iter().map(|nonce| table.view(nonce, now)).max_by_key(|view| *view as u8);
        match refusal.unwrap_or(View::Free) {
            View::Spent => return Admission::Replayed,
            View::Unsettled => {
                table.answered_unknown(nonces, if_unknown);
                return Admission::Unsettled;
            }
            View::Busy => {
                let busy = nonces.iter().find(|nonce| table.view(nonce, now) == View::Busy);
                return busy.map_or(Admission::Unsettled, |nonce| Admission::Busy(nonce.key));
            }
            View::Free => {}
        }
        let exact = table.gaps_until <= now;
        for nonce in nonces {
            table.forget(&nonce.key);
            let state = State::Flying { overdue: false, keep: false, exact, waiters: Vec::new() };
            table.entries.insert(nonce.key, Entry { state, until: nonce.keep_until });
        }
        Admission::Granted
    }

    /// Leaves `waiter` with the claim on its way. `false`: there is none any more, so ask again at once.
    pub(crate) fn wait(&self, key: &NonceKey, waiter: W) -> bool {
        match self.lock().entries.get_mut(key).map(|entry| &mut entry.state) {
            Some(State::Flying { waiters, overdue: false, .. } | State::Returning { waiters }) => {
                waiters.push(waiter);
                true
            }
            _ => false,
        }
    }

    /// A request that waited is told that the outcome is unknown.
    pub(crate) fn gave_up(&self, nonces: &[Nonce], if_unknown: IfUnknown) {
        self.lock().answered_unknown(nonces, if_unknown);
    }

    /// The request whose claim is on its way is told that the outcome is unknown. The claim must still land.
    pub(crate) fn overdue(&self, nonces: &[Nonce], if_unknown: IfUnknown) {
        let mut table = self.lock();
        let mut woken = Vec::new();
        for nonce in nonces {
            if let Some(State::Flying { overdue, waiters, .. }) = table.state(&nonce.key) {
                *overdue = true;
                woken.append(waiters);
            }
        }
        table.answered_unknown(nonces, if_unknown);
        drop(table);
        drop(woken);
    }

    /// The claim of `nonces` has ended. True when something is to be given back.
    pub(crate) fn land(&self, nonces: &[Nonce], landing: Landing, if_unknown: IfUnknown, now: UnixTime) -> bool {
        let mut table = self.lock();
        let mut woken = Vec::new();
        for (place, nonce) in nonces.iter().enumerate() {
            let Some(Entry { state: State::Flying { overdue, keep, exact, waiters }, .. }) =
                table.entries.remove(&nonce.key)
            else {
                continue;
            };
            woken.extend(waiters);
            let given_up = !keep && if_unknown == IfUnknown::GiveBack;
            match landing {
                Landing::Fresh { owner, epoch, answered } if given_up && (overdue || !answered) => {
                    table.owe(Due { nonce: *nonce, owner, epoch }, self.capacity);
                }
                Landing::Replayed(spent) if place == spent => {
                    let until = now.plus(self.foreign_memory).min(nonce.keep_until);
                    table.remember(nonce.key, State::Foreign { uses: nonce.uses }, until, self.capacity);
                }
                Landing::Lost { owner: Some(owner), epoch } if given_up && exact && nonce.uses == 1 => {
                    table.owe(Due { nonce: *nonce, owner, epoch }, self.capacity);
                }
                Landing::Fresh { .. } | Landing::Lost { .. } if nonce.uses == 1 => table.spend(nonce, self.capacity),
                _ => {}
            }
        }
        let due = !table.due.is_empty();
        drop(table);
        drop(woken);
        due
    }

    /// Whether any of `nonces` has a request that was told that the outcome is unknown, and that rests on no claim.
    pub(crate) fn is_given_up(&self, nonces: &[Nonce]) -> bool {
        let mut table = self.lock();
        nonces
            .iter()
            .any(|nonce| matches!(table.state(&nonce.key), Some(State::Flying { overdue: true, keep: false, .. })))
    }

    /// Takes note of claims that were made without the store. `false`: one of the nonces is used up, or may be by now.
    pub(crate) fn adopt(&self, nonces: &[Nonce], now: UnixTime) -> bool {
        let mut table = self.lock();
        let known = |nonce: &Nonce| match table.view(nonce, now) {
            View::Spent | View::Busy => true,
            View::Free | View::Unsettled => false,
        };
        if nonces.iter().any(known) {
            return false;
        }
        table.answered_unknown(nonces, IfUnknown::Keep);
        for nonce in nonces.iter().filter(|nonce| nonce.uses == 1) {
            if table.view(nonce, now) == View::Free {
                table.forget(&nonce.key);
                table.spend(nonce, usize::MAX);
            }
        }
        true
    }

    /// Gives up a claim that was made and answered. True when it can be given back.
    pub(crate) fn give_up(&self, due: Due) -> bool {
        let mut table = self.lock();
        match table.entries.get(&due.nonce.key).map(|entry| &entry.state) {
            _ if due.nonce.uses > 1 => {}
            Some(State::Spent) => table.forget(&due.nonce.key),
            None => {}
            Some(_) => return false,
        }
        table.owe(due, self.capacity);
        true
    }

    /// Takes up to `limit` claims that are to be given back and that `wanted` lets pass. Each must be
    /// [`Self::returned`].
    pub(crate) fn take_due(&self, limit: usize, wanted: impl Fn(&NonceKey) -> bool) -> Vec<Due> {
        let mut table = self.lock();
        let mut taken = Vec::new();
        for _ in 0..table.due.len() {
            if taken.len() == limit {
                break;
            }
            let Some(due) = table.due.pop_front() else { break };
            if !wanted(&due.nonce.key) {
                table.due.push_back(due);
                continue;
            }
            if due.nonce.uses == 1 {
                match table.state(&due.nonce.key) {
                    Some(state @ State::Owed) => *state = State::Returning { waiters: Vec::new() },
                    _ => continue,
                }
            }
            taken.push(due);
        }
        taken
    }

    /// How giving back a claim ended.
    pub(crate) fn returned(&self, due: Due, returned: Returned) {
        let mut table = self.lock();
        let mut woken = Vec::new();
        if due.nonce.uses == 1 {
            if let Some(Entry { state: State::Returning { waiters }, .. }) = table.entries.remove(&due.nonce.key) {
                woken = waiters;
                match returned {
                    Returned::Settled => {}
                    Returned::NotSent => table.owe(due, self.capacity),
                    // Whatever the capacity: only requests on their way when a connection breaks come here.
                    Returned::Lost => table.spend(&due.nonce, usize::MAX),
                }
            }
        } else if returned == Returned::NotSent {
            table.owe(due, self.capacity);
        }
        drop(table);
        drop(woken);
    }

    /// True when every nonce is free as far as this table knows.
    pub(crate) fn is_free(&self, nonces: &[Nonce], now: UnixTime) -> bool {
        let table = self.lock();
        !nonces.iter().any(|nonce| table.view(nonce, now) == View::Spent)
    }

    /// A panic can't leave the table half written (no call in between can panic), so a poisoned lock is sound.
    fn lock(&self) -> MutexGuard<'_, Table<W>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands against a claim, in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Free = 0,
    Busy = 1,
    Unsettled = 2,
    Spent = 3,
}

impl<W> Table<W> {
    fn view(&self, nonce: &Nonce, now: UnixTime) -> View {
        let Some(entry) = self.entries.get(&nonce.key) else { return View::Free };
        match &entry.state {
            State::Flying { overdue: false, .. } | State::Returning { .. } => View::Busy,
            State::Flying { .. } | State::Owed => View::Unsettled,
            State::Spent if entry.until > now => View::Spent,
            State::Foreign { uses } if entry.until > now && nonce.uses <= *uses => View::Spent,
            State::Spent | State::Foreign { .. } => View::Free,
        }
    }

    fn state(&mut self, key: &NonceKey) -> Option<&mut State<W>> {
        self.entries.get_mut(key).map(|entry| &mut entry.state)
    }

    /// A request that was told "unknown" and is let through all the same rests on the claim: it must stay.
    fn answered_unknown(&mut self, nonces: &[Nonce], if_unknown: IfUnknown) {
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

    fn owe(&mut self, due: Due, capacity: usize) {
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

    fn spend(&mut self, nonce: &Nonce, capacity: usize) {
        if !self.remember(nonce.key, State::Spent, nonce.keep_until.plus(SLACK), capacity) {
            self.gaps_until = self.gaps_until.max(nonce.keep_until.plus(SLACK));
        }
    }

    fn remember(&mut self, key: NonceKey, state: State<W>, until: UnixTime, capacity: usize) -> bool {
        if self.remembered >= capacity {
            return false;
        }
        self.entries.insert(key, Entry { state, until });
        self.by_second.entry(until.as_seconds()).or_default().push(key);
        self.remembered += 1;
        true
    }

    fn forget(&mut self, key: &NonceKey) {
        if let Some(Entry { state: State::Spent | State::Foreign { .. }, .. }) = self.entries.remove(key) {
            self.remembered -= 1;
        }
    }

    fn purge(&mut self, now: UnixTime, at_most: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    type Table = Recent<()>;
    const GIVE_BACK: IfUnknown = IfUnknown::GiveBack;

    fn table() -> Table {
        Recent::new(100, Duration::from_secs(2))
    }

    fn nonce(id: &str) -> Nonce {
        Nonce { key: NonceKey::new("jti", "a", id), uses: 1, keep_until: at(100) }
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    fn fresh(answered: bool) -> Landing {
        Landing::Fresh { owner: 1001, epoch: at(0), answered }
    }

    const LOST: Landing = Landing::Lost { owner: Some(1001), epoch: UnixTime::from_seconds(0) };

    /// Claims, ends as `landing`, and tells what the next claim may do.
    fn after(table: &Table, nonce: Nonce, landing: Landing, if_unknown: IfUnknown) -> Admission {
        assert_eq!(table.begin(&[nonce], if_unknown, at(0)), Admission::Granted);
        table.land(&[nonce], landing, if_unknown, at(0));
        table.begin(&[nonce], GIVE_BACK, at(1))
    }

    #[test]
    fn a_claim_of_ours_is_remembered_until_it_ends() {
        let table = table();
        assert_eq!(after(&table, nonce("a"), fresh(true), GIVE_BACK), Admission::Replayed);
        assert_eq!(table.begin(&[nonce("b"), nonce("a")], GIVE_BACK, at(100)), Admission::Replayed);
        assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(106)), Admission::Granted);
    }

    #[test]
    fn a_foreign_claim_is_remembered_for_a_moment_and_only_against_as_few_uses() {
        let table = table();
        assert_eq!(after(&table, nonce("a"), Landing::Replayed(0), GIVE_BACK), Admission::Replayed);
        let thrice = Nonce { uses: 3, ..nonce("a") };
        assert_eq!(table.begin(&[thrice], GIVE_BACK, at(1)), Admission::Granted);
        table.land(&[thrice], Landing::Replayed(0), GIVE_BACK, at(1));
        assert_eq!(table.begin(&[thrice], GIVE_BACK, at(2)), Admission::Replayed);
        assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(3)), Admission::Granted);
    }

    #[test]
    fn one_claim_of_a_nonce_is_on_its_way_at_a_time() {
        let table = table();
        assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(0)), Admission::Granted);
        assert_eq!(table.begin(&[nonce("a"), nonce("b")], GIVE_BACK, at(0)), Admission::Busy(nonce("a").key));
        assert!(table.wait(&nonce("a").key, ()));
        assert!(!table.wait(&nonce("b").key, ()));
        table.overdue(&[nonce("a")], GIVE_BACK);
        assert_eq!(table.begin(&[nonce("a")], GIVE_BACK, at(0)), Admission::Unsettled);
        assert!(!table.wait(&nonce("a").key, ()));
    }

    #[test]
    fn a_claim_whose_request_was_refused_is_given_back() {
        for (landing, late) in [(fresh(true), true), (fresh(false), false), (LOST, false), (LOST, true)] {
            let (table, nonce) = (table(), nonce("a"));
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Granted);
            if late {
                table.overdue(&[nonce], GIVE_BACK);
            }
            assert!(table.land(&[nonce], landing, GIVE_BACK, at(0)), "{landing:?}");
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Unsettled);
            let due = table.take_due(10, |_| true);
            assert_eq!(due, [Due { nonce, owner: 1001, epoch: at(0) }]);
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Busy(nonce.key));
            table.returned(due[0], Returned::Settled);
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Granted);
        }
    }

    #[test]
    fn a_claim_that_a_request_rests_on_is_never_given_back() {
        for landing in [fresh(false), LOST] {
            assert_eq!(after(&table(), nonce("a"), landing, IfUnknown::Keep), Admission::Replayed);
        }
        for landing in [fresh(true), LOST] {
            let (table, nonce) = (table(), nonce("a"));
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Granted);
            table.overdue(&[nonce], GIVE_BACK);
            // Another request with the same token is let through without the store's answer.
            assert_eq!(table.begin(&[nonce], IfUnknown::Keep, at(0)), Admission::Unsettled);
            assert!(!table.land(&[nonce], landing, GIVE_BACK, at(0)));
            assert_eq!(table.begin(&[nonce], GIVE_BACK, at(0)), Admission::Replayed);
        }
        let (table, nonce) = (table(), nonce("a"));
        assert_eq!(after(&table, nonce, LOST, GIVE_BACK), Admission::Unsettled);
        assert_eq!(table.begin(&[nonce], IfUnknown::Keep, at(1)), Admission::Unsettled);
        assert_eq!(table.take_due(10, |_| true), []);
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed);
    }

    #[test]
    fn a_release_whose_answer_is_lost_is_not_tried_again() {
        let (table, nonce) = (table(), nonce("a"));
        assert_eq!(after(&table, nonce, fresh(true), GIVE_BACK), Admission::Replayed);
        let due = Due { nonce, owner: 1001, epoch: at(0) };
        assert!(table.give_up(due));
        assert_eq!(table.take_due(10, |_| true), [due]);
        table.returned(due, Returned::Lost);
        assert_eq!(table.take_due(10, |_| true), []);
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed);
    }

    #[test]
    fn a_release_that_was_not_sent_is_tried_again() {
        let (table, nonce) = (table(), nonce("a"));
        let due = Due { nonce, owner: 1001, epoch: at(0) };
        assert!(table.give_up(due));
        assert_eq!(table.take_due(10, |_| false), []);
        assert_eq!(table.take_due(10, |_| true), [due]);
        table.returned(due, Returned::NotSent);
        assert_eq!(table.take_due(10, |_| true), [due]);
    }

    #[test]
    fn a_lost_answer_is_not_taken_back_where_an_earlier_claim_of_ours_may_be_forgotten() {
        let table: Table = Recent::new(1, Duration::from_secs(2));
        assert_eq!(after(&table, nonce("a"), fresh(true), GIVE_BACK), Admission::Replayed);
        assert_eq!(after(&table, nonce("b"), fresh(true), GIVE_BACK), Admission::Granted);
        table.land(&[nonce("b")], LOST, GIVE_BACK, at(1));
        assert_eq!(table.take_due(10, |_| true), [], "the claim in the store may be the good one");
        assert_eq!(table.begin(&[nonce("c")], GIVE_BACK, at(106)), Admission::Granted);
        table.land(&[nonce("c")], LOST, GIVE_BACK, at(106));
        assert_eq!(table.take_due(10, |_| true).len(), 1);
    }

    #[test]
    fn a_counted_use_is_given_back_only_where_the_answer_is_known() {
        let (table, thrice) = (table(), Nonce { uses: 3, ..nonce("a") });
        assert_eq!(table.begin(&[thrice], GIVE_BACK, at(0)), Admission::Granted);
        assert!(!table.land(&[thrice], LOST, GIVE_BACK, at(0)));
        assert_eq!(table.begin(&[thrice], GIVE_BACK, at(0)), Admission::Granted);
        table.overdue(&[thrice], GIVE_BACK);
        assert!(table.land(&[thrice], fresh(true), GIVE_BACK, at(0)));
        assert_eq!(table.take_due(10, |_| true).len(), 1);
    }

    #[test]
    fn a_claim_made_without_the_store_is_remembered_and_made_once() {
        let (table, nonce) = (table(), nonce("a"));
        assert!(table.adopt(&[nonce], at(0)));
        assert!(!table.adopt(&[nonce], at(1)));
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed);
    }

    #[test]
    fn a_claim_made_without_the_store_is_not_made_beside_one_that_is_on_its_way() {
        let (table, nonce) = (table(), nonce("a"));
        assert_eq!(table.begin(&[nonce], IfUnknown::Keep, at(0)), Admission::Granted);
        assert!(!table.adopt(&[nonce], at(0)), "its request may yet be told that it is fresh");
        table.overdue(&[nonce], IfUnknown::Keep);
        assert!(table.adopt(&[nonce], at(0)));
        table.land(&[nonce], fresh(true), IfUnknown::Keep, at(0));
        assert_eq!(table.begin(&[nonce], GIVE_BACK, at(1)), Admission::Replayed);
    }

    #[test]
    fn what_has_ended_makes_room() {
        let table: Table = Recent::new(8, Duration::from_secs(2));
        for round in 0..4 {
            for id in 0..8 {
                let nonce = Nonce { keep_until: at(10 * round + 1), ..nonce(&format!("{round} {id}")) };
                assert_eq!(table.begin(&[nonce], GIVE_BACK, at(10 * round)), Admission::Granted);
                table.land(&[nonce], fresh(true), GIVE_BACK, at(10 * round));
                assert_eq!(table.begin(&[nonce], GIVE_BACK, at(10 * round)), Admission::Replayed, "{round} {id}");
            }
        }
        assert!(table.lock().entries.len() <= 8);
    }
}
