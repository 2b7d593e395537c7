//! Keys over the wire, against real servers: rotation, floods, outages, and issuers that lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(dead_code, reason = "the shared helpers serve other tests too")]

#[path = "common/certs.rs"]
mod certs;
#[path = "common/clock.rs"]
mod clock;
#[path = "issuer_keys/hostile.rs"]
mod hostile;
#[path = "issuer_keys/metadata.rs"]
mod metadata;
#[path = "issuer_keys/server.rs"]
mod server;
#[path = "issuer_keys/snapshot.rs"]
mod snapshot;
#[path = "issuer_keys/world.rs"]
mod world;

use clock::until;
use serde_json::json;
use server::{Reply, Server};
use std::thread;
use std::time::Duration;
use tollgate::authn::token::TokenError;
use tollgate::clock::Stopwatch;
use tollgate::issuer::http::{FetchSettings, KeySource, RemoteKeys};
use tollgate::observe::FetchResult;
use world::{World, at, jwks, key, long, named_token, settings, token};

const PATH: &str = "/jwks";

#[test]
fn keys_arrive_and_tokens_pass() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), long())]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    assert_eq!(world.judge(0, &token(&key("stranger"))), Err(TokenError::UnknownKey));
    let status = world.status(0);
    assert_eq!((status.keys, status.usable, status.failures), (1, true, 0));
    assert_eq!(*world.results.0.lock().unwrap(), [("i0".to_owned(), FetchResult::Changed)]);
}

#[test]
fn after_a_rotation_new_tokens_pass_within_the_cooldown_and_old_ones_until_their_key_goes() {
    let (server, old, new) = (Server::plain(), key("old"), key("new"));
    server.on(PATH, Reply::json(&jwks(&[&old])));
    let world = World::started(vec![at(&server.url(PATH), settings(Duration::from_millis(300)))]);
    let first = world.status(0).generation;

    server.on(PATH, Reply::json(&jwks(&[&old, &new])));
    assert_eq!(world.judge(0, &token(&new)), Err(TokenError::UnknownKey), "the request does not wait");
    until("the new key", || world.judge(0, &token(&new)).ok());
    assert_eq!(world.judge(0, &token(&old)), Ok(()));
    assert!(world.status(0).generation > first);

    server.on(PATH, Reply::json(&jwks(&[&new])));
    world.refresh_now();
    assert_eq!(world.judge(0, &token(&old)), Err(TokenError::UnknownKey));
    assert_eq!(world.judge(0, &token(&new)), Ok(()));
}

#[test]
fn a_flood_of_invented_kids_causes_at_most_one_fetch_in_a_cooldown() {
    let cooldown = Duration::from_millis(400);
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), settings(cooldown))]);
    let watch = Stopwatch::start();
    thread::scope(|scope| {
        for flooder in 0..50 {
            let (world, a, watch) = (&world, &a, &watch);
            scope.spawn(move || {
                for n in 0.. {
                    let refused = world.judge(0, &named_token(a, &format!("{flooder}-{n}")));
                    assert_eq!(refused, Err(TokenError::UnknownKey));
                    if n >= 10 && watch.elapsed() > 2 * cooldown {
                        break;
                    }
                }
            });
        }
    });
    until("a fetch in answer to the flood", || (server.hits(PATH).len() > 1).then_some(()));
    assert_spaced(&server, PATH, cooldown);
    assert_eq!(world.judge(0, &token(&a)), Ok(()), "the good key serves on");
}

#[test]
fn a_flood_at_an_issuer_without_keys_is_bounded_too() {
    let cooldown = Duration::from_millis(300);
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::status(500));
    let world = World::started(vec![at(&server.url(PATH), settings(cooldown))]);
    until("three fetches", || {
        assert_eq!(world.judge(0, &token(&a)), Err(TokenError::KeysUnavailable));
        (server.hits(PATH).len() >= 3).then_some(())
    });
    assert_spaced(&server, PATH, cooldown);
}

/// Up to each request there were no more of them than cooldowns since the server's start, and one. Fetches are spaced
/// where they begin; how long each is on its way is not theirs to say.
fn assert_spaced(server: &Server, path: &str, cooldown: Duration) {
    for (earlier, hit) in server.hits(path).iter().enumerate() {
        let begun = hit.at.as_nanos() / cooldown.as_nanos();
        assert!(earlier as u128 <= begun, "{} fetches in {:?}", earlier + 1, hit.at);
    }
}

