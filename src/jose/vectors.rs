//! Project Wycheproof's vectors for the primitives below the tokens. The signatures have a suite of their own in
//! `tests/jose_wycheproof.rs`, because the public interface reaches them.

use super::alg::ContentEncryption;
use super::decryption_key::{DecryptionKey, Material};
use super::elliptic::Curve;
use super::header::EphemeralKey;
use super::hmac::{Hash, HmacKey};
use super::{aes_kw, base64url, content, ecdh};
use josekit::jwe::{JweDecrypter, JweHeader};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcPoint};
use openssl::pkey::{Id, PKey};
use serde_json::{Map, Value, json};
use wycheproof::{EllipticCurve, TestResult, aead, ecdh as ecdh_vectors, keywrap, mac, rsa_oaep, xdh};

fn jwk(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn open_all(name: aead::TestName, enc_of: impl Fn(usize) -> ContentEncryption) -> usize {
    let mut run = 0;
    for group in aead::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let enc = enc_of(group.key_size);
            let opened = content::open(enc, &test.key, &test.nonce, &test.aad, &test.ct, &test.tag);
            // JWA knows one vector length and one tag length; what is valid with others elsewhere is not here.
            let wanted =
                test.result == TestResult::Valid && test.nonce.len() == enc.iv_len() && test.tag.len() == enc.tag_len();
            assert_eq!(opened.is_some(), wanted, "{enc} test {}: {}", test.tc_id, test.comment);
            assert!(opened.is_none_or(|plaintext| *plaintext == *test.pt), "{enc} test {}", test.tc_id);
            run += 1;
        }
    }
    run
}

#[test]
fn aes_gcm() {
    let run = open_all(aead::TestName::AesGcm, |bits| match bits {
        128 => ContentEncryption::A128GCM,
        192 => ContentEncryption::A192GCM,
        _ => ContentEncryption::A256GCM,
    });
    assert!(run > 300, "{run}");
}

#[test]
fn aes_cbc_with_hmac() {
    for (name, enc) in [
        (aead::TestName::Aes128CbcHmacSha256, ContentEncryption::A128CbcHs256),
        (aead::TestName::Aes192CbcHmacSha384, ContentEncryption::A192CbcHs384),
        (aead::TestName::Aes256CbcHmacSha512, ContentEncryption::A256CbcHs512),
    ] {
        assert!(open_all(name, |_| enc) > 80);
    }
}

#[test]
fn aes_key_wrap() {
    let mut run = 0;
    for group in keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).unwrap().test_groups {
        for test in group.tests {
            let unwrapped = aes_kw::unwrap(&test.key, &test.ct);
            // The acceptable ones wrap eight bytes: RFC 3394 §2 wants two blocks at least, and JWE has no such key.
            assert_eq!(unwrapped.is_some(), test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            if let Some(key) = unwrapped {
                assert_eq!(*key, *test.pt, "test {}", test.tc_id);
                assert_eq!(aes_kw::wrap(&test.key, &test.pt).as_deref(), Some(&**test.ct), "test {}", test.tc_id);
            }
            run += 1;
        }
    }
    assert!(run > 100, "{run}");
}

#[test]
fn hmac() {
    for (name, hash) in [
        (mac::TestName::HmacSha256, Hash::Sha256),
        (mac::TestName::HmacSha384, Hash::Sha384),
        (mac::TestName::HmacSha512, Hash::Sha512),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let holds = HmacKey::new(hash, &test.key).tag(&[&test.msg]).starts_as(group.tag_size / 8, &test.tag);
                assert_eq!(holds, test.result == TestResult::Valid, "{hash:?} test {}: {}", test.tc_id, test.comment);
            }
        }
    }
}

/// The private key of a vector, completed by its public point: import wants both.
fn ec_key(curve: Curve, private: &[u8]) -> DecryptionKey {
    let group: EcGroup = curve.group().unwrap();
    let len = i32::try_from(curve.coordinate_len()).unwrap();
    let d = BigNum::from_slice(private).unwrap();
    let mut ctx = BigNumContext::new().unwrap();
    let mut point = EcPoint::new(&group).unwrap();
    point.mul_generator2(&group, &d, &mut ctx).unwrap();
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    point.affine_coordinates(&group, &mut x, &mut y, &mut ctx).unwrap();
    let [x, y, d] = [x, y, d].map(|number| base64url::encode(&number.to_vec_padded(len).unwrap()));
    DecryptionKey::from_jwk(&jwk(json!({"kty": "EC", "crv": curve.name(), "x": x, "y": y, "d": d}))).unwrap()
}

