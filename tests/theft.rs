//! Stolen tokens, asked of the one decision without any network: each rule of RFC 9449, RFC 8705 and RFC 9470 violated
//! alone, with the status and the challenges of the answer.

#![allow(clippy::unwrap_used, reason = "a test that can't go on must fail")]

mod decision_bench;

use decision_bench::{Bench, NOW, PASSING_PATH, Put, claims};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tollgate::authn::{BindingRule, DpopNonceRule, DpopPolicy, ReplayMode, StepUp};
use tollgate::decision::{Denial, Guard, Reason};
use tollgate::jose::sign::{SigningKey, generate, public_jwk};
use tollgate::jose::{ContentEncryption, SigningAlgorithm, base64url};

const CERTIFICATE: [u8; 32] = [7; 32];
const OTHER_CERTIFICATE: [u8; 32] = [8; 32];

/// A client with a key of its own.
struct Client {
    private: Value,
}

impl Client {
    fn new() -> Self {
        Self { private: generate("ES256", ContentEncryption::A256GCM).unwrap() }
    }

    /// `cnf` of a token bound to this client's key.
    fn confirmation(&self) -> Value {
        json!({ "jkt": tollgate::jose::thumbprint(self.private.as_object().unwrap()).unwrap() })
    }

    /// A token bound to this client's key.
    fn token(&self, bench: &Bench) -> String {
        bench.signed(&bound(self.confirmation()))
    }

    /// The claims of a proof for the bench's request.
    fn claims(token: &str) -> Value {
        let ath = base64url::encode(&openssl::sha::sha256(token.as_bytes()));
        let htu = format!("https://api.test{PASSING_PATH}");
        json!({ "jti": "first", "htm": "GET", "htu": htu, "iat": NOW, "ath": ath })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "typ": "dpop+jwt", "jwk": public_jwk(&self.private).unwrap() });
        let key = SigningKey::from_jwk(self.private.as_object().unwrap(), None).unwrap();
        key.sign_compact(header.as_object().unwrap(), claims.to_string().as_bytes()).unwrap()
    }

    /// A request with `token` and a good proof whose `jti` is `jti`.
    fn request(&self, token: &str, jti: &str) -> Put {
        let mut claims = Self::claims(token);
        claims["jti"] = json!(jti);
        dpop(token).with("dpop", &self.sign(&claims))
    }
}

fn bound(confirmation: Value) -> Map<String, Value> {
    let mut claims = claims();
    claims.insert("cnf".into(), confirmation);
    claims
}

fn dpop(token: &str) -> Put {
    Put::new(&format!("DPoP {token}"))
}

fn bearer(token: &str) -> Put {
    Put::new(&format!("Bearer {token}"))
}

fn over(mut request: Put, certificate: Option<[u8; 32]>) -> Put {
    request.transport.client_certificate = certificate;
    request
}

fn certificate_bound(bench: &Bench) -> String {
    bench.signed(&bound(json!({ "x5t#S256": base64url::encode(&CERTIFICATE) })))
}

/// The reason, and the challenges as they are written.
fn refused(bench: &Bench, request: &Put) -> (Reason, Vec<String>) {
    let denial = bench.put(request).unwrap_err();
    (denial.reason, challenges(&denial))
}

fn challenges(denial: &Denial) -> Vec<String> {
    denial.challenges.iter().map(ToString::to_string).collect()
}

fn one(challenge: &str) -> Vec<String> {
    vec![challenge.to_owned()]
}

const INVALID_TOKEN: &str = r#"DPoP error="invalid_token", algs="ES256 EdDSA""#;
const INVALID_PROOF: &str = r#"DPoP error="invalid_dpop_proof", algs="ES256 EdDSA""#;
const INVALID_BEARER: &str = r#"Bearer realm="orders", error="invalid_token""#;

fn plain() -> Bench {
    Bench::new(ReplayMode::None)
}

fn with_binding(rule: BindingRule) -> Bench {
    Bench::asking(|guard| guard.binding = rule)
}

fn wanting_nonces(guard: &mut Guard) {
    let policy = DpopPolicy::new(DpopNonceRule::Required, Duration::from_secs(60), vec![SigningAlgorithm::ES256]);
    guard.dpop = Some(policy.unwrap());
}

#[test]
fn the_owner_of_the_key_passes() {
    let (bench, client) = (plain(), Client::new());
    let token = client.token(&bench);
    let permit = bench.put(&client.request(&token, "first")).unwrap();
    assert_eq!(permit.possession().unwrap().method(), "dpop");
    assert_eq!(permit.identity_headers()[0].1, "alice");
    assert!(permit.dpop_nonce().is_none());
    assert!(bench.put(&client.request(&token, "second")).is_ok(), "the token itself is not one-time");
}

