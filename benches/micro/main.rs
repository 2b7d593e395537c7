//! The parts of a decision, each by itself.
//!
//!     cargo bench --bench micro                 # everything: some minutes
//!     cargo bench --bench micro -- es256        # what has this in its name
//!
//! Times are this machine's, and a busy one's are longer: the fastest sample is the one to compare.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench stops at the first surprise")]

mod jose;
#[path = "../decision/world.rs"]
mod world;

use divan::Bencher;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tollgate::jose::{Claims, base64url, split};
use tollgate::request::{CanonicalPath, Host};
use tollgate::store::{IfUnknown, Nonce, NonceKey, Store};
use tollgate::upstream::{Origin, Outgoing};
use world::{HOST, NOW, Request, Size, World, block_on};

/// So many routes there are besides the one that is asked for.
const ROUTES: [usize; 3] = [1, 200, 5000];

fn main() {
    divan::main();
}

fn world(routes: usize) -> World {
    World::new(Size { routes, issuers: 3, keys: 2 })
}

#[divan::bench(args = ROUTES)]
fn decide_cached(bencher: Bencher<'_, '_>, routes: usize) {
    let world = world(routes);
    let request = Request::new(&world.token());
    world.remember(&request);
    bencher.bench_local(|| world.decide(black_box(&request)).is_ok());
}

#[divan::bench(args = ROUTES)]
fn decide_new_es256(bencher: Bencher<'_, '_>, routes: usize) {
    let world = world(routes);
    let fresh = || Request::new(&world.token());
    bencher.with_inputs(fresh).bench_local_refs(|request| world.decide(request).is_ok());
}

#[divan::bench(args = ROUTES)]
fn decide_forged_es256(bencher: Bencher<'_, '_>, routes: usize) {
    let world = world(routes);
    let forged = || Request::new(&world.forged());
    bencher.with_inputs(forged).bench_local_refs(|request| world.decide(request).is_err());
}

#[divan::bench(args = ROUTES)]
fn find_route(bencher: Bencher<'_, '_>, routes: usize) {
    let world = world(routes);
    let host = Host::parse(HOST).unwrap();
    let path = CanonicalPath::parse(b"/orders/17").unwrap();
    bencher.bench_local(|| world.snapshot.routes.find(black_box(&host), black_box(&path), &http::Method::GET));
}

#[divan::bench]
fn canonical_path() -> bool {
    CanonicalPath::parse(black_box(b"/orders/17/items/%C3%A9t%C3%A9")).is_ok()
}

#[divan::bench]
fn split_token(bencher: Bencher<'_, '_>) {
    let token = world(1).token();
    bencher.bench_local(|| split(black_box(&token)).is_ok());
}

#[divan::bench]
fn parse_claims(bencher: Bencher<'_, '_>) {
    let token = world(1).token();
    let payload = base64url::decode(token.split('.').nth(1).unwrap()).unwrap();
    bencher.bench_local(|| Claims::parse(black_box(&payload)));
}

#[divan::bench]
fn header_plan(bencher: Bencher<'_, '_>) {
    let world = world(1);
    let request = Request::new(&world.token());
    let permit = world.decide(&request).expect("a good token");
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let origin = Origin { client, scheme: "https", authority: HOST, request_id: "0123456789abcdef0123456789abcdef" };
    bencher.bench_local(|| Outgoing::new(black_box(&request.headers), &world.snapshot.firewall, &permit, &origin));
}

/// Every token once, while so many claims are remembered.
#[divan::bench(args = [0, 100_000])]
fn claim_in_the_embedded_store(bencher: Bencher<'_, '_>, held: u64) {
    let store = tollgate::store::EmbeddedStore::new(100_000_000, tollgate::clock::UnixTime::from_seconds(0));
    let keep_until = NOW.plus(Duration::from_secs(600));
    let nonce = |number: u64| Nonce { key: NonceKey::new("token", "issuer", &number.to_string()), uses: 1, keep_until };
    let claim = |nonce: Nonce| block_on(store.claim(&[nonce], NOW, IfUnknown::GiveBack));
    for number in 0..held {
        claim(nonce(number));
    }
    let mut number = held;
    let next = || {
        number += 1;
        nonce(number)
    };
    bencher.with_inputs(next).bench_local_values(claim);
}
