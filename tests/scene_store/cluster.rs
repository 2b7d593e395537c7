//! Two gateways on a real Redis Cluster that loses a primary, and one that loses a shard for good.

use crate::common::{Gateway, Issuer, until};
use crate::crowd::{Crowd, Showing};
use crate::kit::{assert_accepted_once_at_most, assert_spent, issuer, once, two_gateways, upstream};
use crate::store::servers::Cluster;
use std::time::Duration;
use tollgate::clock::Stopwatch;

const TOKENS: usize = 400;
/// So many tokens in a row miss a third of the slots once in 200 000 times.
const ALL_OVER: usize = 30;

fn on(cluster: &Cluster) -> String {
    let nodes: Vec<String> = cluster.primaries.iter().map(|node| format!("\"{}\"", node.url())).collect();
    format!("redis: {{ cluster: [{}], timeout: 500ms }}", nodes.join(", "))
}

/// Waits until every slot vouches for tokens made now, at both gateways.
fn until_all_is_served(gateways: &[Gateway; 2], issuer: &Issuer) {
    for gateway in gateways {
        let mut connection = gateway.client().connect().unwrap();
        let mut is_accepted =
            || connection.get("/once", Some(&issuer.token("probe"))).is_ok_and(|answer| answer.status == 200);
        until("every slot is served", || (0..ALL_OVER).all(|_| is_accepted()).then_some(()));
    }
}

#[test]
fn a_cluster_that_loses_a_primary_serves_within_ten_seconds_and_accepts_nothing_twice() {
    let (cluster, issuer, upstream) = (Cluster::start(3, true), issuer(), upstream());
    let gateways = two_gateways(&issuer, &upstream, &on(&cluster));
    until_all_is_served(&gateways, &issuer);
    let early: Vec<String> = (0..40).map(|number| issuer.token(&format!("early-{number}"))).collect();
    for token in &early {
        assert_eq!(once(&gateways[0], token).status, 200);
    }
    let crowd = Crowd::new("during", &issuer, &gateways, TOKENS);
    let during = crowd.show(Showing::UntilKnown, |progress| {
        progress.until_accepted(50);
        cluster.primaries[0].freeze();
        until("a replica takes over", || {
            let nodes: String = cluster.primaries[1].command(&["CLUSTER", "NODES"]);
            let primaries = nodes.lines().filter(|line| line.contains("master") && !line.contains("fail"));
            (primaries.count() == 3).then_some(())
        });
        let watch = Stopwatch::start();
        until_all_is_served(&gateways, &issuer);
        let back = watch.elapsed();
        println!("all slots served again {back:?} after the promotion");
        assert!(back < Duration::from_secs(10), "{back:?} after the promotion");
        cluster.primaries[0].thaw();
    });
    assert_accepted_once_at_most(&during);
    let reasons: Vec<String> = early.iter().map(|token| assert_spent(&gateways[1], token)).collect();
    assert!(reasons.iter().any(|reason| reason == "replayed"), "the other primaries have not forgotten: {reasons:?}");
    let again = crowd.show_again(|number| during.accepted[number] > 0);
    assert_eq!(again.statuses, [401], "accepted before or during the failover, and now again");
}

#[test]
fn a_shard_that_is_lost_for_good_refuses_and_the_others_serve() {
    let (mut cluster, issuer, upstream) = (Cluster::start(3, false), issuer(), upstream());
    let gateways = two_gateways(&issuer, &upstream, &on(&cluster));
    until_all_is_served(&gateways, &issuer);
    let before: Vec<String> = (0..60).map(|number| issuer.token(&format!("before-{number}"))).collect();
    for token in &before {
        assert_eq!(once(&gateways[0], token).status, 200);
    }
    cluster.primaries[2].kill();
    for gateway in &gateways {
        let status = || gateway.admin().ask("/api/status")["store"].clone();
        until("the loss is noticed", || (status()["degraded"] == true).then_some(()));
        until("what is left serves", || (status()["serves_some"] == true).then_some(()));
        let ready = gateway.admin().get("/readyz");
        assert_eq!(ready.status, 200, "two thirds of the tokens can be served: {}", ready.text());
        assert!(gateway.admin().metrics().gauge("tollgate_store_degraded", &[]) > 0.0);
    }
    let statuses = |tokens: &[String]| -> [usize; 3] {
        let statuses: Vec<u16> = tokens.iter().map(|token| once(&gateways[1], token).status).collect();
        [200, 401, 503].map(|wanted| statuses.iter().filter(|status| **status == wanted).count())
    };
    let [accepted, spent, unknown] = statuses(&before);
    assert!(
        accepted == 0 && spent >= 20 && spent + unknown == 60,
        "{accepted} accepted, {spent} spent, {unknown} unknown"
    );
    let after: Vec<String> = (0..60).map(|number| issuer.token(&format!("after-{number}"))).collect();
    let [accepted, spent, unknown] = statuses(&after);
    assert!(accepted >= 20 && spent == 0 && accepted + unknown == 60 && unknown >= 5, "{accepted} {spent} {unknown}");

    cluster.primaries[2].restart();
    until_all_is_served(&gateways, &issuer);
    let reasons: Vec<String> = before.iter().map(|token| assert_spent(&gateways[1], token)).collect();
    assert!(reasons.iter().any(|reason| reason == "replay_unprovable"), "it came back without its data: {reasons:?}");
    assert!(reasons.iter().any(|reason| reason == "replayed"), "the others have not forgotten: {reasons:?}");
}
