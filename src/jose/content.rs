//! Authenticated encryption of the content (RFC 7518 §5): AES-GCM, and AES-CBC with HMAC.
//!
//! Lengths are exact: 96-bit vectors and 128-bit tags for GCM, so that no one-byte tag can be guessed; and the MAC is
//! checked before the first block is decrypted, so that no padding error can be seen.

use super::alg::ContentEncryption;
use super::cipher::{Mode, aes};
use super::hmac::{Hash, HmacKey, Tag};
use openssl::cipher_ctx::CipherCtx;
use zeroize::Zeroizing;

const GCM_IV_LEN: usize = 12;
const GCM_TAG_LEN: usize = 16;
const BLOCK: usize = 16;

/// What an encryption yields.
pub(super) struct Sealed {
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// Opens content. `None` for anything wrong; the caller learns nothing else.
pub(super) fn open(
    enc: ContentEncryption,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    #[cfg(test)]
    tests::OPENINGS.set(tests::OPENINGS.get() + 1);
    if key.len() != enc.key_len() {
        return None;
    }
    if enc.is_gcm() { gcm_open(key, iv, aad, ciphertext, tag) } else { cbc_open(enc, key, iv, aad, ciphertext, tag) }
}

/// Seals content.
pub(super) fn seal(enc: ContentEncryption, key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Sealed> {
    if key.len() != enc.key_len() || iv.len() != enc.iv_len() {
        return None;
    }
    if enc.is_gcm() { gcm_seal(key, iv, aad, plaintext) } else { cbc_seal(enc, key, iv, aad, plaintext) }
}

/// Opens AES-GCM (RFC 7518 §5.3); also the key wrap of A*GCMKW (§4.7).
pub(super) fn gcm_open(key: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if iv.len() != GCM_IV_LEN || tag.len() != GCM_TAG_LEN {
        return None;
    }
    let mut ctx = CipherCtx::new().ok()?;
    ctx.decrypt_init(Some(aes(Mode::Gcm, key.len())?), Some(key), Some(iv)).ok()?;
    let plaintext = gcm_run(&mut ctx, aad, ciphertext)?;
    ctx.set_tag(tag).ok()?;
    ctx.cipher_final(&mut []).ok()?;
    Some(plaintext)
}

/// Seals AES-GCM.
pub(super) fn gcm_seal(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Sealed> {
    if iv.len() != GCM_IV_LEN {
        return None;
    }
    let mut ctx = CipherCtx::new().ok()?;
    ctx.encrypt_init(Some(aes(Mode::Gcm, key.len())?), Some(key), Some(iv)).ok()?;
    let ciphertext = gcm_run(&mut ctx, aad, plaintext)?.to_vec();
    ctx.cipher_final(&mut []).ok()?;
    let mut tag = vec![0; GCM_TAG_LEN];
    ctx.tag(&mut tag).ok()?;
    Some(Sealed { ciphertext, tag })
}

fn gcm_run(ctx: &mut CipherCtx, aad: &[u8], input: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if !aad.is_empty() {
        ctx.cipher_update(aad, None).ok()?;
    }
    let mut output = Zeroizing::new(vec![0; input.len()]);
    if !input.is_empty() {
        ctx.cipher_update(input, Some(&mut output)).ok()?;
    }
    Some(output)
}

/// The two halves of a content key (RFC 7518 §5.2.2.1 step 1), with the hash that belongs to its length.
struct CbcKeys<'k> {
    mac: HmacKey,
    aes: &'k [u8],
    tag_len: usize,
}

impl<'k> CbcKeys<'k> {
    fn new(enc: ContentEncryption, key: &'k [u8]) -> Option<Self> {
        let hash = match enc {
            ContentEncryption::A128CbcHs256 => Hash::Sha256,
            ContentEncryption::A192CbcHs384 => Hash::Sha384,
            ContentEncryption::A256CbcHs512 => Hash::Sha512,
            _ => return None,
        };
        let (mac, aes) = key.split_at_checked(enc.tag_len())?;
        Some(Self { mac: HmacKey::new(hash, mac), aes, tag_len: enc.tag_len() })
    }

    fn tag(&self, aad: &[u8], iv: &[u8], ciphertext: &[u8]) -> Tag {
        let bits = (aad.len() as u64).saturating_mul(8).to_be_bytes();
        self.mac.tag(&[aad, iv, ciphertext, &bits])
    }
}

fn cbc_open(
    enc: ContentEncryption,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let keys = CbcKeys::new(enc, key)?;
    if iv.len() != BLOCK || !keys.tag(aad, iv, ciphertext).starts_as(keys.tag_len, tag) {
        return None;
    }
    let mut ctx = CipherCtx::new().ok()?;
    ctx.decrypt_init(Some(aes(Mode::Cbc, keys.aes.len())?), Some(keys.aes), Some(iv)).ok()?;
    cbc_run(&mut ctx, ciphertext)
}

fn cbc_seal(enc: ContentEncryption, key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Sealed> {
    let keys = CbcKeys::new(enc, key)?;
    let mut ctx = CipherCtx::new().ok()?;
    ctx.encrypt_init(Some(aes(Mode::Cbc, keys.aes.len())?), Some(keys.aes), Some(iv)).ok()?;
    let ciphertext = cbc_run(&mut ctx, plaintext)?.to_vec();
    let tag = keys.tag(aad, iv, &ciphertext).as_bytes().get(..keys.tag_len)?.to_vec();
    Some(Sealed { ciphertext, tag })
}

fn cbc_run(ctx: &mut CipherCtx, input: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // The whole buffer at once: growing it would leave a copy of the plaintext behind unwiped.
    let mut output = Zeroizing::new(vec![0; input.len() + 2 * BLOCK]);
    let written = ctx.cipher_update(input, Some(&mut output)).ok()?;
    let rest = ctx.cipher_final(output.get_mut(written..)?).ok()?;
    output.truncate(written + rest);
    Some(output)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// How often this thread has opened content: failures must not differ in it.
        pub(in crate::jose) static OPENINGS: Cell<usize> = const { Cell::new(0) };
    }

    fn sealed(enc: ContentEncryption, plaintext: &[u8]) -> (Vec<u8>, Vec<u8>, Sealed) {
        let (key, iv) = (vec![3; enc.key_len()], vec![5; enc.iv_len()]);
        let sealed = seal(enc, &key, &iv, b"aad", plaintext).unwrap();
        (key, iv, sealed)
    }

    #[test]
    fn what_is_sealed_opens_again() {
        for enc in ContentEncryption::ALL {
            for len in [0, 1, 15, 16, 17, 700] {
                let plaintext = vec![7; len];
                let (key, iv, made) = sealed(*enc, &plaintext);
                let opened = open(*enc, &key, &iv, b"aad", &made.ciphertext, &made.tag);
                assert_eq!(opened.as_deref(), Some(&plaintext), "{enc} {len}");
            }
        }
    }

    #[test]
    fn truncated_tags_and_odd_vectors_are_refused() {
        for enc in ContentEncryption::ALL {
            let (key, iv, made) = sealed(*enc, b"plaintext");
            for len in (0..=64).filter(|len| *len != enc.tag_len()) {
                let tag: Vec<u8> = made.tag.iter().copied().chain([0; 64]).take(len).collect();
                assert_eq!(open(*enc, &key, &iv, b"aad", &made.ciphertext, &tag), None, "{enc} tag of {len}");
            }
            for len in (0..=32).filter(|len| *len != enc.iv_len()) {
                assert_eq!(open(*enc, &key, &vec![5; len], b"aad", &made.ciphertext, &made.tag), None, "{enc} {len}");
            }
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for enc in ContentEncryption::ALL {
            for len in [0, 1, 15, 16, 24, 32, 48, 64, 65].into_iter().filter(|len| *len != enc.key_len()) {
                assert!(open(*enc, &vec![3; len], &vec![5; enc.iv_len()], b"", b"", &vec![0; enc.tag_len()]).is_none());
                assert!(seal(*enc, &vec![3; len], &vec![5; enc.iv_len()], b"", b"").is_none());
            }
        }
    }

    #[test]
    fn the_additional_data_is_authenticated() {
        for enc in ContentEncryption::ALL {
            let (key, iv, made) = sealed(*enc, b"plaintext");
            assert_eq!(open(*enc, &key, &iv, b"AAD", &made.ciphertext, &made.tag), None, "{enc}");
            assert_eq!(open(*enc, &key, &iv, b"", &made.ciphertext, &made.tag), None, "{enc}");
        }
    }
}
