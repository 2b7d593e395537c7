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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::base64url;
    use crate::jose::content::tests::OPENINGS;
    use crate::jose::sign::{encrypt_compact, generate};
    use crate::jose::split;
    use serde_json::{Map, json};

    const ENC: ContentEncryption = ContentEncryption::A128GCM;

    /// A token of A128GCMKW in which all but the given vector and tag of the key wrap is right.
    fn gcm_wrapped(secret: &[u8], iv: &[u8], tag_len: usize) -> String {
        let content_key = [7; 16];
        let wrapped = content::gcm_seal(secret, &[1; 12], b"", &content_key).unwrap();
        let tag = wrapped.tag.iter().copied().chain([0; 16]).take(tag_len).collect::<Vec<_>>();
        let header =
            json!({"alg": "A128GCMKW", "enc": "A128GCM", "iv": base64url::encode(iv), "tag": base64url::encode(&tag)});
        let aad = base64url::encode(header.to_string().as_bytes());
        let sealed = content::seal(ENC, &content_key, &[2; 12], aad.as_bytes(), b"plaintext").unwrap();
        let rest =
            [&wrapped.ciphertext[..], &[2; 12], &sealed.ciphertext, &sealed.tag].map(base64url::encode).join(".");
        format!("{aad}.{rest}")
    }

    #[test]
    fn truncated_tags_and_odd_vectors_of_the_gcm_key_wrap_are_refused() {
        let secret = [9; 16];
        let key = DecryptionKey::from_secret(&secret);
        let opens =
            |token: &str| decrypt(&split(token).unwrap().into_jwe().unwrap(), KeyAlgorithm::A128GCMKW, ENC, &key);
        assert_eq!(opens(&gcm_wrapped(&secret, &[1; 12], 16)).unwrap().as_slice(), b"plaintext");
        for len in (0..16).chain([17, 32]) {
            assert_eq!(opens(&gcm_wrapped(&secret, &[1; 12], len)), Err(DecryptionFailed), "tag of {len}");
        }
        for len in (0..12).chain([13, 16, 128]) {
            assert_eq!(opens(&gcm_wrapped(&secret, &vec![1; len], 16)), Err(DecryptionFailed), "vector of {len}");
        }
    }

    /// RFC 7516 §11.5: whatever was wrong with the key, the content is tried once all the same.
    #[test]
    fn every_failure_takes_the_same_steps() {
        type Spoil = fn(&mut JweParts<'_>);
        let spoils: [(&str, Spoil); 9] = [
            ("nothing", |_| {}),
            ("the tag", |parts| parts.tag[0] ^= 1),
            ("the tag's length", |parts| parts.tag.truncate(1)),
            ("the vector's length", |parts| parts.iv.truncate(1)),
            ("the ciphertext", |parts| parts.ciphertext[0] ^= 1),
            ("the encrypted key", |parts| parts.encrypted_key.iter_mut().for_each(|byte| *byte ^= 1)),
            ("the encrypted key's length", |parts| parts.encrypted_key.push(0)),
            ("the ephemeral key", |parts| parts.header.epk = None),
            ("the key wrap's tag", |parts| parts.header.tag = None),
        ];
        for alg in KeyAlgorithm::ALL {
            for enc in ContentEncryption::ALL {
                let private = generate(alg.name(), *enc).unwrap();
                let key = DecryptionKey::from_jwk(private.as_object().unwrap()).unwrap();
                let token = encrypt_compact(&Map::new(), b"plaintext", &private, *alg, *enc).unwrap();
                for (what, spoil) in spoils {
                    let mut parts = split(&token).unwrap().into_jwe().unwrap();
                    spoil(&mut parts);
                    let before = OPENINGS.get();
                    let opened = decrypt(&parts, *alg, *enc, &key);
                    assert_eq!(OPENINGS.get() - before, 1, "{alg} {enc}: {what}");
                    let harmless = what == "nothing"
                        || (what == "the encrypted key" && parts.encrypted_key.is_empty())
                        || (what == "the ephemeral key" && !alg.is_ecdh())
                        || (what == "the key wrap's tag" && !alg.name().ends_with("GCMKW"));
                    assert_eq!(opened.is_ok(), harmless, "{alg} {enc}: {what}");
                }
            }
        }
    }

    #[test]
    fn a_content_key_of_the_wrong_length_is_no_content_key() {
        // A correctly wrapped 32-byte key where the encryption wants 16: its first half must not be used.
        let (kek, content_key) = ([3; 16], [4; 32]);
        let aad = base64url::encode(br#"{"alg":"A128KW","enc":"A128GCM"}"#);
        let sealed = content::seal(ENC, &content_key[..16], &[2; 12], aad.as_bytes(), b"plaintext").unwrap();
        let wrapped = aes_kw::wrap(&kek, &content_key).unwrap();
        let rest = [&wrapped[..], &[2; 12], &sealed.ciphertext, &sealed.tag].map(base64url::encode).join(".");
        let token = format!("{aad}.{rest}");
        let parts = split(&token).unwrap().into_jwe().unwrap();
        let key = DecryptionKey::from_secret(&kek);
        assert_eq!(decrypt(&parts, KeyAlgorithm::A128KW, ENC, &key), Err(DecryptionFailed));
    }
}
