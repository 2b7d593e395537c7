//! The examples of RFC 7515, 7516, 7520, 7638 and 8037, with their known answers in `tests/data/jose_rfc.json`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Map, Value};
use tollgate::jose::sign::{public_jwk, sign_compact};
use tollgate::jose::{
    BadSignature, ContentEncryption, DecryptionFailed, DecryptionKey, JweParts, KeyAlgorithm, SigningAlgorithm,
    VerificationKey, decrypt, shared_secret, split, thumbprint,
};

fn examples(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("data/jose_rfc.json")).unwrap();
    let list = all[kind].as_array().unwrap().clone();
    assert!(!list.is_empty());
    list
}

fn text<'v>(example: &'v Value, name: &str) -> &'v str {
    example[name].as_str().unwrap()
}

fn key_of(example: &Value) -> &Map<String, Value> {
    example["key"].as_object().unwrap()
}

fn verification_key(example: &Value, alg: SigningAlgorithm) -> VerificationKey {
    if alg.is_symmetric() {
        let secret = shared_secret(example["key"].to_string().as_bytes()).unwrap();
        VerificationKey::from_secret(secret.expose(), &[alg]).unwrap()
    } else {
        VerificationKey::from_jwk(public_jwk(&example["key"]).unwrap().as_object().unwrap()).unwrap()
    }
}

#[test]
fn signed_examples_verify_and_altered_ones_do_not() {
    for example in examples("signed") {
        let source = text(&example, "source");
        let alg = SigningAlgorithm::from_name(text(&example, "alg")).unwrap();
        let parts = split(text(&example, "token")).unwrap().into_jws().unwrap();
        assert_eq!(parts.header.alg, alg.name(), "{source}");
        let key = verification_key(&example, alg);
        assert_eq!(key.verify(alg, parts.signing_input.as_bytes(), &parts.signature), Ok(()), "{source}");
        for place in 0..parts.signature.len() {
            let mut altered = parts.signature.clone();
            altered[place] ^= 1;
            let verdict = key.verify(alg, parts.signing_input.as_bytes(), &altered);
            assert_eq!(verdict, Err(BadSignature), "{source} byte {place}");
        }
    }
}

#[test]
fn deterministic_examples_are_signed_alike() {
    for example in examples("signed") {
        if !matches!(text(&example, "alg"), "HS256" | "RS256" | "EdDSA") {
            continue;
        }
        let (source, token) = (text(&example, "source"), text(&example, "token"));
        let parts = split(token).unwrap().into_jws().unwrap();
        let mut header = Map::from_iter([("alg".to_owned(), parts.header.alg.clone().into())]);
        if let Some(kid) = &parts.header.kid {
            header.insert("kid".to_owned(), kid.clone().into());
        }
        let made = sign_compact(&header, &parts.payload, &example["key"]).unwrap();
        // RFC 7515 A.1 has a line break in its header, so its signature covers other bytes.
        if source != "RFC 7515 A.1" {
            assert_eq!(made, token, "{source}");
        }
    }
}

fn open(example: &Value, parts: &JweParts<'_>) -> Result<String, DecryptionFailed> {
    let alg = KeyAlgorithm::from_name(text(example, "alg")).unwrap();
    let enc = ContentEncryption::from_name(text(example, "enc")).unwrap();
    let key = DecryptionKey::from_jwk(key_of(example)).unwrap();
    assert!(key.fits(alg, enc), "{}", text(example, "source"));
    decrypt(parts, alg, enc, &key).map(|plaintext| String::from_utf8(plaintext.to_vec()).unwrap())
}

#[test]
fn encrypted_examples_open() {
    for example in examples("encrypted") {
        let parts = split(text(&example, "token")).unwrap().into_jwe().unwrap();
        assert_eq!(open(&example, &parts).as_deref(), Ok(text(&example, "plaintext")), "{}", text(&example, "source"));
    }
}

#[test]
fn altered_encrypted_examples_do_not_open() {
    for example in examples("encrypted") {
        let source = text(&example, "source");
        let original = || split(text(&example, "token")).unwrap().into_jwe().unwrap();
        let flip = |segment: &mut Vec<u8>| segment.iter_mut().take(1).for_each(|byte| *byte ^= 0x80);
        let alterations: [&dyn Fn(&mut JweParts<'_>); 5] = [
            &|parts| flip(&mut parts.encrypted_key),
            &|parts| flip(&mut parts.iv),
            &|parts| flip(&mut parts.ciphertext),
            &|parts| flip(&mut parts.tag),
            &|parts| parts.aad = "e30",
        ];
        for (index, alter) in alterations.iter().enumerate() {
            let mut parts = original();
            if index == 0 && parts.encrypted_key.is_empty() {
                continue;
            }
            alter(&mut parts);
            assert_eq!(open(&example, &parts), Err(DecryptionFailed), "{source} alteration {index}");
        }
    }
}

#[test]
fn a_nested_example_leads_from_the_outer_to_the_inner_token() {
    let outer =
        examples("encrypted").into_iter().find(|example| text(example, "source") == "RFC 7520 6, outer").unwrap();
    let inner = examples("signed").into_iter().find(|example| text(example, "source") == "RFC 7520 6, inner").unwrap();
    let parts = split(text(&outer, "token")).unwrap().into_jwe().unwrap();
    assert_eq!(parts.header.cty.as_deref(), Some("JWT"));
    assert_eq!(open(&outer, &parts).as_deref(), Ok(text(&inner, "token")));
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    for example in examples("thumbprints") {
        let wanted = text(&example, "thumbprint");
        assert_eq!(thumbprint(key_of(&example)).as_deref(), Ok(wanted), "{}", text(&example, "source"));
        assert_eq!(VerificationKey::from_jwk(key_of(&example)).unwrap().thumbprint(), wanted);
    }
}
