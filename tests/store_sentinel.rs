//! The Redis store behind Sentinels, and with replicas that must hold a claim: failovers, clean ones and others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use common::Redis;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::servers::{Replicated, Watched, info, sentinel};
use store::{TIMEOUT, claim, epoch, is_fresh, is_replayed, is_unknown, settings, until, until_it_answers};
use tollgate::clock::{Stopwatch, UnixTime};
use tollgate::secret::Secret;
use tollgate::store::{ClaimAnswer, RedisStore, Servers, Store, StoreError};

const QUICK: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_load_accepts_no_token_twice_and_moves_the_epoch() {
    let watched = Watched::start();
    let replicas: Vec<Arc<RedisStore>> = (0..2)
        .map(|_| {
            let mut settings = watched.settings();
            settings.timeout = QUICK;
            Arc::new(store::store(settings))
        })
        .collect();
    for replica in &replicas {
        until_it_answers(replica).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let presenters: Vec<_> = (0..4)
        .map(|place| tokio::spawn(present(Arc::clone(&replicas[place % 2]), place / 2, Arc::clone(&over))))
        .collect();
    let before = epoch(&until_it_answers(&replicas[0]).await);
    watched.servers.primary.freeze();
    tokio::task::block_in_place(|| watched.until_promoted());
    let watch = Stopwatch::start();
    for replica in &replicas {
        let after = epoch(&until_it_answers(replica).await);
        assert!(after > before, "{after} is not later than {before}");
    }
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?} after the promotion", watch.elapsed());
    watched.servers.primary.thaw();
    tokio::task::block_in_place(|| {
        common::until("the old primary is a replica", || {
            info(&watched.servers.primary).contains("role:slave").then_some(())
        });
    });
    over.store(true, Ordering::Relaxed);
    let mut accepted = std::collections::HashMap::<String, Vec<Accepted>>::new();
    for presenter in presenters {
        for (id, accept) in presenter.await.unwrap() {
            accepted.entry(id).or_default().push(accept);
        }
    }
    assert!(accepted.len() > 100);
    let third = store::store(watched.settings());
    for (id, accepts) in accepted {
        // What was accepted before is refused by whoever asks the new primary alone: used up, or older than its memory.
        if let ClaimAnswer::Fresh { epoch, .. } = claim(&third, &id).await {
            assert!(accepts.iter().all(|accept| accept.presented <= epoch), "{id}: {accepts:?}, again at {epoch}");
        }
        // A token of an earlier time than the last epoch is refused, though its nonce is free.
        let provable = accepts.iter().filter(|accept| accept.presented > accept.epoch).count();
        assert!(provable <= 1, "{id}: {accepts:?}");
    }
}

#[derive(Debug)]
struct Accepted {
    presented: UnixTime,
    epoch: UnixTime,
}

