//! A client that proves possession of its key (RFC 9449), and can be robbed.

use std::sync::atomic::{AtomicU64, Ordering};

use openssl::sha::sha256;
use serde_json::{Value, json};

use super::clock::unix_now;
use super::config::HOST;
use super::issuer::{Issuer, encode};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A key, and the proofs it signs.
pub struct DpopClient {
    key: Issuer,
}

impl DpopClient {
    pub fn new() -> Self {
        Self { key: Issuer::new("client", "ES256") }
    }

    /// The RFC 7638 thumbprint of its key: `cnf.jkt` of the tokens it gets.
    pub fn thumbprint(&self) -> String {
        let jwk = self.public();
        let member = |name: &str| jwk[name].as_str().unwrap().to_owned();
        let canonical = format!(
            r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
            member("crv"),
            member("kty"),
            member("x"),
            member("y")
        );
        encode(&sha256(canonical.as_bytes()))
    }

    fn public(&self) -> Value {
        let mut jwk = self.key.public_jwk();
        for member in ["kid", "use", "alg"] {
            jwk.as_object_mut().unwrap().remove(member);
        }
        jwk
    }

    /// A token for `subject` that is bound to this client's key.
    pub fn token(&self, issuer: &Issuer, subject: &str) -> String {
        let mut claims = issuer.claims(subject);
        claims["cnf"] = json!({ "jkt": self.thumbprint() });
        issuer.sign(&claims)
    }

    /// The claims of a proof for one `GET` of `path` with `token`; `port` is where clients reach the gateway.
    pub fn claims(port: u16, path: &str, token: &str) -> Value {
        let jti = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let htu = format!("https://{HOST}:{port}{path}");
        json!({ "jti": jti, "htm": "GET", "htu": htu, "iat": unix_now(), "ath": encode(&sha256(token.as_bytes())) })
    }

    /// A proof with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.public() }), claims)
    }

    /// A proof with this header and these claims.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.key.sign_raw(&header.to_string(), &claims.to_string())
    }

    /// A good proof for one `GET` of `path` with `token`.
    pub fn proof(&self, port: u16, path: &str, token: &str) -> String {
        self.sign(&Self::claims(port, path, token))
    }
}
