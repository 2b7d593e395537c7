//! A sender who probes learns nothing from a refusal: all failures to decrypt are one, in what is answered and in how
//! much is done.

use crate::kit::{Attack, World, attacks};
use std::collections::BTreeSet;
use tollgate::decision::{Denial, Reason};

fn failures() -> Vec<Attack> {
    let all = attacks().into_iter().filter(|attack| attack.reason == Reason::DecryptionFailed);
    let failures: Vec<_> = all.collect();
    assert!(failures.len() > 100, "{} failures", failures.len());
    failures
}

/// The whole denial, not only its reason: challenge, retry and issuer are what an answer is made from.
#[test]
fn every_failure_to_decrypt_is_the_same_denial() {
    let world = World::new();
    let mut first: std::collections::BTreeMap<&str, Denial> = std::collections::BTreeMap::new();
    for attack in failures() {
        let denial = world.decide(&attack.path(), &attack.token(&world.keys)).unwrap_err();
        let expected = first.entry(attack.route).or_insert_with(|| denial.clone());
        assert_eq!(&denial, expected, "{} at {}", attack.name, attack.route);
    }
    assert!(first.len() >= 7, "{:?}", first.keys());
}

/// One opening, whether it fails at the key, the padding, the length or the tag.
#[test]
fn every_failure_to_decrypt_is_one_opening() {
    let world = World::new();
    for attack in failures() {
        let token = attack.token(&world.keys);
        let before = world.observer.openings();
        assert!(world.decide(&attack.path(), &token).is_err());
        assert_eq!(world.observer.openings() - before, 1, "{} at {}", attack.name, attack.route);
    }
}

/// What is refused for its header has cost no cryptography at all.
#[test]
fn a_header_that_is_refused_costs_no_opening() {
    let before_crypto = [
        Reason::TokenTooLarge,
        Reason::HeaderRefused,
        Reason::AlgorithmRefused,
        Reason::UnknownKey,
        Reason::TypeRefused,
        Reason::MalformedCredential,
    ];
    let world = World::new();
    let inside = ["inside", "replicated", "outside", "encrypted"];
    let mut seen = BTreeSet::new();
    for attack in attacks().into_iter().filter(|attack| before_crypto.contains(&attack.reason)) {
        // What stands inside a JWE is seen only after it was opened.
        if inside.iter().any(|word| attack.name.contains(word)) {
            continue;
        }
        let token = attack.token(&world.keys);
        let before = world.observer.openings();
        assert!(world.decide(&attack.path(), &token).is_err());
        assert_eq!(world.observer.openings(), before, "{} at {}", attack.name, attack.route);
        seen.insert(attack.reason.label());
    }
    assert_eq!(seen.len(), before_crypto.len());
}
