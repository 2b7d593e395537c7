//! The Redis store on a cluster: claims spread over its primaries, a primary that is replaced, and one that is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::servers::Cluster;
use store::{claim, counted, epoch, is_fresh, is_replayed, is_unknown, nonce, now, receipt, until};
use tollgate::clock::{Stopwatch, UnixTime};
use tollgate::store::{ClaimAnswer, IfUnknown, RedisStore, Store};

/// Waits until `store` is connected to all primaries.
async fn connected(store: &RedisStore) {
    until("all primaries are connected", || async { store.connect().await.is_ok() && store.condition().is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_presenters_at_two_replicas_of_a_cluster_exactly_one_wins() {
    let cluster = Cluster::start(3, false);
    let replicas = [store::store(cluster.settings()), store::store(cluster.settings())].map(Arc::new);
    for replica in &replicas {
        connected(replica).await;
    }
    let mut presenters = Vec::new();
    for id in 0..200 {
        for presenter in 0..8 {
            let replica = Arc::clone(&replicas[presenter % 2]);
            presenters.push(tokio::spawn(async move { (id, claim(&replica, &id.to_string()).await) }));
        }
    }
    let mut fresh = vec![0; 200];
    for presenter in presenters {
        let (id, answer) = presenter.await.unwrap();
        assert!(is_fresh(&answer) || is_replayed(&answer), "{answer:?}");
        fresh[id] += usize::from(is_fresh(&answer));
    }
    assert!(fresh.iter().all(|fresh| *fresh == 1), "{fresh:?}");
    let sizes: Vec<usize> = cluster.primaries.iter().map(|node| node.command(&["DBSIZE"])).collect();
    assert!(
        sizes.iter().all(|size| *size > 341),
        "every primary holds the records of its groups, and claims: {sizes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_in_different_slots_are_claimed_together_or_not_at_all() {
    let cluster = Cluster::start(3, false);
    let (one, other) = (store::store(cluster.settings()), store::store(cluster.settings()));
    connected(&one).await;
    connected(&other).await;
    for number in 0..50 {
        let [token, proof, second] = ["token", "proof", "second"].map(|kind| nonce(&format!("{kind} {number}")));
        let given = receipt(one.claim(&[proof, token], now(), IfUnknown::GiveBack).await);
        assert!(is_replayed(&other.claim(&[second, token], now(), IfUnknown::GiveBack).await));
        until("the proof of the refused request is free", || async {
            is_fresh(&one.peek(&[second], now()).await) && is_fresh(&other.peek(&[second], now()).await)
        })
        .await;
        one.release(&given).await;
        let thrice = counted(&format!("counted {number}"), 3);
        assert!(is_fresh(&one.claim(&[second, thrice, token], now(), IfUnknown::GiveBack).await));
        // The token is used up, wherever it lies; what lies before it is given back.
        let third = nonce(&format!("third {number}"));
        let answer = other.claim(&[third, token], now(), IfUnknown::GiveBack).await;
        assert!(matches!(answer, ClaimAnswer::Replayed { spent: 1, .. }), "{answer:?}");
        let answer = other.claim(&[second, thrice], now(), IfUnknown::GiveBack).await;
        assert!(matches!(answer, ClaimAnswer::Replayed { spent: 0, .. }), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_a_replica_replaces_moves_the_epoch_of_its_groups_alone() {
    let cluster = Cluster::start(3, true);
    let store = store::store(cluster.settings());
    connected(&store).await;
    let before = claim_many(&store, "before", 300).await;
    assert!(before.iter().all(|claimed| claimed.epoch.is_some()), "all primaries answer");
    let latest = store.epoch();
    cluster.primaries[0].freeze();
    until("a replica takes over", || async {
        let nodes: String = cluster.primaries[1].command(&["CLUSTER", "NODES"]);
        nodes.lines().filter(|line| line.contains("master") && !line.contains("fail")).count() == 3
    })
    .await;
    let watch = Stopwatch::start();
    until("the new primary's memory begins", || async { store.epoch() > latest }).await;
    connected(&store).await;
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?} after the promotion", watch.elapsed());
    let other = store::store(cluster.settings_without(0));
    connected(&other).await;
    let (mut moved, mut kept) = (0, 0);
    for claimed in &before {
        match claim(&other, &claimed.id).await {
            ClaimAnswer::Replayed { epoch, .. } | ClaimAnswer::Fresh { epoch, .. } if epoch > claimed.at => moved += 1,
            ClaimAnswer::Replayed { epoch, .. } => {
                assert_eq!(Some(epoch), claimed.epoch, "the others have not forgotten");
                kept += 1;
            }
            answer => panic!("accepted twice: {answer:?}"),
        }
    }
    assert!(moved > 50 && kept > 100, "{moved} moved, {kept} kept");
    cluster.primaries[0].thaw();
    for claimed in claim_many(&store, "after", 100).await {
        assert!(claimed.epoch.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_lost_for_good_refuses_and_the_others_serve() {
    let mut cluster = Cluster::start(3, false);
    let store = store::store(cluster.settings());
    connected(&store).await;
    let before = claim_many(&store, "before", 300).await;
    let latest = store.epoch();
    cluster.primaries[2].kill();
    until("the loss is noticed", || async { store.condition().is_err() }).await;
    let watch = Stopwatch::start();
    let after = claim_many(&store, "after", 300).await;
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?} for 300 claims", watch.elapsed());
    let lost = after.iter().filter(|claimed| claimed.epoch.is_none()).count();
    assert!((50..150).contains(&lost), "{lost} of 300 are refused, one third of the slots is lost");
    assert!(after.iter().filter_map(|claimed| claimed.epoch).all(|epoch| Some(epoch) <= latest));
    // It comes back without its data: its groups begin anew, the others go on.
    cluster.primaries[2].restart();
    connected(&store).await;
    let other = store::store(cluster.settings());
    connected(&other).await;
    let (mut fresh, mut spent) = (0, 0);
    for claimed in &before {
        match claim(&other, &claimed.id).await {
            ClaimAnswer::Fresh { epoch, .. } if epoch > claimed.at => fresh += 1,
            ClaimAnswer::Replayed { epoch, .. } if Some(epoch) == claimed.epoch => spent += 1,
            answer => panic!("accepted twice, or refused without cause: {answer:?}"),
        }
    }
    assert!(fresh > 50 && spent > 100, "{fresh} unprovable, {spent} replayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_emptied_primary_is_noticed_in_the_very_next_claims() {
    let cluster = Cluster::start(3, false);
    let store = store::store(cluster.settings());
    connected(&store).await;
    let before = store.epoch().unwrap();
    cluster.primaries[1].command::<()>(&["FLUSHALL"]);
    let epochs: HashSet<bool> =
        claim_many(&store, "after", 100).await.iter().map(|claimed| claimed.epoch.unwrap() > before).collect();
    assert_eq!(epochs.len(), 2, "the epochs of one primary moved, those of the others did not");
    let moved = store.epoch().unwrap();
    until("the records of all groups are written anew", || async {
        cluster.primaries[1].command::<usize>(&["DBSIZE"]) > 341
    })
    .await;
    let later = claim_many(&store, "later", 100).await;
    assert!(later.iter().all(|claimed| claimed.epoch.unwrap() <= moved.plus(Duration::from_secs(1))));
}

#[tokio::test]
async fn a_cluster_that_is_away_is_told_of_at_once_and_found_later() {
    let mut cluster = Cluster::start(3, false);
    for node in &mut cluster.primaries {
        node.kill();
    }
    let store = store::store(cluster.settings());
    assert!(is_unknown(&claim(&store, "a").await));
    let watch = Stopwatch::start();
    assert!(is_unknown(&claim(&store, "a").await));
    assert!(watch.elapsed() < store::TIMEOUT / 2, "{:?}", watch.elapsed());
    for node in &mut cluster.primaries {
        node.restart();
    }
    connected(&store).await;
    assert!(is_fresh(&claim(&store, "a").await));
}

struct Claimed {
    id: String,
    at: UnixTime,
    /// `None`: the store could not tell.
    epoch: Option<UnixTime>,
}

async fn claim_many(store: &RedisStore, name: &str, count: usize) -> Vec<Claimed> {
    let mut claims = Vec::new();
    for number in 0..count {
        let (id, at) = (format!("{name} {number}"), now());
        let answer = claim(store, &id).await;
        assert!(!is_replayed(&answer));
        claims.push(Claimed { id, at, epoch: is_fresh(&answer).then(|| epoch(&answer)) });
    }
    claims
}
