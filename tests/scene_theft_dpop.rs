//! Stolen tokens that are bound to a DPoP key (RFC 9449): without the key, with a stolen proof, at two replicas at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::sync::Barrier;
use std::thread;

use common::{Answer, Client, Config, DpopClient, Gateway, Issuer, Redis, Upstream, reason, until};
use serde_json::{Value, json};
use tollgate::decision::Reason;

/// The port clients write into their proofs: that of a balancer which these scenes do without.
const PUBLIC_PORT: u16 = 443;
const PATH: &str = "/orders/17";
const CHALLENGE: &str = r#"DPoP error="invalid_dpop_proof", algs="ES256 EdDSA""#;
const INVALID_TOKEN: &str = r#"DPoP error="invalid_token", algs="ES256 EdDSA""#;

/// An issuer whose tokens are believed to the second, so that a new store can vouch for proofs soon.
fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

fn config(issuer: &Issuer, upstream: &Upstream, access: &str) -> Config {
    Config::new().listener("public: { scheme: https, port: 443 }").issuer(issuer).upstream("echo", upstream).route(
        &format!(
            "name: orders\nmatch: {{ hosts: [api.example.test], path: \"/orders/{{id}}\" }}\nupstream: echo\n\
             access: {{ issuers: [corp]{access} }}\nidentity: {{ headers: {{ X-User-Id: {{ claim: sub }} }} }}"
        ),
    )
}

/// A gateway, its issuer, what is behind it, and the client whose token will be stolen.
struct Scene {
    gateway: Gateway,
    issuer: Issuer,
    upstream: Upstream,
    victim: DpopClient,
}

impl Scene {
    fn new(access: &str) -> Self {
        Self::with(access, |config| config)
    }

    fn with(access: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let (issuer, upstream, victim) = (issuer(), Upstream::start(), DpopClient::new());
        let gateway = change(config(&issuer, &upstream, access)).start();
        let scene = Self { gateway, issuer, upstream, victim };
        scene.until_proofs_are_believed();
        scene
    }

    /// Waits until the store is old enough to vouch for proofs made now, and forgets the requests that took.
    fn until_proofs_are_believed(&self) {
        until("the store vouches for new proofs", || {
            let token = self.token();
            let mut claims = DpopClient::claims(PUBLIC_PORT, PATH, &token);
            let first = self.send(&token, &[&self.victim.sign(&claims)]);
            let Some(nonce) = first.header("DPoP-Nonce") else { return (first.status == 200).then_some(()) };
            claims["nonce"] = json!(nonce);
            (self.send(&token, &[&self.victim.sign(&claims)]).status == 200).then_some(())
        });
        self.upstream.take();
    }

    fn token(&self) -> String {
        self.victim.token(&self.issuer, "alice")
    }

    fn send(&self, token: &str, proofs: &[&str]) -> Answer {
        send(&self.gateway.client(), token, proofs)
    }

    /// Why it was refused, and what the client was told.
    fn refusal(&self, answer: &Answer) -> (u16, String, String) {
        let challenges: Vec<&str> = answer.headers("WWW-Authenticate").collect();
        (answer.status, reason(&self.gateway, answer), challenges.join(" | "))
    }

    fn assert_refused(&self, answer: &Answer, reason: &str, challenge: &str) {
        assert_eq!(self.refusal(answer), (401, reason.to_owned(), challenge.to_owned()));
        assert!(self.upstream.take().is_empty(), "a refused request reached the upstream");
    }
}

fn send(client: &Client, token: &str, proofs: &[&str]) -> Answer {
    let authorization = format!("DPoP {token}");
    let mut fields = vec![("Authorization", authorization.as_str())];
    fields.extend(proofs.iter().map(|proof| ("DPoP", *proof)));
    client.request("GET", PATH, &fields, b"")
}

#[test]
fn the_client_is_told_whether_its_token_or_its_proof_was_used_before() {
    let redis = Redis::start();
    let access = ", scopes: [], replay: { uses: 2 }";
    for scene in [Scene::new(access), Scene::with(access, |config| config.redis(&redis))] {
        let token = scene.token();
        let proof = || scene.victim.sign(&DpopClient::claims(PUBLIC_PORT, PATH, &token));
        let (first, second) = (proof(), proof());
        assert_eq!(scene.send(&token, &[&first]).status, 200);
        scene.upstream.take();
        scene.assert_refused(&scene.send(&token, &[&first]), "proof_replayed", CHALLENGE);
        assert_eq!(scene.send(&token, &[&second]).status, 200, "the refused request took no use away");
        scene.upstream.take();
        scene.assert_refused(&scene.send(&token, &[&proof()]), "replayed", INVALID_TOKEN);
        scene.assert_refused(&scene.send(&token, &[&first]), "replayed", INVALID_TOKEN);
    }
}

