//! The table of attacks over real HTTPS against the real binary: every token is refused with the answer of its reason,
//! nothing reaches the upstream, and what a client sees never tells one failure from another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
#[path = "attacks/kit/mod.rs"]
mod kit;

use common::{Answer, Config, Connection, Gateway, Upstream, unix_now};
use kit::{Attack, ISSUERS, Keys, attacks};
use std::collections::{BTreeMap, BTreeSet};
use tollgate::decision::{ChallengeKind, Reason};

struct Scene {
    keys: Keys,
    upstream: Upstream,
    gateway: Gateway,
}

impl Scene {
    fn new(more: &str) -> Self {
        let upstream = Upstream::start();
        let keys = Keys::new(unix_now());
        let mut config = keys.configure(Config::new(), &upstream.url());
        if !more.is_empty() {
            config = config.block(more);
        }
        Self { keys, upstream, gateway: config.start() }
    }

    /// Sends every attack of `attacks` over one connection.
    fn answers(&self, attacks: &[Attack]) -> Vec<Answer> {
        let mut connection = self.gateway.client().connect().unwrap();
        attacks.iter().map(|attack| ask(&mut connection, &attack.path(), &attack.token(&self.keys))).collect()
    }
}

fn ask(connection: &mut Connection, path: &str, token: &str) -> Answer {
    connection.get(path, Some(token)).unwrap_or_else(|fault| panic!("GET {path}: {fault}"))
}

#[test]
fn every_attack_is_answered_by_the_book_and_none_reaches_the_upstream() {
    let scene = Scene::new("");
    let attacks = attacks();
    let mut denials: BTreeMap<&str, u64> = BTreeMap::new();
    for (attack, answer) in attacks.iter().zip(scene.answers(&attacks)) {
        assert_eq!(answer.status, attack.reason.status(), "{}", attack.name);
        let challenge = answer.header("WWW-Authenticate").expect("a challenge").to_owned();
        let error = match attack.reason.challenge() {
            ChallengeKind::InvalidRequest => "invalid_request",
            _ => "invalid_token",
        };
        let expected = match attack.reason {
            // The one thing that is told: a token that is bound to a key wants its proof (RFC 9449 §7.1).
            Reason::BindingMissing if attack.name.contains("jkt") => format!("DPoP error=\"{error}\""),
            _ => format!("Bearer realm=\"{}\", error=\"{error}\"", attack.route),
        };
        assert_eq!(challenge, expected, "{}", attack.name);
        assert!(!answer.closes, "{}: keep-alive survives a refusal", attack.name);
        *denials.entry(attack.reason.label()).or_default() += 1;
    }
    assert!(scene.upstream.take().is_empty(), "nothing reached the upstream");
    let metrics = scene.gateway.admin().metrics();
    for (reason, count) in denials {
        assert_eq!(metrics.count("tollgate_denials_total", &[("reason", reason)]), count, "{reason}");
    }
}

/// The control: the same gateway, keys and routes let good tokens through.
#[test]
fn every_issuers_good_token_reaches_the_upstream() {
    let scene = Scene::new("");
    let mut connection = scene.gateway.client().connect().unwrap();
    for issuer in ISSUERS {
        let answer = ask(&mut connection, &format!("/{issuer}"), &scene.keys.token(issuer).text());
        assert_eq!(answer.status, 200, "{issuer}: {}", answer.text());
    }
    assert_eq!(scene.upstream.take().len(), ISSUERS.len());
}

/// Status, fields and body: a probing sender who compares them learns nothing (RFC 7516 §11.5).
#[test]
fn failures_to_decrypt_can_not_be_told_apart() {
    let scene = Scene::new("");
    let failures: Vec<_> = attacks().into_iter().filter(|attack| attack.reason == Reason::DecryptionFailed).collect();
    assert!(failures.len() > 100);
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (attack, answer) in failures.iter().zip(scene.answers(&failures)) {
        seen.entry(attack.route).or_default().insert(what_a_client_sees(&answer));
    }
    for (route, answers) in &seen {
        assert_eq!(answers.len(), 1, "{route}: {answers:#?}");
    }
    // A wrong signature inside a token that opened looks like one that did not open.
    let inside: Vec<_> = attacks()
        .into_iter()
        .filter(|attack| attack.route == "nest" && attack.reason.challenge() == ChallengeKind::InvalidToken)
        .filter(|attack| attack.reason != Reason::BindingMissing)
        .collect();
    let reasons: BTreeSet<_> = inside.iter().map(|attack| attack.reason.label()).collect();
    assert!(reasons.contains("bad_signature") && reasons.contains("wrong_form") && reasons.len() >= 8, "{reasons:?}");
    for (attack, answer) in inside.iter().zip(scene.answers(&inside)) {
        assert!(seen["nest"].contains(&what_a_client_sees(&answer)), "{}: {answer:?}", attack.name);
    }
}

/// The answer without what differs between any two: the request's id and the date.
fn what_a_client_sees(answer: &Answer) -> String {
    let mut body = answer.json();
    let id = body.as_object_mut().unwrap().remove("request_id").expect("a request id");
    let fields: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("date") && !name.eq_ignore_ascii_case("x-request-id"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(answer.header("X-Request-Id"), id.as_str());
    format!("{} {fields:?} {body}", answer.status)
}

#[test]
fn the_verdict_cache_spares_the_cryptography_and_nothing_else() {
    let cache = |entries: u64| {
        format!(
            "server: {{ threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, \
             verdict_cache: {{ entries: {entries}, bytes: 1MiB }} }}"
        )
    };
    for (entries, hits, openings) in [(100, 3, 2), (0, 0, 5)] {
        let scene = Scene::new(&cache(entries));
        let client = scene.gateway.client();
        let token = scene.keys.token("es").text();
        for _ in 0..5 {
            assert_eq!(client.get("/es", Some(&token)).status, 200);
        }
        let count = |name: &str, label| scene.gateway.admin().metrics().count(name, &[label]);
        assert_eq!(count("tollgate_verdict_cache_total", ("result", "hit")), hits);
        assert_eq!(count("tollgate_verdict_cache_total", ("result", "miss")), 5 - hits);
        assert_eq!(count("tollgate_verify_seconds_count", ("algorithm", "ES256")), openings);
        assert_eq!(client.get("/rs", Some(&token)).status, 401, "the same bytes on a route of another issuer");
        // Older than the memory of a store that has just begun: a good verdict does not help it.
        assert_eq!(client.get("/once", Some(&token)).status, 401);
        assert_eq!(count("tollgate_verdict_cache_total", ("result", "bypass")), 1);
        assert_eq!(scene.upstream.take().len(), 5);
    }
}
