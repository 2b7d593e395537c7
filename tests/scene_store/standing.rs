//! What is told of a store: in the metrics, in /readyz, in /api/status and once per change in the log.

use crate::common::{Authority, Gateway, Redis, unix_now, until};
use crate::kit::{config, issuer, once, two_gateways, until_claims_are_proven, upstream};
use crate::store::relay::Relay;
use crate::store::servers::Replicated;
use std::fs;

fn on(redis: &Redis) -> String {
    format!("redis: {{ url: \"{}\", timeout: 1s }}", redis.url())
}

/// How often the log says it.
fn told(gateway: &Gateway, what: &str) -> usize {
    gateway.log().matches(what).count()
}

fn until_told(gateway: &Gateway, what: &str, times: usize) {
    until(&format!("the log says {times} times: {what}"), || (told(gateway, what) >= times).then_some(()));
}

fn gauge(gateway: &Gateway, name: &str) -> f64 {
    gateway.admin().metrics().gauge(name, &[])
}

/// Cuts the gateway's connections, so that it makes new ones.
fn until_it_connects_anew(gateway: &Gateway, redis: &Redis) {
    let before = told(gateway, "connected");
    redis.command::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    until_told(gateway, "connected", before + 1);
}

#[test]
fn a_store_that_may_evict_claims_closes_the_route_and_is_told_of_once() {
    let (redis, issuer, upstream) = (Redis::start(), issuer(), upstream());
    let mut gateway = config(&issuer, &upstream, &on(&redis)).start();
    until_claims_are_proven(&gateway, &issuer);
    redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    gateway.until_answer("/readyz", 503);
    let answer = once(&gateway, &issuer.token("alice"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    let ready = gateway.admin().get("/readyz").text();
    assert!(ready.contains("set up to evict live claims"), "{ready}");
    let status = gateway.admin().ask("/api/status");
    assert_eq!((&status["store"]["degraded"], &status["store"]["error"]), (&true.into(), &"evicting".into()));
    assert!(gauge(&gateway, "tollgate_store_degraded") > 0.0);

    until_it_connects_anew(&gateway, &redis);
    gateway.until_answer("/readyz", 503);
    assert_eq!(told(&gateway, "maxmemory-policy is not noeviction"), 1, "a new connection is no news");

    redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    gateway.until_answer("/readyz", 200);
    until_told(&gateway, "maxmemory-policy is noeviction again", 1);
    assert_eq!(gateway.admin().ask("/api/status")["store"]["degraded"], false);
    until_claims_are_proven(&gateway, &issuer);
}

#[test]
fn a_store_that_fills_up_is_told_of_before_it_refuses_and_when_it_does() {
    let (redis, issuer, upstream) = (Redis::start(), issuer(), upstream());
    let gateway = config(&issuer, &upstream, &on(&redis)).start();
    until_claims_are_proven(&gateway, &issuer);
    let memory: String = redis.command(&["INFO", "memory"]);
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim();
    let limit = used.parse::<u64>().unwrap() * 100 / 90;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    until_told(&gateway, "when they are all used, claims are refused", 1);
    assert_eq!(once(&gateway, &issuer.token("alice")).status, 200, "a warning, not a refusal");
    until_it_connects_anew(&gateway, &redis);
    assert_eq!(told(&gateway, "when they are all used, claims are refused"), 1);

    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(once(&gateway, &issuer.token("bob")).status, 503);
    let full = gateway.admin().metrics().count("tollgate_store_errors_total", &[("kind", "full")]);
    assert!(full >= 1, "{full}");
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until_told(&gateway, "room again", 1);
}

#[test]
fn a_claim_counts_only_with_the_replicas_that_gateway_yaml_asks_for() {
    let (mut servers, issuer, upstream) = (Replicated::start(1), issuer(), upstream());
    let store =
        format!("redis: {{ url: \"{}\", timeout: 1s, replica_acks: 1, connections: 2 }}", servers.primary.url());
    let mut gateway = config(&issuer, &upstream, &store).start();
    until_claims_are_proven(&gateway, &issuer);
    servers.replicas[0].kill();
    gateway.until_answer("/readyz", 503);
    let token = issuer.token("alice");
    assert_eq!(once(&gateway, &token).status, 503);
    let ready = gateway.admin().get("/readyz").text();
    assert!(ready.contains("too few replicas hold the claim"), "{ready}");
    assert_eq!(told(&gateway, "0 replicas, but 1 must hold a claim"), 1);
    servers.replicas[0].restart();
    gateway.until_answer("/readyz", 200);
    until("the token that was answered 503 is good", || (once(&gateway, &token).status == 200).then_some(()));
    assert_eq!(once(&gateway, &token).status, 401);
}

#[test]
fn a_redis_that_asks_for_a_certificate_gets_it() {
    let (authority, directory) = (Authority::new("store"), tempfile::tempdir().unwrap());
    let files = authority.write(directory.path(), "server", &["127.0.0.1"]);
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let [chain, key, ca] = [&files.chain, &files.key, &ca].map(|path| path.to_str().unwrap());
    let port = crate::common::ports::free().port().to_string();
    let options = ["--tls-port", &port, "--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", ca];
    let _redis = Redis::start_with(&options);

    let (issuer, upstream) = (issuer(), upstream());
    let (certificate, key) = authority.issue(&["gate"]);
    let gateway = |more: &str| {
        let store = format!("redis: {{ url: \"rediss://127.0.0.1:{port}\", timeout: 1s, ca: store.pem{more} }}");
        config(&issuer, &upstream, &store)
            .file("store.pem", authority.pem())
            .file("gate.pem", certificate.to_pem().unwrap())
            .file("gate.key", key.private_key_to_pem_pkcs8().unwrap())
    };
    let known = gateway(", client_certificate: { chain: gate.pem, key: \"file:gate.key\" }").start();
    until_claims_are_proven(&known, &issuer);
    let stranger = gateway("").start_unready();
    assert_eq!(stranger.admin().status("/readyz"), Some(503));
    assert_eq!(once(&stranger, &issuer.token("alice")).status, 503);
}

#[test]
fn the_metrics_of_the_store_tell_what_it_did() {
    let (redis, issuer, upstream) = (Redis::start(), issuer(), upstream());
    let gateway = config(&issuer, &upstream, &on(&redis)).start();
    until_claims_are_proven(&gateway, &issuer);
    let token = issuer.token("alice");
    assert_eq!((once(&gateway, &token).status, once(&gateway, &token).status), (200, 401));

    let metrics = gateway.admin().metrics();
    for operation in ["claim", "probe", "connect"] {
        let answered = metrics.count("tollgate_store_seconds_count", &[("operation", operation)]);
        assert!(answered >= 1, "{operation}: {}", metrics.text);
    }
    let claims = |result: &str| metrics.count("tollgate_replay_claims_total", &[("mode", "once"), ("result", result)]);
    assert!(claims("fresh") >= 2 && claims("replayed") >= 1);
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    let age = unix_now() as f64 - metrics.gauge("tollgate_store_epoch_timestamp_seconds", &[]);
    assert!((0.0..120.0).contains(&age), "the memory is {age} s old");
    assert!(metrics.gauge("tollgate_store_clock_offset_seconds", &[]).abs() < 5.0, "one clock");
    assert_eq!(metrics.count("tollgate_store_evicted_keys_total", &[]), 0);
    assert_eq!(metrics.count("tollgate_revocations", &[]), 0);
    assert!(metrics.gauge("tollgate_revocation_age_seconds", &[]) < 60.0);
    assert!(metrics.gauge("tollgate_store_degraded", &[]) < 1.0);

    redis.freeze();
    assert_eq!(once(&gateway, &issuer.token("bob")).status, 503);
    until("the degradation is told", || (gauge(&gateway, "tollgate_store_degraded") > 0.0).then_some(()));
    let late = gateway.admin().metrics().count("tollgate_store_errors_total", &[("kind", "timeout")]);
    assert!(late >= 1, "{late}");
    redis.thaw();
    until("the store is back", || (gauge(&gateway, "tollgate_store_degraded") < 1.0).then_some(()));
}

#[test]
fn a_token_let_in_without_the_store_is_entered_later_and_a_conflict_is_counted() {
    let (redis, issuer, upstream) = (Redis::start(), issuer(), upstream());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let relay = runtime.block_on(Relay::to(redis.address()));
    let local = "name: local\nmatch: { path: /local }\nupstream: echo\n\
                 access: { issuers: [corp], scopes: [], replay: once, on_loss: local }";
    let behind = format!("redis: {{ url: \"{}\", timeout: 500ms }}", relay.url());
    let cut_off = config(&issuer, &upstream, &behind).route(local).start();
    until_claims_are_proven(&cut_off, &issuer);
    let [other, _] = two_gateways(&issuer, &upstream, &on(&redis));
    relay.silence();
    let (token, quiet) = (issuer.token("alice"), issuer.token("bob"));
    let present = |token: &str| cut_off.client().get("/local", Some(token)).status;
    assert_eq!(present(&issuer.token("carol")), 200, "asked for in vain; those after it are not sent at all");
    until("the degradation is told", || (gauge(&cut_off, "tollgate_store_degraded") > 0.0).then_some(()));
    assert_eq!((present(&token), present(&token)), (200, 401), "by what this replica knows");
    assert_eq!(present(&quiet), 200);
    assert_eq!(once(&other, &token).status, 200, "the other can't know");
    relay.cut_and_speak();
    let conflicts = || cut_off.admin().metrics().count("tollgate_local_claim_conflicts_total", &[]);
    until("the conflict is counted", || (conflicts() > 0).then_some(()));
    assert_eq!(conflicts(), 1);
    assert_eq!(once(&other, &quiet).status, 401, "the claim made here was entered");
    let labels = [("mode", "once"), ("result", "local")];
    assert!(cut_off.admin().metrics().count("tollgate_replay_claims_total", &labels) >= 2);
}
