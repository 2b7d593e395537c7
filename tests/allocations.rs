//! How much memory a parser may take for what a stranger sends: a small multiple of it, however it is made.
//!
//! A JSON value takes up to 80 bytes of memory and may be two bytes long, so that texts of nothing but `1,1,1,…` are the
//! worst there is; everything else stays near the size of its input. OpenSSL's own allocations are not counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "attacks/kit/mod.rs"]
mod kit;

use http::{HeaderMap, HeaderValue};
use kit::{World, attacks};
use peak_alloc::PeakAlloc;
use serde_json::json;
use tollgate::authn::VerdictCache;
use tollgate::clock::UnixTime;
use tollgate::issuer::IssuerId;
use tollgate::jose::{Claims, DecryptionKeySet, JoseHeader, VerificationKeySet, base64url, split};
use tollgate::observe::Silent;
use tollgate::request::{Authority, CanonicalPath, credentials};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test: the allocator counts for the whole process, and the test harness allocates when it begins another.
#[test]
fn memory_is_bounded_by_what_was_sent() {
    tokens_cost_no_more_than_a_few_times_their_length();
    json_costs_no_more_than_its_values();
    paths_hosts_and_credentials_cost_no_more_than_their_length();
    a_refused_token_costs_little_and_leaves_nothing();
    the_verdict_cache_holds_no_more_than_it_may();
    an_ordinary_verdict_takes_less_than_twice_its_token();
}

/// The most memory that was held beyond what was held before, and what is held afterwards.
fn peak_of<T>(action: impl FnOnce() -> T) -> (usize, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    drop(action());
    (MEMORY.peak_usage().saturating_sub(before), MEMORY.current_usage().saturating_sub(before))
}

fn assert_bounded<T>(what: &str, len: usize, factor: usize, base: usize, action: impl FnOnce() -> T) {
    let (peak, left) = peak_of(action);
    assert!(peak <= factor * len + base, "{what}: {peak} bytes for {len}: {} each", peak / len.max(1));
    assert!(left <= 1024, "{what}: {left} bytes are still held");
}

