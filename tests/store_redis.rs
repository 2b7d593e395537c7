//! The Redis store against a real redis-server: claims, counts, releases, and the epoch of a memory that was lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod store;

use common::Redis;
use std::sync::Arc;
use std::time::Duration;
use store::{claim, counted, epoch, is_fresh, is_replayed, nonce, now, receipt, sets, settings, until_it_answers};
use tollgate::clock::{Clock, UnixTime};
use tollgate::observe::Silent;
use tollgate::store::{ClaimAnswer, IfUnknown, RedisStore, Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_presenters_at_two_replicas_exactly_one_wins() {
    let redis = Redis::start();
    let replicas = [store::store(settings(&redis.url())), store::store(settings(&redis.url()))].map(Arc::new);
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
    assert!(fresh.iter().all(|&fresh| fresh == 1), "{fresh:?}");
}

#[test]
fn a_store_made_outside_a_runtime_works_in_any_and_after_it() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    for run in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(until_it_answers(&store));
        assert!(is_fresh(&answer), "{answer:?}");
        assert!(is_fresh(&runtime.block_on(claim(&store, &run.to_string()))));
    }
}

#[tokio::test]
async fn several_nonces_are_claimed_together_or_not_at_all() {
    let redis = Redis::start();
    let one = store::store(settings(&redis.url()));
    let other = store::store(settings(&redis.url()));
    assert!(is_fresh(&claim(&one, "token").await));
    let both = [nonce("proof"), nonce("token")];
    assert!(is_replayed(&other.claim(&both, now(), IfUnknown::GiveBack).await));
    assert!(is_fresh(&claim(&other, "proof").await), "the proof was claimed with a token that was not");
    let both = [nonce("second proof"), nonce("second token")];
    assert!(is_fresh(&other.claim(&both, now(), IfUnknown::GiveBack).await));
    assert!(is_replayed(&claim(&one, "second proof").await));
    assert!(is_replayed(&claim(&one, "second token").await));
}

#[tokio::test]
async fn the_answer_says_which_nonce_was_used_up() {
    let redis = Redis::start();
    let stores = [store::store(settings(&redis.url())), store::store(settings(&redis.url()))];
    let replayed = |answer: &ClaimAnswer| match answer {
        ClaimAnswer::Replayed { spent, .. } => Some(*spent),
        _ => None,
    };
    let [proof, second, third, token] = [nonce("proof"), nonce("second"), nonce("third"), counted("token", 2)];
    assert!(is_fresh(&stores[0].claim(&[proof, token], now(), IfUnknown::GiveBack).await));
    // The first knows by itself, the second asks Redis: both say the same, of a claim and of a look.
    for store in &stores {
        assert_eq!(replayed(&store.peek(&[proof, token], now()).await), Some(0), "the token has a use left");
        assert_eq!(replayed(&store.claim(&[proof, token], now(), IfUnknown::GiveBack).await), Some(0));
    }
    assert!(is_fresh(&stores[1].claim(&[second, token], now(), IfUnknown::GiveBack).await));
    for store in &stores {
        for nonces in [[third, token], [proof, token]] {
            assert_eq!(replayed(&store.peek(&nonces, now()).await), Some(1), "of both the last");
        }
        assert_eq!(replayed(&store.claim(&[third, token], now(), IfUnknown::GiveBack).await), Some(1));
    }
    let other = store::store(settings(&redis.url()));
    assert_eq!(replayed(&other.claim(&[proof, token], now(), IfUnknown::GiveBack).await), Some(1), "of both the last");
}

