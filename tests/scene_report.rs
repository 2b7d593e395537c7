//! Report mode: every request goes on, nobody has an identity, and nothing is spent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::{Config, Gateway, Issuer, Redis, Upstream, tollgate, until};
use serde_json::json;

fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

const IDENTITY: &str = "identity: { headers: { X-User-Id: { claim: sub }, X-Roles: { claim: roles } } }";

/// A route `tried` that only reports, one that keeps the token, and the same enforced.
fn config(issuer: &Issuer, upstream: &Upstream) -> Config {
    let route = |name: &str, access: &str, identity: &str| {
        format!("name: {name}\nmatch: {{ path: \"/{name}/{{*rest}}\" }}\nupstream: echo\naccess: {access}\n{identity}")
    };
    Config::new()
        .issuer(issuer)
        .upstream("echo", upstream)
        .route(&route("tried", "{ issuers: [corp], scopes: [orders], replay: once, mode: report }", IDENTITY))
        .route(&route("kept", "{ issuers: [corp], mode: report }", "identity: { headers: { X-User-Id: { claim: sub } }, token: keep }"))
        .route(&route("enforced", "{ issuers: [corp], scopes: [orders], replay: once }", IDENTITY))
        .route("name: only-get\nmatch: { path: /only-get, methods: [GET] }\nupstream: echo\naccess: { issuers: [corp], mode: report }")
}

fn token(issuer: &Issuer, scope: &str) -> String {
    let mut claims = issuer.claims("alice");
    claims["scope"] = json!(scope);
    claims["roles"] = json!("admin");
    issuer.sign(&claims)
}

fn would_deny(gateway: &Gateway, reason: &str) -> u64 {
    gateway.admin().metrics().count("tollgate_would_deny_total", &[("reason", reason), ("route", "tried")])
}

#[test]
fn what_would_be_refused_goes_on_and_is_counted() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let gateway = config(&issuer, &upstream).start();
    let client = gateway.client();
    let (mut expired, mut forged) = (issuer.claims("alice"), token(&issuer, "orders"));
    expired["iat"] = json!(1_000_000_000);
    expired["exp"] = json!(1_000_000_300);
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let cases = [
        ("no_credential", None),
        ("malformed_credential", Some("two words".to_owned())),
        ("header_refused", Some("no.such.token".to_owned())),
        ("bad_signature", Some(forged)),
        ("expired", Some(issuer.sign(&expired))),
        ("insufficient_scope", Some(token(&issuer, "other"))),
    ];
    for (reason, token) in &cases {
        let answer = client.get("/tried/x", token.as_deref());
        assert_eq!(answer.status, 200, "{reason}: {}", answer.text());
        until("it is counted", || (would_deny(&gateway, reason) == 1).then_some(()));
    }
    let metrics = gateway.admin().metrics();
    let outcome = |outcome| metrics.count("tollgate_requests_total", &[("route", "tried"), ("outcome", outcome)]);
    assert_eq!((outcome("would_deny"), outcome("denied")), (6, 0));
    assert_eq!(metrics.count("tollgate_denials_total", &[("route", "tried")]), 0);
}

#[test]
fn a_reported_request_never_carries_an_identity() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let gateway = config(&issuer, &upstream).start();
    let good = token(&issuer, "orders");
    let bearer = format!("Bearer {good}");
    let spoofed = [
        ("X-User-Id", "root"),
        ("x_user_id", "root"),
        ("X-Roles", "admin"),
        ("X.Roles", "admin"),
        ("Authorization", bearer.as_str()),
        ("X-Real-IP", "10.0.0.1"),
    ];
    for path in ["/tried/x", "/kept/x"] {
        for fields in [&spoofed[..], &spoofed[..4]] {
            assert_eq!(gateway.client().request("GET", path, fields, b"").status, 200);
            let [seen] = &upstream.take()[..] else { panic!("one request") };
            for name in ["x-user-id", "x-roles"] {
                assert!(seen.spellings(name).is_empty(), "{path}: {:?}", seen.spellings(name));
            }
            let kept = path == "/kept/x" && fields.len() > 4;
            let expected = if kept { vec![bearer.clone()] } else { vec![] };
            assert_eq!(seen.values("authorization"), expected, "{path}");
        }
    }
}

