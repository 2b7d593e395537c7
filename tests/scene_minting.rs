//! Interoperability in the other direction: what `tollgate token mint` makes is read by jwcrypto, joserfc and npm jose.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::peers::{LIBRARIES, content_encryptions, curves, key_algorithms, signing_algorithms};
use common::{Peers, tollgate};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;
use tollgate::jose::KeyAlgorithm;

const ISSUER: &str = "https://issuer.example.test";
const AUDIENCES: [&str; 2] = ["https://api.example.test", "https://ä.example.test"];

/// A directory in which the real binary makes keys and tokens.
struct Workbench {
    directory: TempDir,
    peers: Peers,
}

impl Workbench {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), peers: Peers::start() }
    }

    /// What the binary prints; it must succeed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = tollgate(self.directory.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A new private key in the file NAME, and what the binary says is public of it.
    fn key(&self, name: &str, alg: &str, enc: &str) -> (Value, Option<Value>) {
        self.run(&["keys", "generate", "--alg", alg, "--enc", enc, "--out", name]);
        let private: Value = serde_json::from_slice(&fs::read(self.directory.path().join(name)).unwrap()).unwrap();
        if private["kty"] == "oct" {
            return (private, None);
        }
        let set: Value = serde_json::from_str(&self.run(&["keys", "public", name])).unwrap();
        (private, Some(set["keys"][0].clone()))
    }

    fn write(&self, name: &str, key: &Value) {
        fs::write(self.directory.path().join(name), key.to_string()).unwrap();
    }

    fn mint(&self, more: &[&str]) -> String {
        let claims = ["token", "mint", "--issuer", ISSUER, "--audience", AUDIENCES[0], "--audience", AUDIENCES[1]];
        let claims = [&claims[..], &["--subject", "älice", "--claim", r#"roles=["a","b"]"#]].concat();
        self.run(&[&claims, more].concat())
    }

    /// Reads `token` with all three libraries, which must agree; answers header and payload.
    fn read(&self, token: &str, alg: &str, enc: Option<&str>, key: &Value) -> (Value, String) {
        let mut request = json!({ "op": "read", "alg": alg, "key": key, "token": token });
        if let Some(enc) = enc {
            request["enc"] = json!(enc);
        }
        let mut answers = LIBRARIES.map(|library| {
            let answer = self.peers.ask(library, request.clone());
            answer.unwrap_or_else(|fault| panic!("{alg} {enc:?}: {fault}"))
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        let payload = answers[0]["payload"].as_str().expect("a payload").to_owned();
        (answers[0]["header"].take(), payload)
    }
}

/// The claims that [`Workbench::mint`] asked for.
fn assert_claims(payload: &str) {
    let claims: Value = serde_json::from_str(payload).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!(ISSUER), &json!("älice"), &json!(AUDIENCES)));
    assert_eq!(claims["roles"], json!(["a", "b"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert_eq!(claims["jti"].as_str().map(str::len), Some(32));
}

#[test]
fn signed_tokens_of_every_algorithm_are_read_by_all_three_libraries() {
    let bench = Workbench::new();
    for alg in signing_algorithms() {
        let (private, public) = bench.key(alg, alg, "A256GCM");
        let token = bench.mint(&["--key", alg]);
        let (header, payload) = bench.read(&token, alg, None, public.as_ref().unwrap_or(&private));
        assert_eq!(header, json!({ "alg": alg, "typ": "at+jwt", "kid": private["kid"] }), "{alg}");
        assert_claims(&payload);
    }
}

/// Every key algorithm with every content encryption, on every curve; inside stands a JWS of each signing algorithm in
/// turn.
#[test]
fn nested_tokens_are_read_by_all_three_libraries_from_the_outside_in() {
    let bench = Workbench::new();
    let signers: Vec<_> = ["ES256", "PS384", "EdDSA", "HS512"]
        .into_iter()
        .map(|alg| {
            let (private, public) = bench.key(alg, alg, "A256GCM");
            (alg, public.unwrap_or(private))
        })
        .collect();
    let mut turn = signers.iter().cycle();
    let mut made = 0;
    for alg in key_algorithms() {
        for curve in curves(alg) {
            let mut recipient = None;
            for enc in content_encryptions() {
                // Only a `dir` key depends on the content encryption.
                if recipient.is_none() || alg == "dir" {
                    recipient = Some(recipient_key(&bench, alg, enc, curve));
                }
                let private = recipient.as_ref().unwrap();
                let (signing, public) = turn.next().unwrap();
                let outside = ["--encrypt-to", "recipient", "--key-algorithm", alg, "--content-encryption", enc];
                let token = bench.mint(&[&["--key", signing][..], &outside].concat());
                let (header, inside) = bench.read(&token, alg, Some(enc), private);
                assert_eq!((&header["alg"], &header["enc"], &header["cty"]), (&json!(alg), &json!(enc), &json!("JWT")));
                let (header, payload) = bench.read(&inside, signing, None, public);
                assert_eq!(header["alg"], *signing);
                assert_claims(&payload);
                made += 1;
            }
        }
    }
    assert_eq!(made, (9 + 4 * 4) * 6);
}

/// A key pair of a foreign library where it has a curve, else one of the binary's own; the file `recipient` holds the
/// public part.
fn recipient_key(bench: &Workbench, alg: &str, enc: &str, curve: &str) -> Value {
    let (private, public) = if curve.is_empty() {
        bench.key("recipient-private", alg, enc)
    } else {
        bench.peers.keygen("jwcrypto", alg, &json!({ "crv": curve }))
    };
    bench.write("recipient", public.as_ref().unwrap_or(&private));
    fs::remove_file(bench.directory.path().join("recipient-private")).unwrap_or_default();
    private
}

#[test]
fn sealed_tokens_are_read_by_all_three_libraries() {
    let bench = Workbench::new();
    let mut made = 0;
    for alg in KeyAlgorithm::ALL.iter().filter(|alg| alg.is_symmetric()).map(|alg| alg.name()) {
        for enc in content_encryptions() {
            let name = format!("{alg}-{enc}");
            let (private, public) = bench.key(&name, alg, enc);
            assert!(public.is_none(), "a secret has no public part");
            let token = bench.mint(&["--encrypt-to", &name, "--content-encryption", enc]);
            let (header, payload) = bench.read(&token, alg, Some(enc), &private);
            assert_eq!(
                (&header["alg"], &header["typ"], &header["kid"]),
                (&json!(alg), &json!("at+jwt"), &private["kid"])
            );
            assert_eq!(header.get("cty"), None);
            assert_claims(&payload);
            made += 1;
        }
    }
    assert_eq!(made, 7 * 6);
}

#[test]
fn nothing_is_minted_that_the_gateway_would_not_believe() {
    let bench = Workbench::new();
    for alg in ["RSA-OAEP-256", "ECDH-ES"] {
        bench.key(alg, alg, "A256GCM");
        let arguments = ["token", "mint", "--issuer", ISSUER, "--audience", "a", "--encrypt-to", alg];
        let output = tollgate(bench.directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "sealed to a public key");
        assert!(String::from_utf8_lossy(&output.stderr).contains("would prove nothing"));
    }
    bench.key("es", "ES256", "A256GCM");
    for alg in ["none", "HS256", "RS256", "ES384", "RSA1_5"] {
        let arguments = ["token", "mint", "--issuer", ISSUER, "--audience", "a", "--key", "es", "--alg", alg];
        assert_eq!(tollgate(bench.directory.path(), &arguments).status.code(), Some(1), "{alg}");
    }
}
