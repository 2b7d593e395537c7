//! Signatures that are no signatures: zeros, tails, altered tokens (CVE-2022-21449).

use super::*;

#[test]
fn psychic_signatures_of_zeros_and_other_degenerate_ones() {
    for alg in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"] {
        let private = new_key(alg);
        let (key, alg) = (verifier(&private), SigningAlgorithm::from_name(alg).unwrap());
        let token = signed(&private);
        let parts = jws(&token);
        let len = parts.signature.len();
        for signature in
            [vec![0; len], vec![0xff; len], vec![1; len], vec![], vec![0], vec![0; len - 1], vec![0; len + 1]]
        {
            assert_eq!(key.verify(alg, parts.signing_input.as_bytes(), &signature), Err(BadSignature), "{alg}");
        }
        assert_eq!(key.verify(alg, parts.signing_input.as_bytes(), &parts.signature), Ok(()), "{alg}");
    }
}

#[test]
fn signatures_with_a_tail_or_without_their_end() {
    for alg in ["HS256", "HS512", "RS256", "PS256", "ES256", "ES512", "EdDSA"] {
        let private = new_key(alg);
        let alg = SigningAlgorithm::from_name(alg).unwrap();
        let key = match private.get("k") {
            Some(k) => VerificationKey::from_secret(&base64url::decode(k.as_str().unwrap()).unwrap(), &[alg]).unwrap(),
            None => verifier(&private),
        };
        let token = signed(&private);
        let parts = jws(&token);
        for len in (0..parts.signature.len()).chain([parts.signature.len() + 1]) {
            let mut signature = parts.signature.clone();
            signature.resize(len, 0);
            assert!(key.verify(alg, parts.signing_input.as_bytes(), &signature).is_err(), "{alg} {len}");
        }
    }
}

#[test]
fn every_altered_character_of_a_token_breaks_it() {
    let private = new_key("ES256");
    let (key, token) = (verifier(&private), signed(&private));
    for place in 0..token.len() {
        for other in ['A', 'B', 'z', '_', '-', '.', '=', '\n', 'é'] {
            let altered: String = token.char_indices().map(|(at, old)| if at == place { other } else { old }).collect();
            if altered == token {
                continue;
            }
            let accepted = split(&altered).ok().and_then(Compact::into_jws).is_some_and(|parts| {
                key.verify(SigningAlgorithm::ES256, parts.signing_input.as_bytes(), &parts.signature).is_ok()
            });
            assert!(!accepted, "{other:?} at {place}");
        }
    }
}
