//! Nonces the gateway hands out for proofs (RFC 9449 §8, §9): they bound how long ahead a proof can have been made,
//! whatever `iat` it claims.
//!
//! Nothing is stored. A nonce is the number of a time slot with an HMAC over it, so that every replica with the same key
//! accepts the nonces of all others.

use crate::clock::UnixTime;
use crate::jose::base64url;
use crate::secret::Secret;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// The shortest key, in bytes: as long as the hash (RFC 2104 §3).
pub const MIN_KEY_LEN: usize = 32;

/// How long one nonce is handed out, in milliseconds. It is accepted during the next slot too.
const SLOT_MILLIS: i64 = 60_000;

/// How far ahead of another replica's clock ours may be, in milliseconds: a nonce is dated back by this, so that no
/// replica meets one of a slot that has not begun for it.
const SKEW_MILLIS: i64 = 5_000;

/// The bytes of the HMAC that a nonce shows: nobody guesses 128 bits in two minutes.
const TAG_LEN: usize = 16;

/// Keeps this use of the key apart from any other (RFC 5869 §3.2 gives the reason).
const CONTEXT: &[u8] = b"tollgate dpop nonce v1";

/// Makes and recognises nonces.
pub struct DpopNonces {
    key: Secret<Vec<u8>>,
    shared: bool,
}

/// A configured key is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the nonce key must have at least {MIN_KEY_LEN} bytes")]
pub struct ShortNonceKey;

impl DpopNonces {
    /// Nonces under a key that all replicas share.
    pub fn shared(key: Secret<Vec<u8>>) -> Result<Self, ShortNonceKey> {
        if key.expose().len() < MIN_KEY_LEN { Err(ShortNonceKey) } else { Ok(Self { key, shared: true }) }
    }

    /// Nonces under a key of this process alone: another replica asks a client for a new one.
    ///
    /// Fails when the system has no randomness.
    pub fn random() -> Result<Self, ErrorStack> {
        let mut key = vec![0; MIN_KEY_LEN];
        openssl::rand::rand_bytes(&mut key)?;
        Ok(Self { key: Secret::new(key), shared: false })
    }

    /// True when other processes accept these nonces and we accept theirs.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        self.shared
    }

    /// The nonce to hand out at `now`. `None` when the cryptographic library fails: a client without a nonce is refused.
    #[must_use]
    pub fn current(&self, now: UnixTime) -> Option<String> {
        let slot = slot_of(now.as_millis().saturating_sub(SKEW_MILLIS));
        let mut nonce = slot.to_be_bytes().to_vec();
        nonce.extend(self.tag(slot)?);
        Some(base64url::encode(&nonce))
    }

    /// True when `nonce` was handed out in the slot of `now`, or in the one before.
    #[must_use]
    pub fn accepts(&self, nonce: &str, now: UnixTime) -> bool {
        let Some(bytes) = base64url::decode(nonce) else { return false };
        let Some((slot, tag)) = bytes.split_first_chunk::<8>() else { return false };
        let slot = i64::from_be_bytes(*slot);
        let current = slot_of(now.as_millis());
        let timely = slot == current || slot == current.saturating_sub(1);
        // memcmp::eq panics on unequal lengths, so the length is compared first; it is public.
        timely && tag.len() == TAG_LEN && self.tag(slot).is_some_and(|expected| memcmp::eq(&expected, tag))
    }

    fn tag(&self, slot: i64) -> Option<[u8; TAG_LEN]> {
        let key = PKey::hmac(self.key.expose()).ok()?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key).ok()?;
        signer.update(CONTEXT).ok()?;
        signer.update(&slot.to_be_bytes()).ok()?;
        let full = signer.sign_to_vec().ok()?;
        full.first_chunk().copied()
    }
}

impl std::fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DpopNonces").field("shared", &self.shared).finish_non_exhaustive()
    }
}

fn slot_of(millis: i64) -> i64 {
    millis.div_euclid(SLOT_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces(key: u8) -> DpopNonces {
        DpopNonces::shared(Secret::new(vec![key; MIN_KEY_LEN])).unwrap()
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    #[test]
    fn a_nonce_is_good_for_its_slot_and_the_next() {
        let nonces = nonces(1);
        let nonce = nonces.current(at(600 + 5)).unwrap();
        assert!([600, 605, 659, 660, 719].iter().all(|seconds| nonces.accepts(&nonce, at(*seconds))));
        assert!([0, 540, 599, 720, 100_000].iter().all(|seconds| !nonces.accepts(&nonce, at(*seconds))));
    }

    #[test]
    fn a_replica_whose_clock_is_a_little_behind_accepts_the_nonces_of_one_ahead() {
        let (ahead, behind) = (nonces(1), nonces(1));
        for seconds in 600..720 {
            let nonce = ahead.current(at(seconds)).unwrap();
            assert!(behind.accepts(&nonce, at(seconds - 5)), "{seconds}");
            assert!(behind.accepts(&nonce, at(seconds + 50)), "{seconds}");
        }
    }

    #[test]
    fn a_nonce_of_another_key_is_refused() {
        let nonce = nonces(1).current(at(600)).unwrap();
        assert!(!nonces(2).accepts(&nonce, at(600)));
        let (one, two) = (DpopNonces::random().unwrap(), DpopNonces::random().unwrap());
        assert!(!one.accepts(&two.current(at(600)).unwrap(), at(600)));
        assert!(one.accepts(&one.current(at(600)).unwrap(), at(600)));
    }

    #[test]
    fn what_was_never_handed_out_is_refused() {
        let nonces = nonces(1);
        let nonce = nonces.current(at(630)).unwrap();
        assert!(nonces.accepts(&nonce, at(630)));
        for place in 0..nonce.len() {
            let mut bytes = nonce.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(!nonces.accepts(std::str::from_utf8(&bytes).unwrap(), at(630)), "{place}");
        }
        for text in ["", "A", "AAAAAAAAAAo", &nonce[..nonce.len() - 2], &format!("{nonce}AA"), &format!("{nonce}=")] {
            assert!(!nonces.accepts(text, at(630)), "{text}");
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(DpopNonces::shared(Secret::new(vec![0; 31])).map(drop), Err(ShortNonceKey));
    }

    #[test]
    fn a_nonce_has_the_characters_rfc_9449_section_8_1_permits() {
        let nonce = nonces(1).current(at(0)).unwrap();
        assert!(
            nonce.bytes().all(|byte| byte == 0x21 || (0x23..=0x5b).contains(&byte) || (0x5d..=0x7e).contains(&byte))
        );
    }
}
