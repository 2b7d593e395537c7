//! What holds for any token, found by chance and shrunk to the smallest counter-example.

use crate::kit::{ISSUERS, Token, World};
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Value, json};
use tollgate::decision::Reason;

/// One change to a text.
#[derive(Clone, Debug)]
enum Edit {
    Replace(usize, char),
    Insert(usize, char),
    Remove(usize),
    Cut(usize),
    Exchange(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let letter = prop::char::ranges(vec!['!'..='~'].into());
    let place = 0..2000_usize;
    prop_oneof![
        (place.clone(), letter.clone()).prop_map(|(at, letter)| Edit::Replace(at, letter)),
        (place.clone(), letter).prop_map(|(at, letter)| Edit::Insert(at, letter)),
        place.clone().prop_map(Edit::Remove),
        place.clone().prop_map(Edit::Cut),
        (place.clone(), place).prop_map(|(one, other)| Edit::Exchange(one, other)),
    ]
}

fn edited(token: &str, edit: &Edit) -> String {
    let mut text: Vec<char> = token.chars().collect();
    let len = text.len();
    match *edit {
        Edit::Insert(at, letter) => text.insert(at % (len + 1), letter),
        // There is nothing left to change.
        _ if len == 0 => {}
        Edit::Replace(at, letter) => text[at % len] = letter,
        Edit::Remove(at) => drop(text.drain(at % len..=at % len)),
        Edit::Cut(at) => text.truncate(1 + at % len),
        Edit::Exchange(one, other) => text.swap(one % len, other % len),
    }
    text.into_iter().collect()
}

/// JSON of any shape, small enough to fit into a header.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no other numbers", |number| number.is_finite()).prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["ES256", "none", "es", "es-2", "JWT", "at+jwt", "https://api.example.test"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn runs(cases: u32) -> Config {
    // A failure is printed with its smallest input; a file of seeds beside the sources would say no more.
    Config { cases, failure_persistence: None, ..Config::default() }
}

#[test]
fn no_edit_of_a_good_token_is_accepted() {
    let world = World::new();
    let tokens = ISSUERS.map(|issuer| (issuer, world.keys.token(issuer).text()));
    proptest!(runs(3000), |(which in 0..ISSUERS.len(), edits in prop::collection::vec(edit(), 1..4))| {
        let (issuer, good) = &tokens[which];
        let bad = edits.iter().fold(good.clone(), |token, edit| edited(&token, edit));
        prop_assume!(bad != *good);
        prop_assert!(world.decide(&format!("/{issuer}"), &bad).is_err(), "{}", bad);
    });
}

/// Signed rightly, with any JSON for a member of the header: it is refused, or the member says what the contract says.
#[test]
fn a_header_is_believed_only_where_it_repeats_the_contract() {
    let world = World::new();
    let name =
        prop::sample::select(vec!["alg", "kid", "typ", "cty", "enc", "crit", "zip", "jwk", "iss", "aud", "epk", "x"]);
    proptest!(runs(1500), |(name in name, value in any_json())| {
        let token = world.keys.token("es").header(name, value.clone()).text();
        let refused = world.decide("/es", &token).err().map(|denial| denial.reason);
        if refused.is_some() {
            return Ok(());
        }
        match name {
            "alg" => prop_assert_eq!(value, "ES256"),
            "kid" => prop_assert_eq!(value, "es"),
            "typ" => prop_assert!(value.as_str().is_some_and(|typ| typ.to_lowercase().trim_start_matches("application/") == "jwt" || typ.contains("at+jwt"))),
            "cty" | "iss" => prop_assert!(value.is_string()),
            "aud" => prop_assert!(value.is_string() || value.as_array().is_some_and(|items| items.iter().all(Value::is_string))),
            "x" => {}
            refused => prop_assert!(false, "{} was accepted", refused),
        }
    });
}

/// Signed rightly, with any JSON for a claim: it is refused for that claim, or the claim has its right type.
#[test]
fn a_claim_of_the_wrong_type_is_never_passed_over() {
    let world = World::new();
    let name = prop::sample::select(vec!["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "act", "x"]);
    let issuer = prop::sample::select(vec!["es", "direct", "nest"]);
    proptest!(runs(1500), |(name in name, issuer in issuer, value in any_json())| {
        let token = |token: Token<'_>| token.claim(name, value.clone()).text();
        let decided = world.decide(&format!("/{issuer}"), &token(world.keys.token(issuer)));
        match (name, decided.map_err(|denial| denial.reason)) {
            ("act" | "x", Ok(_)) => {}
            ("sub" | "jti" | "azp", Ok(_)) => prop_assert!(value.is_string()),
            ("exp" | "nbf" | "iat", Ok(_)) => prop_assert!(value.is_number()),
            ("aud", Ok(_)) => prop_assert!(value.to_string().contains("https://api.example.test")),
            (name, Ok(_)) => prop_assert!(false, "{} = {} was accepted", name, value),
            ("act" | "x" | "azp" | "jti", Err(reason)) => prop_assert_eq!(reason, Reason::MalformedClaims),
            (_, Err(reason)) => prop_assert!(
                !matches!(reason, Reason::BadSignature | Reason::DecryptionFailed | Reason::HeaderRefused),
                "{} = {}: {}", name, value, reason.label()
            ),
        }
    });
}