#[test]
fn fifty_issuers_on_one_url_cause_one_fetch_at_a_cold_start() {
    let (server, a) = (Server::plain(), key("a"));
    let issuer = server.url("");
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let metadata = "/.well-known/openid-configuration";
    server.on(metadata, Reply::json(&json!({"issuer": issuer, "jwks_uri": server.url(PATH)})));
    // Half of them know the URL, half find it in the metadata.
    let keys = (0..50).map(|index| match index % 2 {
        0 => at(&server.url(PATH), long()),
        _ => RemoteKeys::new(KeySource::discovery(&issuer).unwrap(), long()).unwrap(),
    });
    let world = World::started(keys.collect());
    assert_eq!(server.hits(PATH).len(), 1);
    assert_eq!(server.hits(metadata).len(), 1);
    for issuer in 0..50 {
        assert_eq!(world.judge(issuer, &token(&a)), Ok(()), "{issuer}");
    }
}

#[test]
fn fifty_tenants_whose_metadata_names_one_url_share_its_cooldown() {
    let cooldown = Duration::from_millis(300);
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let keys = (0..50).map(|index| tenant(&server, &index.to_string(), cooldown));
    let world = World::started(keys.collect());
    assert_eq!(server.hits(PATH).len(), 1);
    let watch = Stopwatch::start();
    while watch.elapsed() < 2 * cooldown {
        for tenant in 0..50 {
            assert_eq!(world.judge(tenant, &named_token(&a, "invented")), Err(TokenError::UnknownKey));
        }
    }
    until("a fetch for all of them", || (server.hits(PATH).len() > 1).then_some(()));
    assert_spaced(&server, PATH, cooldown);
}

/// A tenant of `server`, whose metadata names the keys of all.
fn tenant(server: &Server, name: &str, cooldown: Duration) -> RemoteKeys {
    let issuer = server.url(&format!("/{name}"));
    let document = json!({"issuer": issuer, "jwks_uri": server.url(PATH)});
    server.on(&format!("/{name}/.well-known/openid-configuration"), Reply::json(&document));
    RemoteKeys::new(KeySource::discovery(&issuer).unwrap(), settings(cooldown)).unwrap()
}

#[test]
fn a_tenant_that_joins_gets_the_keys_that_were_just_fetched() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let cooldown = Duration::from_secs(30);
    let mut world = World::started(vec![tenant(&server, "first", cooldown)]);
    world.follow(vec![tenant(&server, "first", cooldown), tenant(&server, "second", cooldown)]);
    until("keys for the second", || world.judge(1, &token(&a)).ok());
    assert_eq!(server.hits(PATH).len(), 1);
}

#[test]
fn a_tenant_with_keys_waits_for_the_cooldown_that_another_took() {
    let cooldown = Duration::from_millis(800);
    let (server, a, b) = (Server::plain(), key("a"), key("b"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let watch = Stopwatch::start();
    let mut world = World::started(vec![tenant(&server, "first", cooldown)]);
    world.follow(vec![tenant(&server, "first", cooldown), tenant(&server, "second", cooldown)]);
    until("keys for the second", || world.judge(1, &token(&a)).ok());
    // Each has a cooldown of its own, begun at another moment; the URL has one for both.
    server.on(PATH, Reply::json(&jwks(&[&a, &b])));
    for tenant in [0, 1] {
        until("the new key", || world.judge(tenant, &token(&b)).ok());
    }
    let fetches = server.hits(PATH).len() as u128;
    assert!(fetches <= 1 + watch.elapsed().as_nanos() / cooldown.as_nanos(), "{fetches} in {:?}", watch.elapsed());
}

#[test]
fn an_outage_keeps_the_last_good_set_until_max_stale_and_then_denies() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), long())]);
    let before = world.status(0).generation;
    server.on(PATH, Reply::HangUp);

    world.clock.forward(Duration::from_secs(23 * 3600));
    world.refresh_now();
    assert_eq!(world.last(0), FetchResult::Unreachable);
    assert_eq!(world.judge(0, &token(&a)), Ok(()), "known keys go on working");
    assert_eq!(world.judge(0, &token(&key("b"))), Err(TokenError::UnknownKey), "unknown ones are 401, not 503");

    world.clock.forward(Duration::from_secs(3600));
    assert_eq!(world.judge(0, &token(&a)), Err(TokenError::KeysUnavailable));
    let status = world.status(0);
    assert_eq!((status.keys, status.usable), (0, false));

    server.on(PATH, Reply::json(&jwks(&[&a])));
    world.refresh_now();
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    assert!(world.status(0).generation > before, "verdicts of the old generation are void");
}

#[test]
fn the_same_set_again_is_the_same_generation() {
    let (server, a, b) = (Server::plain(), key("a"), key("b"));
    server.on(PATH, Reply::json(&jwks(&[&a, &b])));
    let world = World::started(vec![at(&server.url(PATH), long())]);
    let before = world.status(0).generation;
    server.on(PATH, Reply::json(&jwks(&[&b, &a])));
    world.refresh_now();
    assert_eq!((world.last(0), world.status(0).generation), (FetchResult::Unchanged, before));
}