#[test]
fn the_upstream_sees_plain_identity_headers_and_neither_proof_nor_token() {
    let scene = Scene::new("");
    let token = scene.token();
    let answer = scene.send(&token, &[&scene.victim.proof(PUBLIC_PORT, PATH, &token)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("DPoP-Nonce"), None);
    let seen = scene.upstream.only();
    assert_eq!(seen.values("X-User-Id"), ["alice"]);
    assert!(seen.spellings("DPoP").is_empty() && seen.spellings("Authorization").is_empty());
    assert!(!String::from_utf8_lossy(&seen.raw_head).contains(&token));
}

#[test]
fn over_http_2_a_proof_proves_as_much() {
    let scene = Scene::new("");
    let token = scene.token();
    let proof = format!("DPoP: {}", scene.victim.proof(PUBLIC_PORT, PATH, &token));
    let authorization = format!("Authorization: DPoP {token}");
    let ask = || scene.gateway.client().curl(PATH, &["-H", &authorization, "-H", &proof]);
    assert_eq!(ask().status, 200);
    scene.upstream.take();
    scene.assert_refused(&ask(), "proof_replayed", CHALLENGE);
    let twice = scene.gateway.client().curl(PATH, &["-H", &authorization, "-H", &proof, "-H", &proof]);
    scene.assert_refused(&twice, "proof_malformed", CHALLENGE);
}

#[test]
fn a_stolen_token_without_its_key() {
    let scene = Scene::new("");
    let (token, thief) = (scene.token(), DpopClient::new());
    let as_bearer = scene.gateway.client().get(PATH, Some(&token));
    scene.assert_refused(&as_bearer, "binding_missing", INVALID_TOKEN);
    scene.assert_refused(&scene.send(&token, &[]), "proof_malformed", CHALLENGE);
    let by_thief = thief.proof(PUBLIC_PORT, PATH, &token);
    scene.assert_refused(&scene.send(&token, &[&by_thief]), "binding_mismatch", INVALID_TOKEN);
    // The victim's public key in the header, the thief's signature behind it.
    let good = scene.victim.proof(PUBLIC_PORT, PATH, &token);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, foreign) = by_thief.rsplit_once('.').unwrap();
    scene.assert_refused(&scene.send(&token, &[&format!("{signed}.{foreign}")]), "proof_mismatch", CHALLENGE);
}

#[test]
fn a_stolen_token_with_a_stolen_proof() {
    let scene = Scene::new("");
    let token = scene.token();
    let proof = scene.victim.proof(PUBLIC_PORT, PATH, &token);
    assert_eq!(scene.send(&token, &[&proof]).status, 200);
    scene.upstream.take();
    scene.assert_refused(&scene.send(&token, &[&proof]), "proof_replayed", CHALLENGE);
    // Caught before it arrived, it is still for this request and this token alone.
    let caught = scene.victim.proof(PUBLIC_PORT, PATH, &token);
    let authorization = format!("DPoP {token}");
    let fields = [("Authorization", authorization.as_str()), ("DPoP", caught.as_str())];
    for (method, target) in [("GET", "/orders/18"), ("POST", PATH), ("HEAD", PATH)] {
        let answer = scene.gateway.client().request(method, target, &fields, b"");
        scene.assert_refused(&answer, "proof_mismatch", CHALLENGE);
    }
    scene.assert_refused(&scene.send(&scene.token(), &[&caught]), "proof_mismatch", CHALLENGE);
    // The query plays no part (RFC 9449 §4.3), so the victim's own request passes with one.
    assert_eq!(scene.gateway.client().request("GET", &format!("{PATH}?page=2"), &fields, b"").status, 200);
}

