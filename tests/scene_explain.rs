//! `explain` is the gateway's own decision: for every reason there is, it answers what the live request is answered,
//! and asking leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]
#![allow(clippy::unnecessary_wraps, reason = "a case's token is an option, and its makers answer what it takes")]

mod common;

use std::collections::BTreeSet;

use common::{Answer, Config, Gateway, Issuer, Redis, Upstream, tollgate};
use serde_json::{Value, json};
use tollgate::decision::Reason;

/// Reasons that lie outside a decision over an ordinary request: faults of the framing or the handshake, which a
/// question can't have; what happens after the permit; and what the configuration of this scene can't bring about.
const NOT_ASKED: [Reason; 9] = [
    Reason::BadFraming,
    Reason::HeaderTooLarge,
    Reason::TargetTooLong,
    Reason::Misdirected,
    Reason::KeysUnavailable,
    Reason::UpstreamUnavailable,
    Reason::UpstreamFailed,
    Reason::UpstreamTimeout,
    Reason::Overloaded,
];

/// Reasons that need a proof; `scene_theft_dpop.rs` shows the same of them.
const OF_PROOFS: [Reason; 6] = [
    Reason::BindingMismatch,
    Reason::ProofMalformed,
    Reason::ProofMismatch,
    Reason::ProofStale,
    Reason::NonceRequired,
    Reason::ProofReplayed,
];

/// One request and the reason for which it is refused.
struct Case {
    reason: Reason,
    method: &'static str,
    path: &'static str,
    token: Option<String>,
}

struct Scene {
    gateway: Gateway,
    issuer: Issuer,
    nested: Issuer,
    _upstream: Upstream,
}

fn scene() -> Scene {
    let (issuer, upstream) =
        (Issuer::new("corp", "ES256").with("leeway: 0s").with("max_lifetime: 10m"), Upstream::start());
    let nested = Issuer::new("nested", "ES256");
    let (key_file, keys) = nested.key_file();
    let decryption =
        tollgate::jose::sign::generate("RSA-OAEP-256", tollgate::jose::ContentEncryption::A256GCM).unwrap();
    let nested_yaml = format!(
        "name: nested\nissuer: {}\naudiences: [{}]\nkeys: {{ jwks_file: {key_file} }}\ntoken:\n  form: nested\n  \
         signing_algorithms: [ES256]\n  key_algorithms: [RSA-OAEP-256]\n  content_encryptions: [A256GCM]\n  \
         decryption_keys: file:decrypt.jwks.json\n",
        nested.iss, nested.audience
    );
    let route = |name: &str, path: &str, more: &str| {
        format!(
            "name: {name}\nmatch: {{ path: {path}, methods: [GET] }}\nupstream: echo\n\
             access: {{ issuers: [corp, nested]{more} }}\nidentity: {{ headers: {{ X-User-Id: {{ claim: sub }} }} }}"
        )
    };
    let gateway = Config::new()
        .store("embedded: { max_entries: 100000 }\nrevocations_file: revocations")
        .issuer(&issuer)
        .file(&key_file, keys)
        .file("decrypt.jwks.json", json!({ "keys": [decryption] }).to_string())
        .issuer_yaml(&nested_yaml)
        .upstream("echo", &upstream)
        .route(&route("plain", "/plain", ""))
        .route(&route("once", "/once", ", replay: once"))
        .route(&route("stepped", "/stepped", ", step_up: { acr_values: [gold] }"))
        .route(&route("scoped", "/scoped", ", scopes: [\"orders:read\"]"))
        .route(&format!(
            "{}\nlimits: {{ rate: {{ per: route, requests: 1, period: 1h }} }}",
            route("rated", "/rated", "")
        ))
        .route(&format!("{}\nlimits: {{ failures: {{ count: 1, period: 1h, lock: 1h }} }}", route("wary", "/wary", "")))
        .route(&format!("{}\nlimits: {{ body: 16B }}", route("small", "/small", "")))
        .route(&route("conditional", "/conditional", ", when: 'claims.tenant == \"acme\"'"))
        .start();
    // The embedded store remembers from its start on, and `iat` counts whole seconds.
    let started = common::unix_now();
    common::until("tokens are younger than the store", || (common::unix_now() > started).then_some(()));
    Scene { gateway, issuer, nested, _upstream: upstream }
}

