//! Project Wycheproof's vectors for every signature that JWA uses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};
use tollgate::jose::{KeyError, SigningAlgorithm, VerificationKey, base64url};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

fn import(jwk: Value) -> Result<VerificationKey, KeyError> {
    let members: Map<String, Value> = serde_json::from_value(jwk).unwrap();
    VerificationKey::from_jwk(&members)
}

fn key(jwk: Value) -> VerificationKey {
    import(jwk).unwrap()
}

fn check(
    key: &VerificationKey,
    alg: SigningAlgorithm,
    id: usize,
    message: &[u8],
    signature: &[u8],
    result: TestResult,
) {
    assert_eq!(key.verify(alg, message, signature).is_ok(), result == TestResult::Valid, "{alg} test {id}");
}

#[test]
fn ecdsa_in_the_form_of_p1363() {
    use ecdsa::TestName as N;
    for (name, alg, curve) in [
        (N::EcdsaSecp256r1Sha256P1363, SigningAlgorithm::ES256, "P-256"),
        (N::EcdsaSecp384r1Sha384P1363, SigningAlgorithm::ES384, "P-384"),
        (N::EcdsaSecp521r1Sha512P1363, SigningAlgorithm::ES512, "P-521"),
    ] {
        let mut run = 0;
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
            let [x, y] = [x, y].map(base64url::encode);
            let key = key(json!({"kty": "EC", "crv": curve, "x": x, "y": y}));
            for test in group.tests {
                check(&key, alg, test.tc_id, &test.msg, &test.sig, test.result);
                run += 1;
            }
        }
        assert!(run > 200, "{alg} {run}");
    }
}

#[test]
fn ed25519() {
    let mut run = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = key(json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&group.key.pk)}));
        for test in group.tests {
            check(&key, SigningAlgorithm::EdDSA, test.tc_id, &test.msg, &test.sig, test.result);
            run += 1;
        }
    }
    assert!(run > 100, "{run}");
}

/// The group's key; `None` for one with the exponent 3, which import must refuse.
fn rsa_key(public: &wycheproof::RsaPublic) -> Option<VerificationKey> {
    let shortest = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        base64url::encode(&number[zeros..])
    };
    let imported = import(json!({"kty": "RSA", "n": shortest(&public.n), "e": shortest(&public.e)}));
    if public.e.ends_with(&[3]) {
        assert_eq!(imported.err(), Some(KeyError::RsaExponent));
        return None;
    }
    Some(imported.unwrap())
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::TestName as N;
    for (name, alg) in [
        (N::Rsa2048Sha256, SigningAlgorithm::RS256),
        (N::Rsa2048Sha384, SigningAlgorithm::RS384),
        (N::Rsa2048Sha512, SigningAlgorithm::RS512),
        (N::Rsa4096Sha512, SigningAlgorithm::RS512),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let Some(key) = rsa_key(&group.key) else { continue };
            for test in group.tests {
                // The acceptable ones lack the NULL of the digest's parameters, which RFC 8017 §A.2.4 demands.
                check(&key, alg, test.tc_id, &test.msg, &test.sig, test.result);
            }
        }
    }
}

#[test]
fn rsa_pss_with_the_salt_of_jwa() {
    use rsa_pss_verify::TestName as N;
    for (name, alg) in [
        (N::RsaPss2048Sha256Mgf1SaltLen32, SigningAlgorithm::PS256),
        (N::RsaPss2048Sha384Mgf1SaltLen48, SigningAlgorithm::PS384),
        (N::RsaPss4096Sha512Mgf1SaltLen64, SigningAlgorithm::PS512),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let Some(key) = rsa_key(&group.key) else { continue };
            for test in group.tests {
                check(&key, alg, test.tc_id, &test.msg, &test.sig, test.result);
            }
        }
    }
}

#[test]
fn rsa_pss_with_any_other_salt_is_refused() {
    for group in
        rsa_pss_verify::TestSet::load(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0).unwrap().test_groups
    {
        let key = rsa_key(&group.key).unwrap();
        // One test of the file changes the salt to the very length that JWA wants.
        for test in group.tests.iter().filter(|test| test.comment != "s_len changed to 32") {
            assert!(key.verify(SigningAlgorithm::PS256, &test.msg, &test.sig).is_err(), "test {}", test.tc_id);
        }
    }
}
