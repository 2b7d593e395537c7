//! The issuers under attack, one for each way in which a token can be made, and their keys.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tollgate::jose::ContentEncryption;
use tollgate::jose::sign::{generate, public_jwk};

use super::token::{Token, b64, unb64};
use crate::common::Config;

/// The issuers that sign, each with the algorithm of its good tokens.
pub const SIGNED: [(&str, &str); 8] = [
    ("es", "ES256"),
    ("es384", "ES384"),
    ("es512", "ES512"),
    ("ed", "EdDSA"),
    ("rs", "RS256"),
    ("ps", "PS256"),
    ("hs", "HS256"),
    ("nameless", "ES256"),
];

/// The issuers that encrypt, with key algorithm and content encryption of their good tokens.
pub const ENCRYPTED: [(&str, &str, &str); 8] = [
    ("nest", "RSA-OAEP-256", "A256GCM"),
    ("agree", "ECDH-ES", "A256GCM"),
    ("agree-kw", "ECDH-ES+A256KW", "A256GCM"),
    ("x25519", "ECDH-ES", "A256GCM"),
    ("direct", "dir", "A256GCM"),
    ("cbc", "dir", "A256CBC-HS512"),
    ("wrap", "A256KW", "A256GCM"),
    ("gcmkw", "A256GCMKW", "A256GCM"),
];

/// Every issuer, each with a route of its own at `/NAME`.
pub const ISSUERS: [&str; 16] = [
    "es", "es384", "es512", "ed", "rs", "ps", "hs", "nameless", "nest", "agree", "agree-kw", "x25519", "direct", "cbc",
    "wrap", "gcmkw",
];

/// The audience of every good token.
pub const AUDIENCE: &str = "https://api.example.test";

/// More keys than are tried for a token that names none.
const NAMELESS: usize = 6;

/// All private keys, and the moment at which their tokens are made.
pub struct Keys {
    pub now: i64,
    keys: BTreeMap<String, Value>,
}

impl Keys {
    pub fn new(now: i64) -> Self {
        let mut keys = BTreeMap::new();
        let mut add = |name: &str, alg: &str, enc: ContentEncryption| {
            let mut key = generate(alg, enc).unwrap();
            key["kid"] = json!(name);
            // Without `alg` a key serves every algorithm of its type: only the issuer's contract narrows it.
            key.as_object_mut().unwrap().remove("alg");
            keys.insert(name.to_owned(), key);
        };
        let gcm = ContentEncryption::A256GCM;
        for (name, alg) in SIGNED.into_iter().filter(|(name, _)| *name != "nameless") {
            add(name, alg, gcm);
        }
        // A second key of the issuer `es`, a key of another type in its set, and one that nobody knows.
        for (name, alg) in [("es-2", "ES256"), ("es-rsa", "RS256"), ("stranger", "ES256"), ("stranger-rsa", "RS256")] {
            add(name, alg, gcm);
        }
        for (name, alg) in [("stranger-384", "ES384"), ("stranger-512", "ES512"), ("stranger-ed", "EdDSA")] {
            add(name, alg, gcm);
        }
        for at in 0..NAMELESS {
            add(&format!("nameless-{at}"), "ES256", gcm);
        }
        for (name, alg) in [("nest", "RSA-OAEP-256"), ("agree", "P-256"), ("agree-kw", "P-256"), ("x25519", "X25519")] {
            add(name, alg, gcm);
        }
        for (name, alg) in [("direct", "dir"), ("wrap", "A256KW"), ("gcmkw", "A256GCMKW")] {
            add(name, alg, gcm);
        }
        add("cbc", "dir", ContentEncryption::A256CbcHs512);
        Self { now, keys }
    }

    /// The private JWK of this name.
    pub fn private(&self, name: &str) -> &Value {
        self.keys.get(name).unwrap_or_else(|| panic!("no key {name}"))
    }

    pub fn public(&self, name: &str) -> Value {
        public_jwk(self.private(name)).unwrap()
    }

    /// The bytes of a symmetric key.
    pub fn secret(&self, name: &str) -> Vec<u8> {
        unb64(self.private(name)["k"].as_str().unwrap())
    }

    /// The key that signs the tokens of `issuer`.
    pub fn signer(&self, issuer: &str) -> &Value {
        match issuer {
            "nameless" => self.private("nameless-0"),
            name if ENCRYPTED.iter().any(|(encrypted, ..)| *encrypted == name) => self.private("es"),
            name => self.private(name),
        }
    }

