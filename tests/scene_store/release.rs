//! What a request that came to nothing has spent: nothing, if it was refused or no byte of it reached an upstream; and
//! the token, if one did. On the store of the process and on a real Redis.

use crate::common::{Config, DpopClient, Gateway, HOST, Issuer, Redis, Upstream, ports, until};
use crate::kit::{config, issuer, once, until_claims_are_proven, upstream};
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const PRESENTERS: usize = 8;

/// A gateway on each kind of store.
struct Scene {
    issuer: Issuer,
    upstream: Upstream,
    gateways: Vec<Gateway>,
    _redis: Redis,
}

impl Scene {
    fn new(more: impl Fn(Config) -> Config) -> Self {
        let (issuer, upstream, redis) = (issuer(), upstream(), Redis::start());
        let stores = ["embedded: {}".to_owned(), format!("redis: {{ url: \"{}\", timeout: 2s }}", redis.url())];
        let gateways = stores.map(|store| more(config(&issuer, &upstream, &store)).start()).into();
        let scene = Self { issuer, upstream, gateways, _redis: redis };
        for gateway in &scene.gateways {
            until_claims_are_proven(gateway, &scene.issuer);
        }
        scene
    }

    /// The token is good still, and exactly once.
    fn assert_unspent(&self, gateway: &Gateway, token: &str) {
        let barrier = Barrier::new(PRESENTERS);
        let mut statuses: Vec<u16> = thread::scope(|scope| {
            let presenter = || {
                let (client, barrier) = (gateway.client(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    client.get("/once", Some(token)).status
                })
            };
            let presenters: Vec<_> = (0..PRESENTERS).map(|_| presenter()).collect();
            presenters.into_iter().map(|presenter| presenter.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![200], vec![401; PRESENTERS - 1]].concat());
        assert_eq!(self.upstream.take().len(), 1, "the upstream saw it once");
    }
}

fn route(name: &str, upstream: &str, access: &str) -> String {
    format!(
        "name: {name}\nmatch: {{ hosts: [{HOST}], path: /{name} }}\nupstream: {upstream}\n\
         access: {{ issuers: [corp], replay: once, {access} }}"
    )
}

#[test]
fn a_refused_request_leaves_its_token_good_exactly_once() {
    let scene = Scene::new(|config| {
        config
            .route(&route("scoped", "echo", "scopes: [orders:write]"))
            .route(&route("conditioned", "echo", "scopes: [], when: 'claims.sub == \"bob\"'"))
            .route(&route("bound", "echo", "scopes: [], binding: required"))
            .route(&route("stepped", "echo", "scopes: [], step_up: { acr_values: [gold] }"))
            .route(&format!(
                "{}\nidentity: {{ headers: {{ X-Odd: {{ claim: odd }} }} }}",
                route("odd", "echo", "scopes: []")
            ))
    });
    for gateway in &scene.gateways {
        let mut claims = scene.issuer.claims("alice");
        claims["odd"] = "two\r\nlines".into();
        let token = scene.issuer.sign(&claims);
        scene.upstream.take();
        let refusals = [
            ("/scoped", 403),
            ("/conditioned", 403),
            ("/bound", 401),
            ("/stepped", 401),
            ("/odd", 403),
            ("/%6fnce", 400),
            ("/once/../once", 400),
            ("/nowhere", 404),
        ];
        for (path, status) in refusals {
            let answer = gateway.client().get(path, Some(&token));
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
        }
        assert!(scene.upstream.take().is_empty(), "a refused request reached the upstream");
        scene.assert_unspent(gateway, &token);
    }
}

#[test]
fn a_proof_that_is_refused_leaves_its_token_good() {
    let scene = Scene::new(|config| config.route(&route("proven", "echo", "scopes: [], binding: dpop")));
    let (victim, thief) = (DpopClient::new(), DpopClient::new());
    for gateway in &scene.gateways {
        let (token, port) = (victim.token(&scene.issuer, "alice"), gateway.https_address().port());
        let send = |proof: &str| {
            let fields = [("Authorization", format!("DPoP {token}")), ("DPoP", proof.to_owned())];
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            gateway.client().request("GET", "/proven", &fields, b"").status
        };
        let claims = || DpopClient::claims(port, "/proven", &token);
        assert_eq!(send(&thief.sign(&claims())), 401, "another key");
        assert_eq!(send(&victim.sign(&DpopClient::claims(port, "/once", &token))), 401, "another path");
        assert_eq!(gateway.client().get("/proven", Some(&token)).status, 401, "no proof");
        assert_eq!(send(&victim.sign(&claims())), 200, "the refused requests have spent nothing");
        assert_eq!(send(&victim.sign(&claims())), 401);
    }
}

#[test]
fn a_dead_upstream_leaves_the_token_good_exactly_once() {
    let dead = ports::free();
    let scene = Scene::new(|config| {
        config.upstream_yaml(&format!("name: dead\nendpoints: [\"http://{dead}\"]\nretries: 0")).route(&route(
            "dead",
            "dead",
            "scopes: []",
        ))
    });
    for gateway in &scene.gateways {
        let token = scene.issuer.token("alice");
        scene.upstream.take();
        for _ in 0..5 {
            let answer = gateway.client().get("/dead", Some(&token));
            assert!([502, 503].contains(&answer.status), "{}: {}", answer.status, answer.text());
        }
        let released = |gateway: &Gateway| {
            gateway.admin().metrics().count("tollgate_claim_releases_total", &[("result", "released")])
        };
        assert!(released(gateway) >= 1, "the first request did claim");
        scene.assert_unspent(gateway, &token);
    }
}

/// An upstream that never answers: it reads the beginning of a request and hangs up, or reads on until the other side
/// does.
struct Silent {
    address: SocketAddr,
    /// Requests of which something came.
    begun: Arc<AtomicUsize>,
    /// Those that have ended.
    ended: Arc<AtomicUsize>,
}

impl Silent {
    fn start(hangs_up: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let silent = Self { address, begun: Arc::default(), ended: Arc::default() };
        let (begun, ended) = (Arc::clone(&silent.begun), Arc::clone(&silent.ended));
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if stream.read(&mut [0; 16]).is_ok_and(|read| read > 0) {
                    begun.fetch_add(1, Ordering::SeqCst);
                    if !hangs_up {
                        // However it ends.
                        let _ = io::copy(&mut stream, &mut io::sink());
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        silent
    }

    /// A route to it, and itself.
    fn behind(&self, name: &str, config: Config) -> Config {
        let upstream = format!("name: {name}\nendpoints: [\"http://{}\"]\nretries: 3", self.address);
        config.upstream_yaml(&upstream).route(&route(name, name, "scopes: []"))
    }
}

#[test]
fn a_body_of_which_the_upstream_read_a_part_has_spent_the_token() {
    let rude = Silent::start(true);
    let scene = Scene::new(|config| rude.behind("rude", config));
    for gateway in &scene.gateways {
        let token = scene.issuer.token("alice");
        let bearer = format!("Bearer {token}");
        let before = rude.begun.load(Ordering::SeqCst);
        let answer = gateway.client().request("POST", "/rude", &[("Authorization", &bearer)], &vec![b'x'; 1 << 20]);
        assert!([502, 503].contains(&answer.status), "{}", answer.status);
        assert_eq!(rude.begun.load(Ordering::SeqCst), before + 1, "a request with a claim is never sent again");
        assert_eq!(once(gateway, &token).status, 401, "the upstream went away in the middle");
    }
}

#[test]
fn a_body_of_which_the_client_sent_half_has_spent_the_token() {
    let patient = Silent::start(false);
    let scene = Scene::new(|config| patient.behind("patient", config));
    for gateway in &scene.gateways {
        let token = scene.issuer.token("alice");
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        let (begun, ended) = (count(&patient.begun), count(&patient.ended));
        let mut connection = gateway.client().connect().unwrap();
        let head = format!(
            "POST /patient HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\n"
        );
        connection.send(&[head.as_bytes(), &vec![b'x'; 50_000]].concat()).unwrap();
        until("the upstream gets the first bytes", || (count(&patient.begun) > begun).then_some(()));
        drop(connection);
        until("the upstream is told that no more will come", || (count(&patient.ended) > ended).then_some(()));
        for _ in 0..3 {
            assert_eq!(once(gateway, &token).status, 401, "the client went away in the middle");
        }
    }
}
