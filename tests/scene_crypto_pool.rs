//! Dear cryptography has threads and a queue of its own: a flood of it takes time from nobody else, and what finds the
//! queue full is told to come back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use common::{Answer, Client, Config, Gateway, Issuer, Upstream, unix_now, until};
use serde_json::{Map, Value, json};
use tollgate::jose::{ContentEncryption, KeyAlgorithm, sign};

/// More requests at once than find a place in the queue before one thread.
const CLIENTS: usize = 160;

/// A key on P-521.
fn key() -> Value {
    sign::generate("P-521", ContentEncryption::A256GCM).unwrap()
}

/// A token of `issuer`, encrypted to `key`.
fn dear_token(issuer: &Issuer, key: &Value, named: bool) -> String {
    let mut header = Map::from_iter([("cty".to_owned(), json!("JWT"))]);
    if named {
        header.insert("kid".to_owned(), key["kid"].clone());
    }
    let token = issuer.token("alice");
    let (algorithm, encryption) = (KeyAlgorithm::EcdhEs, ContentEncryption::A256GCM);
    sign::encrypt_compact(&header, token.as_bytes(), key, algorithm, encryption).unwrap()
}

/// One thread for requests and one for cryptography; an issuer whose tokens cost little, and one whose tokens are
/// encrypted to one of `keys`, and once only.
fn gateway(cheap: &Issuer, dear: &Issuer, keys: &[Value], upstream: &Upstream) -> Gateway {
    let contract = dear.yaml().replace("form: signed", "form: nested");
    let encrypted = "key_algorithms: [ECDH-ES]\n  content_encryptions: [A256GCM]\n  decryption_keys: file:keys.json";
    let (name, public) = dear.key_file();
    let gateway = Config::new()
        .issuer(cheap)
        .file(&name, public)
        .file("keys.json", json!({ "keys": keys }).to_string())
        .issuer_yaml(&format!("{contract}  {encrypted}\n"))
        .upstream("backend", upstream)
        .route("name: public\nmatch: { path: /public }\nupstream: backend\naccess: public")
        .route("name: cheap\nmatch: { path: /cheap }\nupstream: backend\naccess: { issuers: [cheap] }")
        .route("name: dear\nmatch: { path: /dear }\nupstream: backend\naccess: { issuers: [dear], replay: once }")
        .block("server: { threads: 1, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s }")
        .start();
    // A store that is new can't tell of tokens that are older than itself.
    let started = unix_now();
    until("tokens are younger than the store", || (unix_now() > started + 1).then_some(()));
    gateway
}

/// How many wait for cryptography.
fn waiting(gateway: &Gateway) -> f64 {
    gateway.admin().metrics().gauge("tollgate_crypto_queue_depth", &[])
}

/// Clients that present `token` again and again, each as soon as it has its answer.
struct Flood {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Answer>>>,
}

impl Flood {
    fn begin(client: &Client, token: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let flooding = |_| {
            let (client, token, over) = (client.clone(), token.to_owned(), Arc::clone(&over));
            thread::spawn(move || {
                let mut connection = client.connect().unwrap();
                let again = || (!over.load(Ordering::Relaxed)).then(|| connection.get("/dear", Some(&token)).unwrap());
                std::iter::from_fn(again).collect()
            })
        };
        Self { clients: (0..CLIENTS).map(flooding).collect(), over }
    }

    fn end(self) -> Vec<Answer> {
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

#[test]
fn a_flood_of_dear_tokens_fills_its_queue_and_takes_time_from_nobody_else() {
    let (cheap, dear, upstream) =
        (Issuer::new("cheap", "HS256"), Issuer::new("dear", "ES256").with("leeway: 0s"), Upstream::start());
    let keys: Vec<Value> = (0..4).map(|_| key()).collect();
    let gateway = gateway(&cheap, &dear, &keys, &upstream);
    let refused =
        |reason| gateway.admin().metrics().count("tollgate_denials_total", &[("reason", reason), ("route", "dear")]);
    // It names no key, and each of the four is tried in vain.
    let flood = Flood::begin(&gateway.client(), &dear_token(&dear, &key(), false));
    until("the queue is full", || (refused("overloaded") > 0).then_some(()));
    let mut client = gateway.client().connect().unwrap();
    for _ in 0..5 {
        assert_eq!(client.get("/public", None).unwrap().status, 200);
        assert_eq!(client.get("/cheap", Some(&cheap.token("bob"))).unwrap().status, 200);
    }
    assert!(waiting(&gateway) > 0.0, "the flood was not over");
    let (token, turned_away) = until("no room for an honest token either", || {
        let token = dear_token(&dear, &keys[2], true);
        let answer = client.get("/dear", Some(&token)).unwrap();
        (answer.status == 503).then_some((token, answer))
    });
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    let answers = flood.end();
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(with(503) + with(401), answers.len());
    assert!(with(401) > 0, "what found room was judged");
    assert_eq!((refused("overloaded"), refused("decryption_failed")), (with(503) as u64 + 1, with(401) as u64));
    assert!(waiting(&gateway) < 1.0);
    assert_eq!(client.get("/dear", Some(&token)).unwrap().status, 200, "what was turned away was not spent");
    assert_eq!(client.get("/dear", Some(&token)).unwrap().status, 401, "it was good once");
}

#[test]
fn who_goes_away_while_waiting_leaves_room_for_the_next() {
    let (cheap, dear, upstream) =
        (Issuer::new("cheap", "HS256"), Issuer::new("dear", "ES256").with("leeway: 0s"), Upstream::start());
    let keys: Vec<Value> = (0..4).map(|_| key()).collect();
    let gateway = gateway(&cheap, &dear, &keys, &upstream);
    let junk = dear_token(&dear, &key(), false);
    let head = format!("GET /dear HTTP/1.1\r\nHost: api.example.test\r\nAuthorization: Bearer {junk}\r\n\r\n");
    for _ in 0..CLIENTS {
        gateway.client().connect().unwrap().send(head.as_bytes()).unwrap();
    }
    until("nobody waits any more", || (waiting(&gateway) < 1.0).then_some(()));
    let answer = gateway.client().get("/dear", Some(&dear_token(&dear, &keys[0], true)));
    assert_eq!(answer.status, 200);
}
