//! The token names an algorithm that the key was not meant for (RFC 8725 §3.1).

use super::*;

#[test]
fn a_public_key_is_no_hmac_secret() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pem = key.public_key_to_pem().unwrap();
    let indented = [b" \n\t", pem.as_slice()].concat();
    let pkcs1 = key.rsa().unwrap().public_key_to_pem_pkcs1().unwrap();
    let jwk = format!("\n {}", public_jwk(&new_key("RS256")).unwrap()).into_bytes();
    let ssh = b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 someone@example.test".to_vec();
    for secret in
        [jwk, ssh, pem, indented, pkcs1, key.public_key_to_der().unwrap(), key.private_key_to_pem_pkcs8().unwrap()]
    {
        let made = VerificationKey::from_secret(&secret, &[SigningAlgorithm::HS256]);
        assert_eq!(made.err(), Some(KeyError::KeyAsSecret));
    }
}

#[test]
fn a_token_cannot_turn_an_rsa_key_into_a_secret() {
    let private = new_key("RS256");
    let key = verifier(&private);
    let modulus = base64url::decode(private["n"].as_str().unwrap()).unwrap();
    let forged = sign_compact(&Map::new(), b"{}", &json!({"kty": "oct", "k": base64url::encode(&modulus)})).unwrap();
    let parts = jws(&forged);
    for alg in SigningAlgorithm::ALL {
        assert_eq!(key.verify(*alg, parts.signing_input.as_bytes(), &parts.signature), Err(BadSignature), "{alg}");
    }
    assert!(!key.fits(SigningAlgorithm::HS256));
}

#[test]
fn an_asymmetric_algorithm_takes_no_secret() {
    for alg in SigningAlgorithm::ALL.iter().filter(|alg| !alg.is_symmetric()) {
        let made = VerificationKey::from_secret(&[7; 64], &[*alg]);
        assert_eq!(made.err(), Some(KeyError::WrongAlgorithm), "{alg}");
    }
    assert_eq!(VerificationKey::from_secret(&[7; 64], &[]).err(), Some(KeyError::WrongAlgorithm));
}

#[test]
fn a_key_verifies_only_its_own_algorithm() {
    let private = new_key("PS384");
    let (key, token) = (verifier(&private), signed(&private));
    let parts = jws(&token);
    for alg in SigningAlgorithm::ALL {
        let verdict = key.verify(*alg, parts.signing_input.as_bytes(), &parts.signature);
        assert_eq!(verdict.is_ok(), *alg == SigningAlgorithm::PS384, "{alg}");
    }
}

#[test]
fn pkcs1_and_pss_are_not_taken_for_each_other() {
    let mut private = new_key("RS256");
    private.as_object_mut().unwrap().remove("alg");
    let key = verifier(&private);
    let header = |alg: &str| Map::from_iter([("alg".to_owned(), alg.into())]);
    for (made, tried) in [("RS256", SigningAlgorithm::PS256), ("PS256", SigningAlgorithm::RS256)] {
        let token = sign_compact(&header(made), b"{}", &private).unwrap();
        let parts = jws(&token);
        assert!(key.verify(tried, parts.signing_input.as_bytes(), &parts.signature).is_err(), "{made}");
    }
}

#[test]
fn a_secret_shorter_than_its_hash_is_refused() {
    for (alg, len) in [(SigningAlgorithm::HS256, 32), (SigningAlgorithm::HS384, 48), (SigningAlgorithm::HS512, 64)] {
        assert_eq!(VerificationKey::from_secret(&vec![1; len - 1], &[alg]).err(), Some(KeyError::ShortSecret));
        assert!(VerificationKey::from_secret(&vec![1; len], &[alg]).is_ok());
    }
}
