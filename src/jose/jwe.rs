//! Opening a JWE (RFC 7516 §5.2).
//!
//! All failures are one: a caller that could tell a bad key from bad padding or a bad tag would be an oracle (RFC 7516
//! §11.4, §11.5).

use super::aes_kw;
use super::alg::{ContentEncryption, KeyAlgorithm};
use super::compact::JweParts;
use super::content;
use super::decryption_key::{DecryptionKey, Material};
use super::ecdh;
use josekit::jwe::JweHeader;
use openssl::rand::rand_bytes;
use zeroize::Zeroizing;

/// The token does not open. Deliberately without a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token does not decrypt")]
pub struct DecryptionFailed;

/// Opens a token with the algorithms that the caller expects and a key of its own.
///
/// What comes out is authentic only as far as the key is: anyone can encrypt to a public key, so with an asymmetric
/// `key_alg` the plaintext is a claim by nobody, and must itself be signed.
pub fn decrypt(
    parts: &JweParts<'_>,
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
    key: &DecryptionKey,
) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
    if parts.header.alg != key_alg.name() || parts.header.enc.as_deref() != Some(enc.name()) {
        return Err(DecryptionFailed);
    }
    let content_key = match content_key(parts, key_alg, enc, key) {
        Some(content_key) if content_key.len() == enc.key_len() => content_key,
        // RFC 7516 §11.5: go on with a random key, and fail where a wrong key fails.
        _ => random_key(enc)?,
    };
    content::open(enc, &content_key, &parts.iv, parts.aad.as_bytes(), &parts.ciphertext, &parts.tag)
        .ok_or(DecryptionFailed)
}

fn random_key(enc: ContentEncryption) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
    let mut key = Zeroizing::new(vec![0; enc.key_len()]);
    rand_bytes(&mut key).map_err(|_| DecryptionFailed)?;
    Ok(key)
}

/// The content encryption key (RFC 7516 §5.2 steps 6–12). Every length is checked before a primitive sees the bytes.
fn content_key(
    parts: &JweParts<'_>,
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
    key: &DecryptionKey,
) -> Option<Zeroizing<Vec<u8>>> {
    if !key.fits(key_alg, enc) {
        return None;
    }
    match &key.material {
        Material::Oct(secret) => symmetric(parts, key_alg, enc, secret.expose()),
        Material::Rsa { modulus_len, oaep, oaep_256 } => {
            if parts.encrypted_key.len() != *modulus_len {
                return None;
            }
            let decrypter = if key_alg == KeyAlgorithm::RsaOaep { oaep } else { oaep_256 };
            // RSA reads nothing of the header and nothing of the content encryption.
            let unwrapped =
                decrypter.decrypt(Some(&parts.encrypted_key), &josekit::jwe::enc::A128GCM, &JweHeader::new());
            unwrapped.ok().map(|key| Zeroizing::new(key.into_owned()))
        }
        Material::Ec { .. } | Material::X25519(_) => agreed(parts, key_alg, enc, &key.material),
    }
}

fn symmetric(
    parts: &JweParts<'_>,
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
    secret: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let encrypted_key = &parts.encrypted_key;
    match key_alg {
        KeyAlgorithm::Dir => encrypted_key.is_empty().then(|| Zeroizing::new(secret.to_vec())),
        KeyAlgorithm::A128KW | KeyAlgorithm::A192KW | KeyAlgorithm::A256KW => unwrap(secret, encrypted_key, enc),
        KeyAlgorithm::A128GCMKW | KeyAlgorithm::A192GCMKW | KeyAlgorithm::A256GCMKW => {
            let (iv, tag) = (parts.header.iv.as_deref()?, parts.header.tag.as_deref()?);
            // RFC 7518 §4.7: the header's vector has 96 bits and its tag 128; gcm_open holds both to that.
            (encrypted_key.len() == enc.key_len()).then(|| content::gcm_open(secret, iv, b"", encrypted_key, tag))?
        }
        _ => None,
    }
}

/// ECDH-ES (RFC 7518 §4.6): the derived key is the content key, or unwraps it.
fn agreed(
    parts: &JweParts<'_>,
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
    material: &Material,
) -> Option<Zeroizing<Vec<u8>>> {
    let header = &parts.header;
    let z = ecdh::agree(material, header.epk.as_ref()?)?;
    let (apu, apv) = (header.apu.as_deref().unwrap_or_default(), header.apv.as_deref().unwrap_or_default());
    match key_alg.wrapping_key_len() {
        None => parts.encrypted_key.is_empty().then(|| ecdh::concat_kdf(&z, enc.name(), apu, apv, enc.key_len())),
        Some(len) => unwrap(&ecdh::concat_kdf(&z, key_alg.name(), apu, apv, len), &parts.encrypted_key, enc),
    }
}

fn unwrap(kek: &[u8], encrypted_key: &[u8], enc: ContentEncryption) -> Option<Zeroizing<Vec<u8>>> {
    (encrypted_key.len() == enc.key_len() + aes_kw::OVERHEAD).then(|| aes_kw::unwrap(kek, encrypted_key))?
}