/// Presents tokens, each issued the moment it is first presented, by two presenters at each of two replicas.
async fn present(replica: Arc<RedisStore>, presenter: usize, over: Arc<AtomicBool>) -> Vec<(String, Accepted)> {
    let mut accepted = Vec::new();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        // Both replicas present the same tokens at about the same time.
        let moment = store::now();
        let id = format!("{presenter} {}", moment.as_millis() / 20);
        let issued = UnixTime::from_millis(moment.as_millis() / 20 * 20);
        let answer = claim(&replica, &id).await;
        if let ClaimAnswer::Fresh { epoch, .. } = answer {
            accepted.push((id, Accepted { presented: issued, epoch }));
        }
        number += 1;
        if number % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_failover_moves_the_epoch_and_keeps_the_claims() {
    let watched = Watched::start();
    let store = store::store(watched.settings());
    let before = epoch(&until_it_answers(&store).await);
    assert!(is_fresh(&claim(&store, "a").await));
    let sentinel = redis::Client::open(format!("redis://{}", watched.sentinels[0])).unwrap();
    redis::cmd("SENTINEL").arg(&["FAILOVER", "main"]).exec(&mut sentinel.get_connection().unwrap()).unwrap();
    tokio::task::block_in_place(|| watched.until_promoted());
    until("the epoch moves", || async {
        let answer = until_it_answers(&store).await;
        epoch(&answer) > before
    })
    .await;
    let other = store::store(watched.settings());
    assert!(is_replayed(&claim(&other, "a").await), "the replica had the claim");
    assert_eq!(other.epoch(), store.epoch());
}

#[tokio::test]
async fn a_sentinel_that_asks_for_a_password_gets_it() {
    let redis = Redis::start();
    redis.command::<()>(&["ACL", "SETUSER", "gate", "on", ">secret", "~*", "+@all"]);
    let directory = tempfile::tempdir().unwrap();
    let users = "user gate on >secret ~* &* +@all\nuser default off\n";
    let (address, _process) = sentinel(&directory, 0, redis.address().port(), 1, users);
    let mut settings = settings(&redis.url());
    let urls = vec![format!("redis://{address}").parse().unwrap()];
    settings.servers = Servers::Sentinel { urls, service: String::from("main") };
    settings.username = Some(String::from("gate"));
    settings.password = Some(Secret::new(String::from("secret")));
    until_it_answers(&store::store(settings)).await;
}

#[tokio::test]
async fn a_service_that_no_sentinel_knows_is_told_of_at_once() {
    let watched = Watched::start();
    let mut settings = watched.settings();
    let Servers::Sentinel { service, .. } = &mut settings.servers else { panic!("Sentinels") };
    "another".clone_into(service);
    let store = store::store(settings);
    assert_eq!(claim(&store, "a").await, ClaimAnswer::Unknown(StoreError::Connection));
    let watch = Stopwatch::start();
    assert!(is_unknown(&claim(&store, "a").await));
    assert!(watch.elapsed() < QUICK, "{:?}", watch.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_counts_only_once_enough_replicas_hold_it() {
    let servers = Replicated::start(2);
    let mut with_acks = settings(&servers.primary.url());
    with_acks.replica_acks = 2;
    let (store, reports) = store::observed(with_acks.clone());
    until_it_answers(&store).await;
    for id in 0..100 {
        assert!(is_fresh(&claim(&store, &id.to_string()).await));
    }
    servers.replicas[0].freeze();
    let watch = Stopwatch::start();
    assert_eq!(claim(&store, "a").await, ClaimAnswer::Unknown(StoreError::Unreplicated));
    assert!(watch.elapsed() < TIMEOUT, "{:?}", watch.elapsed());
    assert!(is_replayed(&claim(&store, "1").await), "what is known to be spent stays spent");
    servers.replicas[0].thaw();
    until("the claim is given back", || async { reports.released.lock().unwrap().contains(&"released") }).await;
    assert!(is_fresh(&claim(&store, "a").await));
    assert!(is_replayed(&claim(&store::store(with_acks), "a").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_without_its_replicas_proves_nothing_and_says_so_at_once() {
    let mut servers = Replicated::start(1);
    let mut with_acks = settings(&servers.primary.url());
    with_acks.replica_acks = 1;
    let store = store::store(with_acks);
    until_it_answers(&store).await;
    servers.replicas[0].kill();
    until("the loss is noticed", || async { store.condition() == Err(StoreError::Unreplicated) }).await;
    let watch = Stopwatch::start();
    assert_eq!(claim(&store, "a").await, ClaimAnswer::Unknown(StoreError::Unreplicated));
    assert!(watch.elapsed() < QUICK, "{:?}", watch.elapsed());
    servers.replicas[0].restart();
    until_it_answers(&store).await;
    until("the claim was given back", || async { is_fresh(&claim(&store, "a").await) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_claims_share_one_wait() {
    let servers = Replicated::start(1);
    let mut with_acks = settings(&servers.primary.url());
    with_acks.replica_acks = 1;
    let store = Arc::new(store::store(with_acks));
    until_it_answers(&store).await;
    let claims: Vec<_> = (0..1000)
        .map(|id| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { claim(&store, &id.to_string()).await })
        })
        .collect();
    for claim in claims {
        assert!(is_fresh(&claim.await.unwrap()));
    }
    let stats: String = servers.primary.command(&["INFO", "commandstats"]);
    let waits = stats.lines().find_map(|line| line.strip_prefix("cmdstat_wait:calls=")).unwrap();
    let waits: usize = waits.split(',').next().unwrap().parse().unwrap();
    assert!(waits < 500, "{waits} WAITs for 1000 claims");
}
