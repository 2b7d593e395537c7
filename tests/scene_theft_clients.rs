//! Foreign programs on both sides: an OpenID Certified authorization server issues bound tokens, three OAuth libraries
//! get them and call through two replicas behind one balancer, with all their nonces and certificates.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::certs::Authority;
use common::oauth::{AuthorizationServer, CALLERS, Errand, Told};
use common::{Balancer, Client, Config, DpopClient, Gateway, Issuer, Redis, Shared, Upstream, ports, reason, until};
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

const AUDIENCE: &str = "https://api.example.test";
const PATH: &str = "/orders/17";
const CALLS: usize = 6;

/// The world: an issuer, a Redis, two replicas, a balancer, an upstream, and authorities for servers and for clients.
struct World {
    directory: TempDir,
    clients: Authority,
    server: AuthorizationServer,
    replicas: [Gateway; 2],
    balancer: Balancer,
    upstream: Upstream,
    _redis: Redis,
}

static WORLD: Shared<World> = Shared::new();
/// One scene at a time: connections go to the replicas by turns, and a second scene's would take every other turn.
static TURN: Mutex<()> = Mutex::new(());

fn world() -> Arc<World> {
    WORLD.get(|| {
        let directory = tempfile::tempdir().unwrap();
        let (servers, clients) = (Authority::new("Servers"), Authority::new("Clients"));
        let server = AuthorizationServer::start(directory.path(), &servers, &clients, AUDIENCE);
        let (redis, upstream, local) = (Redis::start(), Upstream::start(), local_issuer());
        let front = ports::free();
        let public = format!("public: {{ scheme: https, port: {} }}", front.port());
        let replica = || config(&server, &local, &upstream, &clients).redis(&redis).listener(&public);
        let start = || replica().vouched_by(&servers).start();
        let replicas = [start(), start()];
        let balancer = Balancer::start(front, replicas.iter().map(Gateway::https_address).collect());
        std::fs::write(directory.path().join("servers.pem"), servers.pem()).unwrap();
        let world = World { directory, clients, server, replicas, balancer, upstream, _redis: redis };
        world.until_proofs_are_believed(&local);
        world
    })
}

/// An issuer whose keys are here, to find out when the store vouches for proofs.
fn local_issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 1s")
}

fn config(server: &AuthorizationServer, local: &Issuer, upstream: &Upstream, clients: &Authority) -> Config {
    let route = |name: &str, access: &str| {
        format!(
            "name: {name}\nmatch: {{ hosts: [api.example.test], path: \"/{name}/{{id}}\" }}\nupstream: echo\n\
             access: {{ issuers: [op, corp], {access} }}\nidentity: {{ headers: {{ X-Client: {{ claim: client_id }} }} }}"
        )
    };
    Config::new()
        .client_certificates("optional", clients, "")
        .file("op.jwks.json", server.jwks.to_string())
        .issuer_yaml(&server.yaml("op", AUDIENCE))
        .issuer(local)
        .upstream("echo", upstream)
        .route(&route("orders", "binding: dpop, dpop: { nonce: required }"))
        .route(&route("certified", "binding: mtls, scopes: [orders:read]"))
        .file("nonce.key", "a key of the scene that both replicas have")
        .block(
            "server: { threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, \
             dpop_nonce_key: \"file:nonce.key\" }",
        )
}

impl World {
    fn until_proofs_are_believed(&self, issuer: &Issuer) {
        let (client, port) = (DpopClient::new(), self.balancer.address().port());
        let token = client.token(issuer, "probe");
        for replica in &self.replicas {
            until("the store vouches for new proofs", || {
                let mut claims = DpopClient::claims(port, PATH, &token);
                let authorization = format!("DPoP {token}");
                let send = |claims: &serde_json::Value| {
                    let proof = client.sign(claims);
                    let fields = [("Authorization", authorization.as_str()), ("DPoP", proof.as_str())];
                    replica.client().request("GET", PATH, &fields, b"")
                };
                claims["nonce"] = send(&claims).header("DPoP-Nonce").unwrap().into();
                (send(&claims).status == 200).then_some(())
            });
        }
        self.upstream.take();
    }