#[tokio::test]
async fn a_counted_nonce_is_good_for_its_uses_and_a_spent_one_for_none() {
    let redis = Redis::start();
    let stores = [store::store(settings(&redis.url())), store::store(settings(&redis.url()))];
    let mut answers = Vec::new();
    for turn in 0..4 {
        answers.push(stores[turn % 2].claim(&[counted("a", 3)], now(), IfUnknown::GiveBack).await);
    }
    assert!(answers[..3].iter().all(is_fresh) && is_replayed(&answers[3]), "{answers:?}");
    stores[0].release(&receipt(answers.swap_remove(0))).await;
    assert!(is_fresh(&stores[0].claim(&[counted("a", 3)], now(), IfUnknown::GiveBack).await));
    assert!(is_replayed(&stores[1].claim(&[nonce("a")], now(), IfUnknown::GiveBack).await));
    assert!(is_fresh(&claim(&stores[0], "b").await));
    assert!(is_replayed(&stores[1].claim(&[counted("b", 3)], now(), IfUnknown::GiveBack).await));
}

#[tokio::test]
async fn a_released_claim_is_free_again_for_everybody_but_only_the_owner_can_release() {
    let redis = Redis::start();
    let (one, reports) = store::observed(settings(&redis.url()));
    let other = store::store(settings(&redis.url()));
    let given = receipt(claim(&one, "a").await);
    one.release(&given).await;
    let taken = receipt(claim(&other, "a").await);
    one.release(&given).await;
    assert_eq!(*reports.released.lock().unwrap(), ["released", "kept"]);
    assert!(is_replayed(&claim(&one, "a").await), "the release hit the claim of another replica");
    other.release(&taken).await;
    assert!(is_fresh(&claim(&other, "a").await));
}

#[tokio::test]
async fn peeking_settles_no_epoch() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    assert!(is_fresh(&until_it_answers(&store).await));
    let mut written = 0;
    // The store's own probe settles it within a second, so one look may come too late; five do not.
    for _ in 0..5 {
        redis.command::<String>(&["FLUSHALL"]);
        let answer = store.peek(&[nonce("a")], now()).await;
        written += redis.keys().len();
        if matches!(answer, ClaimAnswer::Unknown(_)) && redis.keys().is_empty() {
            return;
        }
        assert!(is_fresh(&until_it_answers(&store).await));
    }
    panic!("looking has written {written} keys");
}

#[tokio::test]
async fn peeking_claims_nothing() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    assert!(is_fresh(&store.peek(&[nonce("a")], now()).await));
    assert!(is_fresh(&claim(&store, "a").await));
    assert!(is_replayed(&store.peek(&[nonce("a")], now()).await));
    assert!(is_fresh(&store.peek(&[counted("b", 2)], now()).await));
}

#[tokio::test]
async fn a_claim_is_kept_until_its_end_and_not_longer() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    let mut short = nonce("short");
    short.keep_until = now().plus(Duration::from_millis(1500));
    assert!(is_fresh(&store.claim(&[short], now(), IfUnknown::GiveBack).await));
    assert!(is_fresh(&claim(&store, "long").await));
    let ttls = ttls(&redis);
    assert_eq!(ttls.len(), 2);
    assert!((1000..=1500).contains(&ttls[0]) && (299_000..=300_000).contains(&ttls[1]), "{ttls:?}");
    let other = store::store(settings(&redis.url()));
    store::until("the claim ends", || async { is_fresh(&other.peek(&[short], now()).await) }).await;
    short.keep_until = now().plus(Duration::from_secs(300));
    assert!(is_fresh(&other.claim(&[short], now(), IfUnknown::GiveBack).await));
}

/// The remaining milliseconds of every claim, shortest first.
fn ttls(redis: &Redis) -> Vec<i64> {
    let mut connection = redis.connection();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("tollgate:*").query(&mut connection).unwrap();
    let mut ttls: Vec<i64> = keys
        .iter()
        .map(|key| redis::cmd("PTTL").arg(key).query(&mut connection).unwrap())
        .filter(|ttl| *ttl != -1)
        .collect();
    ttls.sort_unstable();
    ttls
}

#[tokio::test]
async fn a_restart_without_data_moves_the_epoch() {
    let mut redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    let before = epoch(&claim(&store, "a").await);
    redis.restart();
    let after = epoch(&until_it_answers(&store).await);
    assert!(after > before, "{after} is not later than {before}");
    assert_eq!(store.epoch(), Some(after));
    // The replica itself has not forgotten.
    assert!(is_replayed(&claim(&store, "a").await));
    let other = store::store(settings(&redis.url()));
    assert_eq!(epoch(&claim(&other, "a").await), after, "a second replica must find the epoch, not move it");
}

