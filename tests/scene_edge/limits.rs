//! Limits of one gateway: rates, lock-outs, bodies, requests under way.

use crate::all;
use crate::common::{Answer, Config, Gateway, Issuer, Recorded, Reply, Upstream, until};
use serde_json::json;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// A gateway with one guarded route `/x` under these limits.
fn limited(limits: &str) -> (Gateway, Issuer, Upstream) {
    limited_before(limits, Upstream::start())
}

fn limited_before(limits: &str, upstream: Upstream) -> (Gateway, Issuer, Upstream) {
    let issuer = Issuer::new("corp", "ES256");
    let route = |name: &str| {
        format!(
            "name: {name}\nmatch: {{ path: \"/{name}\" }}\nupstream: echo\naccess: {{ issuers: [corp] }}\n{limits}\n\
             cors: {{ origins: [\"https://app.example.com\"] }}"
        )
    };
    let gateway =
        Config::new().issuer(&issuer).upstream("echo", &upstream).route(&route("x")).route(&route("y")).start();
    (gateway, issuer, upstream)
}

fn statuses(times: usize, mut ask: impl FnMut() -> Answer) -> Vec<u16> {
    (0..times).map(|_| ask().status).collect()
}

#[test]
fn a_rate_by_subject_counts_proven_subjects_alone() {
    let (gateway, issuer, upstream) = limited("limits: { rate: { per: subject, requests: 3, period: 1h } }");
    let get = |subject: &str| gateway.client().get("/x", Some(&issuer.token(subject)));
    assert_eq!(statuses(2, || gateway.client().get("/x", Some("a.b.c"))), [401, 401]);
    assert_eq!(statuses(5, || get("alice")), [200, 200, 200, 429, 429]);
    assert_eq!(get("bob").status, 200);
    assert_eq!(gateway.client().get("/y", Some(&issuer.token("alice"))).status, 200, "routes don't share counters");
    assert_eq!(upstream.requests().len(), 5);
    let limited =
        gateway.admin().metrics().count("tollgate_rate_limited_total", &[("route", "x"), ("kind", "subject")]);
    assert_eq!(limited, 2);
    assert_eq!(gateway.admin().metrics().count("tollgate_denials_total", &[("reason", "rate_limited")]), 2);
}