#[test]
fn each_rule_of_a_proof_refuses_alone() {
    let scene = Scene::new("");
    let token = scene.token();
    let verdict = |changed: &dyn Fn(&mut Value)| {
        let mut claims = DpopClient::claims(PUBLIC_PORT, PATH, &token);
        changed(&mut claims);
        scene.send(&token, &[&scene.victim.sign(&claims)])
    };
    let (earlier, later) = (common::unix_now() - 61, common::unix_now() + 30);
    for (name, value, reason) in [
        ("htm", json!("POST"), "proof_mismatch"),
        ("htu", json!("https://api.example.test:8443/orders/17"), "proof_mismatch"),
        ("htu", json!("http://api.example.test/orders/17"), "proof_mismatch"),
        ("htu", json!("https://evil.example.test/orders/17"), "proof_mismatch"),
        ("ath", json!("AAAA"), "proof_mismatch"),
        ("iat", json!(earlier), "proof_stale"),
        ("iat", json!(later), "proof_stale"),
        ("iat", Value::Null, "proof_malformed"),
        ("jti", json!(""), "proof_malformed"),
        ("jti", json!("j".repeat(257)), "proof_malformed"),
    ] {
        scene.assert_refused(&verdict(&|claims| claims[name] = value.clone()), reason, CHALLENGE);
    }
    let good = || scene.victim.proof(PUBLIC_PORT, PATH, &token);
    scene.assert_refused(&scene.send(&token, &[&good(), &good()]), "proof_malformed", CHALLENGE);
    scene.assert_refused(&scene.send(&token, &[&format!("{}, {}", good(), good())]), "proof_malformed", CHALLENGE);
    let claims = DpopClient::claims(PUBLIC_PORT, PATH, &token);
    for header in [
        json!({ "typ": "dpop+jwt", "alg": "ES256" }),
        json!({ "typ": "JWT", "alg": "ES256", "jwk": {} }),
        json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": { "kty": "oct", "k": "AQ" } }),
    ] {
        let proof = scene.victim.sign_with(&header, &claims);
        scene.assert_refused(&scene.send(&token, &[&proof]), "proof_malformed", CHALLENGE);
    }
    assert_eq!(verdict(&|_| ()).status, 200);
}

#[test]
fn an_unbound_token_gains_nothing_by_the_scheme() {
    let scene = Scene::new("");
    let unbound = scene.issuer.token("alice");
    let proof = scene.victim.proof(PUBLIC_PORT, PATH, &unbound);
    scene.assert_refused(&scene.send(&unbound, &[&proof]), "binding_missing", INVALID_TOKEN);
    assert_eq!(scene.gateway.client().get(PATH, Some(&unbound)).status, 200);
    scene.upstream.take();
    let nobody = scene.gateway.client().get(PATH, None);
    let both = r#"Bearer realm="orders" | DPoP algs="ES256 EdDSA""#;
    scene.assert_refused(&nobody, "no_credential", both);
}

