//! Everybody who takes part, running.

use crate::bare;
use crate::common::process::Process;
use crate::common::{Config, DpopClient, Gateway, Issuer, Redis, ports, unix_now, until};
use crate::peers::{self, Peer, Place};
use crate::tokens::Sealer;
use crate::usage;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tempfile::TempDir;
use tollgate::clock::Stopwatch;
use tollgate::jose::KeyAlgorithm;

/// Routes of the main gateway, besides those that are driven.
const MORE_ROUTES: usize = 94;

/// The contestants, and those who make tokens for them. Dropped, everything is stopped.
pub struct World {
    /// Believed by everybody.
    pub corp: Issuer,
    /// Makes nested tokens that are sealed with a shared secret.
    pub dir: Issuer,
    /// The secret.
    pub dir_sealer: Sealer,
    /// Makes nested tokens that are sealed to an RSA key.
    pub rsa: Issuer,
    /// The RSA key.
    pub rsa_sealer: Sealer,
    /// Holds the key that tokens are bound to.
    pub client: DpopClient,
    /// The measure.
    pub bare: Bare,
    /// Embedded store, no access log.
    pub gateway: Gateway,
    /// Redis as its store.
    pub shared: Gateway,
    /// With its access log, which is on unless it is turned off.
    pub logged: Gateway,
    /// nginx, checking nothing.
    pub nginx: Peer,
    /// nginx, asking another service that checks nothing.
    pub nginx_auth: Peer,
    /// HAProxy.
    pub haproxy: Peer,
    /// Envoy.
    pub envoy: Peer,
    /// Envoy with its cache of tokens.
    pub envoy_cache: Peer,
    /// From the start of the main gateway's process to its readiness.
    ready_after: Duration,
    /// Its memory before the first request, in MiB.
    memory_before: f64,
    /// The store of the gateways that share one.
    pub redis: Redis,
    upstream: Peer,
    _directory: TempDir,
}

/// The bare proxy.
pub struct Bare {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// What is not measured by requests.
pub struct Rest {
    /// From the start of a gateway with a hundred routes to its readiness.
    pub ready_after: Duration,
    /// Its memory before the first request, in MiB.
    pub memory_before: f64,
    /// Its memory after everything, in MiB.
    pub memory_after: f64,
}

impl World {
    /// Starts everybody.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { directory: directory.path(), upstream: ports::free() };
        let upstream = peers::upstream(&place);
        // A store that is new can't tell of tokens that are older than itself, by as much as clocks may differ.
        let (corp, dir, rsa) =
            (Issuer::new("corp", "ES256").with("leeway: 0s"), Issuer::new("dir", "ES256"), Issuer::new("rsa", "ES256"));
        let (dir_sealer, rsa_sealer) = (Sealer::new(KeyAlgorithm::Dir), Sealer::new(KeyAlgorithm::RsaOaep256));
        let issuers = [(&dir, &dir_sealer, "dir"), (&rsa, &rsa_sealer, "RSA-OAEP-256")];
        let redis = Redis::start();
        let base = || config(&corp, &issuers, place.upstream);
        let quiet = || base().block(QUIET);
        let many = (0..MORE_ROUTES).fold(quiet(), filler);
        many.authority().write(directory.path(), "edge", &[crate::common::HOST]);
        let watch = Stopwatch::start();
        let gateway = many.start();
        let ready_after = watch.elapsed();
        let (shared, logged) = (quiet().redis(&redis).start(), base().start());
        let started = unix_now();
        until("tokens are younger than the stores", || (unix_now() > started + 1).then_some(()));
        Self {
            bare: start_bare(&place),
            memory_before: usage::resident_mib(gateway.pid()),
            ready_after,
            shared,
            logged,
            nginx: peers::nginx_proxy(&place),
            nginx_auth: peers::nginx_auth_request(&place),
            haproxy: peers::haproxy(&place, &corp),
            envoy: peers::envoy(&place, &corp, false),
            envoy_cache: peers::envoy(&place, &corp, true),
            client: DpopClient::new(),
            gateway,
            corp,
            dir,
            dir_sealer,
            rsa,
            rsa_sealer,
            redis,
            upstream,
            _directory: directory,
        }
    }

