//! Public key sets (RFC 7517 §5), and the choice of a key for a token.

use super::alg::SigningAlgorithm;
use super::json::{self, JsonError};
use super::jwk::{KeyError, refuse_private};
use super::verification_key::VerificationKey;
use serde_json::{Map, Value};

/// How many keys are tried for a token that names none: each costs a signature verification.
pub const MAX_CANDIDATES: usize = 4;

/// Why a key set is refused whole. The text never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not the JSON we read.
    #[error("the key set is not acceptable: {0}")]
    Json(#[from] JsonError),
    /// No array `keys`.
    #[error("the key set has no array `keys`")]
    NoKeys,
    /// More keys than allowed.
    #[error("the key set has more than {0} keys")]
    TooManyKeys(usize),
    /// A private or symmetric key in a public set: whoever can read the set can sign.
    #[error("key {0} of the public key set is private or symmetric")]
    PrivateMaterial(usize),
    /// Two keys with one `kid`: which of them a token names would be chance.
    #[error("key {0} has the `kid` of an earlier key")]
    DuplicateKid(usize),
    /// A key of a set in which every key must be usable.
    #[error("key {index} is not usable: {error}")]
    Key {
        /// The place in the set, from 0.
        index: usize,
        /// What is wrong with it.
        error: KeyError,
    },
}

/// Why no key is tried for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySelectionError {
    /// The set is empty.
    #[error("there is no key")]
    NoKeys,
    /// The token names a key that is not in the set. Perhaps a newer set has it.
    #[error("the token names an unknown key")]
    UnknownKid,
    /// The key that the token names does not serve the algorithm.
    #[error("the key that the token names does not serve the algorithm")]
    Unfit,
    /// The token names no key, and none of the set serves the algorithm.
    #[error("no key serves the algorithm")]
    NoneFits,
}

/// A set of keys that verify signatures.
#[derive(Debug, Default)]
pub struct VerificationKeySet {
    keys: Vec<VerificationKey>,
    skipped: usize,
}

impl VerificationKeySet {
    /// Reads a public JWKS. One private or symmetric key refuses the set, as does a `kid` shared by two usable keys.
    /// Keys that are of an unknown type, malformed, weak or meant for encryption are left out one by one.
    pub fn parse(bytes: &[u8], max_keys: usize) -> Result<Self, KeySetError> {
        let document = json::parse_object(bytes)?;
        let entries = entries(&document)?;
        if entries.len() > max_keys {
            return Err(KeySetError::TooManyKeys(max_keys));
        }
        let mut set = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            match read_public(entry) {
                Err(KeyError::PrivateMaterial) => return Err(KeySetError::PrivateMaterial(index)),
                Err(_) => set.skipped += 1,
                Ok(key) if holds_kid(&set.keys, key.kid()) => return Err(KeySetError::DuplicateKid(index)),
                Ok(key) => set.keys.push(key),
            }
        }
        Ok(set)
    }

    /// A set of keys at hand, such as one shared secret.
    pub fn from_keys(keys: Vec<VerificationKey>) -> Result<Self, KeySetError> {
        match duplicate_kid(&keys) {
            Some(index) => Err(KeySetError::DuplicateKid(index)),
            None => Ok(Self { keys, skipped: 0 }),
        }
    }

    /// The number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys of the document were left out.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The usable keys in their order.
    #[must_use]
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// Whether a key of this name is in the set.
    #[must_use]
    pub fn has_kid(&self, kid: &str) -> bool {
        holds_kid(&self.keys, Some(kid))
    }

    /// The keys to try for a token: the one it names, or, if it names none, the first [`MAX_CANDIDATES`] that serve the
    /// algorithm. Where no key of the set has a name, a token's `kid` says nothing and counts as absent.
    pub fn select(&self, kid: Option<&str>, alg: SigningAlgorithm) -> Result<Vec<&VerificationKey>, KeySelectionError> {
        choose(&self.keys, kid, |key| key.fits(alg))
    }
}

/// The array `keys` of a set.
pub(super) fn entries(document: &Map<String, Value>) -> Result<&Vec<Value>, KeySetError> {
    document.get("keys").and_then(Value::as_array).ok_or(KeySetError::NoKeys)
}

fn read_public(entry: &Value) -> Result<VerificationKey, KeyError> {
    let jwk = entry.as_object().ok_or(KeyError::Malformed)?;
    refuse_private(jwk)?;
    VerificationKey::from_jwk(jwk)
}

/// A key that may have a name.
pub(super) trait Named {
    fn kid(&self) -> Option<&str>;
}

impl Named for VerificationKey {
    fn kid(&self) -> Option<&str> {
        self.kid()
    }
}

/// Whether `kid` is a name, and taken.
pub(super) fn holds_kid<K: Named>(keys: &[K], kid: Option<&str>) -> bool {
    kid.is_some() && keys.iter().any(|key| key.kid() == kid)
}

/// The place of the first key whose name an earlier key has.
pub(super) fn duplicate_kid<K: Named>(keys: &[K]) -> Option<usize> {
    keys.iter().enumerate().position(|(index, key)| holds_kid(keys.get(..index).unwrap_or_default(), key.kid()))
}

/// The rule of [`VerificationKeySet::select`] for any kind of key.
pub(super) fn choose<'k, K: Named>(
    keys: &'k [K],
    kid: Option<&str>,
    fits: impl Fn(&K) -> bool,
) -> Result<Vec<&'k K>, KeySelectionError> {
    if keys.is_empty() {
        return Err(KeySelectionError::NoKeys);
    }
    let any_named = keys.iter().any(|key| key.kid().is_some());
    if let Some(wanted) = kid.filter(|_| any_named) {
        // Never another key: falling back to one would let a revoked or foreign name pass.
        let key = keys.iter().find(|key| key.kid() == Some(wanted)).ok_or(KeySelectionError::UnknownKid)?;
        return if fits(key) { Ok(vec![key]) } else { Err(KeySelectionError::Unfit) };
    }
    let fitting: Vec<_> = keys.iter().filter(|key| fits(key)).take(MAX_CANDIDATES).collect();
    if fitting.is_empty() { Err(KeySelectionError::NoneFits) } else { Ok(fitting) }
}