impl Scene {
    /// A token whose claims were changed.
    fn with(&self, name: &str, value: Value) -> Option<String> {
        let mut claims = self.issuer.claims("alice");
        claims[name] = value;
        Some(self.issuer.sign(&claims))
    }

    /// A token whose header was changed.
    fn headed(&self, name: &str, value: Value) -> Option<String> {
        let mut header = self.issuer.header();
        header[name] = value;
        Some(self.issuer.sign_raw(&header.to_string(), &self.issuer.claims("alice").to_string()))
    }

    /// An encrypted token whose tag was changed.
    fn undecryptable(&self) -> Option<String> {
        let directory = self.gateway.directory();
        std::fs::write(directory.join("claims.jwk"), self.nested.public_jwk().to_string()).unwrap();
        let made = tollgate(directory, &["keys", "generate", "--alg", "ES256", "--out", "stranger.jwk"]);
        assert!(made.status.success());
        let minted = tollgate(
            directory,
            &[
                "token",
                "mint",
                "--key",
                "stranger.jwk",
                "--encrypt-to",
                "decrypt.jwks.json",
                "--issuer",
                &self.nested.iss,
                "--audience",
                "a",
            ],
        );
        let token = String::from_utf8(minted.stdout).unwrap();
        let (head, _) = token.trim().rsplit_once('.').unwrap();
        Some(format!("{head}.AAAAAAAAAAAAAAAAAAAAAA"))
    }

    /// A token that somebody took back.
    fn revoked(&self) -> Option<String> {
        let claims = self.issuer.claims("alice");
        let asked = json!({ "issuer": "corp", "jti": claims["jti"] });
        assert_eq!(self.gateway.admin().post("/api/revocations", &asked).status, 201);
        Some(self.issuer.sign(&claims))
    }

    /// A good token with another signature.
    fn forged(&self) -> Option<String> {
        let (token, other) = (self.issuer.token("alice"), self.issuer.token("bob"));
        let (head, _) = token.rsplit_once('.').unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        Some(format!("{head}.{signature}"))
    }

    /// A case for each reason, the ones that need a token spent beforehand included.
    fn cases(&self) -> Vec<Case> {
        let now = common::unix_now();
        let good = || Some(self.issuer.token("alice"));
        let case = |reason, path, token| Case { reason, method: "GET", path, token };
        let spent = good();
        assert_eq!(self.live(&case(Reason::Replayed, "/once", spent.clone())).status, 200);
        assert_eq!(self.live(&case(Reason::RateLimited, "/rated", good())).status, 200);
        assert_eq!(self.live(&case(Reason::LockedOut, "/wary", self.forged())).status, 401);
        vec![
            case(Reason::RateLimited, "/rated", good()),
            case(Reason::LockedOut, "/wary", good()),
            case(Reason::AmbiguousPath, "/plain/..%2fx", good()),
            case(Reason::NoRoute, "/nowhere", good()),
            Case { method: "DELETE", ..case(Reason::MethodNotAllowed, "/plain", good()) },
            case(Reason::NoCredential, "/plain", None),
            case(Reason::MalformedCredential, "/plain", Some("a b".to_owned())),
            case(Reason::TokenTooLarge, "/plain", Some("a".repeat(9000))),
            case(Reason::WrongForm, "/plain", Some("a.b".to_owned())),
            case(Reason::HeaderRefused, "/plain", self.headed("crit", json!(["exp"]))),
            case(Reason::UnknownIssuer, "/plain", self.with("iss", json!("https://mallory.test"))),
            case(Reason::AlgorithmRefused, "/plain", self.headed("alg", json!("none"))),
            case(Reason::TypeRefused, "/plain", self.headed("typ", json!("dpop+jwt"))),
            case(Reason::UnknownKey, "/plain", self.headed("kid", json!("another"))),
            case(Reason::DecryptionFailed, "/plain", self.undecryptable()),
            case(Reason::BadSignature, "/plain", self.forged()),
            case(Reason::MalformedClaims, "/plain", self.with("exp", json!("tomorrow"))),
            case(Reason::ClaimMissing, "/once", self.with("jti", json!(""))),
            case(Reason::Expired, "/plain", self.with("exp", json!(now - 1))),
            case(Reason::NotYetValid, "/plain", self.with("nbf", json!(now + 100))),
            case(Reason::IssuedInFuture, "/plain", self.with("iat", json!(now + 100))),
            case(Reason::LifetimeTooLong, "/plain", self.with("exp", json!(now + 3600))),
            case(Reason::WrongAudience, "/plain", self.with("aud", json!("https://other.test"))),
            case(Reason::BindingRefused, "/plain", self.with("cnf", json!({ "unheard-of": "x" }))),
            case(Reason::InsufficientScope, "/scoped", good()),
            case(Reason::ConditionFalse, "/conditional", good()),
            case(Reason::StepUpRequired, "/stepped", good()),
            case(Reason::IdentityUnencodable, "/plain", self.with("sub", json!("alice\nX-Admin: true"))),
            case(Reason::ReplayUnprovable, "/once", self.with("iat", json!(now - 200))),
            case(Reason::Replayed, "/once", spent),
            case(Reason::Revoked, "/plain", self.revoked()),
        ]
    }

