//! The list of revocations in real Redis servers: cut off, failed over, and in a cluster that loses a primary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use common::Redis;
use std::sync::Arc;
use std::time::Duration;
use store::relay::Relay;
use store::servers::{Cluster, Watched};
use store::{now, settings, until};
use tokio::task::JoinHandle;
use tollgate::authn::Revocations;
use tollgate::clock::SystemClock;
use tollgate::secret::Secret;
use tollgate::store::{RedisSettings, RedisStore, Revocation, RevocationId, Target};

/// One replica: its list, and the task that follows the store.
struct Replica {
    list: Arc<Revocations>,
    follower: JoinHandle<()>,
    _store: RedisStore,
}

impl Replica {
    async fn start(settings: RedisSettings) -> Self {
        let store = store::store(settings);
        let list = Arc::new(Revocations::new(Arc::new(store.revocations()), Duration::from_secs(300)));
        let mut follower = list.follower().unwrap();
        let follower = tokio::spawn(async move {
            loop {
                follower.step(&SystemClock).await;
            }
        });
        let replica = Self { list, follower, _store: store };
        replica.until_in_step().await;
        replica
    }

    /// Waits until the list was in step a moment ago.
    async fn until_in_step(&self) {
        until("the list is in step", || async {
            self.list.age(now()).is_some_and(|age| age < Duration::from_millis(900))
        })
        .await;
    }

    async fn until_known(&self, wanted: usize) {
        until(&format!("{wanted} revocations are known"), || async { self.list.len() == wanted }).await;
    }

    async fn revoke(&self, id: u128) -> bool {
        let (token, expires_at) = (id.to_string(), now().plus(Duration::from_secs(600)));
        let revocation =
            Revocation::new(RevocationId::from_bits(id), "https://i", Target::Token(&token), expires_at, now());
        self.list.revoke(revocation, now()).await.is_ok()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_cut_off_catches_up_and_brings_its_own() {
    let redis = Redis::start();
    let relay = Relay::to(redis.address()).await;
    let near = Replica::start(settings(&redis.url())).await;
    let far = Replica::start(settings(&relay.url())).await;
    assert!(near.revoke(1).await);
    far.until_known(1).await;
    relay.silence();
    assert!(near.revoke(2).await);
    assert!(!far.revoke(3).await, "its answer did not arrive");
    near.until_known(3).await;
    assert_eq!(far.list.len(), 2, "the second never reached it");
    relay.cut_and_speak();
    far.until_known(3).await;
    near.until_known(3).await;
    assert!(far.revoke(4).await);
    near.until_known(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_over_leave_the_store_and_strange_ones_do_no_harm() {
    let redis = Redis::start();
    let over = now().minus(Duration::from_secs(3 * 3600)).as_millis();
    let line = format!("restored {:032x} {over}", 1);
    redis.command::<()>(&["ZADD", "tollgate:revocations", &over.to_string(), &line]);
    redis.command::<()>(&["ZADD", "tollgate:revocations", "9e15", "what a later version wrote"]);
    let replica = Replica::start(settings(&redis.url())).await;
    assert!(replica.revoke(1).await);
    let lines: Vec<String> = redis.command(&["ZRANGE", "tollgate:revocations", "0", "-1"]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(!lines.contains(&line));
    let other = Replica::start(settings(&redis.url())).await;
    assert_eq!(other.list.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_rights_of_the_manual_is_enough() {
    let manual = include_str!("../src/manual/operations.rs").replace("//! ", "").replace('\n', " ");
    let rights = manual.split("restricted rights needs `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    let redis = Redis::start();
    let claims = "on >secret ~tollgate* &tollgate* +info +get +set +incr +ping";
    let mut words = vec!["ACL", "SETUSER", "gate"];
    words.extend(claims.split_whitespace().chain(rights.split_whitespace()));
    redis.command::<()>(&words);
    let mut settings = settings(&redis.url());
    settings.username = Some(String::from("gate"));
    settings.password = Some(Secret::new(String::from("secret")));
    let replicas = [Replica::start(settings.clone()).await, Replica::start(settings).await];
    assert!(replicas[0].revoke(1).await);
    replicas[1].until_known(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_no_revocation_and_the_list_goes_on() {
    let watched = Watched::start();
    let mut quick = watched.settings();
    quick.timeout = Duration::from_millis(300);
    let replicas = [Replica::start(quick.clone()).await, Replica::start(quick.clone()).await];
    assert!(replicas[0].revoke(1).await);
    replicas[1].until_known(1).await;
    watched.servers.primary.freeze();
    assert!(!replicas[0].revoke(2).await, "nobody answers yet");
    tokio::task::block_in_place(|| watched.until_promoted());
    // What was revoked while there was no primary is on the new one, and at the other replica.
    replicas[1].until_known(2).await;
    assert!(replicas[1].revoke(3).await);
    replicas[0].until_known(3).await;
    watched.servers.primary.thaw();
    let third = Replica::start(quick).await;
    assert_eq!(third.list.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_the_list_moves_with_its_slot() {
    let mut cluster = Cluster::start(3, true);
    let settings = cluster.settings();
    let replicas = [Replica::start(settings.clone()).await, Replica::start(settings).await];
    assert!(replicas[0].revoke(1).await);
    replicas[1].until_known(1).await;
    let holds = |node: &Redis| node.keys().iter().any(|key| key.ends_with(b"revocations"));
    let holder = cluster.primaries.iter().position(holds).unwrap();
    cluster.primaries[holder].kill();
    until("the list is kept again", || replicas[0].revoke(2)).await;
    replicas[1].until_known(2).await;
    until("the other can add too", || replicas[1].revoke(3)).await;
    replicas[0].until_known(3).await;
    let third = Replica::start(cluster.settings_without(holder)).await;
    assert_eq!(third.list.len(), 3);
}
