//! The keys of one issuer, as a snapshot that is swapped whole.

use crate::clock::UnixTime;
use crate::jose::{DecryptionKeySet, VerificationKeySet};
use arc_swap::ArcSwapOption;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// One generation of an issuer's verification keys.
#[derive(Clone, Debug)]
pub struct KeySnapshot {
    /// The keys.
    pub set: Arc<VerificationKeySet>,
    /// Grows with every change of the set, and when a set that had grown stale comes back: a verdict under an older
    /// one is void.
    pub generation: u64,
    /// The moment from which these keys are too old to be believed; `None` for keys from a file or a secret.
    pub stale_at: Option<UnixTime>,
}

/// Whom a ring tells that a token could not be judged with the keys at hand, and that newer ones may help.
///
/// Called on a request's way, so it only leaves a note and returns: who fetches, and how often, is not the request's
/// business. A stranger can make this happen at will with an invented `kid`.
pub trait RefetchSignal: Send + Sync {
    /// Newer keys are wanted.
    fn keys_wanted(&self);
}

/// Where an issuer's keys are looked up. "No keys" is a state that denies; there is no placeholder key.
#[derive(Default)]
pub struct KeyRing {
    verification: ArcSwapOption<KeySnapshot>,
    decryption: Option<Arc<DecryptionKeySet>>,
    refetch: OnceLock<Arc<dyn RefetchSignal>>,
}

impl KeyRing {
    /// A ring of fixed keys. `verification` is absent while none could be had yet, and for `sealed` tokens;
    /// `decryption` is there for encrypted forms.
    #[must_use]
    pub fn new(verification: Option<VerificationKeySet>, decryption: Option<DecryptionKeySet>) -> Self {
        let snapshot =
            verification.map(|set| Arc::new(KeySnapshot { set: Arc::new(set), generation: 1, stale_at: None }));
        Self {
            verification: ArcSwapOption::new(snapshot),
            decryption: decryption.map(Arc::new),
            refetch: OnceLock::new(),
        }
    }

    /// The verification keys, if there are any that may be believed at `now`.
    #[must_use]
    pub fn verification(&self, now: UnixTime) -> Option<Arc<KeySnapshot>> {
        let current = self.verification.load_full()?;
        let believable = current.stale_at.is_none_or(|stale_at| now < stale_at);
        believable.then_some(current)
    }

    /// Puts a new generation in the old one's place.
    pub fn replace(&self, snapshot: KeySnapshot) {
        self.verification.store(Some(Arc::new(snapshot)));
    }

    /// Names whom to tell that newer keys are wanted. The first one named stays.
    pub fn on_wanted(&self, signal: Arc<dyn RefetchSignal>) {
        // A ring is followed by one source for life: a reload makes new rings.
        let _ = self.refetch.set(signal);
    }

    /// Notes that newer verification keys are wanted. Nothing happens where keys are fixed.
    pub fn want_newer(&self) {
        if let Some(signal) = self.refetch.get() {
            signal.keys_wanted();
        }
    }

    /// The decryption keys, where the form has any.
    #[must_use]
    pub fn decryption(&self) -> Option<&DecryptionKeySet> {
        self.decryption.as_deref()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("verification", &self.verification)
            .field("decryption", &self.decryption)
            .field("fetched", &self.refetch.get().is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl RefetchSignal for Count {
        fn keys_wanted(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn keys_past_their_time_are_no_keys() {
        let ring = KeyRing::default();
        let at = UnixTime::from_seconds;
        assert!(ring.verification(at(0)).is_none());
        ring.replace(KeySnapshot { set: Arc::default(), generation: 1, stale_at: Some(at(100)) });
        assert!(ring.verification(at(99)).is_some());
        assert!(ring.verification(at(100)).is_none());
    }

    #[test]
    fn a_ring_of_fixed_keys_asks_nobody_and_a_fetched_one_asks_its_source() {
        let ring = KeyRing::new(None, None);
        ring.want_newer();
        let count = Arc::new(Count::default());
        ring.on_wanted(Arc::clone(&count) as Arc<dyn RefetchSignal>);
        ring.want_newer();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
