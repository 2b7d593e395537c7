//! Key sets and the choice of a key from them.

use super::*;

fn refusal(keys: &[Value]) -> KeySetError {
    VerificationKeySet::parse(&jwks(keys), 10).unwrap_err()
}

#[test]
fn a_private_or_symmetric_key_refuses_the_whole_set() {
    let public = public_jwk(&new_key("ES256")).unwrap();
    for alg in ["RS256", "ES256", "EdDSA", "HS256", "X25519", "A128KW"] {
        assert_eq!(refusal(&[public.clone(), new_key(alg)]), KeySetError::PrivateMaterial(1), "{alg}");
    }
    // Even where the key would be left out anyway, its private half is in public.
    for hidden in [json!({"kty": "oct"}), json!({"kty": "new", "d": "AQ"}), json!({"kty": "RSA", "use": "enc", "p": 1})]
    {
        assert_eq!(refusal(&[hidden]), KeySetError::PrivateMaterial(0));
    }
}

#[test]
fn a_kid_names_one_key() {
    let named = |kid: &str| {
        let mut key = public_jwk(&new_key("ES256")).unwrap();
        key["kid"] = kid.into();
        key
    };
    assert_eq!(refusal(&[named("a"), named("b"), named("a")]), KeySetError::DuplicateKid(2));
}

#[test]
fn a_kid_that_names_another_key_gets_no_fallback() {
    let (ours, other) = (new_key("ES256"), new_key("ES256"));
    let keys = [&ours, &other].map(|key| public_jwk(key).unwrap());
    let set = VerificationKeySet::parse(&jwks(&keys), 10).unwrap();
    let token = signed(&ours);
    let parts = jws(&token);
    let verifies = |kid: Option<&str>| {
        let tried = set.select(kid, SigningAlgorithm::ES256).unwrap();
        tried
            .iter()
            .any(|key| key.verify(SigningAlgorithm::ES256, parts.signing_input.as_bytes(), &parts.signature).is_ok())
    };
    assert!(verifies(ours["kid"].as_str()));
    assert!(verifies(None));
    assert!(!verifies(other["kid"].as_str()));
    for kid in ["unknown", "", "../../etc/passwd", "' or 1=1 --"] {
        assert_eq!(set.select(Some(kid), SigningAlgorithm::ES256).unwrap_err(), KeySelectionError::UnknownKid);
    }
    let wrong = set.select(ours["kid"].as_str(), SigningAlgorithm::RS256).unwrap_err();
    assert_eq!(wrong, KeySelectionError::Unfit);
}

#[test]
fn a_token_without_a_kid_tries_four_keys_at_most() {
    let keys: Vec<_> = (0..9).map(|_| public_jwk(&new_key("ES256")).unwrap()).collect();
    let set = VerificationKeySet::parse(&jwks(&keys), 10).unwrap();
    assert_eq!(set.select(None, SigningAlgorithm::ES256).unwrap().len(), 4);
    assert_eq!(set.select(None, SigningAlgorithm::EdDSA).unwrap_err(), KeySelectionError::NoneFits);
}

#[test]
fn an_empty_set_gives_no_key() {
    let set = VerificationKeySet::parse(&jwks(&[]), 10).unwrap();
    assert!(set.is_empty());
    assert_eq!(set.select(None, SigningAlgorithm::ES256).unwrap_err(), KeySelectionError::NoKeys);
    assert_eq!(set.select(Some("x"), SigningAlgorithm::ES256).unwrap_err(), KeySelectionError::NoKeys);
}

#[test]
fn unusable_keys_are_left_out_one_by_one() {
    let good = public_jwk(&new_key("EdDSA")).unwrap();
    let mut for_encryption = public_jwk(&new_key("ES256")).unwrap();
    for_encryption["use"] = "enc".into();
    let keys = [json!({"kty": "future"}), json!(5), json!({"kty": "RSA", "n": 5}), for_encryption, good];
    let set = VerificationKeySet::parse(&jwks(&keys), 10).unwrap();
    assert_eq!((set.len(), set.skipped()), (1, 4));
}

#[test]
fn a_set_is_bounded_and_well_formed() {
    let keys: Vec<_> = (0..11).map(|_| json!({"kty": "future"})).collect();
    assert_eq!(refusal(&keys), KeySetError::TooManyKeys(10));
    for text in
        ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>", r#"{"keys":[{"kty":"a","kty":"b"}]}"#]
    {
        assert!(VerificationKeySet::parse(text.as_bytes(), 10).is_err(), "{text}");
    }
}

#[test]
fn our_own_decryption_keys_must_all_be_usable() {
    let good = new_key("ECDH-ES");
    let set = DecryptionKeySet::parse_private(&jwks(&[good.clone(), new_key("A256KW")])).unwrap();
    assert_eq!(set.keys().len(), 2);
    assert!(set.has_kid(good["kid"].as_str().unwrap()) && !set.has_kid("x"));
    assert_eq!(DecryptionKeySet::parse_private(good.to_string().as_bytes()).unwrap().keys().len(), 1);
    let signing = new_key("ES256");
    let refused = DecryptionKeySet::parse_private(&jwks(&[good.clone(), signing])).unwrap_err();
    assert_eq!(refused, KeySetError::Key { index: 1, error: KeyError::WrongUse });
    let public = public_jwk(&good).unwrap();
    assert!(DecryptionKeySet::parse_private(public.to_string().as_bytes()).is_err());
    assert_eq!(
        DecryptionKeySet::parse_private(&jwks(&[good.clone(), good])).unwrap_err(),
        KeySetError::DuplicateKid(1)
    );
}

#[test]
fn nothing_printable_shows_a_key() {
    for alg in ["RSA-OAEP", "P-256", "X25519", "A256KW"] {
        let private = new_key(alg);
        let shown = format!("{:?}", DecryptionKeySet::parse_private(private.to_string().as_bytes()).unwrap());
        let secret = private.get("d").or(private.get("k")).unwrap().as_str().unwrap();
        let bytes = format!("{:?}", &base64url::decode(secret).unwrap()[..4]);
        assert!(!shown.contains(secret) && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
    let secret = VerificationKey::from_secret(b"0123456789abcdef0123456789abcdef", &[SigningAlgorithm::HS256]);
    assert_eq!(format!("{:?}", secret.unwrap()), "VerificationKey { algorithms: [HS256], .. }");
}
