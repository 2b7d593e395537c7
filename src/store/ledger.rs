//! A bounded, exact table of claims in this process.

use super::{Nonce, NonceKey, StoreError};
use crate::clock::UnixTime;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Expired entries dropped with each claim: more than one, so that the table shrinks while it is used.
const PURGE_PER_CLAIM: usize = 4;

/// A table of claims that forgets nothing before its time: a full one refuses.
#[derive(Debug)]
pub struct Ledger {
    max_entries: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    claims: HashMap<NonceKey, Claim>,
    by_expiry: BinaryHeap<Reverse<(UnixTime, NonceKey)>>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    used: u32,
    keep_until: UnixTime,
}

/// The number of uses of what was claimed for one use: used up for whoever counts, too. A token that was spent on one
/// route is spent on all.
const SPENT: u32 = u32::MAX;

impl Ledger {
    /// An empty table of at most `max_entries` claims.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self { max_entries, entries: Mutex::default() }
    }

    /// Claims all `nonces` or none. `Ok(None)`: all are claimed. `Ok(Some(place))`: none is, for the one at `place` was
    /// used up (the last, if several were). `Err`: there is no room.
    pub fn claim(&self, nonces: &[Nonce], now: UnixTime) -> Result<Option<usize>, StoreError> {
        let mut entries = self.lock();
        entries.purge(now, PURGE_PER_CLAIM);
        if let Some(spent) = entries.spent(nonces, now) {
            return Ok(Some(spent));
        }
        let fresh = nonces.iter().filter(|nonce| !entries.claims.contains_key(&nonce.key)).count();
        if entries.claims.len() + fresh > self.max_entries {
            entries.purge(now, usize::MAX);
            if entries.claims.len() + fresh > self.max_entries {
                return Err(StoreError::Full);
            }
        }
        for nonce in nonces {
            entries.record(nonce, now);
        }
        Ok(None)
    }

    /// The place of a nonce that is used up now, so that a claim of all `nonces` would fail; the last, if several are.
    #[must_use]
    pub fn spent(&self, nonces: &[Nonce], now: UnixTime) -> Option<usize> {
        self.lock().spent(nonces, now)
    }

    /// Takes one use of each nonce back.
    pub fn release(&self, nonces: &[Nonce]) {
        let mut entries = self.lock();
        for nonce in nonces {
            match entries.claims.get_mut(&nonce.key) {
                Some(claim) if nonce.uses == 1 => claim.used = 0,
                Some(claim) if claim.used != SPENT => claim.used = claim.used.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// The number of claims held, expired ones that were not yet dropped included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().claims.len()
    }

    /// True when nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic can't leave the table half written (no call in between can panic), so a poisoned lock is sound.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn spent(&self, nonces: &[Nonce], now: UnixTime) -> Option<usize> {
        nonces.iter().rposition(|nonce| self.is_spent(nonce, now))
    }

    fn is_spent(&self, nonce: &Nonce, now: UnixTime) -> bool {
        self.claims.get(&nonce.key).is_some_and(|claim| claim.keep_until > now && claim.used >= nonce.uses)
    }

    fn record(&mut self, nonce: &Nonce, now: UnixTime) {
        let claim = self.claims.entry(nonce.key).or_insert(Claim { used: 0, keep_until: nonce.keep_until });
        if claim.keep_until <= now {
            claim.used = 0;
        }
        claim.used = if nonce.uses == 1 { SPENT } else { claim.used.saturating_add(1) };
        claim.keep_until = claim.keep_until.max(nonce.keep_until);
        if claim.used == 1 || claim.used == SPENT || claim.keep_until == nonce.keep_until {
            self.by_expiry.push(Reverse((claim.keep_until, nonce.key)));
        }
    }

    fn purge(&mut self, now: UnixTime, at_most: usize) {
        for _ in 0..at_most {
            match self.by_expiry.peek() {
                Some(Reverse((expiry, _))) if *expiry <= now => {}
                _ => return,
            }
            let Some(Reverse((_, key))) = self.by_expiry.pop() else { return };
            // The heap may hold an older date of a claim that was since prolonged.
            if self.claims.get(&key).is_some_and(|claim| claim.keep_until <= now) {
                self.claims.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn nonce(id: &str, uses: u32, keep_until: i64) -> Nonce {
        Nonce { key: NonceKey::new("jti", "issuer", id), uses, keep_until: UnixTime::from_seconds(keep_until) }
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    #[test]
    fn the_second_claim_is_refused_until_the_first_expires() {
        let ledger = Ledger::new(10);
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(0)), Ok(None));
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(9)), Ok(Some(0)));
        assert_eq!(ledger.claim(&[nonce("a", 1, 20)], at(10)), Ok(None));
    }

    #[test]
    fn several_nonces_are_claimed_together_or_not_at_all() {
        let ledger = Ledger::new(10);
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(0)), Ok(None));
        assert_eq!(ledger.claim(&[nonce("b", 1, 10), nonce("a", 1, 10)], at(0)), Ok(Some(1)));
        assert_eq!(ledger.claim(&[nonce("b", 1, 10)], at(0)), Ok(None));
    }

    #[test]
    fn of_several_that_are_used_up_the_last_is_told() {
        let ledger = Ledger::new(10);
        let both = [nonce("proof", 1, 10), nonce("token", 2, 10)];
        assert_eq!(ledger.claim(&both, at(0)), Ok(None));
        assert_eq!(ledger.claim(&both, at(0)), Ok(Some(0)), "the token has a use left");
        assert_eq!(ledger.claim(&[nonce("second", 1, 10), both[1]], at(0)), Ok(None));
        assert_eq!(ledger.claim(&both, at(0)), Ok(Some(1)));
        assert_eq!(ledger.spent(&both, at(0)), Some(1));
    }

    #[test]
    fn a_full_table_refuses_and_evicts_no_live_claim() {
        let ledger = Ledger::new(2);
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(0)), Ok(None));
        assert_eq!(ledger.claim(&[nonce("b", 1, 10)], at(0)), Ok(None));
        assert_eq!(ledger.claim(&[nonce("c", 1, 10)], at(0)), Err(StoreError::Full));
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(0)), Ok(Some(0)));
        assert_eq!(ledger.claim(&[nonce("c", 1, 20)], at(10)), Ok(None));
        assert_eq!(ledger.len(), 1);
    }

    #[test]
    fn a_counted_token_is_good_for_exactly_its_uses() {
        let ledger = Ledger::new(10);
        let answers: Vec<_> = (0..4).map(|_| ledger.claim(&[nonce("a", 3, 10)], at(0))).collect();
        assert_eq!(answers, [Ok(None), Ok(None), Ok(None), Ok(Some(0))]);
        ledger.release(&[nonce("a", 3, 10)]);
        assert_eq!(ledger.claim(&[nonce("a", 3, 10)], at(0)), Ok(None));
    }

    #[test]
    fn a_token_that_was_spent_on_one_route_is_spent_on_one_that_counts() {
        let ledger = Ledger::new(10);
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(0)), Ok(None));
        assert_eq!(ledger.claim(&[nonce("a", 3, 10)], at(0)), Ok(Some(0)));
        ledger.release(&[nonce("a", 3, 10)]);
        assert_eq!(ledger.claim(&[nonce("a", 3, 10)], at(0)), Ok(Some(0)), "a counted release is not of this claim");
        ledger.release(&[nonce("a", 1, 10)]);
        assert_eq!(ledger.claim(&[nonce("a", 3, 10)], at(0)), Ok(None));
        assert_eq!(ledger.claim(&[nonce("a", 1, 10)], at(0)), Ok(Some(0)));
    }

    #[test]
    fn of_many_simultaneous_presenters_exactly_one_wins() {
        let ledger = Ledger::new(1000);
        let won = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for id in 0..100 {
                        if ledger.claim(&[nonce(&id.to_string(), 1, 10)], at(0)) == Ok(None) {
                            won.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(won.into_inner(), 100);
    }
}
