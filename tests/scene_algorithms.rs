//! Every signature algorithm, key management algorithm and content encryption: accepted when a foreign library made the
//! token, refused by an issuer that does not list it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::peers::{LIBRARIES, content_encryptions, curves, key_algorithms, signing_algorithms};
use common::{Config, Connection, Gateway, Issuer, Peers, Shared, Upstream};
use serde_json::{Value, json};

/// The algorithm of the inner signature of every nested token.
const INNER: &str = "ES256";

static SCENE: Shared<Scene> = Shared::new();

/// One gateway with an issuer, and a route of the same name, for each algorithm and for each refusal.
struct Scene {
    gateway: Gateway,
    peers: Peers,
    /// Keys of each issuer by their `kid`: private, public or symmetric.
    keys: BTreeMap<String, Keys>,
    _upstream: Upstream,
}

type Keys = BTreeMap<String, Pair>;

/// What makes a token, and what reads it.
#[derive(Clone)]
struct Pair {
    private: Value,
    public: Value,
}

#[test]
fn every_signature_algorithm_is_accepted_from_every_library() {
    let scene = scene();
    let mut connection = scene.gateway.client().connect().unwrap();
    for alg in signing_algorithms() {
        for library in LIBRARIES {
            let issuer = format!("signs-{}", slug(alg));
            let token = scene.signed(library, &issuer, alg);
            assert_accepted(&mut connection, &issuer, &token, &format!("{alg}/{library}"));
        }
    }
}

#[test]
fn every_nested_encryption_is_accepted_from_every_library() {
    let scene = scene();
    let mut connection = scene.gateway.client().connect().unwrap();
    for (alg, crv) in key_kinds() {
        for enc in content_encryptions() {
            for library in LIBRARIES {
                let issuer = format!("nests-{}", slug(&format!("{alg}{crv}")));
                let token = scene.nested(library, &issuer, alg, enc);
                assert_accepted(&mut connection, &issuer, &token, &format!("{alg}/{library}"));
            }
        }
    }
}

#[test]
fn every_sealed_encryption_is_accepted_from_every_library() {
    let scene = scene();
    let mut connection = scene.gateway.client().connect().unwrap();
    for alg in key_algorithms().into_iter().filter(|alg| is_symmetric(alg)) {
        for enc in content_encryptions() {
            for library in LIBRARIES {
                let issuer = format!("seals-{}", slug(alg));
                let token = scene.sealed(library, &issuer, alg, enc);
                assert_accepted(&mut connection, &issuer, &token, &format!("{alg}/{library}"));
            }
        }
    }
}

#[test]
fn an_algorithm_that_the_issuer_does_not_list_is_refused() {
    let scene = scene();
    for library in LIBRARIES {
        for alg in signing_algorithms() {
            let issuer = format!("never-signs-{}", slug(alg));
            scene.assert_refused(&issuer, &scene.signed(library, &issuer, alg));
        }
        for alg in key_algorithms() {
            let issuer = format!("never-nests-{}", slug(alg));
            scene.assert_refused(&issuer, &scene.nested(library, &issuer, alg, "A128GCM"));
        }
        for enc in content_encryptions() {
            let issuer = format!("never-uses-{}", slug(enc));
            scene.assert_refused(&issuer, &scene.nested(library, &issuer, "A256KW", enc));
        }
    }
}

/// The very issuers that refuse above accept the algorithm they do list: it is the list that decides, nothing else.
#[test]
fn an_issuer_that_refuses_one_algorithm_accepts_the_one_it_lists() {
    let scene = scene();
    let mut connection = scene.gateway.client().connect().unwrap();
    for alg in signing_algorithms() {
        let (issuer, listed) = (format!("never-signs-{}", slug(alg)), other_signature(alg));
        let token = scene.signed("jwcrypto", &issuer, listed);
        assert_accepted(&mut connection, &issuer, &token, &format!("{listed}/jwcrypto"));
    }
    for alg in key_algorithms() {
        let (issuer, listed) = (format!("never-nests-{}", slug(alg)), other_key_algorithm(alg));
        let token = scene.nested("jwcrypto", &issuer, listed, "A128GCM");
        assert_accepted(&mut connection, &issuer, &token, &format!("{listed}/jwcrypto"));
    }
}