#[test]
fn a_stolen_token_without_its_key_is_refused() {
    let (bench, victim, thief) = (plain(), Client::new(), Client::new());
    let token = victim.token(&bench);
    assert_eq!(refused(&bench, &bearer(&token)), (Reason::BindingMissing, one(INVALID_TOKEN)));
    assert_eq!(refused(&bench, &dpop(&token)), (Reason::ProofMalformed, one(INVALID_PROOF)));
    assert_eq!(refused(&bench, &thief.request(&token, "x")), (Reason::BindingMismatch, one(INVALID_TOKEN)));
}

#[test]
fn a_stolen_token_with_a_stolen_proof_is_refused() {
    let (bench, victim) = (plain(), Client::new());
    let token = victim.token(&bench);
    assert!(bench.put(&victim.request(&token, "first")).is_ok());
    assert_eq!(refused(&bench, &victim.request(&token, "first")), (Reason::ProofReplayed, one(INVALID_PROOF)));
    let mut elsewhere = victim.request(&token, "second");
    elsewhere.method = http::Method::POST;
    assert_eq!(refused(&bench, &elsewhere), (Reason::ProofMismatch, one(INVALID_PROOF)));
    let other_token = bench.signed(&{
        let mut claims = bound(victim.confirmation());
        claims.insert("sub".into(), json!("bob"));
        claims
    });
    let proof = victim.sign(&Client::claims(&token));
    let swapped = dpop(&other_token).with("dpop", &proof);
    assert_eq!(refused(&bench, &swapped), (Reason::ProofMismatch, one(INVALID_PROOF)));
}

#[test]
fn a_refused_request_has_not_spent_its_proof() {
    let (bench, client) = (plain(), Client::new());
    let token = client.token(&bench);
    let request = client.request(&token, "first");
    bench.upstream_is_down(true);
    assert_eq!(bench.put(&request).unwrap_err().reason, Reason::UpstreamUnavailable);
    bench.upstream_is_down(false);
    assert!(bench.put(&request).is_ok());
}

#[test]
fn token_and_proof_are_claimed_together_or_not_at_all() {
    let (bench, client) = (Bench::new(ReplayMode::Once), Client::new());
    let token = client.token(&bench);
    assert!(bench.put(&client.request(&token, "first")).is_ok());
    assert_eq!(bench.put(&client.request(&token, "second")).unwrap_err().reason, Reason::Replayed);
    let mut next = bound(client.confirmation());
    next.insert("jti".into(), json!("two"));
    let next = bench.signed(&next);
    assert!(bench.put(&client.request(&next, "second")).is_ok(), "the refused request left its proof unspent");
}

#[test]
fn it_is_told_whether_the_token_or_the_proof_was_used_before() {
    let (bench, client) = (Bench::new(ReplayMode::Uses(2)), Client::new());
    let token = client.token(&bench);
    assert!(bench.put(&client.request(&token, "first")).is_ok());
    let again = client.request(&token, "first");
    assert_eq!(refused(&bench, &again), (Reason::ProofReplayed, one(INVALID_PROOF)), "a new proof would do");
    assert!(bench.put(&client.request(&token, "second")).is_ok(), "the refused request took no use away");
    let spent = (Reason::Replayed, one(INVALID_TOKEN));
    assert_eq!(refused(&bench, &client.request(&token, "third")), spent);
    assert_eq!(refused(&bench, &client.request(&token, "first")), spent, "a new proof would not do");
}

#[test]
fn a_proof_older_than_the_stores_memory_is_unprovable() {
    let (bench, client) = (Bench::with_epoch(ReplayMode::None, NOW), Client::new());
    let token = client.token(&bench);
    assert_eq!(refused(&bench, &client.request(&token, "x")), (Reason::ReplayUnprovable, one(INVALID_TOKEN)));
}

#[test]
fn a_proof_is_for_one_time_and_one_request() {
    let (bench, client) = (plain(), Client::new());
    let token = client.token(&bench);
    let verdict = |name: &str, value: Value| {
        let mut claims = Client::claims(&token);
        claims[name] = value;
        refused(&bench, &dpop(&token).with("dpop", &client.sign(&claims)))
    };
    for (name, value, reason) in [
        ("htm", json!("PUT"), Reason::ProofMismatch),
        ("htu", json!("https://other.test/orders/17"), Reason::ProofMismatch),
        ("htu", json!("https://api.test:8443/orders/17"), Reason::ProofMismatch),
        ("htu", json!("https://api.test/orders/18"), Reason::ProofMismatch),
        ("ath", json!("x"), Reason::ProofMismatch),
        ("iat", json!(NOW - 60), Reason::ProofStale),
        ("iat", json!(NOW + 1), Reason::ProofStale),
        ("iat", json!("now"), Reason::ProofMalformed),
        ("jti", json!(""), Reason::ProofMalformed),
    ] {
        assert_eq!(verdict(name, value.clone()), (reason, one(INVALID_PROOF)), "{name}: {value}");
    }
}

