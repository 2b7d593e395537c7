//! One test for each known attack on JOSE that the room stands against, over its public interface only.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod algorithm_confusion;
mod arbitrary_input;
mod claims;
mod encryption;
mod headers;
mod key_sets;
mod signatures;
mod weak_keys;

use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Map, Value, json};
use tollgate::jose::header::HeaderError;
use tollgate::jose::sign::{encrypt_compact, generate, public_jwk, sign_compact};
use tollgate::jose::{
    BadSignature, Claims, Compact, CompactError, ContentEncryption, DecryptionFailed, DecryptionKey, DecryptionKeySet,
    JweParts, JwsParts, KeyAlgorithm, KeyError, KeySelectionError, KeySetError, SigningAlgorithm, VerificationKey,
    VerificationKeySet, base64url, decrypt, split,
};

const ENC: ContentEncryption = ContentEncryption::A256GCM;

fn new_key(alg: &str) -> Value {
    generate(alg, ENC).unwrap()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

fn verifier(private: &Value) -> VerificationKey {
    VerificationKey::from_jwk(object(&public_jwk(private).unwrap())).unwrap()
}

fn opener(private: &Value) -> DecryptionKey {
    DecryptionKey::from_jwk(object(private)).unwrap()
}

fn signed(private: &Value) -> String {
    sign_compact(&Map::new(), br#"{"sub":"alice"}"#, private).unwrap()
}

fn sealed(key: &Value, alg: KeyAlgorithm, enc: ContentEncryption) -> String {
    encrypt_compact(&Map::new(), b"sixteen or more bytes of plaintext", key, alg, enc).unwrap()
}

fn jws(token: &str) -> JwsParts<'_> {
    split(token).unwrap().into_jws().unwrap()
}

fn jwe(token: &str) -> JweParts<'_> {
    split(token).unwrap().into_jwe().unwrap()
}

fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A key with which `alg` opens tokens.
fn key_for(alg: KeyAlgorithm, enc: ContentEncryption) -> Value {
    generate(alg.name(), enc).unwrap()
}
