//! The one decision, asked without any network: its order, and that a refused request has spent nothing.

#![allow(clippy::unwrap_used, reason = "a test that can't go on must fail")]

mod decision_bench;

use async_trait::async_trait;
use decision_bench::{Bench, NOW, PASSING_PATH, claims};
use serde_json::json;
use std::time::Duration;
use tollgate::authn::{NotDone, OnLoss, ReplayMode, Work, Workshop};
use tollgate::decision::Reason;

#[test]
fn a_good_token_passes_and_its_identity_is_told() {
    let bench = Bench::new(ReplayMode::None);
    let permit = bench.ask(&bench.signed(&claims())).unwrap();
    assert_eq!(permit.identity_headers()[0].0, "X-User-Id");
    assert_eq!(permit.identity_headers()[0].1, "alice");
    assert_eq!(permit.path().as_str(), PASSING_PATH);
}

#[test]
fn a_one_time_token_passes_once() {
    let bench = Bench::new(ReplayMode::Once);
    let token = bench.signed(&claims());
    assert!(bench.ask(&token).is_ok());
    assert_eq!(bench.reason(&token), Reason::Replayed);
}

#[test]
fn a_request_refused_for_any_other_reason_has_spent_nothing() {
    let bench = Bench::new(ReplayMode::Once);
    let token = bench.signed(&claims());
    assert_eq!(bench.reason_at("/orders/0", &token), Reason::ConditionFalse);
    assert_eq!(bench.reason_at("/elsewhere", &token), Reason::NoRoute);
    bench.upstream_is_down(true);
    assert_eq!(bench.reason(&token), Reason::UpstreamUnavailable);
    bench.upstream_is_down(false);
    assert!(bench.ask(&token).is_ok());
}

#[test]
fn a_claim_that_fits_no_header_costs_no_nonce() {
    let bench = Bench::new(ReplayMode::Once);
    let mut bad = claims();
    bad.insert("sub".into(), json!("alice\nX-Admin: true"));
    let token = bench.signed(&bad);
    assert_eq!(bench.reason(&token), Reason::IdentityUnencodable);
    assert_eq!(bench.claims_made(), 0);
}

#[test]
fn a_one_time_token_needs_an_identifier_and_an_issue_time() {
    let bench = Bench::new(ReplayMode::Once);
    for missing in ["jti", "iat"] {
        let mut bad = claims();
        bad.remove(missing);
        assert_eq!(bench.reason(&bench.signed(&bad)), Reason::ClaimMissing, "{missing}");
    }
}

#[test]
fn a_token_older_than_the_stores_memory_is_unprovable_until_it_expires() {
    let bench = Bench::with_epoch(ReplayMode::Once, 1_000);
    let mut old = claims();
    old.insert("iat".into(), json!(1_000));
    assert_eq!(bench.reason(&bench.signed(&old)), Reason::ReplayUnprovable);
    old.insert("iat".into(), json!(1_001));
    old.insert("jti".into(), json!("young"));
    assert!(bench.ask(&bench.signed(&old)).is_ok());
}

#[test]
fn a_token_from_the_stores_future_is_not_claimed_until_its_clock_is_there() {
    let bench = Bench::with_a_store_behind(20);
    let mut new = claims();
    new.insert("iat".into(), json!(NOW - 19));
    let token = bench.signed(&new);
    assert_eq!(bench.reason(&token), Reason::StoreUnavailable);
    assert_eq!(bench.peek(&token).unwrap_err(), Reason::StoreUnavailable);
    new.insert("iat".into(), json!(NOW - 20));
    assert!(bench.ask(&bench.signed(&new)).is_ok(), "nothing was spent");
}

