//! A token in the making: good until it is spoilt, and signed or sealed correctly over whatever it then says. Only so
//! does a refusal show the rule that is meant, and not merely that a signature broke.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tollgate::jose::SigningAlgorithm;
use tollgate::jose::sign::SigningKey;

use super::issuers::{ENCRYPTED, Keys, SIGNED, is_sealed};
use super::seal::{self, Jwe};

/// base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A token of one issuer.
#[derive(Clone)]
pub struct Token<'k> {
    pub keys: &'k Keys,
    pub issuer: &'static str,
    header: Vec<u8>,
    payload: Vec<u8>,
    outer: Vec<u8>,
    plaintext: Option<Vec<u8>>,
    signer: (&'k Value, String),
}

impl<'k> Token<'k> {
    pub fn good(keys: &'k Keys, issuer: &'static str) -> Self {
        let signing = SIGNED.iter().find(|(name, _)| *name == issuer).map_or("ES256", |(_, alg)| alg);
        let signer = keys.signer(issuer);
        let mut header = json!({ "alg": signing, "typ": "at+jwt" });
        if issuer != "nameless" {
            header["kid"] = signer["kid"].clone();
        }
        let outer = ENCRYPTED.iter().find(|(name, ..)| *name == issuer).map(|(name, alg, enc)| {
            let mut outer = json!({ "alg": alg, "enc": enc, "kid": name });
            outer[if is_sealed(name) { "typ" } else { "cty" }] = json!(if is_sealed(name) { "at+jwt" } else { "JWT" });
            outer
        });
        Self {
            keys,
            issuer,
            header: header.to_string().into_bytes(),
            payload: Value::Object(keys.claims(issuer)).to_string().into_bytes(),
            outer: outer.unwrap_or_default().to_string().into_bytes(),
            plaintext: None,
            signer: (signer, signing.to_owned()),
        }
    }

    /// With this member in the header of the JWS.
    #[must_use]
    pub fn header(self, name: &str, value: Value) -> Self {
        Self { header: with(&self.header, name, value), ..self }
    }

    /// With exactly this header of the JWS.
    #[must_use]
    pub fn header_text(self, text: impl AsRef<[u8]>) -> Self {
        Self { header: text.as_ref().to_vec(), ..self }
    }

    /// With the text `member` written behind the last member of the JWS header.
    #[must_use]
    pub fn header_and(self, member: &str) -> Self {
        Self { header: and(&self.header, member), ..self }
    }

    #[must_use]
    pub fn claim(self, name: &str, value: Value) -> Self {
        Self { payload: with(&self.payload, name, value), ..self }
    }

    #[must_use]
    pub fn without_claim(self, name: &str) -> Self {
        Self { payload: without(&self.payload, name), ..self }
    }

    #[must_use]
    pub fn without_header(self, name: &str) -> Self {
        Self { header: without(&self.header, name), ..self }
    }

    /// With exactly these bytes as payload.
    #[must_use]
    pub fn claims_text(self, text: impl AsRef<[u8]>) -> Self {
        Self { payload: text.as_ref().to_vec(), ..self }
    }

    /// With the text `member` written behind the last claim.
    #[must_use]
    pub fn claims_and(self, member: &str) -> Self {
        Self { payload: and(&self.payload, member), ..self }
    }

    /// With this member in the header of the JWE.
    #[must_use]
    pub fn outer(self, name: &str, value: Value) -> Self {
        Self { outer: with(&self.outer, name, value), ..self }
    }

    #[must_use]
    pub fn without_outer(self, name: &str) -> Self {
        Self { outer: without(&self.outer, name), ..self }
    }

    #[must_use]
    pub fn outer_and(self, member: &str) -> Self {
        Self { outer: and(&self.outer, member), ..self }
    }

    /// With these bytes inside the JWE, instead of a JWS or claims.
    #[must_use]
    pub fn plaintext(self, bytes: impl AsRef<[u8]>) -> Self {
        Self { plaintext: Some(bytes.as_ref().to_vec()), ..self }
    }

    /// Signed with another key or algorithm; the header stays.
    #[must_use]
    pub fn signed_by(self, key: &'k Value, alg: &str) -> Self {
        Self { signer: (key, alg.to_owned()), ..self }
    }

    /// The first two segments of the JWS.
    pub fn signing_input(&self) -> String {
        format!("{}.{}", b64(&self.header), b64(&self.payload))
    }

    /// The signature over `input`.
    pub fn signature(&self, input: &str) -> Vec<u8> {
        sign(self.signer.0, &self.signer.1, input.as_bytes())
    }

    /// The JWS, under `signature` instead of its own.
    pub fn under(&self, signature: &[u8]) -> String {
        format!("{}.{}", self.signing_input(), b64(signature))
    }

    /// The JWS with its signature changed.
    pub fn signature_changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let input = self.signing_input();
        let mut signature = self.signature(&input);
        change(&mut signature);
        self.under(&signature)
    }

    /// The JWS, or for an encrypted form the one inside.
    pub fn jws(&self) -> String {
        self.under(&self.signature(&self.signing_input()))
    }

    /// The JWE, still in its parts.
    pub fn jwe(&self) -> Jwe {
        seal::seal(self.keys, self.issuer, &self.outer, &self.inside())
    }

    /// What the JWE carries.
    pub fn inside(&self) -> Vec<u8> {
        match &self.plaintext {
            Some(bytes) => bytes.clone(),
            None if is_sealed(self.issuer) => self.payload.clone(),
            None => self.jws().into_bytes(),
        }
    }

    /// The header of the JWE as it stands before the algorithm adds its own members.
    pub fn outer_header(&self) -> &[u8] {
        &self.outer
    }

    /// The token in compact form.
    pub fn text(&self) -> String {
        if ENCRYPTED.iter().any(|(name, ..)| *name == self.issuer) { self.jwe().compact() } else { self.jws() }
    }
}

/// A signature over `input`, made with `key` whatever the key says it is for.
pub fn sign(key: &Value, alg: &str, input: &[u8]) -> Vec<u8> {
    let mut bare = key.as_object().unwrap().clone();
    for mark in ["alg", "use", "key_ops"] {
        bare.remove(mark);
    }
    let alg = SigningAlgorithm::from_name(alg).unwrap();
    SigningKey::from_jwk(&bare, Some(alg)).unwrap().sign(input).unwrap()
}

/// `json` with `name` set to `value`.
pub fn with(json: &[u8], name: &str, value: Value) -> Vec<u8> {
    let mut members: Map<String, Value> = serde_json::from_slice(json).unwrap();
    members.insert(name.to_owned(), value);
    Value::Object(members).to_string().into_bytes()
}

fn without(json: &[u8], name: &str) -> Vec<u8> {
    let mut members: Map<String, Value> = serde_json::from_slice(json).unwrap();
    members.remove(name).unwrap_or_else(|| panic!("no member {name}"));
    Value::Object(members).to_string().into_bytes()
}

fn and(json: &[u8], member: &str) -> Vec<u8> {
    let open = json.strip_suffix(b"}").unwrap();
    [open, b",", member.as_bytes(), b"}"].concat()
}
