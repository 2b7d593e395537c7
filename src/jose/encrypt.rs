//! Making encrypted tokens (RFC 7516 §5.1), for `tollgate token mint`.

use super::alg::{ContentEncryption, KeyAlgorithm};
use super::decryption_key::DecryptionKey;
use super::elliptic::Curve;
use super::jwk::{KeyError, PublicJwk, Shape, octets, text};
use super::sign::SignError;
use super::{aes_kw, base64url, content, ecdh};
use josekit::jwe::{self, JweEncrypter, JweHeader};
use josekit::jwk::Jwk;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::EcKey;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rand::rand_bytes;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// A JWE in compact form (RFC 7516 §7.1) for the holder of `jwk`, of which only the public part is used, or the secret.
/// `alg`, `enc` and what the algorithm needs are set in the header; the other members are the caller's.
pub fn encrypt_compact(
    header: &Map<String, Value>,
    plaintext: &[u8],
    jwk: &Value,
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
) -> Result<String, SignError> {
    let recipient = jwk.as_object().ok_or(KeyError::Malformed)?;
    let mut header = header.clone();
    header.insert("alg".to_owned(), key_alg.name().into());
    header.insert("enc".to_owned(), enc.name().into());
    let keys = if text(recipient, "kty")? == "oct" {
        for_secret(&octets(recipient, "k")?, key_alg, enc, &mut header)?
    } else {
        for_public_key(&PublicJwk::read(recipient)?, key_alg, enc, &mut header)?
    };
    let aad = base64url::encode(Value::Object(header).to_string().as_bytes());
    let iv = random(enc.iv_len())?;
    let sealed = content::seal(enc, &keys.content, &iv, aad.as_bytes(), plaintext).ok_or(SignError::Failed)?;
    let segments = [&keys.encrypted, &*iv, &sealed.ciphertext, &sealed.tag].map(|bytes| base64url::encode(bytes));
    Ok(format!("{aad}.{}", segments.join(".")))
}

/// The content key, and how it travels.
struct Keys {
    content: Zeroizing<Vec<u8>>,
    encrypted: Vec<u8>,
}

fn for_secret(
    secret: &[u8],
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
    header: &mut Map<String, Value>,
) -> Result<Keys, SignError> {
    if !DecryptionKey::from_secret(secret).fits(key_alg, enc) {
        return Err(SignError::Algorithm);
    }
    if key_alg == KeyAlgorithm::Dir {
        return Ok(Keys { content: Zeroizing::new(secret.to_vec()), encrypted: Vec::new() });
    }
    let content = random(enc.key_len())?;
    if matches!(key_alg, KeyAlgorithm::A128KW | KeyAlgorithm::A192KW | KeyAlgorithm::A256KW) {
        return wrapped(secret, content);
    }
    let iv = random(12)?;
    let sealed = content::gcm_seal(secret, &iv, b"", &content).ok_or(SignError::Failed)?;
    header.insert("iv".to_owned(), base64url::encode(&iv).into());
    header.insert("tag".to_owned(), base64url::encode(&sealed.tag).into());
    Ok(Keys { content, encrypted: sealed.ciphertext })
}

fn for_public_key(
    recipient: &PublicJwk,
    key_alg: KeyAlgorithm,
    enc: ContentEncryption,
    header: &mut Map<String, Value>,
) -> Result<Keys, SignError> {
    if let Shape::Rsa { .. } = recipient.shape {
        let content = random(enc.key_len())?;
        let encrypted = rsa_encrypt(recipient, key_alg, &content)?;
        return Ok(Keys { content, encrypted });
    }
    if !key_alg.is_ecdh() {
        return Err(SignError::Algorithm);
    }
    let Agreement { z, epk } = agree(recipient)?;
    header.insert("epk".to_owned(), epk);
    let (apu, apv) = (party_info(header, "apu")?, party_info(header, "apv")?);
    match key_alg.wrapping_key_len() {
        None => {
            let content = ecdh::concat_kdf(&z, enc.name(), &apu, &apv, enc.key_len());
            Ok(Keys { content, encrypted: Vec::new() })
        }
        Some(len) => wrapped(&ecdh::concat_kdf(&z, key_alg.name(), &apu, &apv, len), random(enc.key_len())?),
    }
}

fn wrapped(kek: &[u8], content: Zeroizing<Vec<u8>>) -> Result<Keys, SignError> {
    let encrypted = aes_kw::wrap(kek, &content).ok_or(SignError::Failed)?;
    Ok(Keys { content, encrypted })
}

fn rsa_encrypt(recipient: &PublicJwk, key_alg: KeyAlgorithm, content: &[u8]) -> Result<Vec<u8>, SignError> {
    let algorithm = match key_alg {
        KeyAlgorithm::RsaOaep => jwe::RSA_OAEP,
        KeyAlgorithm::RsaOaep256 => jwe::RSA_OAEP_256,
        _ => return Err(SignError::Algorithm),
    };
    let bare = Jwk::from_map(recipient.members.clone()).map_err(|_| KeyError::Unusable)?;
    let sealer = algorithm.encrypter_from_jwk(&bare).map_err(|_| KeyError::Unusable)?;
    let encrypted = sealer.encrypt(content, &JweHeader::new(), &mut JweHeader::new());
    encrypted.ok().flatten().ok_or(SignError::Failed)
}

