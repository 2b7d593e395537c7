//! Headers and spellings that choose keys, costs or a second meaning (RFC 8725 §2.8, §3.10).

use super::*;

fn refusal(header: &str) -> CompactError {
    split(&format!("{}.e30.AQ", base64url::encode(header.as_bytes()))).unwrap_err()
}

#[test]
fn members_that_choose_keys_extensions_or_costs() {
    for name in ["crit", "zip", "b64", "jku", "jwk", "x5u", "x5c", "p2s", "p2c"] {
        for value in ["null", "[]", "[\"exp\"]", "false", "\"DEF\"", "1000000", "{}"] {
            let wanted = CompactError::Header(HeaderError::Refused(name));
            assert_eq!(refusal(&format!(r#"{{"alg":"ES256","{name}":{value}}}"#)), wanted);
        }
    }
}

#[test]
fn duplicate_members() {
    let wanted = CompactError::Header(HeaderError::DuplicateMember);
    assert_eq!(refusal(r#"{"alg":"none","alg":"ES256"}"#), wanted);
    assert_eq!(refusal(r#"{"alg":"ES256","kid":"a","k\u0069d":"b"}"#), wanted);
}

#[test]
fn password_based_and_rsa1_5_encryption_do_not_exist() {
    for name in ["PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW", "RSA1_5"] {
        assert_eq!(KeyAlgorithm::from_name(name), None);
    }
}

#[test]
fn a_token_of_dots_costs_nothing() {
    assert_eq!(split(&".".repeat(64 << 20)).unwrap_err(), CompactError::Segments);
}

#[test]
fn a_non_canonical_spelling_is_another_token_and_refused() {
    let token = signed(&new_key("ES256"));
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = token.split_at(token.len() - 1);
    // 64 bytes leave four spare bits: 16 spellings of the last character would mean the same signature.
    let spelt: Vec<_> = alphabet.chars().filter(|other| split(&format!("{start}{other}")).is_ok()).collect();
    assert_eq!(spelt.len(), 4);
    assert!(spelt.contains(&last.chars().next().unwrap()));
    for tail in ["=", "==", " ", "\n", "\r\n", "\0"] {
        assert_eq!(split(&format!("{token}{tail}")).unwrap_err(), CompactError::Encoding, "{tail:?}");
    }
}
