//! Encrypted tokens that probe, guess or crash (RFC 7516 §11, CVE-2023-37464).

use super::*;

fn fails(parts: &JweParts<'_>, alg: KeyAlgorithm, enc: ContentEncryption, key: &DecryptionKey) {
    assert_eq!(decrypt(parts, alg, enc, key).err(), Some(DecryptionFailed), "{alg} {enc}");
}

#[test]
fn segments_of_any_length_fail_without_a_panic() {
    for alg in KeyAlgorithm::ALL {
        for enc in [ContentEncryption::A128GCM, ContentEncryption::A128CbcHs256] {
            let private = key_for(*alg, enc);
            let (key, token) = (opener(&private), sealed(&private, *alg, enc));
            let segments: Vec<&str> = token.split('.').collect();
            for place in 1..5 {
                for len in (0..=40).chain([255, 256, 257, 512]) {
                    let other = base64url::encode(&vec![0xa6; len]);
                    let mut altered = segments.clone();
                    altered[place] = &other;
                    if altered != segments {
                        fails(&jwe(&altered.join(".")), *alg, enc, &key);
                    }
                }
            }
        }
    }
}

#[test]
fn one_byte_gcm_tags_cannot_be_guessed() {
    let private = key_for(KeyAlgorithm::Dir, ContentEncryption::A128GCM);
    let (key, token) = (opener(&private), sealed(&private, KeyAlgorithm::Dir, ContentEncryption::A128GCM));
    for guess in 0..=u8::MAX {
        let mut parts = jwe(&token);
        parts.ciphertext[0] ^= 1;
        parts.tag = vec![guess];
        fails(&parts, KeyAlgorithm::Dir, ContentEncryption::A128GCM, &key);
    }
    for len in 0..16 {
        let mut parts = jwe(&token);
        parts.tag.truncate(len);
        fails(&parts, KeyAlgorithm::Dir, ContentEncryption::A128GCM, &key);
    }
}

/// The token under another header. Its tag is then wrong too: what the guards alone refuse is shown beside them, by
/// the vectors for ECDH and the tests of the key wrap.
fn with_header(token: &str, change: impl Fn(&mut Map<String, Value>)) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let mut members: Map<String, Value> = serde_json::from_slice(&base64url::decode(header).unwrap()).unwrap();
    change(&mut members);
    format!("{}.{rest}", base64url::encode(Value::Object(members).to_string().as_bytes()))
}

#[test]
fn bad_padding_and_bad_tags_look_alike() {
    for enc in [ContentEncryption::A128CbcHs256, ContentEncryption::A192CbcHs384, ContentEncryption::A256CbcHs512] {
        let private = key_for(KeyAlgorithm::Dir, enc);
        let (key, token) = (opener(&private), sealed(&private, KeyAlgorithm::Dir, enc));
        // Altering the block before the last walks the padding through every value.
        for flip in 1..=u8::MAX {
            let mut parts = jwe(&token);
            let place = parts.ciphertext.len() - 17;
            parts.ciphertext[place] ^= flip;
            fails(&parts, KeyAlgorithm::Dir, enc, &key);
        }
    }
}

#[test]
fn every_failure_has_one_text() {
    assert_eq!(DecryptionFailed.to_string(), "the token does not decrypt");
    assert_eq!(std::mem::size_of::<DecryptionFailed>(), 0);
    assert_eq!(std::mem::size_of::<BadSignature>(), 0);
}

#[test]
fn ephemeral_keys_off_the_curve_on_another_or_of_small_order() {
    let on = |curve: &str| public_jwk(&new_key(curve)).unwrap();
    let point = |crv: &str, x: Vec<u8>, y: Vec<u8>| json!({"kty": "EC", "crv": crv, "x": base64url::encode(&x), "y": base64url::encode(&y)});
    let bare = |key: Value| {
        let members = object(&key).iter().filter(|(name, _)| ["kty", "crv", "x", "y"].contains(&name.as_str()));
        Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let small = |first: u8| {
        let mut x = vec![0; 32];
        x[0] = first;
        json!({"kty": "OKP", "crv": "X25519", "x": base64url::encode(&x)})
    };
    let cases = [
        ("P-256", point("P-256", vec![1; 32], vec![1; 32])),
        ("P-256", point("P-256", vec![0; 32], vec![0; 32])),
        ("P-256", point("P-256", vec![1; 31], vec![1; 33])),
        ("P-256", point("P-256", vec![1; 64], vec![])),
        ("P-256", bare(on("P-384"))),
        ("P-256", bare(on("X25519"))),
        ("P-384", bare(on("P-256"))),
        ("P-521", point("P-521", vec![0; 66], vec![0; 66])),
        ("X25519", small(0)),
        ("X25519", small(1)),
        ("X25519", json!({"kty": "OKP", "crv": "X25519", "x": base64url::encode(&[9; 31])})),
        ("X25519", json!({"kty": "OKP", "crv": "X25519", "x": base64url::encode(&[9; 32]), "y": ""})),
        ("X25519", bare(on("P-256"))),
    ];
    for (curve, epk) in cases {
        let private = new_key(curve);
        let key = opener(&private);
        for alg in [KeyAlgorithm::EcdhEs, KeyAlgorithm::EcdhEsA128KW] {
            let token =
                with_header(&sealed(&private, alg, ENC), |header| drop(header.insert("epk".into(), epk.clone())));
            fails(&jwe(&token), alg, ENC, &key);
        }
    }
}

#[test]
fn an_ephemeral_key_with_its_private_part_is_refused() {
    let private = new_key("P-256");
    let token = sealed(&private, KeyAlgorithm::EcdhEs, ENC);
    let token = with_header(&token, |header| header["epk"]["d"] = "AAAA".into());
    assert_eq!(split(&token).unwrap_err(), CompactError::Header(HeaderError::BadMember("epk")));
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    let private = key_for(KeyAlgorithm::A256KW, ENC);
    let token = sealed(&private, KeyAlgorithm::A256KW, ENC);
    let parts = jwe(&token);
    let key = DecryptionKey::from_secret(&base64url::decode(private["k"].as_str().unwrap()).unwrap());
    assert!(decrypt(&parts, KeyAlgorithm::A256KW, ENC, &key).is_ok());
    for alg in KeyAlgorithm::ALL.iter().filter(|alg| **alg != KeyAlgorithm::A256KW) {
        fails(&parts, *alg, ENC, &key);
    }
    for enc in ContentEncryption::ALL.iter().filter(|enc| **enc != ENC) {
        fails(&parts, KeyAlgorithm::A256KW, *enc, &key);
    }
}

#[test]
fn every_altered_byte_of_a_sealed_token_breaks_it() {
    let private = key_for(KeyAlgorithm::A128KW, ENC);
    let (key, token) = (opener(&private), sealed(&private, KeyAlgorithm::A128KW, ENC));
    for place in 0..token.len() {
        let altered: Vec<u8> =
            token.bytes().enumerate().map(|(at, byte)| if at == place { byte ^ 1 } else { byte }).collect();
        let altered = String::from_utf8(altered).unwrap();
        let opened = split(&altered).ok().and_then(Compact::into_jwe);
        assert!(opened.is_none_or(|parts| decrypt(&parts, KeyAlgorithm::A128KW, ENC, &key).is_err()), "{place}");
    }
}