#[test]
fn a_route_that_asks_for_proofs_takes_no_other_token() {
    let scene = Scene::new(", binding: dpop, dpop: { algorithms: [ES256] }");
    let unbound = scene.gateway.client().get(PATH, Some(&scene.issuer.token("alice")));
    scene.assert_refused(&unbound, "binding_missing", r#"DPoP error="invalid_token", algs="ES256""#);
    let nobody = scene.gateway.client().get(PATH, None);
    scene.assert_refused(&nobody, "no_credential", r#"DPoP algs="ES256""#);
}

#[test]
fn the_nonce_dance_bounds_how_long_ahead_a_proof_can_be_made() {
    let scene = Scene::new(", dpop: { nonce: required }");
    let token = scene.token();
    let mut claims = DpopClient::claims(PUBLIC_PORT, PATH, &token);
    let first = scene.send(&token, &[&scene.victim.sign(&claims)]);
    scene.assert_refused(&first, "nonce_required", r#"DPoP error="use_dpop_nonce", algs="ES256 EdDSA""#);
    claims["nonce"] = json!(first.header("DPoP-Nonce").unwrap());
    let second = scene.send(&token, &[&scene.victim.sign(&claims)]);
    assert_eq!(second.status, 200, "the refused request had not spent the proof's jti");
    assert!(second.header("DPoP-Nonce").is_some(), "a success keeps the client fresh");
    assert_eq!(second.header("Cache-Control"), Some("no-store"));
    claims["nonce"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let made_up = scene.send(&token, &[&scene.victim.sign(&claims)]);
    assert_eq!(scene.refusal(&made_up).1, "nonce_required");
}

#[test]
fn explaining_a_proof_does_not_spend_it() {
    let scene = Scene::new("");
    let token = scene.token();
    let proof = scene.victim.proof(PUBLIC_PORT, PATH, &token);
    let request = json!({
        "url": format!("https://api.example.test{PATH}"),
        "headers": { "Authorization": format!("DPoP {token}"), "DPoP": proof },
    });
    for _ in 0..2 {
        let told = scene.gateway.admin().explain(&request);
        assert_eq!(told["outcome"], "allowed", "{told}");
        let binding = told["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "binding").unwrap();
        assert_eq!((&binding["result"], &binding["seen"]), (&json!("passed"), &json!("dpop")));
        assert!(!told.to_string().contains(&proof));
    }
    assert_eq!(scene.send(&token, &[&proof]).status, 200);
    assert_eq!(scene.gateway.admin().explain(&request)["reason"], "proof_replayed");
}

#[test]
fn of_proofs_too_explain_answers_what_the_live_request_is_answered() {
    let scene = Scene::new("");
    let nonces = Scene::new(", dpop: { nonce: required }");
    let agree = |scene: &Scene, reason: Reason, token: &str, proof: &str| {
        let request = json!({
            "url": format!("https://api.example.test{PATH}"),
            "headers": { "Authorization": format!("DPoP {token}"), "DPoP": proof },
        });
        let told = scene.gateway.admin().explain(&request);
        let answer = scene.send(token, &[proof]);
        assert_eq!(told["reason"], reason.label(), "{told:#}");
        assert_eq!(
            (told["status"].clone(), common::reason(&scene.gateway, &answer)),
            (json!(answer.status), reason.label().to_owned())
        );
    };
    let token = scene.token();
    let good = || scene.victim.proof(PUBLIC_PORT, PATH, &token);
    let changed = |name: &str, value: Value| {
        let mut claims = DpopClient::claims(PUBLIC_PORT, PATH, &token);
        claims[name] = value;
        scene.victim.sign(&claims)
    };
    let spent = good();
    assert_eq!(scene.send(&token, &[&spent]).status, 200);
    agree(&scene, Reason::ProofReplayed, &token, &spent);
    agree(&scene, Reason::ProofMalformed, &token, "nonsense");
    agree(&scene, Reason::ProofMismatch, &token, &changed("htm", json!("POST")));
    agree(&scene, Reason::ProofStale, &token, &changed("iat", json!(1)));
    agree(&scene, Reason::BindingMismatch, &token, &DpopClient::new().proof(PUBLIC_PORT, PATH, &token));
    let token = nonces.token();
    agree(&nonces, Reason::NonceRequired, &token, &nonces.victim.proof(PUBLIC_PORT, PATH, &token));
}

#[test]
fn a_proof_presented_to_both_replicas_at_once_is_accepted_once() {
    const PROOFS: usize = 50;
    let (issuer, upstream, redis) = (issuer(), Upstream::start(), Redis::start());
    let start = || config(&issuer, &upstream, "").redis(&redis).start();
    let replicas = [start(), start()];
    let client = DpopClient::new();
    let token = client.token(&issuer, "alice");
    for replica in &replicas {
        until("the store vouches for new proofs", || {
            let answer = send(&replica.client(), &token, &[&client.proof(PUBLIC_PORT, PATH, &token)]);
            (answer.status == 200).then_some(())
        });
    }
    let barrier = Barrier::new(replicas.len());
    let proofs: Vec<String> = (0..PROOFS).map(|_| client.proof(PUBLIC_PORT, PATH, &token)).collect();
    let present = |replica: &Gateway| -> Vec<u16> {
        let client = replica.client();
        let at_once = |proof: &String| {
            barrier.wait();
            send(&client, &token, &[proof]).status
        };
        proofs.iter().map(at_once).collect()
    };
    let answers: Vec<Vec<u16>> = thread::scope(|scope| {
        let presenters: Vec<_> = replicas.iter().map(|replica| scope.spawn(|| present(replica))).collect();
        presenters.into_iter().map(|presenter| presenter.join().unwrap()).collect()
    });
    for (number, (one, other)) in answers[0].iter().zip(&answers[1]).enumerate() {
        let mut pair = [*one, *other];
        pair.sort_unstable();
        assert_eq!(pair, [200, 401], "proof {number}");
    }
}

#[test]
fn replicas_accept_each_others_nonces_under_a_shared_key_alone() {
    let (issuer, upstream, redis) = (issuer(), Upstream::start(), Redis::start());
    let server =
        |key: &str| format!("server: {{ threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s{key} }}");
    let start = |key: &str| {
        let config = config(&issuer, &upstream, ", dpop: { nonce: required }").redis(&redis).block(&server(key));
        config.file("nonce.key", "a key of the scene that both replicas have").start()
    };
    let shared = ", dpop_nonce_key: \"file:nonce.key\"";
    let (one, other, stranger) = (start(shared), start(shared), start(""));
    let client = DpopClient::new();
    let token = client.token(&issuer, "alice");
    let ask = |gateway: &Gateway, nonce: Option<&str>| {
        let mut claims = DpopClient::claims(PUBLIC_PORT, PATH, &token);
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        send(&gateway.client(), &token, &[&client.sign(&claims)])
    };
    let nonce = ask(&one, None).header("DPoP-Nonce").unwrap().to_owned();
    until("the store vouches for new proofs", || (ask(&one, Some(&nonce)).status == 200).then_some(()));
    assert_eq!(ask(&other, Some(&nonce)).status, 200);
    let refused = ask(&stranger, Some(&nonce));
    assert_eq!((refused.status, reason(&stranger, &refused).as_str()), (401, "nonce_required"));
}
