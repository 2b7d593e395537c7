//! Every attack of the table, through the one decision: each is refused, and for its own reason.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
mod indistinguishable;
mod kit;
mod properties;
mod recalled;

use kit::{ISSUERS, World, attacks};
use std::collections::{BTreeMap, HashSet};
use tollgate::decision::Reason;

#[test]
fn every_attack_is_refused_for_its_own_reason() {
    let world = World::new();
    let mut wrong = Vec::new();
    for attack in attacks() {
        let found = world.decide(&attack.path(), &attack.token(&world.keys)).err().map(|denial| denial.reason);
        if found != Some(attack.reason) {
            let found = found.map_or("accepted", Reason::label);
            wrong.push(format!("{} at {}: {found}, not {}", attack.name, attack.path(), attack.reason.label()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attacks().len(), wrong.join("\n"));
}

/// Without this, a world that refuses everything would pass all the others.
#[test]
fn every_issuers_good_token_is_accepted() {
    let world = World::new();
    for issuer in ISSUERS {
        let token = world.keys.token(issuer).text();
        let permit =
            world.decide(&format!("/{issuer}"), &token).unwrap_or_else(|denial| panic!("{issuer}: {denial:?}"));
        let claims = permit.token().unwrap().claims();
        assert_eq!((claims.subject(), claims.issuer()), (Some("alice"), Some(kit::issuers::iss(issuer).as_str())));
    }
    for issuer in ["es", "rs", "nest"] {
        assert!(world.decide("/several", &world.keys.token(issuer).text()).is_ok(), "{issuer}");
    }
}

/// What is allowed stays allowed: the rules refuse tricks, not the freedom that the RFCs give.
#[test]
fn unusual_tokens_that_are_right_are_accepted() {
    let world = World::new();
    let keys = &world.keys;
    let good = [
        ("es", keys.token("es").without_header("kid").text()),
        ("es", keys.token("es").without_header("typ").text()),
        ("es", keys.token("es").header("typ", "application/AT+JWT".into()).text()),
        ("es", keys.token("es").header("kid", "es-2".into()).signed_by(keys.private("es-2"), "ES256").text()),
        ("es", keys.token("es").header("x5t#S256", "AAAA".into()).header("unknown", 1.into()).text()),
        ("es", keys.token("es").claim("aud", serde_json::json!(["https://other.test", kit::issuers::AUDIENCE])).text()),
        ("es", keys.token("es").claim("exp", serde_json::json!(1_700_000_100.5)).text()),
        ("ed", keys.token("ed").header("alg", "Ed25519".into()).text()),
        ("nameless", keys.token("nameless").signed_by(keys.private("nameless-3"), "ES256").text()),
        ("nameless", keys.token("nameless").header("kid", "anything".into()).text()),
        ("nest", keys.token("nest").without_outer("kid").text()),
        ("nest", keys.token("nest").outer("cty", "application/AT+JWT".into()).text()),
        ("nest", keys.token("nest").outer("iss", kit::issuers::iss("nest").into()).outer("sub", "alice".into()).text()),
    ];
    for (at, (issuer, token)) in good.iter().enumerate() {
        let decided = world.decide(&format!("/{issuer}"), token);
        assert!(decided.is_ok(), "number {at} at {issuer}: {:?}", decided.err().map(|denial| denial.reason));
    }
}

#[test]
fn the_table_is_long_wide_and_without_repetition() {
    let attacks = attacks();
    assert!(attacks.len() >= 250, "{} attacks", attacks.len());
    let names: HashSet<_> = attacks.iter().map(|attack| &attack.name).collect();
    assert_eq!(names.len(), attacks.len(), "a name stands twice");
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for attack in &attacks {
        *reasons.entry(attack.reason.label()).or_default() += 1;
    }
    println!("{} attacks: {reasons:?}", attacks.len());
    // Every refusal that a token itself can earn; those of the store, the keys' supply and the route are elsewhere.
    for reason in [
        "token_too_large",
        "wrong_form",
        "header_refused",
        "unknown_issuer",
        "algorithm_refused",
        "type_refused",
        "unknown_key",
        "bad_signature",
        "decryption_failed",
        "malformed_claims",
        "claim_missing",
        "expired",
        "not_yet_valid",
        "issued_in_future",
        "lifetime_too_long",
        "wrong_audience",
        "malformed_credential",
        "binding_missing",
        "binding_refused",
    ] {
        assert!(reasons.contains_key(reason), "no attack shows {reason}");
    }
}