#[test]
fn an_answer_tells_how_the_client_stands_as_the_draft_writes_it() {
    let (gateway, issuer, _upstream) = limited("limits: { rate: { per: subject, requests: 2, period: 1h } }");
    let get = || gateway.client().get("/x", Some(&issuer.token("alice")));
    let first = get();
    assert_eq!(all(&first, "ratelimit-policy"), r#""subject";q=2;w=3600"#);
    assert_eq!(all(&first, "ratelimit"), r#""subject";r=1;t=1800"#);
    get();
    let refused = get();
    assert_eq!((refused.status, all(&refused, "ratelimit").as_str()), (429, r#""subject";r=0;t=3600"#));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1790..=1800).contains(&wait), "{wait}");
    assert_eq!(refused.json()["status"], 429);
}

#[test]
fn a_rate_by_client_is_asked_before_the_token_and_before_a_preflight() {
    let (gateway, issuer, _upstream) = limited("limits: { rate: { per: client, requests: 3, period: 1h } }");
    assert_eq!(gateway.client().get("/x", None).status, 401);
    let preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "GET")];
    let ask = || gateway.client().request("OPTIONS", "/x", &preflight, b"");
    assert_eq!(statuses(3, ask), [204, 204, 429]);
    let refused = gateway.client().request("GET", "/x", &[("Origin", "https://app.example.com")], b"");
    assert_eq!(
        (refused.status, all(&refused, "access-control-allow-origin").as_str()),
        (429, "https://app.example.com")
    );
    assert_eq!(gateway.client().get("/x", Some(&issuer.token("alice"))).status, 429);
}

#[test]
fn a_rate_by_token_counts_each_token() {
    let (gateway, issuer, _upstream) = limited("limits: { rate: { per: token, requests: 2, period: 1h } }");
    let (one, other) = (issuer.token("alice"), issuer.token("alice"));
    assert_eq!(statuses(3, || gateway.client().get("/x", Some(&one))), [200, 200, 429]);
    assert_eq!(gateway.client().get("/x", Some(&other)).status, 200);
}

#[test]
fn a_rate_by_token_spares_the_cryptography() {
    let (gateway, _, _upstream) = limited("limits: { rate: { per: token, requests: 2, period: 1h } }");
    let forged = Issuer::new("corp", "ES256").token("alice");
    assert_eq!(statuses(4, || gateway.client().get("/x", Some(&forged))), [401, 401, 429, 429]);
    assert_eq!(gateway.admin().metrics().count("tollgate_verify_seconds_count", &[]), 2);
}

#[test]
fn a_rate_by_route_counts_everybody() {
    let (gateway, issuer, _upstream) = limited("limits: { rate: { per: route, requests: 2, period: 1h } }");
    assert_eq!(gateway.client().get("/x", Some(&issuer.token("alice"))).status, 200);
    assert_eq!(gateway.client().get("/x", Some(&issuer.token("bob"))).status, 200);
    assert_eq!(gateway.client().get("/x", Some(&issuer.token("carol"))).status, 429);
}

#[test]
fn refused_tokens_lock_a_client_out_and_a_proven_token_passes() {
    let (gateway, issuer, _upstream) = limited("limits: { failures: { per: client, count: 3, period: 1h, lock: 1h } }");
    let known = issuer.token("alice");
    assert_eq!(gateway.client().get("/x", Some(&known)).status, 200);
    assert_eq!(statuses(2, || gateway.client().get("/x", None)), [401, 401], "no token is no refused token");
    assert_eq!(statuses(4, || gateway.client().get("/x", Some("a.b.c"))), [401, 401, 401, 429]);
    let locked = gateway.client().get("/x", Some(&issuer.token("bob")));
    assert_eq!((locked.status, locked.header("retry-after").is_some()), (429, true));
    assert_eq!(gateway.client().get("/x", Some(&known)).status, 200, "a token that was proven before");
    assert_eq!(gateway.client().get("/y", Some(&issuer.token("bob"))).status, 429, "the same rule on another route");
    let metrics = gateway.admin().metrics();
    assert_eq!(metrics.count("tollgate_rate_limited_total", &[("kind", "lockout")]), 3);
    assert_eq!(metrics.count("tollgate_denials_total", &[("reason", "locked_out")]), 3);
}

#[test]
fn explain_sees_limits_and_counts_nothing() {
    let (gateway, issuer, _upstream) = limited(
        "limits: { rate: { per: subject, requests: 1, period: 1h }, failures: { per: client, count: 2, period: 1h, lock: 1h } }",
    );
    let url = "https://api.example.test/x";
    let token = issuer.token("alice");
    for _ in 0..5 {
        assert_eq!(gateway.admin().explain(&json!({"url": url, "token": token}))["outcome"], "allowed");
        assert_eq!(gateway.admin().explain(&json!({"url": url, "token": "a.b.c"}))["outcome"], "denied");
    }
    assert_eq!(gateway.client().get("/x", Some(&token)).status, 200);
    let explained = gateway.admin().explain(&json!({"url": url, "token": token}));
    assert_eq!((&explained["reason"], &explained["status"]), (&json!("rate_limited"), &json!(429)));
    assert_eq!(gateway.admin().metrics().count("tollgate_rate_limited_total", &[]), 0);
}

#[test]
fn a_body_is_bounded_by_its_length_and_on_its_way() {
    let (gateway, issuer, upstream) = limited("limits: { body: 1KiB }");
    let token = format!("Bearer {}", issuer.token("alice"));
    let post = |fields: &[(&str, &str)], body: &[u8]| {
        let fields = [&[("Authorization", token.as_str())], fields].concat();
        gateway.client().request("POST", "/x", &fields, body)
    };
    assert_eq!(post(&[], &[b'a'; 1024]).status, 200);
    assert_eq!(upstream.only().body.len(), 1024);
    assert_eq!(post(&[], &[b'a'; 1025]).status, 413);
    let chunked = |size: usize| {
        let body = format!("{size:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(size));
        let head = format!(
            "POST /x HTTP/1.1\r\nHost: api.example.test\r\nAuthorization: {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        gateway.client().raw(&[head, body].concat().into_bytes()).unwrap()
    };
    assert_eq!(chunked(1024).status, 200);
    assert_eq!(upstream.only().body.len(), 1024);
    assert_eq!(chunked(2000).status, 413);
    // Over HTTP/2: tests/hostile.
    assert!(upstream.requests().is_empty(), "no whole request was heard");
}

/// An upstream that tells of each request, and answers it when it is let go.
fn gated() -> (Upstream, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (entered, entries) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let (entered, gate) = (Mutex::new(entered), Mutex::new(gate));
    let upstream = Upstream::start_with(move |_: &Recorded| {
        entered.lock().unwrap().send(()).unwrap();
        // Ends with the scene, should nobody open the gate.
        let _ = gate.lock().unwrap().recv();
        Reply::json(200, &json!({}))
    });
    (upstream, entries, release)
}

#[test]
fn a_full_route_is_overloaded_until_a_request_is_done() {
    let (upstream, entries, release) = gated();
    let (gateway, issuer, _upstream) = limited_before("in_flight: 1", upstream);
    let gateway = Arc::new(gateway);
    let token = issuer.token("alice");
    let first = {
        let (gateway, token) = (Arc::clone(&gateway), token.clone());
        thread::spawn(move || gateway.client().get("/x", Some(&token)).status)
    };
    entries.recv().unwrap();
    let refused = gateway.client().get("/x", Some(&token));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(
        gateway.admin().metrics().count("tollgate_denials_total", &[("reason", "overloaded"), ("route", "x")]),
        1
    );
    release.send(()).unwrap();
    assert_eq!(first.join().unwrap(), 200);
    release.send(()).unwrap();
    until("the place is free again", || (gateway.client().get("/x", Some(&token)).status == 200).then_some(()));
}

#[test]
fn a_reload_forgets_no_request_under_way() {
    let (upstream, entries, release) = gated();
    let (gateway, issuer, _upstream) = limited_before("in_flight: 1", upstream);
    let token = issuer.token("alice");
    thread::scope(|scope| {
        let first = scope.spawn(|| gateway.client().get("/x", Some(&token)).status);
        entries.recv().unwrap();
        gateway.rewrite(|text| format!("{text}# another generation\n"));
        assert_eq!(gateway.admin().reload()["outcome"], "applied");
        assert_eq!(gateway.client().get("/x", Some(&token)).status, 503, "the first is still under way");
        release.send(()).unwrap();
        assert_eq!(first.join().unwrap(), 200);
        release.send(()).unwrap();
        until("the place is free again", || (gateway.client().get("/x", Some(&token)).status == 200).then_some(()));
        // For those that came while it was being freed.
        drop(release);
    });
}