#[test]
fn the_lists_are_those_of_the_contract() {
    let counts = (signing_algorithms().len(), key_algorithms().len(), content_encryptions().len(), key_kinds().len());
    assert_eq!(counts, (13, 13, 6, 9 + 4 * 4));
}

fn assert_accepted(connection: &mut Connection, issuer: &str, token: &str, subject: &str) {
    let answer = connection.get(&format!("/{issuer}"), Some(token)).unwrap();
    assert_eq!(answer.status, 200, "{issuer}, {subject}: {}", answer.text());
    let seen = answer.json();
    let fields = seen["headers"].as_array().unwrap();
    let user = fields.iter().find(|field| field[0].as_str().unwrap().eq_ignore_ascii_case("x-user-id"));
    assert_eq!(user.unwrap()[1], subject, "{issuer}");
}

fn scene() -> Arc<Scene> {
    SCENE.get(Scene::start)
}

impl Scene {
    fn start() -> Self {
        let peers = Peers::start();
        let upstream = Upstream::start();
        let mut cast = Cast { config: Some(Config::new().upstream("echo", &upstream)), keys: BTreeMap::new() };
        for alg in signing_algorithms() {
            cast.signing(&peers, alg);
        }
        let inner = peers.keygen("jwcrypto", INNER, &json!({}));
        cast.keys.insert("inner".to_owned(), [(INNER.to_owned(), pair(inner))].into());
        cast.file("inner.jwks.json", &cast.public_keys("inner"));
        cast.encrypting(&peers);
        Self { gateway: cast.config.unwrap().start(), peers, keys: cast.keys, _upstream: upstream }
    }

    fn claims(library: &str, issuer: &str, alg: &str) -> Value {
        let mut claims = Issuer::new(issuer, "HS256").claims(&format!("{alg}/{library}"));
        claims["aud"] = json!("https://api.example.test");
        claims
    }

    fn signed(&self, library: &str, issuer: &str, alg: &str) -> String {
        let key = &self.keys[issuer][alg].private;
        let header = json!({ "kid": alg, "typ": "at+jwt" });
        let claims = Self::claims(library, issuer, alg);
        self.peers.token(library, &json!({ "op": "sign", "alg": alg, "key": key, "header": header, "claims": claims }))
    }

    fn nested(&self, library: &str, issuer: &str, alg: &str, enc: &str) -> String {
        let claims = Self::claims(library, issuer, alg);
        let key = &self.keys["inner"][INNER].private;
        let sign = json!({ "alg": INNER, "key": key, "header": { "kid": INNER, "typ": "at+jwt" } });
        let encrypt = self.outer(library, issuer, alg, enc, &claims);
        self.peers.token(library, &json!({ "op": "nest", "sign": sign, "encrypt": encrypt, "claims": claims }))
    }

    fn sealed(&self, library: &str, issuer: &str, alg: &str, enc: &str) -> String {
        let claims = Self::claims(library, issuer, alg);
        let mut request = self.outer(library, issuer, alg, enc, &claims);
        request["op"] = json!("encrypt");
        request["header"]["typ"] = json!("at+jwt");
        request["claims"] = claims;
        self.peers.token(library, &request)
    }

