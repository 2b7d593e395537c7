//! A bounded table that forgets: sharded, and when a shard is full the entry that matters least makes room.

use super::LimitKey;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 16;
/// How many entries are looked at for the least one: a sample, so that a full table costs no scan.
const SAMPLE: usize = 8;

/// A bounded table of states `S`.
#[derive(Debug)]
pub(super) struct Table<S> {
    shards: Vec<Mutex<HashMap<LimitKey, S>>>,
    per_shard: usize,
}

impl<S: Copy> Table<S> {
    /// A table of at most `capacity` entries (at least one a shard).
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, per_shard: (capacity / SHARDS).max(1) }
    }

    /// Changes the state of `key` under its shard's lock. `weight` says how much a state matters at present: the
    /// lightest of a sample makes room when the shard is full.
    pub(super) fn update<R>(
        &self,
        key: LimitKey,
        change: impl FnOnce(Option<S>) -> (Option<S>, R),
        weight: impl Fn(&S) -> i64,
    ) -> R {
        let index = usize::try_from(key.0 % 16).unwrap_or_default();
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        let before = shard.get(&key).copied();
        let (after, answer) = change(before);
        match after {
            Some(state) => {
                if before.is_none() && shard.len() >= self.per_shard {
                    let lightest =
                        shard.iter().take(SAMPLE).min_by_key(|(_, state)| weight(state)).map(|(key, _)| *key);
                    if let Some(lightest) = lightest {
                        shard.remove(&lightest);
                    }
                }
                shard.insert(key, state);
            }
            None => {
                shard.remove(&key);
            }
        }
        answer
    }

    /// The number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}
