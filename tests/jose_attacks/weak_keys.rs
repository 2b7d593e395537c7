//! Keys under which a signature or a decryption proves nothing (RFC 8725 §3.4, §3.5).

use super::*;

fn import(jwk: &Value) -> Option<KeyError> {
    VerificationKey::from_jwk(object(jwk)).err()
}

#[test]
fn rsa_with_exponent_one_where_every_message_is_its_own_signature() {
    let mut jwk = public_jwk(&new_key("RS256")).unwrap();
    for exponent in ["AQ", "Aw", "AQAC", "AAEAAQ", ""] {
        jwk["e"] = exponent.into();
        assert_eq!(import(&jwk), Some(KeyError::RsaExponent), "{exponent}");
    }
}

#[test]
fn rsa_below_2048_bits() {
    let n = Rsa::generate(1024).unwrap().n().to_vec();
    let jwk = json!({"kty": "RSA", "n": base64url::encode(&n), "e": "AQAB"});
    assert_eq!(import(&jwk), Some(KeyError::RsaModulus));
}

#[test]
fn ed25519_of_small_order_where_one_signature_fits_every_message() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&identity)});
    assert_eq!(import(&jwk), Some(KeyError::BadPoint));
}

#[test]
fn ec_points_off_their_curve_or_of_odd_lengths() {
    let good = public_jwk(&new_key("ES256")).unwrap();
    let x = base64url::decode(good["x"].as_str().unwrap()).unwrap();
    let y = base64url::decode(good["y"].as_str().unwrap()).unwrap();
    let whole = [x.as_slice(), &y].concat();
    let mut off = y.clone();
    off[31] ^= 1;
    let zeros = vec![0; 32];
    let splits = [(&whole[..10], &whole[10..]), (&whole[..], &[][..]), (&x, &off), (&zeros, &zeros)];
    for (x, y) in splits {
        let mut jwk = good.clone();
        jwk["x"] = base64url::encode(x).into();
        jwk["y"] = base64url::encode(y).into();
        assert_eq!(import(&jwk), Some(KeyError::BadPoint));
    }
}

#[test]
fn keys_that_lie_about_their_curve_or_purpose() {
    let ec = public_jwk(&new_key("ES256")).unwrap();
    for (member, value, error) in [
        ("crv", json!("P-384"), KeyError::BadPoint),
        ("crv", json!("secp256k1"), KeyError::UnknownType),
        ("kty", json!("OKP"), KeyError::UnknownType),
        ("kty", json!(1), KeyError::BadMember("kty")),
        ("use", json!("enc"), KeyError::WrongUse),
        ("key_ops", json!(["sign"]), KeyError::WrongUse),
        ("alg", json!("ES384"), KeyError::WrongAlgorithm),
        ("alg", json!("none"), KeyError::WrongAlgorithm),
        ("x", json!(5), KeyError::BadMember("x")),
        ("kid", json!("k".repeat(257)), KeyError::BadMember("kid")),
    ] {
        let mut jwk = ec.clone();
        jwk[member] = value;
        assert_eq!(import(&jwk), Some(error), "{member}");
    }
}

#[test]
fn a_private_ec_key_with_a_foreign_public_part() {
    for curve in ["P-256", "P-384", "P-521", "X25519"] {
        let (mut one, other) = (new_key(curve), new_key(curve));
        one["d"] = other["d"].clone();
        assert_eq!(DecryptionKey::from_jwk(object(&one)).err(), Some(KeyError::Mismatch), "{curve}");
    }
    let (mut one, other) = (new_key("RSA-OAEP"), new_key("RSA-OAEP"));
    one["n"] = other["n"].clone();
    assert_eq!(DecryptionKey::from_jwk(object(&one)).err(), Some(KeyError::Mismatch));
}

#[test]
fn curves_that_are_not_ours() {
    // josekit takes an Ed448 key under the name EdDSA; here that name is Ed25519's.
    for (kty, crv, len) in [("OKP", "Ed448", 57), ("OKP", "X448", 56), ("EC", "secp256k1", 32), ("EC", "P-192", 24)] {
        let coordinate = base64url::encode(&vec![9; len]);
        let mut jwk = json!({"kty": kty, "crv": crv, "x": coordinate});
        if kty == "EC" {
            jwk["y"] = jwk["x"].clone();
        }
        assert_eq!(import(&jwk), Some(KeyError::UnknownType), "{crv}");
    }
    let x25519 = public_jwk(&new_key("X25519")).unwrap();
    assert_eq!(import(&x25519), Some(KeyError::WrongUse), "a key to agree with is none to verify with");
}
