//! One-time tokens while the store fails: two gateways, a real Redis, and eight clients at each gateway that all show
//! the same two thousand tokens, while Redis is restarted with its data, stopped and continued, and cut off.
//!
//! A token may be refused although nobody has used it. None may be accepted twice.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod crowd;
mod store;

use common::{Config, Gateway, Issuer, Redis, Reply, Upstream, until};
use crowd::{Crowd, Outcome, PRESENTERS, Progress, Showing};
use std::collections::BTreeMap;
use std::time::Duration;
use store::relay::Relay;
use store::sets;
use tollgate::clock::Stopwatch;

const TOKENS: usize = 2000;
/// Tokens made after a fault, which each client shows until it knows.
const TOKENS_AFTER: usize = 200;

const TIMEOUT: Duration = Duration::from_millis(500);
/// What a request may take when the store is in trouble, as promised.
const PROMISED: Duration = Duration::from_secs(2);
/// For the sixteen clients, two gateways and a Redis that take turns on the cores of a machine that has other things to
/// do: what a client measures has in it the time until its own thread is woken. A request that hangs takes as long as
/// the client has patience, which is thirty seconds.
const SLACK: Duration = Duration::from_secs(2);

/// Everything a scene needs. The gateways reach Redis at `url`.
struct Scene {
    issuer: Issuer,
    upstream: Upstream,
    gateways: [Gateway; 2],
    watch: Stopwatch,
}

impl Scene {
    fn new(url: &str) -> Self {
        let issuer = Issuer::new("corp", "ES256").with("leeway: 0s");
        let upstream = Upstream::start_with(|_| Reply { status: 200, fields: vec![], body: b"used".to_vec() });
        let gateways = [(); 2].map(|()| {
            Config::new()
                .issuer(&issuer)
                .upstream("echo", &upstream)
                .store(&format!("redis: {{ url: \"{url}\", timeout: {}ms }}", TIMEOUT.as_millis()))
                .route(
                    "name: once\nmatch: { path: /once }\nupstream: echo\n\
                     access: { issuers: [corp], replay: once, on_loss: closed }\n\
                     identity: { headers: { X-User-Id: { claim: sub } } }",
                )
                // Forty thousand lines about requests would be a good part of the work.
                .block("telemetry: { log: { format: json, level: warn } }")
                .start()
        });
        let scene = Self { issuer, upstream, gateways, watch: Stopwatch::start() };
        scene.until_claims_are_proven();
        scene
    }

    /// Waits until both gateways accept tokens made now.
    fn until_claims_are_proven(&self) {
        for gateway in &self.gateways {
            until("the store vouches for new tokens", || {
                let answer = gateway.client().get("/once", Some(&self.issuer.token("probe")));
                (answer.status == 200).then_some(())
            });
        }
    }

    fn crowd<'a>(&'a self, name: &'a str, tokens: usize) -> Crowd<'a> {
        Crowd::new(name, &self.issuer, &self.gateways, tokens)
    }

    /// The sum over both gateways of a counter.
    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.gateways.iter().map(|gateway| gateway.admin().metrics().count(name, labels)).sum()
    }

    fn unprovable(&self) -> u64 {
        self.count("tollgate_denials_total", &[("reason", "replay_unprovable")])
    }

    /// Waits until each gateway has closed its connection to a store that is silent.
    fn until_both_have_given_up(&self, is_silent: impl FnOnce()) {
        let lost = |gateway: &Gateway| gateway.log().matches("connection lost").count();
        let before = self.gateways.each_ref().map(lost);
        is_silent();
        for (gateway, before) in self.gateways.iter().zip(before) {
            until("the gateway gives up its connection", || (lost(gateway) > before).then_some(()));
        }
    }

    /// What holds after every fault: no token was accepted twice, not even now; no request hung or was dropped; tokens
    /// made since are accepted once; and the upstream saw nothing else.
    fn assert_sound(&self, crowd: &Crowd, during: &Outcome) {
        assert_eq!(during.requests, requests(during.accepted.len()));
        assert_sane(during);
        self.until_claims_are_proven();
        let after_crowd = self.crowd("after", TOKENS_AFTER);
        let after = after_crowd.show(Showing::UntilKnown, |_| {});
        assert_sane(&after);
        assert!(after.accepted.iter().all(|times| *times == 1), "{:?}", odd(&after.accepted));
        let again = crowd.show_again(|number| during.accepted[number] > 0);
        assert_eq!(again.statuses, [401], "tokens that were accepted before the fault or during it");
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for request in self.upstream.requests() {
            *seen.entry(request.values("X-User-Id").concat()).or_default() += 1;
        }
        seen.remove("probe");
        assert!(seen.values().all(|times| *times == 1), "the upstream saw one twice");
        println!(
            "{} requests in {:?}, {} of {} tokens accepted; the slowest took {:?}, after the fault {:?}",
            during.requests + after.requests + again.requests,
            self.watch.elapsed(),
            during.accepted.iter().sum::<usize>(),
            during.accepted.len(),
            during.slowest,
            after.slowest,
        );
    }
}

/// Each of so many tokens is shown once by every client at both gateways.
fn requests(tokens: usize) -> usize {
    tokens * 2 * PRESENTERS
}