    /// One gateway more in front of the shared store.
    pub fn replica(&self) -> Gateway {
        let issuers = [(&self.dir, &self.dir_sealer, "dir"), (&self.rsa, &self.rsa_sealer, "RSA-OAEP-256")];
        config(&self.corp, &issuers, self.upstream.address).block(QUIET).redis(&self.redis).start()
    }

    /// What is not measured by requests.
    pub fn rest(&self) -> Rest {
        let memory_after = usage::resident_mib(self.gateway.pid());
        Rest { ready_after: self.ready_after, memory_before: self.memory_before, memory_after }
    }
}

/// No line for each request.
const QUIET: &str = "telemetry: { log: { level: warn } }";
/// One thread, as every contestant has.
const SERVER: &str = "server: { threads: 1, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s }";

fn start_bare(place: &Place<'_>) -> Bare {
    let address = ports::free();
    let (chain, key) = (place.directory.join("edge.pem"), place.directory.join("edge.key"));
    let process = Process::start(&mut bare::command(address, place.upstream, &chain, &key));
    until("the bare proxy listens", || TcpStream::connect(address).ok());
    Bare { process, address }
}

/// What every gateway has: its issuers, `corp` and those of nested tokens, and the routes that are driven.
fn config(corp: &Issuer, issuers: &[(&Issuer, &Sealer, &str)], upstream: SocketAddr) -> Config {
    let config = Config::new().issuer(corp);
    let config = issuers.iter().fold(config, |config, (issuer, sealer, name)| nested(config, issuer, sealer, name));
    routes(config, upstream).block(SERVER)
}

fn nested(config: Config, issuer: &Issuer, sealer: &Sealer, algorithm: &str) -> Config {
    let (name, iss, audience, file) = (&issuer.name, &issuer.iss, &issuer.audience, issuer.key_file());
    let text = format!(
        "name: {name}\nissuer: {iss}\naudiences: [{audience}]\nkeys: {{ jwks_file: {} }}\ntoken:\n  form: nested\n  \
         signing_algorithms: [ES256]\n  key_algorithms: [{algorithm}]\n  content_encryptions: [A256GCM]\n  \
         decryption_keys: file:{name}.private.json\n  max_lifetime: 15m",
        file.0
    );
    let private = sealer.private.to_string();
    config.file(&file.0, file.1).file(&format!("{name}.private.json"), private).issuer_yaml(&text)
}

/// The routes that are driven: one a case, and one public one.
fn routes(config: Config, upstream: SocketAddr) -> Config {
    let config = config.upstream_yaml(&format!("name: legacy\nendpoints: [\"http://{upstream}\"]"));
    let route = |config: Config, name: &str, access: &str| {
        config.route(&format!(
            "name: {name}\nmatch: {{ hosts: [{host}], path: \"/{name}/{{id}}\" }}\nupstream: legacy\n\
             access: {{ {access} }}\nidentity: {{ headers: {{ X-User-Id: {{ claim: sub }} }} }}",
            host = crate::common::HOST
        ))
    };
    let config = route(config, "free", "issuers: [corp], scopes: [\"orders:read\"]");
    let config = route(config, "once", "issuers: [corp], scopes: [\"orders:read\"], replay: once");
    let config = route(config, "dir", "issuers: [dir], scopes: [\"orders:read\"]");
    let config = route(config, "rsa", "issuers: [rsa], scopes: [\"orders:read\"]");
    let config = route(config, "bound", "issuers: [corp], scopes: [\"orders:read\"], binding: dpop");
    config.route("name: public\nmatch: { path: /public }\nupstream: legacy\naccess: public")
}

fn filler(config: Config, number: usize) -> Config {
    config.route(&format!(
        "name: more-{number}\nmatch: {{ path: \"/more-{number}/{{id}}/items\", methods: [GET, POST] }}\nupstream: legacy\n\
         access: {{ issuers: [corp], scopes: [\"more:{number}\"] }}"
    ))
}
