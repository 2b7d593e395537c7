//! An issuer whose keys the test holds, for scenes that are not about foreign libraries: it signs in this process, so
//! that a thousand tokens cost nothing.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::clock::unix_now;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// An issuer with one key.
pub struct Issuer {
    /// Its name in gateway.yaml.
    pub name: String,
    /// Its `iss`.
    pub iss: String,
    /// The audience of its tokens.
    pub audience: String,
    /// Its key's `kid`.
    pub kid: String,
    alg: &'static str,
    key: Key,
    options: Vec<String>,
}

enum Key {
    Private(PKey<Private>),
    Secret(Vec<u8>),
}

impl Issuer {
    /// An issuer that signs with `alg`: `ES256`, `RS256`, `EdDSA` or `HS256`.
    pub fn new(name: &str, alg: &'static str) -> Self {
        let iss = format!("https://{name}.example.test");
        let audience = "https://api.example.test".to_owned();
        Self {
            iss,
            audience,
            kid: format!("{name}-1"),
            name: name.to_owned(),
            alg,
            key: Key::generate(alg),
            options: vec![],
        }
    }

    /// Adds a line to the issuer's `token:` block in gateway.yaml, such as `leeway: 0s`.
    #[must_use]
    pub fn with(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Its item under `issuers:`. Its keys are expected in [`key_file`](Self::key_file).
    pub fn yaml(&self) -> String {
        let (name, iss, audience, alg, file) = (&self.name, &self.iss, &self.audience, self.alg, self.key_file().0);
        let keys = match self.key {
            Key::Private(_) => format!("jwks_file: {file}"),
            Key::Secret(_) => format!("shared_secret: file:{file}"),
        };
        let mut text = format!("name: {name}\nissuer: {iss}\naudiences: [{audience}]\nkeys: {{ {keys} }}\n");
        let _ = write!(text, "token:\n  form: signed\n  signing_algorithms: [{alg}]\n");
        for option in &self.options {
            let _ = writeln!(text, "  {option}");
        }
        text
    }

    /// The name and content of the file that gateway.yaml reads the keys from.
    pub fn key_file(&self) -> (String, Vec<u8>) {
        match &self.key {
            Key::Private(_) => (format!("{}.jwks.json", self.name), self.jwks().to_string().into_bytes()),
            Key::Secret(secret) => (format!("{}.secret", self.name), secret.clone()),
        }
    }

    /// Its public key set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.public_jwk()] })
    }

    /// Its public key.
    pub fn public_jwk(&self) -> Value {
        let Key::Private(key) = &self.key else { panic!("a secret has no public part") };
        let mut jwk = public_members(key, self.alg);
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The header its tokens have: `alg`, `kid`, `typ: at+jwt`.
    pub fn header(&self) -> Value {
        json!({ "alg": self.alg, "kid": self.kid, "typ": "at+jwt" })
    }

    /// Claims that are good for five minutes, with a `jti` of their own.
    pub fn claims(&self, subject: &str) -> Value {
        let now = unix_now();
        let id = format!("{}-{}-{}", std::process::id(), now, NEXT_ID.fetch_add(1, Ordering::Relaxed));
        json!({ "iss": self.iss, "aud": self.audience, "sub": subject, "jti": id, "iat": now, "exp": now + 300 })
    }

    /// A good token for `subject`.
    pub fn token(&self, subject: &str) -> String {
        self.sign(&self.claims(subject))
    }

    /// A token with this identifier, and when it expires.
    pub fn token_with_id(&self, id: &str) -> (String, i64) {
        let mut claims = self.claims("alice");
        claims["jti"] = Value::from(id);
        (self.sign(&claims), claims["exp"].as_i64().expect("a number"))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_raw(&self.header().to_string(), &claims.to_string())
    }

    /// A signature over exactly this header and this payload.
    pub fn sign_raw(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        format!("{input}.{}", encode(&self.key.sign(self.alg, input.as_bytes())))
    }
}

/// base64url without padding (RFC 7515 §2).
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn generate(alg: &str) -> Self {
        let key = match alg {
            "ES256" => PKey::from_ec_key(EcKey::generate(&p256()).unwrap()).unwrap(),
            "RS256" => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            "EdDSA" => PKey::generate_ed25519().unwrap(),
            "HS256" => {
                let mut secret = [0; 24];
                openssl::rand::rand_bytes(&mut secret).unwrap();
                return Self::Secret(encode(&secret).into_bytes());
            }
            _ => panic!("no local signer for {alg}: mint through Peers"),
        };
        Self::Private(key)
    }

    fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret(secret) => {
                let key = PKey::hmac(secret).unwrap();
                Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(input).unwrap()
            }
            Self::Private(key) if alg == "EdDSA" => {
                Signer::new_without_digest(key).unwrap().sign_oneshot_to_vec(input).unwrap()
            }
            Self::Private(key) => {
                let signature = Signer::new(MessageDigest::sha256(), key).unwrap().sign_oneshot_to_vec(input).unwrap();
                if alg == "ES256" { raw_ecdsa(&signature) } else { signature }
            }
        }
    }
}

/// r and s, each 32 bytes, from OpenSSL's DER (RFC 7518 §3.4).
fn raw_ecdsa(der: &[u8]) -> Vec<u8> {
    let signature = EcdsaSig::from_der(der).unwrap();
    [signature.r().to_vec_padded(32).unwrap(), signature.s().to_vec_padded(32).unwrap()].concat()
}

fn public_members(key: &PKey<Private>, alg: &str) -> Value {
    match alg {
        "ES256" => {
            let (mut context, key) = (BigNumContext::new().unwrap(), key.ec_key().unwrap());
            let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
            let point = key.public_key().to_bytes(&p256(), form, &mut context).unwrap();
            json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..65]) })
        }
        "RS256" => {
            let rsa = key.rsa().unwrap();
            json!({ "kty": "RSA", "n": encode(&rsa.n().to_vec()), "e": encode(&rsa.e().to_vec()) })
        }
        _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&key.raw_public_key().unwrap()) }),
    }
}

fn p256() -> EcGroup {
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()
}