#[tokio::test]
async fn a_restart_with_data_moves_the_epoch_too() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store::store(settings(&redis.url()));
    let before = epoch(&claim(&store, "a").await);
    redis.restart();
    let after = epoch(&until_it_answers(&store).await);
    assert!(after > before);
    let other = store::store(settings(&redis.url()));
    assert!(is_replayed(&claim(&other, "a").await), "the data was there");
}

#[tokio::test]
async fn an_emptied_store_is_noticed_in_the_very_next_claim() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    let before = epoch(&claim(&store, "a").await);
    redis.command::<()>(&["FLUSHALL"]);
    let after = epoch(&claim(&store, "b").await);
    assert!(after > before, "{after} is not later than {before}");
    assert_eq!(epoch(&claim(&store, "c").await), after);
    assert_eq!(store.epoch(), Some(after));
}

#[tokio::test]
async fn a_record_of_another_server_or_of_an_earlier_time_moves_the_epoch() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    let first = epoch(&claim(&store, "a").await);
    let record: String = redis.command(&["GET", "tollgate:epoch"]);
    for forged in [
        record.replacen(&first.as_millis().to_string(), "1700000000000", 1),
        format!("{} {:016x} {:016x} 0", first.as_millis(), 1, 2),
        String::from("nonsense"),
    ] {
        let before = store.epoch().unwrap();
        redis.command::<()>(&["SET", "tollgate:epoch", &forged]);
        let after = epoch(&claim(&store, &forged).await);
        assert!(after > before, "{forged}: {after} is not later than {before}");
    }
}

#[tokio::test]
async fn evicted_keys_move_the_epoch_and_an_evicting_store_proves_nothing() {
    let redis = Redis::start();
    let (store, reports) = store::observed(settings(&redis.url()));
    let before = epoch(&claim(&store, "a").await);
    redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    store::until("the policy is noticed", || async { store.condition() == Err(StoreError::Evicting) }).await;
    assert_eq!(claim(&store, "b").await, ClaimAnswer::Unknown(StoreError::Evicting));
    assert!(is_replayed(&claim(&store, "a").await), "what is known to be spent stays spent");
    evict(&redis);
    store::until("the eviction is noticed", || async {
        reports.evicted.load(std::sync::atomic::Ordering::Relaxed) > 0 && store.epoch() > Some(before)
    })
    .await;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert!(epoch(&until_it_answers(&store).await) > before);
}

/// Fills the server until it evicts something.
fn evict(redis: &Redis) {
    let mut connection = redis.connection();
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "3mb"]).exec(&mut connection).unwrap();
    let block = vec![b'x'; 10_000];
    for number in 0..400 {
        redis::cmd("SET").arg(format!("ballast {number}")).arg(&block).exec(&mut connection).unwrap();
    }
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "0"]).exec(&mut connection).unwrap();
}

#[tokio::test]
async fn a_full_store_refuses_and_says_so() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    assert!(is_fresh(&claim(&store, "a").await));
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(claim(&store, "b").await, ClaimAnswer::Unknown(StoreError::Full));
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(is_fresh(&claim(&store, "b").await));
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_sent_again() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    assert!(is_fresh(&claim(&store, "a").await));
    redis.command::<()>(&["SCRIPT", "FLUSH"]);
    assert!(is_fresh(&store.claim(&[counted("b", 2)], now(), IfUnknown::GiveBack).await));
    redis.command::<()>(&["SCRIPT", "FLUSH"]);
    let given = receipt(claim(&store, "c").await);
    store.release(&given).await;
    assert!(is_fresh(&claim(&store, "c").await));
}

