//! A certified authorization server as issuer: its tokens in every form, found by discovery; its keys rotated; itself
//! stopped; and clients that try to use the gateway to flood it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::provider::{Provider, ProviderPlace};
use common::{Authority, Config, Gateway, Issuer, Upstream, tollgate, until};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const FORMS: [(&str, &str); 6] = [
    ("ES256", "/signed"),
    ("RS256", "/signed"),
    ("EdDSA", "/signed"),
    ("RSA-OAEP-256", "/nested"),
    ("ECDH-ES+A256KW", "/nested"),
    ("dir", "/sealed"),
];

struct World {
    directory: TempDir,
    place: ProviderPlace,
    gateway: Gateway,
    _upstream: Upstream,
}

/// A private key made by the command under test.
fn key(directory: &Path, arguments: &[&str]) -> Value {
    let output = tollgate(directory, &[&["keys", "generate"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn public(key: &Value, members: &[&str]) -> Value {
    members.iter().map(|name| ((*name).to_owned(), key[*name].clone())).collect::<serde_json::Map<_, _>>().into()
}

/// Private keys for every signing algorithm of the scene.
fn signing_keys(directory: &Path) -> Vec<Value> {
    ["ES256", "RS256", "EdDSA"].iter().map(|alg| key(directory, &["--alg", alg])).collect()
}

fn profile(name: &str, issuer: &str, keys: &str, token: &str) -> String {
    format!("name: {name}\nissuer: {issuer}\naudiences: [\"https://api.example.test\"]\n{keys}token: {{ {token} }}\n")
}

impl World {
    /// A gateway with `routes` further routes on the same issuer, started while the provider runs with `jwks`.
    fn start(jwks: &Value, routes: usize) -> (Self, Provider) {
        let directory = tempfile::tempdir().unwrap();
        let (authority, upstream) = (Authority::new("Issuers"), Upstream::start());
        let rsa = key(directory.path(), &["--alg", "RSA-OAEP-256"]);
        let ec = key(directory.path(), &["--alg", "ECDH-ES+A256KW"]);
        let secret = key(directory.path(), &["--alg", "dir", "--enc", "A256GCM"]);
        let recipients =
            json!({ "rsa": public(&rsa, &["kty", "n", "e"]), "ec": public(&ec, &["kty", "crv", "x", "y"]) });
        let place = ProviderPlace::new(directory.path(), &authority, recipients, secret["k"].as_str().unwrap());
        let provider = place.start(jwks);
        let discovered = "keys: { discovery: true }\nfetch: { ca: issuers.pem, cooldown: 1s, timeout: 2s }\n";
        let signed = "form: signed, signing_algorithms: [ES256, RS256, EdDSA], leeway: 2s";
        let nested = "form: nested, signing_algorithms: [ES256], key_algorithms: [RSA-OAEP-256, ECDH-ES+A256KW], \
                      content_encryptions: [A256GCM], decryption_keys: \"file:decrypt.jwks.json\", leeway: 2s";
        let sealed = "form: sealed, key_algorithms: [dir], content_encryptions: [A256GCM], \
                      decryption_keys: \"file:sealed.jwk\", leeway: 2s";
        let issuer = place.issuer();
        let route = |name: &str, path: &str, issuer: &str| {
            format!("name: {name}\nmatch: {{ path: \"{path}\" }}\nupstream: echo\naccess: {{ issuers: [{issuer}] }}")
        };
        let mut config = Config::new()
            .file("issuers.pem", authority.pem())
            .file("decrypt.jwks.json", json!({ "keys": [rsa, ec] }).to_string())
            .file("sealed.jwk", secret.to_string())
            .issuer_yaml(&profile("op", &issuer, discovered, signed))
            .issuer_yaml(&profile("op-nested", &issuer, discovered, nested))
            .issuer_yaml(&profile("op-sealed", &issuer, "", sealed))
            .upstream("echo", &upstream);
        for (name, path, issuer) in
            [("signed", "/signed", "op"), ("nested", "/nested", "op-nested"), ("sealed", "/sealed", "op-sealed")]
        {
            config = config.route(&route(name, path, issuer));
        }
        for number in 0..routes {
            config = config.route(&route(&format!("more-{number}"), &format!("/more/{number}"), "op"));
        }
        let world = Self { directory, place, gateway: config.start(), _upstream: upstream };
        (world, provider)
    }

    fn status(&self, path: &str, token: &str) -> u16 {
        self.gateway.client().get(path, Some(token)).status
    }
}

fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

#[test]
fn every_form_of_a_certified_providers_tokens_passes() {
    let directory = tempfile::tempdir().unwrap();
    let (world, provider) = World::start(&set(&signing_keys(directory.path())), 0);
    for (form, path) in FORMS {
        let token = provider.token(form);
        assert_eq!(world.status(path, &token), 200, "{form}");
        for (_, other) in FORMS.iter().filter(|(_, other)| *other != path) {
            assert_eq!(world.status(other, &token), 401, "{form} is not what {other} takes");
        }
    }
}

#[test]
fn after_a_rotation_new_tokens_pass_and_old_ones_until_their_key_goes() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (signing_keys(directory.path()), signing_keys(directory.path()));
    let (world, provider) = World::start(&set(&old), 0);
    let before = provider.token("ES256");
    assert_eq!(world.status("/signed", &before), 200);
    drop(provider);
    // The new key signs; the old one is still published.
    let provider = world.place.start(&set(&[new.clone(), old.clone()].concat()));
    let after = provider.token("ES256");
    until("a token of the new key passes", || (world.status("/signed", &after) == 200).then_some(()));
    assert_eq!(world.status("/signed", &before), 200, "the old key is still there");
    drop(provider);
    let provider = world.place.start(&set(&new));
    until("the old key is gone", || {
        // What asks for newer keys: a token of a key that nobody has.
        world.status("/signed", &Issuer::new("op", "ES256").token("nobody"));
        let _ = world.gateway.admin().post("/api/keys/refresh", &json!({}));
        (world.status("/signed", &before) == 401).then_some(())
    });
    assert_eq!(world.status("/signed", &provider.token("ES256")), 200);
}

#[test]
fn a_stopped_provider_takes_no_known_key_away() {
    let directory = tempfile::tempdir().unwrap();
    let (world, provider) = World::start(&set(&signing_keys(directory.path())), 0);
    let token = provider.token("ES256");
    assert_eq!(world.status("/signed", &token), 200);
    let fresh = provider.token("RS256");
    drop(provider);
    assert_eq!(world.status("/signed", &fresh), 200, "a token never seen, under a known key");
    assert_eq!(world.status("/signed", &unknown_kid(&world, 0)), 401, "an unknown key is 401, not 503");
}

#[test]
fn offline_the_command_says_that_fetched_keys_are_not_visible() {
    let directory = tempfile::tempdir().unwrap();
    let (world, provider) = World::start(&set(&signing_keys(directory.path())), 0);
    let here = world.gateway.directory();
    std::fs::write(here.join("token"), provider.token("ES256")).unwrap();
    let asked = ["explain", "--json", "--url", "https://api.example.test/signed", "--token-file", "token"];
    let result = |arguments: &[&str]| {
        let explained: Value = serde_json::from_slice(&tollgate(here, arguments).stdout).unwrap();
        let stages = explained["stages"].as_array().unwrap().clone();
        stages.into_iter().find(|entry| entry["stage"] == "token").unwrap()["result"].clone()
    };
    assert_eq!(result(&asked), "not_visible");
    assert_eq!(result(&[&asked[..], &["--live"]].concat()), "passed");
}

/// A token of the provider's issuer under a `kid` that it never had.
fn unknown_kid(world: &World, number: usize) -> String {
    let stranger = Issuer::new("stranger", "ES256");
    let mut claims = stranger.claims("mallory");
    claims["iss"] = json!(world.place.issuer());
    let header = json!({ "alg": "ES256", "kid": format!("random-{number}"), "typ": "at+jwt" });
    stranger.sign_raw(&header.to_string(), &claims.to_string())
}

#[test]
fn a_flood_of_unknown_kids_and_a_cold_start_of_many_routes_cost_the_provider_little() {
    let directory = tempfile::tempdir().unwrap();
    let (world, provider) = World::start(&set(&signing_keys(directory.path())), 50);
    let token = provider.token("ES256");
    for number in 0..50 {
        assert_eq!(world.status(&format!("/more/{number}"), &token), 200);
    }
    let cold = provider.key_requests();
    assert_eq!(cold, 1, "fifty routes and two profiles on one issuer: one fetch at the start");
    let tokens: Vec<String> = (0..500).map(|number| unknown_kid(&world, number)).collect();
    let begin = tollgate::clock::Stopwatch::start();
    std::thread::scope(|scope| {
        for part in tokens.chunks(10) {
            let client = world.gateway.client();
            scope.spawn(move || {
                let mut connection = client.connect().unwrap();
                for token in part {
                    assert_eq!(connection.get("/signed", Some(token)).unwrap().status, 401);
                }
            });
        }
    });
    let cooldowns = begin.elapsed().as_secs() + 2;
    let fetched = provider.key_requests() - cold;
    assert!(fetched <= cooldowns, "{fetched} fetches in {cooldowns} cooldowns of 1 s");
    until("past the cooldown an unknown key is asked for", || {
        world.status("/signed", &unknown_kid(&world, 500));
        (provider.key_requests() > cold).then_some(())
    });
    assert_eq!(world.status("/signed", &provider.token("EdDSA")), 200);
    assert!(world.directory.path().exists());
}