    fn live(&self, case: &Case) -> Answer {
        let authorization = case.token.as_ref().map(|token| format!("Bearer {token}"));
        let fields: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        self.gateway.client().request(case.method, case.path, &fields, b"")
    }

    fn explain(&self, case: &Case) -> Value {
        self.gateway.admin().explain(&question(case))
    }

    /// The reason that the access log has for an answer.
    fn logged_reason(&self, answer: &Answer) -> String {
        let id = answer.header("X-Request-Id").unwrap().to_owned();
        common::until("the access log has the request", || {
            let log = self.gateway.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .filter(|line| line["request_id"] == id.as_str())
                .find_map(|line| Some(line["reason"].as_str()?.to_owned()))
        })
    }

    /// Everything that a decision could leave behind, as the metrics have it.
    fn traces(&self) -> Vec<u64> {
        let metrics = self.gateway.admin().metrics();
        let counted = [
            "tollgate_replay_claims_total",
            "tollgate_verdict_cache_total",
            "tollgate_denials_total",
            "tollgate_requests_total",
        ];
        counted.iter().map(|name| metrics.count(name, &[])).collect()
    }
}

fn question(case: &Case) -> Value {
    let url = format!("https://api.example.test{}", case.path);
    json!({ "url": url, "method": case.method, "token": case.token })
}