#[tokio::test]
async fn a_flood_of_one_replayed_token_does_not_reach_redis() {
    let redis = Redis::start();
    let (one, other) = (store::store(settings(&redis.url())), store::store(settings(&redis.url())));
    assert!(is_fresh(&claim(&one, "a").await));
    assert!(is_replayed(&claim(&other, "a").await));
    let before = sets(&redis);
    for _ in 0..1000 {
        assert!(is_replayed(&claim(&one, "a").await));
        assert!(is_replayed(&claim(&other, "a").await));
    }
    assert!(sets(&redis) - before <= 5, "only what the other replica claimed is asked for again, once in two seconds");
}

#[tokio::test]
async fn a_claim_costs_at_most_120_bytes() {
    const CLAIMS: usize = 100_000;
    let redis = Redis::start();
    let store = Arc::new(store::store(settings(&redis.url())));
    assert!(is_fresh(&claim(&store, "first").await));
    let before = used_memory(&redis);
    let mut tasks = Vec::new();
    for task in 0..50 {
        let store: Arc<RedisStore> = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            for id in 0..CLAIMS / 50 {
                assert!(is_fresh(&claim(&store, &format!("{task} {id}")).await));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let each = (used_memory(&redis) - before) / CLAIMS;
    println!("{each} bytes a claim over {CLAIMS} claims");
    assert!(each <= 120, "{each} bytes a claim");
}

/// Bytes in use, as Redis counts them.
fn used_memory(redis: &Redis) -> usize {
    let memory: String = redis.command(&["INFO", "memory"]);
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}

/// The system's clock, moved.
struct Moved(i64);

impl Clock for Moved {
    fn now(&self) -> UnixTime {
        UnixTime::from_millis(now().as_millis() + self.0)
    }
}

fn with_clock(redis: &Redis, moved: i64) -> RedisStore {
    RedisStore::new(settings(&redis.url()), Arc::new(Moved(moved)), Arc::new(Silent)).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_ahead_shortens_no_claim_and_one_that_is_far_off_proves_nothing() {
    let redis = Redis::start();
    let ahead = with_clock(&redis, 20_000);
    let moment = Moved(20_000).now();
    assert!(is_fresh(&ahead.claim(&[nonce("a")], moment, IfUnknown::GiveBack).await));
    let ttls = ttls(&redis);
    assert!((299_000..=301_000).contains(&ttls[0]), "{ttls:?}");
    for far in [-31_000, 31_000] {
        let store = with_clock(&redis, far);
        let answer = store.claim(&[nonce(&far.to_string())], Moved(far).now(), IfUnknown::GiveBack).await;
        assert_eq!(answer, ClaimAnswer::Unknown(StoreError::Clock));
        assert_eq!(store.condition(), Err(StoreError::Clock));
    }
}

#[tokio::test]
async fn an_identifier_is_never_a_part_of_a_command() {
    let redis = Redis::start();
    let store = store::store(settings(&redis.url()));
    assert!(is_fresh(&until_it_answers(&store).await));
    let (before, lengths) = (redis.keys(), |keys: &[Vec<u8>]| keys.iter().map(Vec::len).max());
    let megabyte = "x".repeat(1 << 20);
    let hostile = [
        "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "a b",
        "a\r\nb",
        "\0",
        "a\0b",
        "*",
        "tollgate:*",
        "{tag}",
        "%s%n%p",
        "\"; redis.call('FLUSHALL') --",
        "..",
        "\u{202e}",
        &megabyte,
    ];
    for id in hostile {
        let shown: String = id.chars().take(30).collect();
        assert!(is_fresh(&claim(&store, id).await), "{shown:?}");
        assert!(is_replayed(&claim(&store, id).await), "{shown:?}");
    }
    assert!(is_fresh(&claim(&store, &megabyte[1..]).await), "no identifier is cut short");
    let after = redis.keys();
    assert_eq!(after.len(), before.len() + hostile.len() + 1, "one key a claim, and none is gone");
    assert_eq!(lengths(&after), lengths(&before), "keys have one length, whatever they are made of");
}