fn assert_sane(outcome: &Outcome) {
    assert!(outcome.accepted.iter().all(|times| *times <= 1), "accepted twice: {:?}", odd(&outcome.accepted));
    assert!(outcome.statuses.iter().all(|status| [200, 401, 503].contains(status)), "{:?}", outcome.statuses);
    assert!(outcome.slowest < PROMISED + SLACK, "a request took {:?}", outcome.slowest);
}

/// Which tokens were not accepted once, and how often they were.
fn odd(accepted: &[usize]) -> Vec<(usize, usize)> {
    accepted.iter().copied().enumerate().filter(|(_, times)| *times != 1).collect()
}

/// Kills Redis in the middle, and starts it again with what it has written down. The gateways can't know how much that
/// is, so what was issued before is refused from then on.
fn restarts(tokens: usize, options: &[&str], write_down: impl Fn(&Redis)) {
    let mut redis = Redis::start_with(options);
    let scene = Scene::new(&redis.url());
    let unprovable = scene.unprovable();
    let crowd = scene.crowd("during", tokens);
    let during = crowd.show(Showing::Once, |progress| {
        for part in [1, 2] {
            progress.until_answered(part * requests(tokens) / 4);
            let written = redis.keys().len();
            write_down(&redis);
            redis.kill();
            progress.until_unavailable(50);
            redis.restart();
            assert!(redis.keys().len() >= written, "it has its data");
            progress.until_accepted(10);
        }
    });
    assert!(scene.unprovable() > unprovable, "a restart is noticed");
    scene.assert_sound(&crowd, &during);
}

#[test]
fn a_restart_with_its_log_of_writes_lets_no_token_in_twice() {
    restarts(TOKENS, &["--appendonly", "yes", "--appendfsync", "always"], |_| {});
}

#[test]
fn a_restart_with_an_older_snapshot_lets_no_token_in_twice() {
    restarts(TOKENS / 4, &[], |redis| redis.command(&["SAVE"]));
}

/// Tokens that nobody got through with, although a crowd tried, can still be used once, but for at most `but_for`; and
/// none was refused as unprovable since there were `unprovable`.
fn assert_nothing_forgotten(scene: &Scene, crowd: &Crowd, during: &Outcome, unprovable: u64, but_for: usize) {
    let tried = |number: usize| during.accepted[number] == 0;
    let left = (0..TOKENS).filter(|number| tried(*number)).count();
    let again = crowd.show_again(tried);
    assert!(again.accepted.iter().all(|times| *times <= 1), "{:?}", odd(&again.accepted));
    let good = again.accepted.iter().sum::<usize>();
    println!("{left} tokens came to nothing in the fault, {good} of them were good afterwards");
    assert!(left - good <= but_for, "{} tokens were spent by nobody", left - good);
    assert_eq!(scene.unprovable(), unprovable, "nothing was forgotten, so nothing is unprovable");
}

#[test]
fn a_redis_that_stops_and_goes_on_lets_no_token_in_twice_and_makes_none_unprovable() {
    let redis = Redis::start();
    let scene = Scene::new(&redis.url());
    let unprovable = scene.unprovable();
    let crowd = scene.crowd("during", TOKENS);
    let during = crowd.show(Showing::Once, |progress| {
        progress.until_answered(requests(TOKENS) / 5);
        // Shorter than the gateways' patience: they keep their connections, and late answers come.
        redis.freeze();
        progress.until_unavailable(50);
        redis.thaw();
        progress.until_accepted(10);
        progress.until_answered(2 * requests(TOKENS) / 5);
        // Longer: answers are lost, and what Redis reads when it goes on comes from connections that are gone.
        scene.until_both_have_given_up(|| redis.freeze());
        redis.thaw();
        progress.until_accepted(10);
    });
    assert_nothing_forgotten(&scene, &crowd, &during, unprovable, 0);
    scene.assert_sound(&crowd, &during);
}

/// Cuts in the middle of claims.
const CUTS: usize = 24;

#[test]
fn connections_cut_in_the_middle_let_no_token_in_twice_and_make_none_unprovable() {
    let redis = Redis::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let relay = runtime.block_on(Relay::to(redis.address()));
    let scene = Scene::new(&relay.url());
    let unprovable = scene.unprovable();
    let crowd = scene.crowd("during", TOKENS);
    let during = crowd.show(Showing::Once, |progress| {
        for cut in 0..CUTS {
            progress.until_answered((cut + 1) * requests(TOKENS) / (CUTS + 2));
            cut_off(cut, &relay, &redis, progress);
        }
    });
    assert_nothing_forgotten(&scene, &crowd, &during, unprovable, CUTS);
    scene.assert_sound(&crowd, &during);
}

/// By turns: between two bytes, after the claim was made but before its answer came, and by Redis itself.
fn cut_off(turn: usize, relay: &Relay, redis: &Redis, progress: &Progress) {
    match turn % 3 {
        0 => relay.cut(),
        1 => {
            let before = sets(redis);
            relay.silence();
            until("claims are made whose answers don't arrive", || (sets(redis) > before).then_some(()));
            relay.cut_and_speak();
        }
        _ => redis.command(&["CLIENT", "KILL", "TYPE", "normal"]),
    }
    progress.until_accepted(1);
}