#[test]
fn a_lost_store_is_answered_as_the_route_declares() {
    let token = |bench: &Bench| bench.signed(&claims());
    let closed = Bench::without_store(OnLoss::Closed);
    assert_eq!(closed.reason(&token(&closed)), Reason::StoreUnavailable);
    let open = Bench::without_store(OnLoss::Open);
    let opened = token(&open);
    assert!(open.ask(&opened).is_ok() && open.ask(&opened).is_ok());
    let local = Bench::without_store(OnLoss::Local);
    let once = token(&local);
    assert!(local.ask(&once).is_ok());
    assert_eq!(local.reason(&once), Reason::Replayed);
}

#[test]
fn claims_encrypted_to_the_public_key_without_a_signature_are_refused() {
    let bench = Bench::new(ReplayMode::None);
    let unsigned = bench.encrypted(claims_as_json().as_bytes(), Some("JWT"));
    assert_eq!(bench.reason(&unsigned), Reason::WrongForm);
    let good = bench.encrypted(bench.signed(&claims()).as_bytes(), Some("JWT"));
    assert!(bench.ask(&good).is_ok());
    let without_cty = bench.encrypted(bench.signed(&claims()).as_bytes(), None);
    assert_eq!(bench.reason(&without_cty), Reason::TypeRefused);
}

#[test]
fn a_bound_token_is_never_taken_as_a_plain_one() {
    let bench = Bench::new(ReplayMode::None);
    let mut bound = claims();
    bound.insert("cnf".into(), json!({ "unheard-of": "x" }));
    assert_eq!(bench.reason(&bench.signed(&bound)), Reason::BindingRefused);
}

#[test]
fn a_cached_verdict_is_judged_anew_and_dies_with_its_keys() {
    let bench = Bench::new(ReplayMode::None);
    let token = bench.signed(&claims());
    assert!((0..4).all(|_| bench.ask(&token).is_ok()));
    assert_eq!(bench.verifications(), 2, "whoever came a second time was recalled from then on");
    assert_eq!(bench.reason_when(10_000, &token), Reason::Expired);
    bench.rotate_keys();
    assert_eq!(bench.reason(&token), Reason::UnknownKey);
}

#[test]
fn one_time_routes_go_past_the_verdict_cache() {
    let bench = Bench::new(ReplayMode::Once);
    let token = bench.signed(&claims());
    assert!(bench.ask(&token).is_ok());
    assert_eq!(bench.reason(&token), Reason::Replayed);
    assert_eq!(bench.verifications(), 2);
}

#[test]
fn explaining_leaves_no_trace() {
    let bench = Bench::new(ReplayMode::Once);
    let token = bench.signed(&claims());
    for _ in 0..3 {
        assert!(bench.peek(&token).is_ok());
    }
    assert_eq!(bench.claims_made(), 0);
    assert!(bench.ask(&token).is_ok());
    assert_eq!(bench.peek(&token).unwrap_err(), Reason::Replayed);
}

#[test]
fn every_rule_of_the_contract_refuses_alone() {
    let bench = Bench::new(ReplayMode::None);
    let with = |name: &str, value: serde_json::Value| {
        let mut changed = claims();
        changed.insert(name.into(), value);
        bench.reason(&bench.signed(&changed))
    };
    assert_eq!(with("iss", json!("https://other.test")), Reason::UnknownIssuer);
    assert_eq!(with("aud", json!("https://other.test")), Reason::WrongAudience);
    assert_eq!(with("exp", json!(1_499)), Reason::Expired);
    assert_eq!(with("exp", json!(2_500)), Reason::LifetimeTooLong);
    assert_eq!(with("exp", json!("1600")), Reason::MalformedClaims);
    assert_eq!(with("nbf", json!(1_502)), Reason::NotYetValid);
    assert_eq!(with("iat", json!(1_502)), Reason::IssuedInFuture);
    assert_eq!(with("scope", json!("orders:write")), Reason::InsufficientScope);
    assert_eq!(with("tenant", json!("other")), Reason::ConditionFalse);
    assert_eq!(bench.reason("a.b"), Reason::WrongForm);
    assert_eq!(bench.reason("a.b.c"), Reason::HeaderRefused);
    assert_eq!(bench.reason(&"a".repeat(9000)), Reason::TokenTooLarge);
}