#[test]
fn the_public_address_of_the_listener_decides_what_a_proof_is_for() {
    let (bench, client) = (plain(), Client::new());
    let token = client.token(&bench);
    let mut request = client.request(&token, "first");
    request.transport.public.port = 8443;
    assert_eq!(refused(&bench, &request), (Reason::ProofMismatch, one(INVALID_PROOF)));
}

#[test]
fn an_unbound_token_under_the_dpop_scheme_is_refused() {
    let (bench, client) = (plain(), Client::new());
    let token = bench.signed(&claims());
    assert_eq!(refused(&bench, &client.request(&token, "x")), (Reason::BindingMissing, one(INVALID_TOKEN)));
    let bound = certificate_bound(&bench);
    let request = over(client.request(&bound, "x"), Some(CERTIFICATE));
    assert_eq!(refused(&bench, &request), (Reason::BindingMissing, one(INVALID_TOKEN)));
}

#[test]
fn every_member_of_the_confirmation_must_be_known() {
    let (bench, client) = (plain(), Client::new());
    for confirmation in [
        json!({}),
        json!("x"),
        json!(null),
        json!([]),
        json!({ "jkt": 1 }),
        json!({ "jkt": "short" }),
        json!({ "x5t#S256": "=" }),
        json!({ "jwk": {} }),
        json!({ "kid": "k" }),
        json!({ "x5t": "AQ" }),
        json!({ "jkt": client.confirmation()["jkt"], "unheard-of": 1 }),
    ] {
        let token = bench.signed(&bound(confirmation.clone()));
        let request = over(client.request(&token, "x"), Some(CERTIFICATE));
        assert_eq!(refused(&bench, &request).0, Reason::BindingRefused, "{confirmation}");
    }
}

#[test]
fn every_member_of_the_confirmation_must_be_proven() {
    let (bench, client) = (plain(), Client::new());
    let both = json!({ "jkt": client.confirmation()["jkt"], "x5t#S256": base64url::encode(&CERTIFICATE) });
    let token = bench.signed(&bound(both));
    assert_eq!(refused(&bench, &client.request(&token, "x")).0, Reason::BindingMissing);
    assert_eq!(refused(&bench, &over(bearer(&token), Some(CERTIFICATE))).0, Reason::BindingMissing);
    let permit = bench.put(&over(client.request(&token, "x"), Some(CERTIFICATE))).unwrap();
    assert_eq!(permit.possession().unwrap().method(), "dpop+mtls");
}

#[test]
fn a_stolen_token_over_another_clients_certificate_is_refused() {
    let bench = plain();
    let token = certificate_bound(&bench);
    let with = |certificate| over(bearer(&token), certificate);
    assert_eq!(bench.put(&with(Some(CERTIFICATE))).unwrap().possession().unwrap().method(), "mtls");
    assert_eq!(refused(&bench, &with(Some(OTHER_CERTIFICATE))), (Reason::BindingMismatch, one(INVALID_BEARER)));
    assert_eq!(refused(&bench, &with(None)), (Reason::BindingMissing, one(INVALID_BEARER)));
}

