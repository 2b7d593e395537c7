//! Keys of proofs that were imported before. A client signs every request with the same key, so that checking the key's
//! numbers each time would cost as much as checking the signature.
//!
//! What is remembered is the key, never a verdict on a proof: a proof comes once.

use crate::jose::{EmbeddedKey, KeyError, SigningAlgorithm, VerificationKey};
use quick_cache::sync::Cache;
use std::sync::Arc;

/// A bounded cache of imported proof keys, by thumbprint (RFC 7638) and algorithm.
///
/// Only keys that some issuer put into a valid token get in, for the thumbprint is compared before the key is asked for.
pub struct ProofKeys {
    keys: Cache<([u8; 32], SigningAlgorithm), Arc<VerificationKey>>,
}

impl ProofKeys {
    /// A cache of at most `entries` keys; zero keeps nothing.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        Self { keys: Cache::new(entries) }
    }

    /// The key, imported now or before.
    pub fn import(&self, key: EmbeddedKey) -> Result<Arc<VerificationKey>, KeyError> {
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let name = name(&key);
        let imported = Arc::new(key.import()?);
        self.keys.insert(name, Arc::clone(&imported));
        Ok(imported)
    }

    /// The key, if it was imported before.
    #[must_use]
    pub fn known(&self, key: &EmbeddedKey) -> Option<Arc<VerificationKey>> {
        self.keys.get(&name(key))
    }

    /// Keeps `imported`, which was imported from `key`.
    pub(super) fn keep(&self, key: &EmbeddedKey, imported: Arc<VerificationKey>) {
        self.keys.insert(name(key), imported);
    }

    /// The number of keys held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True when none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn name(key: &EmbeddedKey) -> ([u8; 32], SigningAlgorithm) {
    (*key.thumbprint(), key.algorithm())
}

impl std::fmt::Debug for ProofKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofKeys").field("len", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::ContentEncryption;
    use crate::jose::sign::{generate, public_jwk};

    fn key() -> EmbeddedKey {
        let jwk = public_jwk(&generate("ES256", ContentEncryption::A256GCM).unwrap()).unwrap();
        EmbeddedKey::read(jwk.as_object().unwrap(), SigningAlgorithm::ES256).unwrap()
    }

    #[test]
    fn a_key_is_imported_once() {
        let keys = ProofKeys::new(10);
        let embedded = key();
        let first = keys.import(embedded.clone()).unwrap();
        assert!(Arc::ptr_eq(&first, &keys.import(embedded).unwrap()));
        assert!(!Arc::ptr_eq(&first, &keys.import(key()).unwrap()));
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let keys = ProofKeys::new(4);
        (0..20).for_each(|_| drop(keys.import(key()).unwrap()));
        assert!(keys.len() <= 4);
        let none = ProofKeys::new(0);
        assert!(none.import(key()).is_ok());
        assert!(none.is_empty());
    }
}
