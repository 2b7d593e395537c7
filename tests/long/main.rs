//! Spoilt tokens without end through the one decision: none is accepted, nothing panics, and no memory is kept.
//!
//! A few thousand run with every test; `tests/long/mutations` runs a million.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../attacks/kit/mod.rs"]
mod kit;

use kit::{ISSUERS, Spoiler, World};
use serde_json::json;
use std::collections::BTreeMap;

/// How many tokens are tried where nobody asks for more.
const TOKENS: usize = 5000;
/// How many of them come before the memory is measured: by then every lazy part of the libraries is there.
const FIRST: usize = 2000;
/// Good tokens between the spoilt ones: a world that has begun to refuse everything would be found out.
const CONTROL: usize = 500;

#[test]
fn spoilt_tokens_are_refused_and_leave_nothing_behind() {
    let world = World::new();
    let good = good_tokens(&world);
    let mut spoiler = Spoiler::new(0x746f_6c6c, good.clone());
    let tokens = count();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut before = 0;
    for at in 0..tokens {
        if at == FIRST.min(tokens / 2) {
            before = resident();
        }
        if at % CONTROL == 0 {
            let (route, token) = &good[at / CONTROL % good.len()];
            assert!(world.decide(&format!("/{route}"), token).is_ok(), "number {at}: the good token of {route}");
        }
        let (route, token) = spoiler.next_token();
        match world.decide(&format!("/{route}"), &token) {
            Ok(_) => panic!("number {at} was accepted at /{route}: {token}"),
            Err(denial) => *reasons.entry(denial.reason.label()).or_default() += 1,
        }
    }
    let after = resident();
    let growth = 100.0 * (kibibytes(after) / kibibytes(before) - 1.0);
    println!("{tokens} spoilt tokens: none accepted; resident memory {before} KiB, then {after} KiB ({growth:+.2} %)");
    for (reason, number) in &reasons {
        println!("{number:>9}  {reason}");
    }
    assert!(growth <= 5.0, "resident memory grew by {growth:.2} %");
    // Chance must reach the cryptography, and behind it.
    for reason in
        ["wrong_form", "header_refused", "unknown_key", "bad_signature", "decryption_failed", "unknown_issuer"]
    {
        assert!(reasons.get(reason).is_some_and(|number| number * 500 > tokens), "{reason}: {reasons:?}");
    }
}

/// Two tokens of every issuer.
fn good_tokens(world: &World) -> Vec<(&'static str, String)> {
    let subjects = ["alice", "bob"];
    let of = |issuer| subjects.map(|subject| (issuer, world.keys.token(issuer).claim("sub", json!(subject)).text()));
    ISSUERS.into_iter().flat_map(of).collect()
}

#[allow(clippy::disallowed_methods, reason = "how far to look is the tester's choice")]
fn count() -> usize {
    std::env::var("TOLLGATE_MUTATIONS").map_or(TOKENS, |count| count.parse().expect("TOLLGATE_MUTATIONS is a number"))
}

/// The resident memory of this process in KiB.
fn resident() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

fn kibibytes(number: u32) -> f64 {
    f64::from(number)
}
