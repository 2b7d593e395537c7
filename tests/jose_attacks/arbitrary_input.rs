//! Whatever arrives, the parsers answer: no panic, no residue (CVE-2026-34986, CVE-2019-12995).

use super::*;
use openssl::error::ErrorStack;
use proptest::prelude::*;
use tollgate::jose::{JoseHeader, shared_secret};

proptest! {
    #[test]
    fn tokens_of_any_text(token in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,80}") {
        let _ = split(&token);
    }

    #[test]
    fn bytes_in_every_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (JoseHeader::parse(&bytes), Claims::parse(&bytes), shared_secret(&bytes));
        let _ = (VerificationKeySet::parse(&bytes, 4), DecryptionKeySet::parse_private(&bytes));
    }

    #[test]
    fn headers_of_any_members(name in "alg|enc|kid|aud|epk|apu|iv|crit|x", value in r#"null|[0-9]{1,3}|"[a-z]{0,4}"|\[\]|\{"x":1\}"#) {
        let header = format!(r#"{{"alg":"ES256","{name}":{value}}}"#);
        let _ = split(&format!("{}.e30.AQ", base64url::encode(header.as_bytes())));
    }

    #[test]
    fn jwes_of_any_segments(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..48), 4)) {
        let segments = parts.iter().map(|part| base64url::encode(part)).collect::<Vec<_>>().join(".");
        for alg in [KeyAlgorithm::Dir, KeyAlgorithm::A256KW] {
            let token = format!("{}.{segments}", base64url::encode(format!(r#"{{"alg":"{alg}","enc":"A256GCM"}}"#).as_bytes()));
            let parts = jwe(&token);
            prop_assert!(decrypt(&parts, alg, ENC, &DecryptionKey::from_secret(&[5; 32])).is_err());
        }
    }
}

#[test]
fn failures_leave_nothing_on_the_error_queue() {
    // TLS reads the same queue: a leftover would be taken for an error of some connection.
    for alg in ["RS256", "PS256", "ES256", "EdDSA"] {
        let (key, named) = (verifier(&new_key(alg)), SigningAlgorithm::from_name(alg).unwrap());
        for len in [64, 256] {
            let _ = key.verify(named, b"input", &vec![1; len]);
        }
    }
    for alg in KeyAlgorithm::ALL {
        let private = key_for(*alg, ENC);
        let token = sealed(&private, *alg, ENC);
        let mut parts = jwe(&token);
        parts.encrypted_key.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        parts.tag[0] ^= 1;
        assert!(decrypt(&parts, *alg, ENC, &opener(&private)).is_err());
    }
    let _ = VerificationKey::from_secret(&[7; 64], &[SigningAlgorithm::HS256]);
    let _ = VerificationKey::from_jwk(object(
        &json!({"kty": "EC", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43)}),
    ));
    assert!(ErrorStack::get().errors().is_empty());
}
