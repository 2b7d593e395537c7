//! The Redis store when the way to it is bad: away at start, frozen, cut off in the middle of a claim, or closed to us.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use common::{Authority, Redis};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::relay::Relay;
use store::{
    claim, counted, epoch, is_fresh, is_replayed, is_unknown, nonce, now, sets, settings, until, until_it_answers,
};
use tollgate::clock::Stopwatch;
use tollgate::secret::Secret;
use tollgate::store::{ClaimAnswer, ClientCertificate, IfUnknown, RedisSettings, RedisStore, Store, StoreError};

/// A time-out that a scene can afford to wait for, and that two busy cores can still keep.
const SHORT: Duration = Duration::from_millis(300);

fn quick(url: &str) -> RedisSettings {
    let mut settings = settings(url);
    settings.timeout = SHORT;
    settings
}

/// Claims, and tells how long that took.
async fn timed(store: &RedisStore, id: &str) -> (ClaimAnswer, Duration) {
    let watch = Stopwatch::start();
    (claim(store, id).await, watch.elapsed())
}

#[tokio::test]
async fn a_store_that_is_away_at_start_is_told_of_at_once_and_found_later() {
    let mut redis = Redis::start();
    redis.kill();
    let store = store::store(quick(&redis.url()));
    assert_eq!(claim(&store, "a").await, ClaimAnswer::Unknown(StoreError::Connection));
    assert_eq!(store.condition(), Err(StoreError::Connection));
    for id in 0..100 {
        let (answer, took) = timed(&store, &id.to_string()).await;
        assert!(is_unknown(&answer) && took < SHORT / 2, "{answer:?} after {took:?}");
    }
    redis.restart();
    until_it_answers(&store).await;
    assert_eq!(store.condition(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_store_costs_one_time_out_and_then_nothing_and_loses_no_memory() {
    let redis = Redis::start();
    let store = store::store(quick(&redis.url()));
    let before = epoch(&until_it_answers(&store).await);
    redis.freeze();
    let (answer, took) = timed(&store, "a").await;
    assert_eq!(answer, ClaimAnswer::Unknown(StoreError::Timeout));
    assert!(took >= SHORT && took < 3 * SHORT, "{took:?}");
    let mut slow = 0;
    for id in 0..50 {
        let (answer, took) = timed(&store, &id.to_string()).await;
        assert!(is_unknown(&answer), "{answer:?}");
        slow += usize::from(took > SHORT / 2);
    }
    assert!(slow <= 1, "{slow} of 50 requests waited for a store known to be late");
    assert!(store.condition().is_err());
    redis.thaw();
    let after = epoch(&until_it_answers(&store).await);
    assert_eq!(after, before, "nothing was forgotten");
    // The request of this token was refused, so it is good once.
    until("the late claim is given back", || async { is_fresh(&claim(&store, "a").await) }).await;
    assert!(is_replayed(&claim(&store::store(settings(&redis.url())), "a").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_claim_that_a_request_rests_on_stays() {
    let redis = Redis::start();
    let store = store::store(quick(&redis.url()));
    until_it_answers(&store).await;
    redis.freeze();
    let answer = store.claim(&[nonce("a")], now(), IfUnknown::Keep).await;
    assert_eq!(answer, ClaimAnswer::Unknown(StoreError::Timeout));
    redis.thaw();
    until_it_answers(&store).await;
    until("the late claim is known", || async { is_replayed(&claim(&store, "a").await) }).await;
    assert!(is_replayed(&claim(&store::store(settings(&redis.url())), "a").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_was_cut_off_is_given_back_when_its_request_was_refused() {
    let redis = Redis::start();
    let relay = Relay::to(redis.address()).await;
    let (store, reports) = store::observed(settings(&relay.url()));
    let before = epoch(&until_it_answers(&store).await);
    for (id, if_unknown) in [("refused", IfUnknown::GiveBack), ("let through", IfUnknown::Keep)] {
        relay.silence();
        let (before_it, nonces) = (claims(&redis), [nonce(id)]);
        let answer = tokio::join!(store.claim(&nonces, now(), if_unknown), async {
            until("the claim is made", || async { claims(&redis) > before_it }).await;
            relay.cut_and_speak();
        });
        assert_eq!(answer.0, ClaimAnswer::Unknown(StoreError::Connection));
        assert_eq!(epoch(&until_it_answers(&store).await), before, "a cut loses no memory");
    }
    until("the claim is given back", || async { is_fresh(&claim(&store, "refused").await) }).await;
    assert!(is_replayed(&claim(&store, "let through").await));
    assert!(is_replayed(&claim(&store::store(settings(&redis.url())), "let through").await));
    let released = reports.released.lock().unwrap().iter().filter(|result| **result == "released").count();
    assert_eq!(released, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_claim_of_ours_is_not_mistaken_for_the_good_one_of_another_replica() {
    let redis = Redis::start();
    let relay = Relay::to(redis.address()).await;
    let (store, reports) = store::observed(settings(&relay.url()));
    let other = store::store(settings(&redis.url()));
    until_it_answers(&store).await;
    assert!(is_fresh(&claim(&other, "a").await));
    relay.silence();
    let before = sets(&redis);
    let answer = tokio::join!(claim(&store, "a"), async {
        until("the claim is sent", || async { sets(&redis) > before }).await;
        relay.cut_and_speak();
    });
    assert!(is_unknown(&answer.0), "{:?}", answer.0);
    until("the doubt is settled", || async { !reports.released.lock().unwrap().is_empty() }).await;
    assert_eq!(*reports.released.lock().unwrap(), ["kept"]);
    let third = store::store(settings(&redis.url()));
    assert!(is_replayed(&claim(&third, "a").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_went_away_leaves_its_token_unspent() {
    let redis = Redis::start();
    let relay = Relay::to(redis.address()).await;
    let store = store::store(settings(&relay.url()));
    until_it_answers(&store).await;
    relay.silence();
    let (before_it, nonces) = (claims(&redis), [nonce("a")]);
    tokio::select! {
        answer = store.claim(&nonces, now(), IfUnknown::GiveBack) => panic!("{answer:?}"),
        () = until("the claim is made", || async { claims(&redis) > before_it }) => {}
    }
    relay.cut_and_speak();
    until("the claim is given back", || async { is_fresh(&claim(&store, "a").await) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_under_load_accept_no_token_twice_and_hang_no_request() {
    const TOKENS: usize = 2000;
    const CUTS: usize = 20;
    let redis = Redis::start();
    let relay = Relay::to(redis.address()).await;
    let replicas = [store::store(quick(&relay.url())), store::store(quick(&relay.url()))].map(Arc::new);
    let accepted = Arc::new(AtomicUsize::new(0));
    let presenters: Vec<_> = (0..8)
        .map(|place| tokio::spawn(present(Arc::clone(&replicas[place % 2]), TOKENS, Arc::clone(&accepted))))
        .collect();
    for cut in 1..=CUTS {
        let enough = || std::future::ready(accepted.load(Ordering::Relaxed) >= cut * TOKENS / (CUTS + 2));
        until("tokens are accepted again", enough).await;
        relay.cut();
    }
    let mut wins = vec![0; TOKENS];
    for presenter in presenters {
        for id in presenter.await.unwrap() {
            wins[id] += 1;
        }
    }
    assert!(wins.iter().all(|wins| *wins <= 1), "{wins:?}");
    let lost = wins.iter().filter(|wins| **wins == 0).count();
    assert!(lost <= CUTS, "{lost} tokens were spent by nobody, with {CUTS} cuts");
}

/// Presents each token until its fate is known; which were accepted.
async fn present(replica: Arc<RedisStore>, tokens: usize, accepted: Arc<AtomicUsize>) -> Vec<usize> {
    let mut fresh = Vec::new();
    for id in 0..tokens {
        loop {
            let (answer, took) = timed(&replica, &id.to_string()).await;
            assert!(took < 2 * SHORT + Duration::from_secs(1), "{took:?}");
            if is_fresh(&answer) {
                accepted.fetch_add(1, Ordering::Relaxed);
                fresh.push(id);
            }
            if !is_unknown(&answer) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    fresh
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_shown_nowhere() {
    let redis = Redis::start_with_password("correct horse");
    let mut settings = quick(&redis.url());
    settings.password = Some(Secret::new(String::from("hunter2")));
    let store = store::store(settings.clone());
    let answer = claim(&store, "a").await;
    assert_eq!(answer, ClaimAnswer::Unknown(StoreError::Refused));
    let shown = format!("{store:?} {settings:?} {answer:?} {}", StoreError::Refused);
    assert!(!shown.contains("hunter2"), "{shown}");
    settings.password = Some(Secret::new(String::from("correct horse")));
    until_it_answers(&store::store(settings.clone())).await;
    settings.password = None;
    assert_eq!(claim(&store::store(settings), "a").await, ClaimAnswer::Unknown(StoreError::Refused));
}

#[tokio::test]
async fn an_acl_user_with_just_what_is_needed_is_enough() {
    let redis = Redis::start();
    let rules = "on >secret ~tollgate* +info +time +get +set +eval +evalsha +incr +pttl +pexpire +del +decr +ping";
    let mut words = vec!["ACL", "SETUSER", "gate"];
    words.extend(rules.split(' '));
    redis.command::<()>(&words);
    let mut settings = settings(&redis.url());
    settings.username = Some(String::from("gate"));
    settings.password = Some(Secret::new(String::from("secret")));
    let store = store::store(settings);
    until_it_answers(&store).await;
    let both = [nonce("a"), counted("b", 2)];
    let given = store::receipt(store.claim(&both, now(), IfUnknown::GiveBack).await);
    store.release(&given).await;
    assert!(is_fresh(&store.claim(&both, now(), IfUnknown::GiveBack).await));
}

#[tokio::test]
async fn tls_trusts_its_own_authority_alone_and_shows_a_client_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("store");
    let (_redis, url) = tls_server(&authority, &directory);
    let mut good = quick(&url);
    let (certificate, key) = authority.issue(&["gate"]);
    good.ca = Some(authority.pem());
    good.client_certificate = Some(ClientCertificate {
        chain: certificate.to_pem().unwrap(),
        key: Secret::new(key.private_key_to_pem_pkcs8().unwrap()),
    });
    until_it_answers(&store::store(good.clone())).await;
    let bad: [fn(&mut RedisSettings); 3] = [
        |settings| settings.ca = Some(Authority::new("another").pem()),
        |settings| settings.ca = None,
        |settings| settings.client_certificate = None,
    ];
    for change in bad {
        let mut settings = good.clone();
        change(&mut settings);
        assert!(is_unknown(&claim(&store::store(settings), "a").await));
    }
    let mut elsewhere = good;
    elsewhere.servers = tollgate::store::Servers::Single(url.replace("127.0.0.1", "localhost").parse().unwrap());
    assert!(is_unknown(&claim(&store::store(elsewhere), "a").await), "the certificate is for another name");
}

/// A server that takes TLS from clients with a certificate of `authority`, and where.
fn tls_server(authority: &Authority, directory: &tempfile::TempDir) -> (Redis, String) {
    let files = authority.write(directory.path(), "server", &["127.0.0.1"]);
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let [chain, key, ca] = [&files.chain, &files.key, &ca].map(|path| path.to_str().unwrap());
    let port = common::ports::free().port().to_string();
    let options = ["--tls-port", &port, "--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", ca];
    (Redis::start_with(&options), format!("rediss://127.0.0.1:{port}"))
}

/// How many keys there are.
fn claims(redis: &Redis) -> usize {
    redis.command(&["DBSIZE"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_made_without_the_store_are_entered_when_it_is_back_and_conflicts_are_counted() {
    let redis = Redis::start();
    let relay = Relay::to(redis.address()).await;
    let (store, reports) = store::observed(quick(&relay.url()));
    let other = store::store(settings(&redis.url()));
    until_it_answers(&store).await;
    relay.silence();
    let (mine, both, thrice) = (nonce("mine"), nonce("both"), counted("thrice", 3));
    for nonce in [mine, both, thrice] {
        assert!(is_unknown(&store.claim(&[nonce], now(), IfUnknown::Keep).await));
    }
    // A claim may have been made although its answer was lost; what is adopted never is anybody else's.
    assert_eq!(store.adopt(&[mine], now()), Ok(None));
    assert_eq!(store.adopt(&[mine], now()), Ok(Some(0)), "once in this replica");
    assert!(is_replayed(&claim(&store, "mine").await), "known before it is entered");
    let (only_here, conflict) = (nonce("only here"), nonce("conflict"));
    assert!(is_fresh(&claim(&other, "conflict").await));
    assert_eq!(store.adopt(&[only_here, conflict, thrice], now()), Ok(None));
    relay.cut_and_speak();
    until("the claims are entered", || async { reports.conflicts.load(Ordering::Relaxed) > 0 }).await;
    assert_eq!(reports.conflicts.load(Ordering::Relaxed), 1);
    for id in ["mine", "only here"] {
        assert!(is_replayed(&claim(&other, id).await), "{id}");
    }
    assert!(!is_unknown(&other.claim(&[thrice], now(), IfUnknown::GiveBack).await));
}