    /// The encrypting half of a request. Real issuers differ in what their JWE header has, so each library stands for
    /// one habit: the replicated `iss` and a `kid`; a `kid`; neither, where one key can be meant.
    fn outer(&self, library: &str, issuer: &str, alg: &str, enc: &str, claims: &Value) -> Value {
        let keys = &self.keys[issuer];
        let kid = if keys.contains_key(enc) && alg == "dir" { enc } else { "key" };
        let header = match library {
            "jwcrypto" => json!({ "kid": kid, "iss": claims["iss"] }),
            "jose" if alg != "dir" => json!({}),
            _ => json!({ "kid": kid }),
        };
        json!({ "alg": alg, "enc": enc, "key": keys[kid].public, "header": header })
    }

    fn assert_refused(&self, issuer: &str, token: &str) {
        let answer = self.gateway.client().get(&format!("/{issuer}"), Some(token));
        assert_eq!(answer.status, 401, "{issuer}: {}", answer.text());
        let challenge = answer.header("WWW-Authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_token\""), "{issuer}: {challenge}");
        let url = format!("https://api.example.test/{issuer}");
        let explained = self.gateway.admin().explain(&json!({ "url": url, "method": "GET", "token": token }));
        assert_eq!(explained["reason"], "algorithm_refused", "{issuer}: {explained:#}");
    }
}

/// The issuers while they are written into the configuration.
struct Cast {
    config: Option<Config>,
    keys: BTreeMap<String, Keys>,
}

impl Cast {
    /// Two issuers with the same keys: one lists `alg`, the other only an algorithm beside it.
    fn signing(&mut self, peers: &Peers, alg: &'static str) {
        let other = other_signature(alg);
        for (issuer, listed) in [(format!("signs-{}", slug(alg)), alg), (format!("never-signs-{}", slug(alg)), other)] {
            let keys = if is_symmetric(alg) {
                // One secret for both algorithms, long enough for either.
                let key = pair(peers.keygen("jwcrypto", "HS512", &json!({})));
                self.file(&format!("{issuer}.secret"), &key.private);
                [(alg.to_owned(), key.clone()), (other.to_owned(), key)].into()
            } else {
                [alg, other].map(|alg| (alg.to_owned(), pair(peers.keygen("joserfc", alg, &json!({}))))).into()
            };
            self.keys.insert(issuer.clone(), keys);
            let source = if is_symmetric(alg) {
                format!("shared_secret: \"file:{issuer}.secret\"")
            } else {
                self.file(&format!("{issuer}.jwks.json"), &self.public_keys(&issuer));
                format!("jwks_file: {issuer}.jwks.json")
            };
            self.issuer(&issuer, &source, &format!("form: signed, signing_algorithms: [{listed}]"));
        }
    }

    fn encrypting(&mut self, peers: &Peers) {
        let all = content_encryptions();
        for (alg, crv) in key_kinds() {
            let form = format!("form: nested, signing_algorithms: [{INNER}]");
            self.opening(peers, &format!("nests-{}", slug(&format!("{alg}{crv}"))), &form, (alg, crv), alg, &all);
        }
        for alg in key_algorithms() {
            let form = format!("form: nested, signing_algorithms: [{INNER}]");
            let other = other_key_algorithm(alg);
            let curve = curves(alg)[0];
            self.opening(peers, &format!("never-nests-{}", slug(alg)), &form, (alg, curve), other, &["A128GCM"]);
            if is_symmetric(alg) {
                self.opening(peers, &format!("seals-{}", slug(alg)), "form: sealed", (alg, ""), alg, &all);
            }
        }
        for enc in content_encryptions() {
            let form = format!("form: nested, signing_algorithms: [{INNER}]");
            let others: Vec<_> = all.iter().copied().filter(|other| *other != enc).collect();
            self.opening(peers, &format!("never-uses-{}", slug(enc)), &form, ("A256KW", ""), "A256KW", &others);
        }
    }