#[test]
fn a_route_takes_only_the_bindings_it_asks() {
    let client = Client::new();
    let kinds = |bench: &Bench| {
        let key_bound = client.token(bench);
        let certificate_bound = certificate_bound(bench);
        [
            bench.put(&bearer(&bench.signed(&claims()))).map(drop).map_err(|denial| denial.reason),
            bench.put(&client.request(&key_bound, "first")).map(drop).map_err(|denial| denial.reason),
            bench.put(&over(bearer(&certificate_bound), Some(CERTIFICATE))).map(drop).map_err(|denial| denial.reason),
        ]
    };
    let missing = Err(Reason::BindingMissing);
    assert_eq!(kinds(&with_binding(BindingRule::IfBound)), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(kinds(&with_binding(BindingRule::Required)), [missing, Ok(()), Ok(())]);
    assert_eq!(kinds(&with_binding(BindingRule::Dpop)), [missing, Ok(()), missing]);
    assert_eq!(kinds(&with_binding(BindingRule::Mtls)), [missing, missing, Ok(())]);
}

#[test]
fn a_request_without_a_credential_is_told_every_scheme_the_route_accepts() {
    let nothing = || Put { headers: http::HeaderMap::new(), ..Put::new("x") };
    let told = |bench: &Bench| refused(bench, &nothing());
    let (for_bearer, for_dpop) = (r#"Bearer realm="orders""#.to_owned(), r#"DPoP algs="ES256 EdDSA""#.to_owned());
    let both = vec![for_bearer.clone(), for_dpop.clone()];
    assert_eq!(told(&with_binding(BindingRule::IfBound)), (Reason::NoCredential, both.clone()));
    assert_eq!(told(&with_binding(BindingRule::Required)), (Reason::NoCredential, both));
    assert_eq!(told(&with_binding(BindingRule::Dpop)), (Reason::NoCredential, vec![for_dpop]));
    assert_eq!(told(&with_binding(BindingRule::Mtls)), (Reason::NoCredential, vec![for_bearer.clone()]));
    let no_hosts = Bench::asking(|guard| guard.dpop = None);
    assert_eq!(told(&no_hosts), (Reason::NoCredential, vec![for_bearer]));
}

#[test]
fn a_route_for_any_host_can_check_no_proof() {
    let (bench, client) = (Bench::asking(|guard| guard.dpop = None), Client::new());
    let token = client.token(&bench);
    assert_eq!(refused(&bench, &client.request(&token, "x")).0, Reason::BindingRefused);
}

#[test]
fn an_unbound_token_on_a_dpop_route_is_told_the_scheme_that_would_do() {
    let bench = with_binding(BindingRule::Dpop);
    let token = bench.signed(&claims());
    assert_eq!(refused(&bench, &bearer(&token)), (Reason::BindingMissing, one(INVALID_TOKEN)));
}

#[test]
fn the_challenge_follows_the_scheme_of_the_request() {
    let bench = plain();
    let mut late = claims();
    late.insert("exp".into(), json!(NOW - 1));
    let token = bench.signed(&late);
    assert_eq!(refused(&bench, &dpop(&token)), (Reason::Expired, one(INVALID_TOKEN)));
    assert_eq!(refused(&bench, &bearer(&token)), (Reason::Expired, one(INVALID_BEARER)));
}

#[test]
fn the_nonce_dance_takes_two_steps() {
    let (bench, client) = (Bench::asking(wanting_nonces), Client::new());
    let token = client.token(&bench);
    let denial = bench.put(&client.request(&token, "first")).unwrap_err();
    assert_eq!(denial.reason, Reason::NonceRequired);
    assert_eq!(challenges(&denial), one(r#"DPoP error="use_dpop_nonce", algs="ES256""#));
    let mut claims = Client::claims(&token);
    claims["nonce"] = json!(denial.dpop_nonce.unwrap());
    let permit = bench.put(&dpop(&token).with("dpop", &client.sign(&claims))).unwrap();
    assert!(permit.dpop_nonce().is_some(), "a success carries a nonce too, so that the client stays fresh");
    claims["iat"] = json!(NOW + 65);
    claims["jti"] = json!("second");
    let mut later = dpop(&token).with("dpop", &client.sign(&claims));
    later.now = NOW + 65;
    assert_eq!(bench.put(&later).unwrap_err().reason, Reason::NonceRequired, "the nonce has grown old");
}

#[test]
fn every_answer_of_a_route_that_wants_nonces_carries_one() {
    let bench = Bench::asking(wanting_nonces);
    assert!(bench.put(&bearer("a.b.c")).unwrap_err().dpop_nonce.is_some());
    assert!(plain().put(&bearer("a.b.c")).unwrap_err().dpop_nonce.is_none());
}

#[test]
fn a_weak_or_old_authentication_is_asked_to_step_up() {
    let bench = Bench::asking(|guard| {
        let asked = StepUp::new(vec!["urn:loa:2".into()], Some(Duration::from_secs(600)), vec!["otp".into()]);
        guard.step_up = Some(asked.unwrap());
    });
    let verdict = |changed: &[(&str, Value)]| {
        let mut claims = claims();
        for (name, value) in [("acr", json!("urn:loa:2")), ("auth_time", json!(NOW - 300)), ("amr", json!(["otp"]))] {
            claims.insert(name.into(), value);
        }
        for (name, value) in changed {
            claims.insert((*name).into(), value.clone());
        }
        bench.put(&bearer(&bench.signed(&claims)))
    };
    assert!(verdict(&[]).is_ok());
    let challenge =
        r#"Bearer realm="orders", error="insufficient_user_authentication", acr_values="urn:loa:2", max_age=600"#;
    for changed in [("acr", json!("urn:loa:1")), ("auth_time", json!(NOW - 601)), ("amr", json!(["pwd"]))] {
        let denial = verdict(&[changed]).unwrap_err();
        assert_eq!((denial.reason, challenges(&denial)), (Reason::StepUpRequired, one(challenge)));
    }
    let forbidden = verdict(&[("acr", json!("urn:loa:1")), ("scope", json!("x"))]).unwrap_err();
    assert_eq!(forbidden.reason, Reason::InsufficientScope, "no user logs in again for what stays forbidden");
}
