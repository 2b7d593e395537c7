//! The verdict cache through the decision: what it may remember, and for whom.

use crate::kit::world::NOW;
use crate::kit::{World, attacks};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::EcGroup;
use openssl::nid::Nid;
use tollgate::clock::UnixTime;
use tollgate::decision::Reason;

#[test]
fn a_token_is_opened_twice_and_judged_every_time() {
    let world = World::new();
    for issuer in ["es", "nest", "direct"] {
        let token = world.keys.token(issuer).text();
        let (openings, hits) = (world.observer.openings(), world.observer.hits());
        let path = format!("/{issuer}");
        assert!(world.decide(&path, &token).is_ok());
        let first = world.observer.openings() - openings;
        // What comes once is not worth a place; whoever comes again gets one.
        assert!((0..3).all(|_| world.decide(&path, &token).is_ok()));
        assert_eq!((world.observer.openings() - openings, world.observer.hits() - hits), (2 * first, 2), "{issuer}");
        assert_eq!(world.decide_at(NOW + 400, &path, &token).unwrap_err().reason, Reason::Expired, "{issuer}");
    }
}

#[test]
fn a_verdict_is_not_recalled_on_a_route_that_does_not_believe_its_issuer() {
    let world = World::new();
    let token = world.keys.token("es").text();
    assert!(["/es", "/es", "/several"].iter().all(|route| world.decide(route, &token).is_ok()));
    assert_eq!(world.observer.hits(), 1);
    for route in ["/rs", "/ed", "/nameless"] {
        assert_eq!(world.decide(route, &token).unwrap_err().reason, Reason::UnknownIssuer, "{route}");
    }
    for route in ["/nest", "/direct"] {
        assert_eq!(world.decide(route, &token).unwrap_err().reason, Reason::WrongForm, "{route}");
    }
}

#[test]
fn no_refusal_is_remembered() {
    let world = World::new();
    // These fail after the opening, which is all that a verdict speaks of.
    let opened = [
        Reason::WrongAudience,
        Reason::Expired,
        Reason::ClaimMissing,
        Reason::NotYetValid,
        Reason::IssuedInFuture,
        Reason::LifetimeTooLong,
        Reason::BindingMissing,
        Reason::BindingRefused,
    ];
    for attack in attacks() {
        let hits = world.observer.hits();
        let token = attack.token(&world.keys);
        for _ in 0..3 {
            let _ = world.decide(&attack.path(), &token);
        }
        if !opened.contains(&attack.reason) {
            assert_eq!(world.observer.hits(), hits, "{}", attack.name);
        }
    }
    let most = attacks().iter().filter(|attack| opened.contains(&attack.reason)).count();
    assert!(world.memory.verdicts.len() <= most, "{} verdicts", world.memory.verdicts.len());
}

#[test]
fn a_verdict_dies_with_the_keys_that_proved_it() {
    let world = World::new();
    let token = world.keys.token("es").text();
    assert!((0..3).all(|_| world.decide("/es", &token).is_ok()));
    assert_eq!(world.observer.hits(), 1);
    world.replace_keys("es", &[world.keys.public("es-2")], 2, None);
    assert_eq!(world.decide("/es", &token).unwrap_err().reason, Reason::UnknownKey);
    assert_eq!(world.observer.hits(), 1);
}

#[test]
fn a_verdict_dies_when_its_keys_are_too_old_to_be_believed() {
    let world = World::new();
    world.replace_keys("es", &[world.keys.public("es")], 2, Some(UnixTime::from_seconds(NOW + 10)));
    let token = world.keys.token("es").text();
    assert!((0..3).all(|_| world.decide("/es", &token).is_ok()));
    assert_eq!(world.observer.hits(), 1);
    assert_eq!(world.decide_at(NOW + 10, "/es", &token).unwrap_err().reason, Reason::KeysUnavailable);
    assert_eq!(world.observer.hits(), 1);
}

#[test]
fn a_verdict_of_an_older_configuration_is_not_found() {
    let mut world = World::new();
    let token = world.keys.token("es").text();
    assert!((0..3).all(|_| world.decide("/es", &token).is_ok()));
    world.snapshot.generation += 1;
    assert!(world.decide("/es", &token).is_ok());
    assert_eq!(world.observer.hits(), 1);
}

#[test]
fn one_time_routes_neither_ask_nor_fill_the_cache() {
    let world = World::new();
    let token = world.keys.token("es").text();
    assert!(world.decide("/once", &token).is_ok());
    assert_eq!(world.memory.verdicts.len(), 0);
    assert!(world.decide("/es", &token).is_ok(), "a route without replay neither reads nor writes");
    assert_eq!(world.decide("/once", &token).unwrap_err().reason, Reason::Replayed);
    assert_eq!(world.observer.hits(), 0);
}

/// (r, n − s) is as good a signature as (r, s): two texts, one token. It is spent by its name, not by its bytes.
#[test]
fn the_mirrored_signature_of_a_spent_token_is_spent_too() {
    let world = World::new();
    let token = world.keys.token("es");
    let input = token.signing_input();
    let signature = token.signature(&input);
    let (mut n, mut context) = (BigNum::new().unwrap(), BigNumContext::new().unwrap());
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap().order(&mut n, &mut context).unwrap();
    let s = BigNum::from_slice(&signature[32..]).unwrap();
    let mirrored = [&signature[..32], &(&n - &s).to_vec_padded(32).unwrap()].concat();
    let (one, other) = (token.under(&signature), token.under(&mirrored));
    assert_ne!(one, other);
    assert!(world.decide("/es", &other).is_ok(), "RFC 7518 allows both");
    assert!(world.decide("/once", &one).is_ok());
    assert_eq!(world.decide("/once", &other).unwrap_err().reason, Reason::Replayed);
}