    fn errand(&self, client: &'static str, path: &str, certificate: Option<(PathBuf, PathBuf)>) -> Errand<'_> {
        Errand {
            issuer: &self.server,
            client,
            certificate,
            authorities: self.directory.path().join("servers.pem"),
            url: format!("https://api.example.test:{}{path}", self.balancer.address().port()),
            calls: CALLS,
        }
    }

    /// How many requests each replica has let through on `route`.
    fn allowed(&self, route: &str) -> [u64; 2] {
        let count = |replica: &Gateway| {
            let labels = [("route", route), ("outcome", "allowed")];
            replica.admin().metrics().count("tollgate_requests_total", &labels)
        };
        [count(&self.replicas[0]), count(&self.replicas[1])]
    }

    /// Both replicas have let something through since `before`: a request is counted once it is over.
    fn assert_both_served(&self, route: &str, before: [u64; 2]) {
        until("both replicas served", || {
            let now = self.allowed(route);
            now.iter().zip(before).all(|(now, before)| *now > before).then_some(())
        });
    }

    /// A client of `replica` with this certificate, or none.
    fn direct(replica: &Gateway, identity: Option<&(X509, PKey<Private>)>) -> Client {
        let client = replica.client();
        identity.map_or_else(|| client.clone(), |identity| client.clone().certificate(identity))
    }
}

fn assert_all_passed(library: &str, told: &Told) {
    assert_eq!(told.answers.len(), CALLS, "{library}");
    for (status, body) in &told.answers {
        assert_eq!(*status, 200, "{library}: {body}");
    }
}

#[test]
fn libraries_prove_possession_through_two_replicas_nonce_dance_included() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let world = world();
    for library in CALLERS {
        let before = world.allowed("orders");
        let told = world.errand("prover", PATH, None).run(library);
        assert_all_passed(library, &told);
        world.assert_both_served("orders", before);
        for seen in world.upstream.take().iter().filter(|seen| seen.target == PATH) {
            assert_eq!(seen.values("X-Client"), ["prover"], "{library}");
            assert!(seen.spellings("DPoP").is_empty() && seen.spellings("Authorization").is_empty(), "{library}");
        }
        // The same token without the library's key.
        for replica in &world.replicas {
            let stolen = replica.client().get(PATH, Some(&told.token));
            assert_eq!((stolen.status, reason(replica, &stolen).as_str()), (401, "binding_missing"), "{library}");
        }
    }
    let danced = |replica: &Gateway| {
        replica.admin().metrics().count("tollgate_denials_total", &[("reason", "nonce_required"), ("issuer", "op")])
    };
    assert!(world.replicas.iter().map(danced).sum::<u64>() >= 3, "each library was asked for a nonce");
}

#[test]
fn libraries_use_certificate_bound_tokens_through_two_replicas() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let world = world();
    let path = "/certified/17";
    let thief = world.clients.issue(&["thief"]);
    for library in CALLERS {
        let files = world.clients.write(world.directory.path(), library, &["owner"]);
        let before = world.allowed("certified");
        let told = world.errand("certified", path, Some((files.chain.clone(), files.key.clone()))).run(library);
        assert_all_passed(library, &told);
        world.assert_both_served("certified", before);
        let owner = (
            X509::from_pem(&std::fs::read(&files.chain).unwrap()).unwrap(),
            PKey::private_key_from_pem(&std::fs::read(&files.key).unwrap()).unwrap(),
        );
        for replica in &world.replicas {
            let get = |identity| World::direct(replica, identity).get(path, Some(&told.token));
            assert_eq!(get(Some(&owner)).status, 200, "{library}");
            let (wrong, none) = (get(Some(&thief)), get(None));
            assert_eq!((wrong.status, reason(replica, &wrong).as_str()), (401, "binding_mismatch"), "{library}");
            assert_eq!((none.status, reason(replica, &none).as_str()), (401, "binding_missing"), "{library}");
        }
    }
}
