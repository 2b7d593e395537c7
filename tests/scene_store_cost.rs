//! What a one-time token costs the store: one round trip, whatever is claimed with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use common::{Config, Issuer, Redis, Upstream, until};
use store::{is_fresh, nonce, now, sets, settings, until_it_answers};
use tollgate::store::{IfUnknown, Store};

const CLAIMS: u64 = 400;

/// How often Redis has read from a connection. Whoever waits for each answer before the next question is read once a
/// question.
fn reads(redis: &Redis) -> u64 {
    let stats: String = redis.command(&["INFO", "stats"]);
    let reads = stats.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
    reads.unwrap().trim().parse().unwrap()
}

/// Two round trips would be twice as many reads. Between the two lies what goes on once a second whoever asks: the
/// probe, and the list of revocations.
fn assert_one_round_trip(reads: u64) {
    println!("{reads} reads for {CLAIMS} claims, one after the other");
    assert!((CLAIMS..CLAIMS * 3 / 2).contains(&reads), "{reads} reads for {CLAIMS} claims");
}

#[test]
fn a_request_with_a_one_time_token_is_one_round_trip() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let issuer = Issuer::new("corp", "ES256").with("leeway: 0s");
    let gateway = Config::new()
        .issuer(&issuer)
        .upstream("echo", &upstream)
        .redis(&redis)
        .route("name: once\nmatch: { path: /once }\nupstream: echo\naccess: { issuers: [corp], replay: once }")
        .start();
    let mut connection = gateway.client().connect().unwrap();
    let mut show = || connection.get("/once", Some(&issuer.token("alice"))).unwrap().status;
    until("the store vouches for new tokens", || (show() == 200).then_some(()));
    let (reads_before, sets_before) = (reads(&redis), sets(&redis));
    for _ in 0..CLAIMS {
        assert_eq!(show(), 200);
    }
    assert_eq!(sets(&redis) - sets_before, CLAIMS);
    assert_one_round_trip(reads(&redis) - reads_before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_and_its_proof_are_one_round_trip_together() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    until_it_answers(&store).await;
    let before = reads(&redis);
    for id in 0..CLAIMS {
        let both = [nonce(&format!("proof {id}")), nonce(&format!("token {id}"))];
        assert!(is_fresh(&store.claim(&both, now(), IfUnknown::GiveBack).await));
    }
    assert_one_round_trip(reads(&redis) - before);
}
