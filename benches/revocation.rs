//! What the look-up of revocations costs a request.
//!
//!     cargo bench --bench revocation
//!
//! Prints nanoseconds; nothing is asserted. The token has every claim a revocation can name, so that nothing is skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first surprise")]

use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tollgate::authn::{RevocationPolicy, Revocations, Verified, token};
use tollgate::clock::{Stopwatch, UnixTime};
use tollgate::issuer::{Form, IssuerId, IssuerProfile, KeyRing, Registry, TokenContract};
use tollgate::jose::{ContentEncryption, SigningAlgorithm, VerificationKeySet, sign};
use tollgate::observe::Silent;
use tollgate::store::{Change, IssuerTag, Revocation, RevocationId, RevocationKey, RevocationKind, Target};

const ISSUER: &str = "https://idp.example.com/realms/corp";
const NOW: UnixTime = UnixTime::from_seconds(1_000);
const MANY: u128 = 100_000;
const LOOKUPS: u32 = 1_000_000;

fn main() {
    let (registry, token) = subject();
    let profile = registry.profile(IssuerId::new(0)).expect("the issuer");
    let report = |what: &str, list: &Revocations| {
        let judge = || {
            let verdict = list.judge(black_box(&token), profile, RevocationPolicy::LastKnown, NOW);
            assert!(black_box(verdict).is_ok());
        };
        println!("{what:<64} {:>6} ns", quietest(judge));
    };
    report("nothing is revoked", &Revocations::unkept());
    let tokens = list(|n, _| Target::Token(n));
    report("100,000 revoked tokens", &tokens);
    let mixed = list(|n, number| match number % 5 {
        0 => Target::Token(n),
        1 => Target::Session(n),
        2 => Target::Client(n),
        3 => Target::Subject { subject: n, issued_before: NOW },
        _ => Target::Issuer { issued_before: UnixTime::from_seconds(1) },
    });
    report("80,000 of four kinds, and 20,000 for the whole issuer", &mixed);
    let mixed = list(|n, number| match number % 4 {
        0 => Target::Token(n),
        1 => Target::Session(n),
        2 => Target::Client(n),
        _ => Target::Subject { subject: n, issued_before: NOW },
    });
    report("100,000 of four kinds", &mixed);
    while_written(&mixed, |list| report("100,000 of four kinds, while others are entered", list));
    building();
    locks();
}

/// The list is changed all the time while `look` looks.
fn while_written(list: &Revocations, look: impl FnOnce(&Revocations)) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut entered = 0;
            let watch = Stopwatch::start();
            while !done.load(Ordering::Relaxed) {
                entered += 1;
                list.learn(&[revoked(MANY + entered, Target::Token(&entered.to_string()))], NOW);
            }
            println!("{:<64} {:>6} ns", "  one of those", watch.elapsed().as_nanos() / entered.max(1));
        });
        look(list);
        done.store(true, Ordering::Relaxed);
    });
}

/// What a reading of the whole list costs a replica.
fn building() {
    let changes: Vec<Change> = (0..MANY).map(|n| revoked(n, Target::Token(&n.to_string()))).collect();
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let watch = Stopwatch::start();
    let parsed: Vec<Change> = lines.iter().map(|line| line.parse().expect("a record")).collect();
    println!("{:<64} {:>6} ms", "reading 100,000 lines", watch.elapsed().as_millis());
    let list = Revocations::unkept();
    let watch = Stopwatch::start();
    list.learn(&parsed, NOW);
    println!("{:<64} {:>6} ms", "entering 100,000 records at once", watch.elapsed().as_millis());
    let watch = Stopwatch::start();
    list.learn(&parsed, NOW);
    println!("{:<64} {:>6} ms", "entering them again, which changes nothing", watch.elapsed().as_millis());
}

