//! The tokens: like those of an ordinary identity provider, some 700 bytes long, every one of them used once.

use crate::common::issuer::encode;
use crate::common::{DpopClient, Issuer};
use serde_json::{Map, Value, json};
use tollgate::jose::{ContentEncryption, KeyAlgorithm, sign};

/// The subject of every token, which the upstream is told.
pub const SUBJECT: &str = "248289761001";

/// Claims as identity providers write them.
pub fn claims(issuer: &Issuer) -> Value {
    let mut claims = issuer.claims(SUBJECT);
    for (name, value) in [
        ("scope", json!("openid profile orders:read orders:write")),
        ("client_id", json!("shop-frontend")),
        ("sid", json!("5f6d1c9e-5f4c-4b0a-8f54-1f5e4a7f9d10")),
        ("auth_time", claims["iat"].clone()),
        ("tenant", json!("acme")),
        ("roles", json!(["customer", "reviewer"])),
        ("email", json!("jane.doe@example.com")),
        ("name", json!("Jane Doe")),
    ] {
        claims[name] = value;
    }
    claims
}

/// A token of `issuer` that was never used.
pub fn signed(issuer: &Issuer) -> String {
    issuer.sign(&claims(issuer))
}

/// A token bound to the key of `client`.
pub fn bound(issuer: &Issuer, client: &DpopClient) -> String {
    let mut claims = claims(issuer);
    claims["cnf"] = json!({ "jkt": client.thumbprint() });
    issuer.sign(&claims)
}

/// What a token's claims may look like when nobody signed them: three segments, the first of which is no header.
pub fn malformed(issuer: &Issuer) -> String {
    let token = signed(issuer);
    let (_, rest) = token.split_once('.').expect("three segments");
    format!("{}.{rest}", encode(br#"{"alg":"ES256","typ":"at+jwt""#))
}

/// An encrypted token around a signed one.
pub struct Sealer {
    /// The private key, or the secret, as a JWK.
    pub private: Value,
    public: Value,
    algorithm: KeyAlgorithm,
}

impl Sealer {
    /// A fresh key for `algorithm`.
    pub fn new(algorithm: KeyAlgorithm) -> Self {
        let private = sign::generate(algorithm.name(), ContentEncryption::A256GCM).expect("a key");
        let public = sign::public_jwk(&private).unwrap_or_else(|_| private.clone());
        Self { private, public, algorithm }
    }

    /// A nested token of `issuer` that was never used.
    pub fn nested(&self, issuer: &Issuer) -> String {
        let mut header = Map::new();
        header.insert("cty".to_owned(), json!("JWT"));
        if let Some(kid) = self.private.get("kid") {
            header.insert("kid".to_owned(), kid.clone());
        }
        let inner = signed(issuer);
        let enc = ContentEncryption::A256GCM;
        sign::encrypt_compact(&header, inner.as_bytes(), &self.public, self.algorithm, enc).expect("a token")
    }
}