    /// The claims of a good token of `issuer`.
    pub fn claims(&self, issuer: &str) -> Map<String, Value> {
        let claims = json!({
            "iss": iss(issuer), "aud": AUDIENCE, "sub": "alice", "jti": format!("{issuer}-1"),
            "iat": self.now - 5, "exp": self.now + 300, "act": { "sub": "app" },
        });
        claims.as_object().unwrap().clone()
    }

    /// A good token of `issuer`, ready to be spoilt.
    pub fn token(&self, issuer: &'static str) -> Token<'_> {
        Token::good(self, issuer)
    }

    /// A configuration with all the issuers, and for each a route `/NAME` to `upstream`; `/several` believes three of
    /// them, `/once` takes each token once.
    pub fn configure(&self, mut config: Config, upstream: &str) -> Config {
        for issuer in ISSUERS {
            config = config.issuer_yaml(&yaml(issuer)).route(&route(issuer, issuer, ""));
        }
        for (name, content) in self.files() {
            config = config.file(&name, content);
        }
        config
            .upstream_yaml(&format!("name: orders\nendpoints: [\"{upstream}\"]"))
            .route(&route("several", "es, rs, nest", ""))
            .route(&route("once", "es", ", replay: once"))
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let set = |keys: Vec<Value>| json!({ "keys": keys }).to_string().into_bytes();
        let mut files = vec![("hs.secret".to_owned(), self.private("hs").to_string().into_bytes())];
        for (issuer, _) in SIGNED.into_iter().filter(|(issuer, _)| *issuer != "hs") {
            let mut keys = match issuer {
                "nameless" => (0..NAMELESS).map(|at| self.public(&format!("nameless-{at}"))).collect(),
                "es" => ["es", "es-2", "es-rsa"].map(|key| self.public(key)).to_vec(),
                other => vec![self.public(other)],
            };
            if issuer == "nameless" {
                for key in &mut keys {
                    key.as_object_mut().unwrap().remove("kid");
                }
            }
            files.push((format!("{issuer}.jwks.json"), set(keys)));
        }
        for (issuer, ..) in ENCRYPTED {
            files.push((format!("{issuer}.decrypt.json"), set(vec![self.private(issuer).clone()])));
        }
        files
    }
}

/// The `iss` of `issuer`.
pub fn iss(issuer: &str) -> String {
    format!("https://{issuer}.example.test")
}

/// Whether the claims of `issuer` stand directly in its JWE.
pub fn is_sealed(issuer: &str) -> bool {
    matches!(issuer, "direct" | "cbc" | "wrap" | "gcmkw")
}

fn jwks_file(issuer: &str) -> String {
    format!("jwks_file: {issuer}.jwks.json")
}

fn route(name: &str, issuers: &str, more: &str) -> String {
    format!("name: {name}\nmatch: {{ path: /{name} }}\nupstream: orders\naccess: {{ issuers: [{issuers}]{more} }}")
}

fn yaml(issuer: &str) -> String {
    let head = format!("name: {issuer}\nissuer: {}\naudiences: [{AUDIENCE}]\n", iss(issuer));
    let required = if issuer == "ed" { "sub, /act/sub" } else { "sub" };
    let rules = format!("  max_lifetime: 15m\n  required_claims: [{required}]\n");
    let size = if issuer == "nest" { "  max_size: 8KiB\n" } else { "  max_size: 4KiB\n" };
    if let Some((_, alg)) = SIGNED.iter().find(|(name, _)| *name == issuer) {
        let keys = if issuer == "hs" { "shared_secret: file:hs.secret".into() } else { jwks_file(issuer) };
        let types = if issuer == "ed" { "  types: [at+jwt]\n" } else { "" };
        let token = format!("token:\n  form: signed\n  signing_algorithms: [{alg}]\n");
        return format!("{head}keys: {{ {keys} }}\n{token}{rules}{size}{types}");
    }
    let (_, alg, enc) = ENCRYPTED.iter().find(|(name, ..)| *name == issuer).unwrap();
    let (form, keys) = if is_sealed(issuer) {
        ("form: sealed".to_owned(), String::new())
    } else {
        let keys = format!("keys: {{ {} }}\n", jwks_file("es"));
        ("form: nested\n  signing_algorithms: [ES256]".to_owned(), keys)
    };
    let token = format!(
        "token:\n  {form}\n  key_algorithms: [{alg}]\n  content_encryptions: [{enc}]\n  \
         decryption_keys: file:{issuer}.decrypt.json\n"
    );
    format!("{head}{keys}{token}{rules}{size}")
}