/// The alternative that was not taken: one map behind a reader-writer lock, asked with the same hashes.
fn locks() {
    let key = |n: &str| RevocationKey::new(RevocationKind::Token, IssuerTag::new(black_box(ISSUER)), n);
    let map = RwLock::new((0..MANY).map(|n| (key(&n.to_string()), n)).collect::<HashMap<_, _>>());
    let absent = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    let ask_map = || assert!(map.read().expect("no writer").get(&key(black_box(absent))).is_none());
    let tokens = list(|n, _| Target::Token(n));
    let (registry, token) = subject();
    let profile = registry.profile(IssuerId::new(0)).expect("the issuer");
    let ask_list = || {
        assert!(tokens.judge(black_box(&token), profile, RevocationPolicy::LastKnown, NOW).is_ok());
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    println!("100,000 revoked tokens, {threads} threads at once:");
    println!("{:<64} {:>6} ns", "  as it is", contended(threads, ask_list));
    println!("{:<64} {:>6} ns", "  RwLock<HashMap> instead", contended(threads, ask_map));
}

fn contended(threads: usize, call: impl Fn() + Sync) -> u128 {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| quietest(&call))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).max().unwrap_or_default()
    })
}

fn list(target: impl Fn(&'static str, u128) -> Target<'static>) -> Revocations {
    let list = Revocations::unkept();
    let name = |n: u128| -> &'static str { Box::leak(n.to_string().into_boxed_str()) };
    let changes: Vec<Change> = (0..MANY).map(|n| revoked(n, target(name(n), n))).collect();
    list.learn(&changes, NOW);
    list
}

fn revoked(id: u128, target: Target<'_>) -> Change {
    let expires_at = NOW.plus(Duration::from_secs(600));
    Change::Revoked(Revocation::new(RevocationId::from_bits(id), ISSUER, target, expires_at, NOW))
}

fn per(took: Duration, times: u32) -> u128 {
    (took / times).as_nanos()
}

/// Nanoseconds of one `call`, in the quietest of many rounds: what a busy machine adds is not ours.
fn quietest(call: impl Fn()) -> u128 {
    const ROUND: u32 = 1_000;
    let round = || {
        let watch = Stopwatch::start();
        (0..ROUND).for_each(|_| call());
        per(watch.elapsed(), ROUND)
    };
    (0..LOOKUPS / ROUND).map(|_| round()).min().unwrap_or_default()
}

/// An issuer, and a verified token of it that nobody has revoked.
fn subject() -> (Registry, Verified) {
    let key = sign::generate("ES256", ContentEncryption::A256GCM).unwrap();
    let set = json!({ "keys": [sign::public_jwk(&key).unwrap()] }).to_string();
    let contract = TokenContract::new(Form::Signed, vec![SigningAlgorithm::ES256]);
    let keys = KeyRing::new(Some(VerificationKeySet::parse(set.as_bytes(), 64).unwrap()), None);
    let audiences = vec!["api".to_owned()];
    let profile = IssuerProfile { name: "corp".into(), issuer: ISSUER.into(), audiences, contract, keys };
    let registry = Registry::new(vec![Arc::new(profile)]);
    let claims = json!({
        "iss": ISSUER, "aud": "api", "sub": "0b0dc5a4-95c1-4f0f-9d2e-6a8d1f3f3c55", "exp": 1_600, "iat": 999,
        "jti": "f47ac10b-58cc-4372-a567-0e02b2c3d479", "sid": "5f6d1c9e-5f4c-4b0a-8f54-1f5e4a7f9d10",
        "client_id": "shop-frontend",
    });
    let header: Map<String, Value> =
        json!({ "alg": "ES256", "kid": key["kid"], "typ": "at+jwt" }).as_object().unwrap().clone();
    let token = sign::sign_compact(&header, claims.to_string().as_bytes(), &key).unwrap();
    let opened = token::open(&registry, &[IssuerId::new(0)], &token, NOW, &Silent).unwrap();
    let profile = Arc::clone(registry.profile(IssuerId::new(0)).unwrap());
    (registry, opened.judge(&profile, NOW).unwrap())
}