/// Texts of `len` bytes or so that are made to cost memory.
fn hostile_json(len: usize) -> Vec<(&'static str, String)> {
    let list = |item: &str| format!("{{\"x\":[{}]}}", vec![item; len / (item.len() + 1)].join(","));
    let members: Vec<String> = (0..len / 8).map(|at| format!("\"{at:x}\":1")).collect();
    vec![
        ("numbers", list("1")),
        ("empty strings", list("\"\"")),
        ("empty objects", list("{}")),
        ("small objects", list(r#"{"a":1}"#)),
        ("lists of lists", list("[[[]]]")),
        ("many members", format!("{{{}}}", members.join(","))),
        ("one long string", format!("{{\"x\":\"{}\"}}", "a".repeat(len))),
        ("escapes", format!("{{\"x\":\"{}\"}}", "\\u0061".repeat(len / 6))),
        ("depth", format!("{{\"x\":{}", "[".repeat(len))),
        ("an endless string", format!("{{\"x\":\"{}", "a".repeat(len))),
    ]
}

fn tokens_cost_no_more_than_a_few_times_their_length() {
    let header = base64url::encode(br#"{"alg":"ES256"}"#);
    let jwe = base64url::encode(br#"{"alg":"dir","enc":"A256GCM"}"#);
    let long = "A".repeat(100_000);
    for (what, token) in [
        ("dots", ".".repeat(100_000)),
        ("one segment", long.clone()),
        ("a long payload", format!("{header}.{long}.AA")),
        ("a long signature", format!("{header}.e30.{long}")),
        ("a long header", format!("{long}.e30.AA")),
        ("a long ciphertext", format!("{jwe}...{long}.AA")),
        ("a JWE of long parts", format!("{jwe}.{long}.{long}.{long}.{long}")),
    ] {
        assert_bounded(what, token.len(), 1, 4096, || split(&token).is_ok());
    }
    // A header is read whole, and so at most 2 KiB of it.
    for (what, json) in hostile_json(1500) {
        let token = format!("{}.e30.AA", base64url::encode(json.as_bytes()));
        assert_bounded(what, token.len(), 100, 4096, || split(&token).is_ok());
    }
}

fn json_costs_no_more_than_its_values() {
    for len in [1000, 8000, 60_000] {
        for (what, json) in hostile_json(len) {
            let bytes = json.as_bytes();
            let dense = !matches!(what, "one long string" | "escapes" | "depth" | "an endless string");
            let factor = if dense { 130 } else { 4 };
            assert_bounded(&format!("{what} as claims"), len, factor, 4096, || Claims::parse(bytes));
            assert_bounded(&format!("{what} as a header"), len, factor, 4096, || JoseHeader::parse(bytes).is_ok());
            assert_bounded(&format!("{what} as keys"), len, factor, 4096, || VerificationKeySet::parse(bytes, 64));
            assert_bounded(&format!("{what} as our keys"), len, factor, 4096, || {
                DecryptionKeySet::parse_private(bytes)
            });
        }
    }
}

fn paths_hosts_and_credentials_cost_no_more_than_their_length() {
    for len in [100, 10_000, 1_000_000] {
        for unit in ["/a", "%C3%A9", "/", "a", ".", "%25", "%", ";"] {
            let text = format!("/{}", unit.repeat(len / unit.len()));
            assert_bounded(unit, text.len(), 4, 256, || CanonicalPath::parse(text.as_bytes()));
        }
        for unit in ["a", "a.", ":", "[", "@", "1"] {
            let text = unit.repeat(len / unit.len());
            assert_bounded(unit, text.len(), 3, 256, || Authority::parse(&text));
        }
        for value in [format!("Bearer {}", "a".repeat(len)), "Bearer ".repeat(len / 7), ",".repeat(len)] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
            assert_bounded("credentials", len, 0, 0, || credentials::find(&headers).is_ok());
        }
    }
}

fn a_refused_token_costs_little_and_leaves_nothing() {
    let world = World::new();
    let tokens: Vec<_> = attacks().iter().map(|attack| (attack.path(), attack.token(&world.keys))).collect();
    let decide_all = || tokens.iter().map(|(path, token)| (token.len(), peak_of(|| world.decide(path, token)).0));
    // Once for what is made lazily, and again for the verdicts on tokens that are well signed and expired.
    assert_eq!(decide_all().chain(decide_all()).count(), 2 * tokens.len());
    let before = MEMORY.current_usage();
    for (len, peak) in decide_all() {
        assert!(peak <= 100 * len + 64 * 1024, "{peak} bytes for a token of {len}");
    }
    let left = MEMORY.current_usage().saturating_sub(before);
    assert!(left <= 4096, "{left} bytes are still held after {} refusals", tokens.len());
}

/// What the cache under test may hold.
const BYTES: u64 = 2 << 20;

/// The bound is on memory, whatever the claims look like.
fn the_verdict_cache_holds_no_more_than_it_may() {
    let world = World::new();
    let issuers = &world.snapshot.issuers;
    let issuer = issuers.iter().find(|(_, profile)| &*profile.name == "hs").map(|(id, _)| id).unwrap();
    let fillers = [
        ("ordinary", json!(["a", "b"])),
        ("numbers", json!(vec![1; 800])),
        ("members", json!((0..200).map(|at| (format!("{at}"), json!(at))).collect::<serde_json::Map<_, _>>())),
        ("text", json!("x".repeat(2000))),
    ];
    for (what, filler) in fillers {
        let before = MEMORY.current_usage();
        let cache = VerdictCache::new(10_000, BYTES).unwrap();
        let empty = MEMORY.current_usage() - before;
        assert!(empty <= 10_000 * 16, "an empty cache of {empty} bytes");
        for at in 0..1500 {
            let token =
                world.keys.token("hs").claim("jti", json!(at.to_string())).claim("filler", filler.clone()).text();
            let opened = open(&world, issuer, &token);
            cache.remember(cache.key(&token, 1), &opened);
        }
        let held = MEMORY.current_usage() - before;
        let each = held / cache.len();
        println!("{what}: {} verdicts, {held} bytes, {each} each; empty {empty}", cache.len());
        assert!(held <= usize::try_from(BYTES).unwrap() * 11 / 10, "{what}: {held} bytes in {} verdicts", cache.len());
        assert!(cache.len() > 10, "{what}: {} verdicts", cache.len());
    }
}

/// All that the cache grows by, against the tokens in it. Of an encrypted token, the one inside is kept too.
fn an_ordinary_verdict_takes_less_than_twice_its_token() {
    let world = World::new();
    let issuers = &world.snapshot.issuers;
    for name in ["es", "rs", "nest"] {
        let issuer = issuers.iter().find(|(_, profile)| &*profile.name == name).map(|(id, _)| id).unwrap();
        let tokens: Vec<String> = (0..1500).map(|at| ordinary(&world, name, at)).collect();
        let sent: usize = tokens.iter().map(String::len).sum();
        let cache = VerdictCache::new(100_000, 256 << 20).unwrap();
        let before = MEMORY.current_usage();
        for token in &tokens {
            cache.remember(cache.key(token, 1), &open(&world, issuer, token));
        }
        let held = MEMORY.current_usage() - before;
        let (each, of) = (held / cache.len(), sent / tokens.len());
        println!("{name}: {each} bytes for a token of {of}");
        assert_eq!(cache.len(), tokens.len());
        assert!(held < 2 * sent, "{name}: {each} bytes for a token of {of}");
    }
}

/// A token as issuers make them, of 700 to 900 bytes where it is signed on P-256.
fn ordinary(world: &World, issuer: &'static str, at: usize) -> String {
    let token = world.keys.token(issuer);
    let token = token.claim("jti", json!(format!("0b5c3f1e-7d0a-4e49-9c1f-{at:012x}")));
    let token = token.claim("sub", json!(format!("248289761001-{at}"))).claim("client_id", json!("orders-web"));
    let token = token.claim("scope", json!("openid profile orders:read orders:write invoices:read"));
    let token = token.claim("realm_access", json!({ "roles": ["customer", "buyer", "approver"] }));
    let token = token.claim("email", json!("alice.liddell@example.com")).claim("email_verified", json!(true));
    token.claim("tenant", json!("acme-industries")).claim("name", json!("Alice Liddell")).text()
}

fn open(world: &World, issuer: IssuerId, token: &str) -> tollgate::authn::Opened {
    let now = UnixTime::from_seconds(world.keys.now);
    tollgate::authn::token::open(&world.snapshot.issuers, &[issuer], token, now, &Silent).unwrap()
}
