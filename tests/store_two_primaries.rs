//! Two primaries at once, with replicas that must hold a claim: while the majority still follows the old one, that one
//! goes on accepting tokens; what it accepted is accepted nowhere else once they have come over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use store::servers::{Replicated, info};
use store::{claim, epoch, is_fresh, is_unknown, now, settings, until, until_it_answers};
use tollgate::store::{ClaimAnswer, Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_primary_accepts_is_older_than_the_memory_of_the_new_one() {
    let servers = Replicated::start(3);
    let [promoted, others @ ..] = &servers.replicas[..] else { unreachable!() };
    let with_acks = |url: &str| {
        let mut settings = settings(url);
        settings.replica_acks = 2;
        settings
    };
    let old = store::store(with_acks(&servers.primary.url()));
    until_it_answers(&old).await;
    // A failover that the old primary and two of its replicas have not heard of.
    promoted.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    let new = store::store(with_acks(&promoted.url()));
    until("the new primary is reached", || async {
        is_unknown(&claim(&new, "probe").await) && new.condition() == Err(StoreError::Unreplicated)
    })
    .await;
    assert_eq!(claim(&new, "before").await, ClaimAnswer::Unknown(StoreError::Unreplicated));
    let issued = now();
    assert!(is_fresh(&claim(&old, "token").await), "two replicas hold it");
    let port = promoted.address().port().to_string();
    for other in others {
        other.command::<()>(&["REPLICAOF", "127.0.0.1", &port]);
    }
    common::until("they have come over", || info(promoted).contains("connected_slaves:2").then_some(()));
    until_it_answers(&new).await;
    let answer = claim(&new, "token").await;
    assert!(is_fresh(&answer), "the new primary can't know: {answer:?}");
    assert!(epoch(&answer) > issued, "{} is not later than {issued}", epoch(&answer));
    assert_eq!(claim(&old, "another").await, ClaimAnswer::Unknown(StoreError::Unreplicated));
}