    /// An issuer with keys of `kind`, listing `listed` and `encryptions`.
    fn opening(
        &mut self,
        peers: &Peers,
        issuer: &str,
        form: &str,
        kind: (&str, &str),
        listed: &str,
        encryptions: &[&str],
    ) {
        let (alg, crv) = kind;
        let keygen = |enc: &str| pair(peers.keygen("jwcrypto", alg, &json!({ "enc": enc, "crv": crv })));
        let keys: Keys = if alg == "dir" && listed == "dir" {
            encryptions.iter().map(|enc| ((*enc).to_owned(), keygen(enc))).collect()
        } else {
            [("key".to_owned(), keygen(encryptions[0]))].into()
        };
        let private = keys.iter().map(|(kid, key)| named(&key.private, kid)).collect::<Vec<_>>();
        self.file(&format!("{issuer}.keys.json"), &json!({ "keys": private }));
        self.keys.insert(issuer.to_owned(), keys);
        let source = if form.contains("sealed") { String::new() } else { "jwks_file: inner.jwks.json".to_owned() };
        let encryptions = encryptions.join(", ");
        let token = format!(
            "{form}, key_algorithms: [{listed}], content_encryptions: [{encryptions}], decryption_keys: \"file:{issuer}.keys.json\""
        );
        self.issuer(issuer, &source, &token);
    }

    fn public_keys(&self, issuer: &str) -> Value {
        let keys = self.keys[issuer].iter().map(|(kid, key)| named(&key.public, kid));
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// The issuer and a route of its own.
    fn issuer(&mut self, name: &str, keys: &str, token: &str) {
        let keys = if keys.is_empty() { String::new() } else { format!("keys: {{ {keys} }}\n") };
        let iss = format!("https://{name}.example.test");
        self.change(|config| {
            config
                .issuer_yaml(&format!(
                    "name: {name}\nissuer: {iss}\naudiences: [https://api.example.test]\n{keys}token: {{ {token} }}"
                ))
                .route(&format!(
                    "name: {name}\nmatch: {{ path: /{name} }}\nupstream: echo\naccess: {{ issuers: [{name}] }}\n\
                     identity: {{ headers: {{ X-User-Id: {{ claim: sub }} }} }}"
                ))
        });
    }

    fn file(&mut self, name: &str, content: &Value) {
        self.change(|config| config.file(name, content.to_string()));
    }

    fn change(&mut self, change: impl FnOnce(Config) -> Config) {
        self.config = self.config.take().map(change);
    }
}

fn pair((private, public): (Value, Option<Value>)) -> Pair {
    Pair { public: public.unwrap_or_else(|| private.clone()), private }
}

fn named(key: &Value, kid: &str) -> Value {
    let mut key = key.clone();
    key["kid"] = json!(kid);
    key
}

/// Every key management algorithm on each of its curves.
fn key_kinds() -> Vec<(&'static str, &'static str)> {
    key_algorithms().into_iter().flat_map(|alg| curves(alg).iter().map(move |crv| (alg, *crv))).collect()
}

fn is_symmetric(alg: &str) -> bool {
    ["HS", "dir", "A1", "A2"].iter().any(|start| alg.starts_with(start))
}

/// Another algorithm, of the same key where there is one.
fn other_signature(alg: &str) -> &'static str {
    let names = signing_algorithms();
    let same_kind = names.iter().filter(|other| **other != alg && other[..2] == alg[..2]);
    same_kind.max().copied().unwrap_or("ES256")
}

/// Another algorithm that works with the same key.
fn other_key_algorithm(alg: &str) -> &'static str {
    match alg {
        "dir" | "A128GCMKW" => "A128KW",
        "A128KW" => "A128GCMKW",
        "A192KW" => "A192GCMKW",
        "A256KW" => "A256GCMKW",
        "A192GCMKW" => "A192KW",
        "A256GCMKW" => "A256KW",
        "RSA-OAEP" => "RSA-OAEP-256",
        "RSA-OAEP-256" => "RSA-OAEP",
        "ECDH-ES" => "ECDH-ES+A256KW",
        _ => "ECDH-ES",
    }
}

fn slug(alg: &str) -> String {
    alg.to_ascii_lowercase().replace('+', "-")
}