fn claims_as_json() -> String {
    serde_json::to_string(&claims()).unwrap()
}

#[test]
fn a_revoked_token_is_refused_though_its_verdict_is_cached() {
    let bench = Bench::new(ReplayMode::None);
    let token = bench.signed(&claims());
    assert!(bench.ask(&token).is_ok() && bench.ask(&token).is_ok());
    let restore = bench.revoke("one");
    assert_eq!(bench.reason(&token), Reason::Revoked);
    bench.tell(restore);
    assert!(bench.ask(&token).is_ok());
    assert_eq!(bench.verifications(), 2);
    bench.revoke("one");
    assert!(bench.peek(&token).is_ok(), "a revocation that was taken back is not made anew under the same id");
}

#[test]
fn explain_sees_a_revocation() {
    let bench = Bench::new(ReplayMode::None);
    bench.revoke("one");
    assert_eq!(bench.peek(&bench.signed(&claims())).unwrap_err(), Reason::Revoked);
}

#[test]
fn a_revoked_token_costs_no_nonce() {
    let bench = Bench::new(ReplayMode::Once);
    bench.revoke("one");
    assert_eq!(bench.reason(&bench.signed(&claims())), Reason::Revoked);
    assert_eq!(bench.claims_made(), 0);
}

#[test]
fn a_missing_key_lets_newer_ones_be_fetched_and_explaining_it_does_not() {
    let bench = Bench::new(ReplayMode::None);
    let wanted = bench.wanted_keys();
    let invented = bench.forged(Some("invented"));
    assert_eq!(bench.explained(&invented), Reason::UnknownKey);
    assert_eq!(wanted.count(), 0, "explain leaves no trace");
    assert_eq!(bench.reason(&invented), Reason::UnknownKey);
    assert_eq!(wanted.count(), 1);
}

#[test]
fn a_bad_signature_lets_newer_keys_be_fetched_only_where_the_token_names_no_key() {
    let bench = Bench::new(ReplayMode::None);
    let wanted = bench.wanted_keys();
    assert_eq!(bench.reason(&bench.forged(Some(bench.kid()))), Reason::BadSignature);
    assert_eq!(wanted.count(), 0);
    assert_eq!(bench.reason(&bench.forged(None)), Reason::BadSignature);
    assert_eq!(wanted.count(), 1);
    assert!(bench.ask(&bench.signed(&claims())).is_ok());
    assert_eq!(wanted.count(), 1);
}

/// A workshop without room.
struct Full;

#[async_trait]
impl Workshop for Full {
    async fn run(&self, _: Work) -> Result<(), NotDone> {
        Err(NotDone)
    }
}

#[test]
fn dear_cryptography_without_room_is_an_overload_that_spends_nothing_and_what_is_cheap_goes_on() {
    let bench = Bench::new(ReplayMode::Once).with_workshop(Full);
    let nested = bench.encrypted(bench.signed(&claims()).as_bytes(), Some("JWT"));
    let denial = bench.denial(&nested);
    assert_eq!((denial.reason, denial.retry_after), (Reason::Overloaded, Some(Duration::from_secs(1))));
    assert!(denial.issuer.is_some() && denial.challenges.is_empty());
    assert_eq!((bench.claims_made(), bench.verifications()), (0, 0));
    // What can be refused without cryptography needs no room, and neither does a signature on P-256.
    let header = nested.split_once('.').map(|(_, rest)| format!("e30.{rest}")).unwrap();
    assert_eq!(bench.reason(&header), Reason::HeaderRefused);
    assert!(bench.peek(&nested).is_ok(), "who only explains does it himself");
    assert!(bench.ask(&bench.signed(&claims())).is_ok());
}
