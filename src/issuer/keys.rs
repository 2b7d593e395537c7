//! The keys of one issuer, as a snapshot that is swapped whole.

use crate::clock::UnixTime;
use crate::jose::{DecryptionKeySet, VerificationKeySet};
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// One generation of an issuer's verification keys.
#[derive(Debug)]
pub struct KeySnapshot {
    /// The keys.
    pub set: VerificationKeySet,
    /// Grows with every change of the set: a verdict under an older one is void.
    pub generation: u64,
    /// The moment from which these keys are too old to be believed; `None` for keys from a file or a secret.
    pub stale_at: Option<UnixTime>,
}

/// Where an issuer's keys are looked up. "No keys" is a state that denies; there is no placeholder key.
#[derive(Debug, Default)]
pub struct KeyRing {
    verification: ArcSwapOption<KeySnapshot>,
    decryption: Option<Arc<DecryptionKeySet>>,
}

impl KeyRing {
    /// A ring of fixed keys. `verification` is absent while none could be had yet, and for `sealed` tokens;
    /// `decryption` is there for encrypted forms.
    #[must_use]
    pub fn new(verification: Option<VerificationKeySet>, decryption: Option<DecryptionKeySet>) -> Self {
        let snapshot = verification.map(|set| Arc::new(KeySnapshot { set, generation: 1, stale_at: None }));
        Self { verification: ArcSwapOption::new(snapshot), decryption: decryption.map(Arc::new) }
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

    /// The decryption keys, where the form has any.
    #[must_use]
    pub fn decryption(&self) -> Option<&DecryptionKeySet> {
        self.decryption.as_deref()
    }
}
