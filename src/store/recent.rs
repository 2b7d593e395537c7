//! What this replica itself knows of claims: exact, bounded, in front of a shared store.
//!
//! It does two things. A replay of what the replica saw a moment ago is answered here, so that a flood of one stolen
//! token costs the store nothing. And it keeps one claim of a nonce in flight at a time: the value in the store names
//! the replica, not the request, so only here can an unanswered claim be told from a good one of the same replica. A
//! claim is given back only if this table proves that no request ever rested on it.

mod table;

use super::{IfUnknown, Nonce, NonceKey};
use crate::clock::UnixTime;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::{Entry, State, Table, View};

/// Expired entries dropped with each claim.
const PURGE_PER_CLAIM: usize = 4;

/// What a claim may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Ask the store, then [`Recent::land`].
    Granted,
    /// The nonce at this place is known to be used up; of several, the last.
    Replayed(usize),
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

impl<W> Recent<W> {
    /// An empty table that remembers at most `capacity` claims, and foreign ones for `foreign_memory`.
    pub(crate) fn new(capacity: usize, foreign_memory: Duration) -> Self {
        Self { capacity, foreign_memory, table: Mutex::new(Table::new()) }
    }

    /// Asks leave to claim all `nonces`. After `Granted`, [`Self::land`] must follow, however the claim ends.
    pub(crate) fn begin(&self, nonces: &[Nonce], if_unknown: IfUnknown, now: UnixTime) -> Admission {
        let mut table = self.lock();
        table.purge(now, PURGE_PER_CLAIM);
        let refusal = nonces.iter().map(|nonce| table.view(nonce, now)).max_by_key(|view| *view as u8);
        match refusal.unwrap_or(View::Free) {
            View::Spent => return Admission::Replayed(table.spent(nonces, now).unwrap_or_default()),
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
            let state = State::Flying { overdue: false, keep: false, adopted: false, exact, waiters: Vec::new() };
            table.place(nonce.key, Entry { state, until: nonce.keep_until });
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
            let Some(Entry { state: State::Flying { overdue, keep, adopted, exact, waiters }, .. }) =
                table.entries.remove(&nonce.key)
            else {
                continue;
            };
            woken.extend(waiters);
            if adopted {
                table.spend(nonce, usize::MAX);
                continue;
            }
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

    /// Takes note of claims that were made without the store; or answers with the place of a nonce that is used up, or
    /// may be by now.
    pub(crate) fn adopt(&self, nonces: &[Nonce], now: UnixTime) -> Option<usize> {
        let mut table = self.lock();
        let known = |nonce: &Nonce| match table.view(nonce, now) {
            View::Spent | View::Busy => true,
            View::Free | View::Unsettled => false,
        };
        if let Some(place) = nonces.iter().rposition(known) {
            return Some(place);
        }
        table.answered_unknown(nonces, IfUnknown::Keep);
        for nonce in nonces.iter().filter(|nonce| nonce.uses == 1) {
            if let Some(State::Flying { adopted, .. }) = table.state(&nonce.key) {
                *adopted = true;
            } else {
                table.forget(&nonce.key);
                table.spend(nonce, usize::MAX);
            }
        }
        None
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

    /// The place of a nonce that is used up as far as this table knows; of several, the last.
    pub(crate) fn spent(&self, nonces: &[Nonce], now: UnixTime) -> Option<usize> {
        self.lock().spent(nonces, now)
    }

    /// A panic can't leave the table half written (no call in between can panic), so a poisoned lock is sound.
    fn lock(&self) -> MutexGuard<'_, Table<W>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
