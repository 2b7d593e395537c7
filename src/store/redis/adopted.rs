//! Claims that were made without the store (`on_loss: local`), until they are entered into it.

use crate::store::{Nonce, NonceKey, StoreError};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many can wait. Whoever is refused here must refuse its request.
const CAPACITY: usize = 100_000;

/// A queue of nonces.
#[derive(Debug, Default)]
pub(super) struct Adopted(Mutex<VecDeque<Nonce>>);

impl Adopted {
    /// Takes charge of claims, all or none.
    pub(super) fn add(&self, nonces: &[Nonce]) -> Result<(), StoreError> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() + nonces.len() > CAPACITY {
            return Err(StoreError::Full);
        }
        queue.extend(nonces);
        Ok(())
    }

    /// Takes up to `limit` that `wanted` lets pass. What can't be entered must be put [`Self::back`].
    pub(super) fn take(&self, limit: usize, wanted: impl Fn(&NonceKey) -> bool) -> Vec<Nonce> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for _ in 0..queue.len() {
            if taken.len() == limit {
                break;
            }
            match queue.pop_front() {
                Some(nonce) if wanted(&nonce.key) => taken.push(nonce),
                Some(nonce) => queue.push_back(nonce),
                None => break,
            }
        }
        taken
    }

    /// Puts back what was taken, whatever the capacity.
    pub(super) fn back(&self, nonces: impl IntoIterator<Item = Nonce>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(nonces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    fn nonce(id: usize) -> Nonce {
        Nonce { key: NonceKey::new("jti", "a", &id.to_string()), uses: 1, keep_until: UnixTime::from_seconds(1) }
    }

    #[test]
    fn what_is_taken_is_gone_until_it_is_put_back() {
        let adopted = Adopted::default();
        adopted.add(&[nonce(1), nonce(2), nonce(3)]).unwrap();
        assert_eq!(adopted.take(2, |key| *key != nonce(2).key), [nonce(1), nonce(3)]);
        adopted.back([nonce(1)]);
        let mut rest = adopted.take(9, |_| true);
        rest.sort_by_key(|nonce| nonce.key);
        let mut expected = [nonce(1), nonce(2)];
        expected.sort_by_key(|nonce| nonce.key);
        assert_eq!(rest, expected);
    }

    #[test]
    fn a_full_queue_refuses() {
        let adopted = Adopted::default();
        let many: Vec<Nonce> = (0..CAPACITY).map(nonce).collect();
        assert_eq!(adopted.add(&many), Ok(()));
        assert_eq!(adopted.add(&[nonce(0)]), Err(StoreError::Full));
    }
}