#[test]
fn for_every_reason_explain_answers_what_the_live_request_is_answered() {
    let scene = scene();
    let cases = scene.cases();
    for case in &cases {
        let explained = scene.explain(case);
        let answer = scene.live(case);
        assert_eq!(explained["reason"], case.reason.label(), "{explained:#}");
        assert_eq!(scene.logged_reason(&answer), case.reason.label());
        assert_eq!(explained["status"], answer.status, "{explained:#}");
        assert_eq!(answer.status, case.reason.status());
    }
    let shown: BTreeSet<Reason> = cases.iter().map(|case| case.reason).collect();
    let elsewhere = [
        Reason::SeveralCredentials,
        Reason::PlaintextToken,
        Reason::StoreUnavailable,
        Reason::BindingMissing,
        Reason::BodyTooLarge,
    ];
    let known = shown.iter().copied().chain(NOT_ASKED).chain(elsewhere).chain(OF_PROOFS);
    let known: BTreeSet<Reason> = known.collect();
    let missing: Vec<&Reason> = Reason::ALL.iter().filter(|reason| !known.contains(reason)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn reasons_that_need_other_headers_agree_too() {
    let scene = scene();
    let token = scene.issuer.token("alice");
    let (bearer, dpop) = (format!("Bearer {token}, Bearer {token}"), format!("DPoP {token}"));
    for (reason, value) in [(Reason::SeveralCredentials, &bearer), (Reason::BindingMissing, &dpop)] {
        let asked = json!({ "url": "https://api.example.test/plain", "headers": { "Authorization": value } });
        let explained = scene.gateway.admin().explain(&asked);
        let answer = scene.gateway.client().request("GET", "/plain", &[("Authorization", value)], b"");
        assert_eq!(explained["reason"], reason.label(), "{explained:#}");
        assert_eq!(scene.logged_reason(&answer), reason.label());
    }
    let asked = json!({ "url": "https://api.example.test/small", "headers": { "Content-Length": "17" } });
    let explained = scene.gateway.admin().explain(&asked);
    let answer = scene.gateway.client().request("GET", "/small", &[], &[b'a'; 17]);
    assert_eq!((&explained["reason"], answer.status), (&json!(Reason::BodyTooLarge.label()), 413), "{explained:#}");
    let asked = json!({ "url": "http://api.example.test/plain", "token": token });
    let explained = scene.gateway.admin().explain(&asked);
    let fields = [("Authorization", format!("Bearer {token}"))];
    let answer = scene.gateway.plain_client().request("GET", "/plain", &[(fields[0].0, fields[0].1.as_str())], b"");
    assert_eq!(explained["reason"], Reason::PlaintextToken.label(), "{explained:#}");
    assert_eq!(scene.logged_reason(&answer), Reason::PlaintextToken.label());
}

#[test]
fn a_question_with_more_headers_than_any_request_is_refused() {
    let scene = scene();
    let asked = |count: usize| {
        // Short names, so that they fit into one body.
        let headers: serde_json::Map<_, _> = (0..count).map(|number| (format!("{number:04x}"), json!(""))).collect();
        json!({ "url": "https://api.example.test/plain", "headers": headers })
    };
    let refused = scene.gateway.admin().post("/api/explain", &asked(24_577));
    assert_eq!((refused.status, refused.json()["detail"].as_str()), (400, Some("at most 100 headers")));
    scene.gateway.admin().explain(&asked(100));
}

#[test]
fn a_lost_store_is_explained_as_it_is_answered() {
    let redis = Redis::start();
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = Config::new()
        .redis(&redis)
        .issuer(&issuer)
        .upstream("echo", &upstream)
        .route("name: once\nmatch: { path: /once }\nupstream: echo\naccess: { issuers: [corp], replay: once }")
        .start();
    redis.freeze();
    let token = issuer.token("alice");
    let explained = gateway.admin().explain(&json!({ "url": "https://api.example.test/once", "token": token }));
    let answer = gateway.client().get("/once", Some(&token));
    redis.thaw();
    assert_eq!(explained["reason"], Reason::StoreUnavailable.label(), "{explained:#}");
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
}

#[test]
fn asking_leaves_nothing_behind() {
    let scene = scene();
    let token = scene.issuer.token("alice");
    let case = Case { reason: Reason::Replayed, method: "GET", path: "/once", token: Some(token) };
    let before = scene.traces();
    for _ in 0..3 {
        assert_eq!(scene.explain(&case)["outcome"], "allowed");
    }
    let refused = Case { token: scene.forged(), path: "/plain", ..Case { token: None, ..case } };
    for _ in 0..3 {
        assert_eq!(scene.explain(&refused)["reason"], Reason::BadSignature.label());
    }
    assert_eq!(scene.traces(), before, "asking was counted");
}

#[test]
fn a_token_that_was_only_asked_about_is_still_good_once() {
    let scene = scene();
    let case =
        Case { reason: Reason::Replayed, method: "GET", path: "/once", token: Some(scene.issuer.token("alice")) };
    assert_eq!(scene.explain(&case)["outcome"], "allowed");
    assert_eq!(scene.live(&case).status, 200);
    assert_eq!(scene.explain(&case)["reason"], Reason::Replayed.label());
    assert_eq!(scene.live(&case).status, 401);
}

#[test]
fn offline_the_command_says_where_memory_would_be_needed() {
    let scene = scene();
    let directory = scene.gateway.directory();
    std::fs::write(directory.join("token"), scene.issuer.token("alice")).unwrap();
    let arguments = ["explain", "--url", "https://api.example.test/once", "--token-file", "token", "--json"];
    let output = tollgate(directory, &arguments);
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let result = |stage: &str| {
        let stages = explained["stages"].as_array().unwrap();
        stages.iter().find(|entry| entry["stage"] == stage).map(|entry| entry["result"].clone()).unwrap()
    };
    assert_eq!((result("replay"), result("upstream")), (json!("not_visible"), json!("not_visible")));
    assert_eq!(result("token"), "passed");
    let live =
        tollgate(directory, &["explain", "--live", "--url", "https://api.example.test/once", "--token-file", "token"]);
    assert!(String::from_utf8(live.stdout).unwrap().contains("not used before"));
}

#[test]
fn a_token_on_the_command_line_is_warned_of() {
    let scene = scene();
    let token = scene.issuer.token("alice");
    let arguments = ["explain", "--url", "https://api.example.test/plain", "--token", &token];
    let output = tollgate(scene.gateway.directory(), &arguments);
    assert!(String::from_utf8(output.stderr).unwrap().contains("process lists"));
}