#[test]
fn ecdh_on_the_nist_curves() {
    use ecdh_vectors::TestName as N;
    for (name, curve) in [
        (N::EcdhSecp256r1Ecpoint, Curve::P256),
        (N::EcdhSecp384r1Ecpoint, Curve::P384),
        (N::EcdhSecp521r1Ecpoint, Curve::P521),
    ] {
        let mut run = 0;
        for group in ecdh_vectors::TestSet::load(name).unwrap().test_groups {
            assert!(matches!(
                group.curve,
                EllipticCurve::Secp256r1 | EllipticCurve::Secp384r1 | EllipticCurve::Secp521r1
            ));
            for test in group.tests {
                // A JWK holds coordinates: a point in compressed form can't be written in one.
                let Some((4, coordinates)) = test.public_key.split_first() else { continue };
                let (x, y) = coordinates.split_at(curve.coordinate_len().min(coordinates.len()));
                let theirs =
                    EphemeralKey { kty: "EC".into(), crv: curve.name().into(), x: x.to_vec(), y: Some(y.to_vec()) };
                let z = ecdh::agree(&ec_key(curve, &test.private_key).material, &theirs);
                let wanted = (test.result == TestResult::Valid).then_some(&**test.shared_secret);
                assert_eq!(z.as_deref().map(Vec::as_slice), wanted, "{curve:?} test {}", test.tc_id);
                run += 1;
            }
        }
        assert!(run > 50, "{curve:?} {run}");
    }
}

#[test]
fn x25519() {
    let mut run = 0;
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let ours = Material::X25519(PKey::private_key_from_raw_bytes(&test.private_key, Id::X25519).unwrap());
            let theirs = EphemeralKey { kty: "OKP".into(), crv: "X25519".into(), x: test.public_key.to_vec(), y: None };
            let z = ecdh::agree(&ours, &theirs);
            // The acceptable ones are twists and non-canonical points; of these only a zero result is refused.
            let zero = test.shared_secret.iter().all(|byte| *byte == 0);
            assert_eq!(z.is_some(), !test.result.must_fail() && !zero, "test {}: {}", test.tc_id, test.comment);
            assert!(z.is_none_or(|z| *z == *test.shared_secret), "test {}", test.tc_id);
            run += 1;
        }
    }
    assert!(run > 400, "{run}");
}

#[test]
fn rsa_oaep_for_json() {
    use rsa_oaep::TestName as N;
    for (name, sha1) in [(N::Rsa2048Sha1Mgf1Sha1, true), (N::Rsa2048Sha256Mgf1Sha256, false)] {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let key = rsa_key(&group.key);
            let Material::Rsa { oaep, oaep_256, .. } = &key.material else { unreachable!("an RSA key") };
            let decrypter: &dyn JweDecrypter = if sha1 { &**oaep } else { &**oaep_256 };
            // JWE has no label.
            for test in group.tests.iter().filter(|test| test.label.is_empty()) {
                let unwrapped = decrypter.decrypt(Some(&test.ct), &josekit::jwe::enc::A128GCM, &JweHeader::new()).ok();
                assert_eq!(unwrapped.is_some(), test.result == TestResult::Valid, "{name:?} test {}", test.tc_id);
                assert!(unwrapped.is_none_or(|key| *key == **test.pt), "{name:?} test {}", test.tc_id);
            }
        }
    }
}

fn rsa_key(key: &wycheproof::RsaPrivate) -> DecryptionKey {
    let number = |bytes: &[u8]| base64url::encode(&BigNum::from_slice(bytes).unwrap().to_vec());
    DecryptionKey::from_jwk(&jwk(json!({
        "kty": "RSA", "n": number(&key.n), "e": number(&key.e), "d": number(&key.d), "p": number(&key.p),
        "q": number(&key.q), "dp": number(&key.d1), "dq": number(&key.d2), "qi": number(&key.c),
    })))
    .unwrap()
}