#[test]
fn the_background_refresh_follows_max_age() {
    let (server, a) = (Server::plain(), key("a"));
    let answer = |keys: serde_json::Value| {
        Reply::Answer(200, vec!["Cache-Control: public, max-age=1".into()], keys.to_string().into_bytes())
    };
    server.on(PATH, answer(jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), settings(Duration::from_millis(100)))]);
    let b = key("b");
    server.on(PATH, answer(jwks(&[&a, &b])));
    until("the second key, that nobody asked for", || (world.status(0).keys == 2).then_some(()));
}

#[test]
fn a_dead_issuer_harms_itself_alone_and_no_request_waits_for_it() {
    let (dead, well, a) = (Server::plain(), Server::plain(), key("a"));
    dead.on(PATH, Reply::Silence);
    well.on(PATH, Reply::json(&jwks(&[&a])));
    let world = World::new(vec![at(&dead.url(PATH), long()), at(&well.url(PATH), long())]);
    world.run();
    until("the fetch that hangs", || (dead.hits(PATH).len() == 1).then_some(()));
    until("the keys of the other", || world.judge(1, &token(&a)).ok());
    let watch = Stopwatch::start();
    assert_eq!(world.judge(0, &token(&a)), Err(TokenError::KeysUnavailable));
    assert!(watch.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_operator_needs_no_cooldown_and_one_more_fetch_serves_all_who_ask_meanwhile() {
    let (server, a, b) = (Server::plain(), key("a"), key("b"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let settings = FetchSettings { timeout: Duration::from_secs(1), ..long() };
    let world = World::started(vec![at(&server.url(PATH), settings)]);
    server.on(PATH, Reply::json(&jwks(&[&a, &b])));
    let statuses = world.refresh_now();
    assert_eq!((statuses.len(), statuses[0].keys), (1, 2));
    assert_eq!(server.hits(PATH).len(), 2);

    // What is under way may bring the old keys: one more follows it, and serves everybody who asked meanwhile.
    server.on(PATH, Reply::Drip);
    thread::scope(|scope| {
        let first = scope.spawn(|| world.refresh_now());
        until("the slow fetch", || (server.hits(PATH).len() == 3).then_some(()));
        let others = [(); 5].map(|()| scope.spawn(|| world.refresh_now()));
        assert_eq!(first.join().unwrap()[0].failures, 1);
        for other in others {
            assert_eq!(other.join().unwrap()[0].failures, 2);
        }
    });
    assert_eq!(world.last(0), FetchResult::TimedOut);
    assert_eq!(server.hits(PATH).len(), 4);
}

#[test]
fn a_reload_hands_the_keys_on_without_asking_the_issuer() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let mut world = World::started(vec![at(&server.url(PATH), long())]);
    let before = world.status(0).generation;
    let changed = FetchSettings { timeout: Duration::from_secs(1), ..long() };
    world.follow(vec![at(&server.url(PATH), changed.clone()), at(&server.url(PATH), changed)]);
    for issuer in [0, 1] {
        assert_eq!(world.judge(issuer, &token(&a)), Ok(()), "{issuer}");
        assert_eq!(world.status(issuer).generation, before);
    }
    assert_eq!(server.hits(PATH).len(), 1);
}

#[test]
fn a_reload_without_an_issuer_ends_its_fetches() {
    let (server, other, a) = (Server::plain(), Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    other.on(PATH, Reply::json(&jwks(&[&a])));
    let mut world = World::started(vec![at(&server.url(PATH), long())]);
    world.follow(vec![at(&other.url(PATH), long())]);
    world.first_round();
    world.refresh_now();
    assert_eq!((server.hits(PATH).len(), other.hits(PATH).len()), (1, 2));
}

#[test]
fn a_shorter_max_stale_counts_at_once_for_keys_that_are_held() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let mut world = World::started(vec![at(&server.url(PATH), long())]);
    server.on(PATH, Reply::HangUp);
    world.clock.forward(Duration::from_secs(7200));
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    let mut shorter = long();
    shorter.refresh.max_stale = Duration::from_secs(3600);
    world.follow(vec![at(&server.url(PATH), shorter)]);
    assert_eq!(world.judge(0, &token(&a)), Err(TokenError::KeysUnavailable));
}

#[test]
fn keys_withdrawn_by_the_issuer_are_withdrawn() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), long())]);
    server.on(PATH, Reply::json(&json!({"keys": []})));
    world.refresh_now();
    assert_eq!(world.judge(0, &token(&a)), Err(TokenError::UnknownKey));
}
