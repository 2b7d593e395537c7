//! A memory that is lost under load: by a failover that Sentinels decide on, by FLUSHALL, by the end of the process.
//! What was presented before is refused from then on, and what is issued after is good once.

use crate::common::{Gateway, Issuer, Redis, until};
use crate::crowd::{Crowd, Progress, Showing};
use crate::kit::{
    assert_accepted_once_at_most, assert_spent, config, issuer, once, two_gateways, until_claims_are_proven, upstream,
};
use crate::store::servers::{Watched, info};
use std::fmt::Write as _;
use std::time::Duration;
use tollgate::clock::Stopwatch;

const TOKENS: usize = 400;

/// Presents tokens to two gateways on `store` and lets `lose` the memory in the middle.
fn loses_its_memory(store: &str, lose: impl FnOnce(&Progress, &[Gateway; 2], &Issuer)) {
    let (issuer, upstream) = (issuer(), upstream());
    let gateways = two_gateways(&issuer, &upstream, store);
    let early: Vec<String> = (0..20).map(|number| issuer.token(&format!("early-{number}"))).collect();
    for token in &early[..10] {
        assert_eq!(once(&gateways[0], token).status, 200);
    }
    let crowd = Crowd::new("during", &issuer, &gateways, TOKENS);
    let during = crowd.show(Showing::UntilKnown, |progress| {
        progress.until_accepted(50);
        lose(progress, &gateways, &issuer);
    });
    assert_accepted_once_at_most(&during);
    for (number, token) in early.iter().enumerate() {
        let reason = assert_spent(&gateways[1], token);
        assert!(number < 10 || reason == "replay_unprovable", "never presented before, so only its age is against it");
    }
    let again = crowd.show_again(|number| during.accepted[number] > 0);
    assert_eq!(again.statuses, [401], "accepted before or during the loss, and now again");
    let fresh = Crowd::new("after", &issuer, &gateways, 50);
    for gateway in &gateways {
        until_claims_are_proven(gateway, &issuer);
    }
    let after = fresh.show(Showing::UntilKnown, |_| {});
    assert!(after.accepted.iter().all(|times| *times == 1), "{:?}", after.accepted);
}

#[test]
fn a_failover_under_load_refuses_all_that_came_before_and_serves_within_ten_seconds() {
    let watched = Watched::start();
    let urls = watched.sentinels.iter().fold(String::new(), |mut urls, at| {
        let _ = write!(urls, "\"redis://{at}\", ");
        urls
    });
    let store = format!("redis: {{ sentinel: {{ urls: [{urls}], service: main }}, timeout: 500ms }}");
    loses_its_memory(&store, |_, gateways, issuer| {
        watched.servers.primary.freeze();
        watched.until_promoted();
        let watch = Stopwatch::start();
        for gateway in gateways {
            until_claims_are_proven(gateway, issuer);
        }
        let back = watch.elapsed();
        println!("served again {back:?} after the promotion");
        assert!(back < Duration::from_secs(10), "{back:?} after the promotion");
        watched.servers.primary.thaw();
        until("the old primary is a replica", || info(&watched.servers.primary).contains("role:slave").then_some(()));
    });
}

#[test]
fn an_emptied_store_refuses_all_that_came_before() {
    let redis = Redis::start();
    loses_its_memory(&format!("redis: {{ url: \"{}\", timeout: 2s }}", redis.url()), |progress, _, _| {
        redis.command::<()>(&["FLUSHALL"]);
        progress.until_accepted(20);
        redis.command::<()>(&["FLUSHALL"]);
    });
}

#[test]
fn an_embedded_store_that_is_restarted_refuses_all_that_came_before() {
    let (issuer, upstream) = (issuer(), upstream());
    let mut first = config(&issuer, &upstream, "embedded: {}").start();
    until_claims_are_proven(&first, &issuer);
    let tokens: Vec<String> = (0..40).map(|number| issuer.token(&format!("user-{number}"))).collect();
    for token in &tokens[..20] {
        assert_eq!(once(&first, token).status, 200);
    }
    assert!(first.stop().success());
    let second = config(&issuer, &upstream, "embedded: {}").start();
    for token in &tokens {
        assert_eq!(assert_spent(&second, token), "replay_unprovable");
    }
    until_claims_are_proven(&second, &issuer);
}