/// The result of an agreement with a fresh key, and that key's public part.
struct Agreement {
    z: Zeroizing<Vec<u8>>,
    epk: Value,
}

fn agree(recipient: &PublicJwk) -> Result<Agreement, SignError> {
    let x = octets(&recipient.members, "x")?;
    match recipient.shape {
        Shape::Ec(curve) => agree_ec(curve, &x, &octets(&recipient.members, "y")?),
        Shape::X25519 => {
            let ours = PKey::generate_x25519().map_err(|_| SignError::Failed)?;
            let theirs = PKey::public_key_from_raw_bytes(&x, Id::X25519).map_err(|_| KeyError::BadPoint)?;
            let public = ours.raw_public_key().map_err(|_| SignError::Failed)?;
            let epk = json!({"kty": "OKP", "crv": "X25519", "x": base64url::encode(&public)});
            agreement(&ours, &theirs, epk)
        }
        Shape::Rsa { .. } | Shape::Ed25519 => Err(SignError::Algorithm),
    }
}

fn agree_ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Agreement, SignError> {
    let group = curve.group()?;
    let theirs = PKey::from_ec_key(curve.point(&group, x, y)?).map_err(|_| SignError::Failed)?;
    let ours = EcKey::generate(&group).map_err(|_| SignError::Failed)?;
    let epk = ephemeral_public(curve, &ours).ok_or(SignError::Failed)?;
    agreement(&PKey::from_ec_key(ours).map_err(|_| SignError::Failed)?, &theirs, epk)
}

fn ephemeral_public(curve: Curve, key: &EcKey<Private>) -> Option<Value> {
    let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
    let mut ctx = BigNumContext::new().ok()?;
    key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut ctx).ok()?;
    let len = i32::try_from(curve.coordinate_len()).ok()?;
    let coordinate = |number: &BigNum| Some(base64url::encode(&number.to_vec_padded(len).ok()?));
    Some(json!({"kty": "EC", "crv": curve.name(), "x": coordinate(&x)?, "y": coordinate(&y)?}))
}

fn agreement(ours: &PKey<Private>, theirs: &PKey<Public>, epk: Value) -> Result<Agreement, SignError> {
    ecdh::derive(ours, theirs).map(|z| Agreement { z, epk }).ok_or(SignError::Failed)
}

fn party_info(header: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, SignError> {
    if header.contains_key(name) { Ok(octets(header, name)?) } else { Ok(Vec::new()) }
}

fn random(len: usize) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    rand_bytes(&mut bytes).map_err(|_| SignError::Failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::sign::{generate, public_jwk};
    use crate::jose::{decrypt, split};

    #[test]
    fn every_pair_of_algorithms_opens_what_it_sealed() {
        let key = |name: &str, enc| generate(name, enc).unwrap();
        let rsa = key("RSA-OAEP", ContentEncryption::A256GCM);
        for alg in KeyAlgorithm::ALL {
            for enc in ContentEncryption::ALL {
                let keys = match alg {
                    KeyAlgorithm::Dir => vec![key("dir", *enc)],
                    alg if alg.is_symmetric() => vec![key(alg.name(), *enc)],
                    alg if alg.is_ecdh() => {
                        ["P-256", "P-384", "P-521", "X25519"].map(|curve| key(curve, *enc)).to_vec()
                    }
                    _ => vec![rsa.clone()],
                };
                for mut key in keys {
                    key.as_object_mut().unwrap().remove("alg");
                    round_trip(&key, *alg, *enc);
                }
            }
        }
    }

    fn round_trip(private: &Value, alg: KeyAlgorithm, enc: ContentEncryption) {
        let recipient = public_jwk(private).unwrap_or_else(|_| private.clone());
        let header = Map::from_iter([("cty".into(), "JWT".into()), ("apu".into(), "QWxpY2U".into())]);
        let token = encrypt_compact(&header, b"plaintext", &recipient, alg, enc).unwrap();
        let parts = split(&token).unwrap().into_jwe().unwrap();
        let key = DecryptionKey::from_jwk(private.as_object().unwrap()).unwrap();
        assert_eq!(decrypt(&parts, alg, enc, &key).unwrap().as_slice(), b"plaintext", "{alg} {enc}");
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let (enc, key) = (ContentEncryption::A128GCM, generate("A128KW", ContentEncryption::A128GCM).unwrap());
        for alg in [KeyAlgorithm::A256KW, KeyAlgorithm::RsaOaep, KeyAlgorithm::EcdhEs] {
            assert_eq!(encrypt_compact(&Map::new(), b"", &key, alg, enc), Err(SignError::Algorithm), "{alg}");
        }
    }
}
