//! Rates that replicas share through a real Redis.

use crate::common::{Config, Gateway, Issuer, Redis, Upstream, until};
use serde_json::json;
use std::thread;

fn replicas(redis: &Redis, issuer: &Issuer, upstream: &Upstream, per: &str) -> [Gateway; 2] {
    let route = format!(
        "name: x\nmatch: {{ path: /x }}\nupstream: echo\naccess: {{ issuers: [corp] }}\n\
         limits: {{ rate: {{ per: {per}, requests: 20, period: 1h }} }}"
    );
    [(); 2].map(|()| Config::new().redis(redis).issuer(issuer).upstream("echo", upstream).route(&route).start())
}

/// Asks both replicas at once, 30 times each, and counts what was let through.
fn let_through(gateways: &[Gateway; 2], token: impl Fn() -> String + Sync) -> usize {
    let ask = |gateway: &Gateway| (0..30).filter(|_| gateway.client().get("/x", Some(&token())).status == 200).count();
    thread::scope(|scope| {
        let asked = gateways.each_ref().map(|gateway| scope.spawn(|| ask(gateway)));
        asked.into_iter().map(|one| one.join().unwrap()).sum()
    })
}

#[test]
fn replicas_together_let_through_what_one_would() {
    let (redis, issuer, upstream) = (Redis::start(), Issuer::new("corp", "ES256"), Upstream::start());
    for per in ["subject", "route", "token"] {
        let gateways = replicas(&redis, &issuer, &upstream, per);
        let token = issuer.token("alice");
        let let_through = match per {
            "token" => let_through(&gateways, || token.clone()),
            _ => let_through(&gateways, || issuer.token("alice")),
        };
        assert_eq!(let_through, 20, "{per}");
        redis.command::<()>(&["FLUSHALL"]);
    }
}

#[test]
fn clients_and_refused_tokens_leave_nothing_in_the_store() {
    let (redis, issuer, upstream) = (Redis::start(), Issuer::new("corp", "ES256"), Upstream::start());
    for per in ["client", "subject", "token"] {
        let [gateway, _] = replicas(&redis, &issuer, &upstream, per);
        let before = redis.keys().len();
        for _ in 0..5 {
            gateway.client().get("/x", Some("a.b.c"));
            gateway.client().get("/x", None);
        }
        assert_eq!(redis.keys().len(), before, "{per}");
    }
}

#[test]
fn explain_looks_at_the_shared_counter_and_leaves_it() {
    let (redis, issuer, upstream) = (Redis::start(), Issuer::new("corp", "ES256"), Upstream::start());
    let gateways = replicas(&redis, &issuer, &upstream, "subject");
    let explain =
        || gateways[0].admin().explain(&json!({"url": "https://api.example.test/x", "token": issuer.token("alice")}));
    for _ in 0..30 {
        assert_eq!(explain()["outcome"], "allowed");
    }
    assert_eq!(let_through(&gateways, || issuer.token("alice")), 20);
    assert_eq!(explain()["reason"], "rate_limited");
}

#[test]
fn without_the_store_each_replica_counts_for_itself() {
    let (mut redis, issuer, upstream) = (Redis::start(), Issuer::new("corp", "ES256"), Upstream::start());
    let gateways = replicas(&redis, &issuer, &upstream, "subject");
    redis.kill();
    assert_eq!(let_through(&gateways, || issuer.token("alice")), 40);
    let errors = gateways[0].admin().metrics().count("tollgate_store_errors_total", &[]);
    assert!(errors > 0, "what was counted without the store is counted");
    redis.restart();
    until("the counter is shared again", || {
        let asked = gateways.each_ref().map(|gateway| gateway.client().get("/x", Some(&issuer.token("bob"))));
        let left = |at: usize| asked[at].header("ratelimit").map(str::to_owned);
        // Two replicas that count apart tell the same number.
        (left(0).is_some() && left(0) != left(1)).then_some(())
    });
}