#[test]
fn a_reported_request_never_spends_a_nonce() {
    let (issuer, upstream, redis) = (issuer(), Upstream::start(), Redis::start());
    let url = redis.url();
    let gateway = config(&issuer, &upstream).store(&format!("redis: {{ url: \"{url}\", timeout: 2s }}")).start();
    let client = gateway.client();
    until("the store vouches for new tokens", || {
        (client.get("/enforced/x", Some(&token(&issuer, "orders"))).status == 200).then_some(())
    });
    let once = token(&issuer, "orders");
    for _ in 0..3 {
        assert_eq!(client.get("/tried/x", Some(&once)).status, 200);
    }
    assert_eq!(would_deny(&gateway, "replayed"), 0, "a peek leaves nothing behind");
    assert_eq!(client.get("/enforced/x", Some(&once)).status, 200, "the token is still good for its one use");
    assert_eq!(client.get("/enforced/x", Some(&once)).status, 401);
    assert_eq!(client.get("/tried/x", Some(&once)).status, 200);
    until("the peek sees the claim", || (would_deny(&gateway, "replayed") == 1).then_some(()));
}

#[test]
fn what_is_not_about_the_credential_is_refused_all_the_same() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let gateway = config(&issuer, &upstream)
        .upstream_yaml("name: gone\nendpoints: [\"http://127.0.0.1:9\"]")
        .route("name: broken\nmatch: { path: /broken }\nupstream: gone\naccess: { issuers: [corp], mode: report }")
        .start();
    let client = gateway.client();
    for (path, status) in [("/tried/%2e%2e/x", 400), ("/tried//x", 400), ("/nowhere", 404), ("/broken", 503)] {
        assert_eq!(client.get(path, None).status, status, "{path}");
    }
    assert_eq!(client.request("POST", "/only-get", &[], b"").status, 405);
    assert_eq!(
        client.clone().host("other.test").server_name(Some("api.example.test")).get("/tried/x", None).status,
        421
    );
    assert!(upstream.take().is_empty());
}

#[test]
fn check_names_what_only_reports_and_explain_says_what_it_would_do() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let gateway = config(&issuer, &upstream).start();
    let check = tollgate(gateway.directory(), &["check"]);
    let text = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(text.contains("mode: refuses nobody"), "{text}");
    assert!(text.contains("mode: report, nobody is refused"), "{text}");
    gateway.client().get("/tried/x", None);
    until("it is counted", || (would_deny(&gateway, "no_credential") == 1).then_some(()));
    let live = tollgate(gateway.directory(), &["check", "--live"]);
    let text = String::from_utf8_lossy(&live.stdout).into_owned();
    assert!(text.contains("route tried: 1 of 1 requests would have been refused: no_credential 1"), "{text}");
    assert!(text.contains("route kept: no request yet"), "{text}");
    gateway.client().get("/kept/x", Some(&token(&issuer, "orders")));
    until("it is promoted", || {
        let live = tollgate(gateway.directory(), &["check", "--live"]);
        let text = String::from_utf8_lossy(&live.stdout).into_owned();
        text.contains("route kept: can be promoted, none of 1 requests would have been refused").then_some(())
    });
    let answer = gateway.admin().explain(&json!({ "url": "https://api.example.test/tried/x", "method": "GET" }));
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("would_deny"), &json!("no_credential")));
    assert_eq!(answer["status"], 200);
}

#[test]
fn failures_lock_nobody_out_where_a_route_only_reports() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let failures = "limits: { failures: { per: client, count: 2, period: 1m, lock: 5m } }";
    let route = |name: &str, access: &str| {
        format!("name: {name}\nmatch: {{ path: \"/{name}/{{*rest}}\" }}\nupstream: echo\naccess: {access}\n{failures}")
    };
    let gateway = Config::new()
        .issuer(&issuer)
        .upstream("echo", &upstream)
        .route(&route("tried", "{ issuers: [corp], scopes: [orders], mode: report }"))
        .route(&route("enforced", "{ issuers: [corp], scopes: [orders] }"))
        .start();
    let (client, forged) = (gateway.client(), Issuer::new("corp", "ES256").token("mallory"));
    for _ in 0..10 {
        assert_eq!(client.get("/tried/x", Some(&forged)).status, 200);
    }
    until("each is counted", || (would_deny(&gateway, "bad_signature") == 10).then_some(()));
    assert_eq!(would_deny(&gateway, "locked_out"), 0);
    // Routes with one rule share its lock-outs, so that one of these would show here.
    assert_eq!(client.get("/enforced/x", Some(&forged)).status, 401, "none of the ten was counted");
    assert_eq!(client.get("/enforced/x", Some(&forged)).status, 401);
    assert_eq!(client.get("/enforced/x", Some(&forged)).status, 429, "where the rule is enforced it locks out");
    // A lock-out is a limit, and limits stay enforced everywhere.
    assert_eq!(client.get("/tried/x", Some(&forged)).status, 429);
}
