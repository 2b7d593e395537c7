//! Endpoints that die, freeze, dawdle, fall ill, move and come back: only what was in flight on them fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use common::{Authority, Config, Endpoint, Gateway, HOST, Issuer, Reply, Upstream, nss_wrapper, until};

/// Connections that ask at once.
const CLIENTS: usize = 4;

/// A gateway with a public route `/` and a one-time route `/once` to one upstream, described by `yaml`.
fn gateway(issuer: &Issuer, yaml: &str) -> Config {
    Config::new()
        .issuer(issuer)
        .upstream_yaml(&format!("name: pool\n{yaml}"))
        .route("name: open\nmatch: { path: \"/{*rest}\" }\nupstream: pool\naccess: public")
        .route("name: once\nmatch: { path: /once }\nupstream: pool\naccess: { issuers: [corp], replay: once }")
}

fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

fn endpoints(all: &[&Endpoint]) -> String {
    let urls: Vec<String> = all.iter().map(|endpoint| format!("\"{}\"", endpoint.url())).collect();
    format!("endpoints: [{}]\ntimeouts: {{ connect: 1s, read: 1s }}", urls.join(", "))
}

/// What the clients of a load got, by method.
#[derive(Default)]
struct Tally {
    answers: Mutex<Vec<(&'static str, u16, String)>>,
    served: AtomicUsize,
}

impl Tally {
    /// Statuses of `method` other than 200.
    fn failures(&self, method: &str) -> Vec<u16> {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|(by, status, _)| *by == method && *status != 200).map(|(_, status, _)| *status).collect()
    }

    fn forget(&self) {
        self.answers.lock().unwrap().clear();
    }

    /// Waits until `more` further requests were answered.
    fn until_served(&self, more: usize) {
        let goal = self.served.load(Ordering::Acquire) + more;
        until("the load goes on", || (self.served.load(Ordering::Acquire) >= goal).then_some(()));
    }

    /// Waits until `name` answers.
    fn until_answered_by(&self, name: &str) {
        self.forget();
        until(&format!("{name} answers"), || {
            self.answers.lock().unwrap().iter().any(|(_, _, body)| body == name).then_some(())
        });
    }
}

/// Runs `scene` while clients send GET and POST without a pause.
fn under_load(gateway: &Gateway, scene: impl FnOnce(&Tally)) {
    let (tally, done) = (Tally::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (tally, done) = (&tally, &done);
            let method = if client % 2 == 0 { "GET" } else { "POST" };
            scope.spawn(move || {
                let mut connection = None;
                while !done.load(Ordering::Acquire) {
                    let open = connection.get_or_insert_with(|| gateway.client().connect().unwrap());
                    let body: &[u8] = if method == "POST" { b"x" } else { b"" };
                    let answer = open.request(method, "/load", &[], body);
                    let answer = answer.unwrap_or_else(|fault| panic!("{method}: {fault}"));
                    if answer.header("Connection") == Some("close") {
                        connection = None;
                    }
                    tally.answers.lock().unwrap().push((method, answer.status, answer.text()));
                    tally.served.fetch_add(1, Ordering::Release);
                }
            });
        }
        let finish = Finish(&done);
        tally.until_served(20);
        scene(&tally);
        drop(finish);
    });
}

/// Ends the load, however the scene ends.
struct Finish<'d>(&'d AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_killed_endpoint_costs_only_what_was_in_flight_on_it() {
    let (mut a, b) = (Endpoint::start("a"), Endpoint::start("b"));
    let gateway = gateway(&issuer(), &endpoints(&[&a, &b])).start();
    under_load(&gateway, |tally| {
        tally.until_answered_by("a");
        tally.forget();
        a.kill();
        tally.until_served(200);
        assert_eq!(tally.failures("GET"), [0_u16; 0], "a GET whose answer had not begun is tried again");
        let lost = tally.failures("POST");
        assert!(lost.len() <= CLIENTS / 2, "more than what was in flight: {lost:?}");
        tally.forget();
        a.restart();
        tally.until_answered_by("a");
        tally.until_served(50);
        assert_eq!((tally.failures("GET"), tally.failures("POST")), (vec![], vec![]));
    });
}

#[test]
fn a_frozen_endpoint_costs_only_what_was_in_flight_on_it() {
    let (a, b) = (Endpoint::start("a"), Endpoint::start("b"));
    let gateway = gateway(&issuer(), &endpoints(&[&a, &b])).start();
    let left_out =
        || gateway.admin().metrics().gauge("tollgate_upstream_healthy", &[("endpoint", &a.address().to_string())]);
    under_load(&gateway, |tally| {
        tally.until_answered_by("a");
        tally.forget();
        a.signal("STOP");
        until("the frozen endpoint is left out", || (left_out() < 1.0).then_some(()));
        assert_eq!(tally.failures("GET"), [0_u16; 0]);
        assert!(tally.failures("POST").iter().all(|status| *status == 504));
        a.signal("CONT");
        tally.until_answered_by("a");
    });
}

#[test]
fn a_slow_endpoint_costs_only_what_was_in_flight_on_it() {
    let slow = std::sync::Arc::new(AtomicBool::new(false));
    let dawdles = std::sync::Arc::clone(&slow);
    let reply = |body: &str| Reply { status: 200, fields: vec![], body: body.into() };
    let a = Upstream::start_with(move |_| {
        if dawdles.load(Ordering::Acquire) {
            thread::sleep(Duration::from_secs(3));
        }
        reply("a")
    });
    let b = Upstream::start_with(move |_| reply("b"));
    let yaml = format!("endpoints: [\"{}\", \"{}\"]\ntimeouts: {{ connect: 1s, read: 1s }}", a.url(), b.url());
    let gateway = gateway(&issuer(), &yaml).start();
    let healthy = || {
        let labels = [("upstream", "pool"), ("endpoint", &a.address().to_string())];
        gateway.admin().metrics().gauge("tollgate_upstream_healthy", &labels)
    };
    under_load(&gateway, |tally| {
        tally.until_answered_by("a");
        tally.forget();
        slow.store(true, Ordering::Release);
        until("the slow endpoint is left out", || (healthy() < 1.0).then_some(()));
        assert_eq!(tally.failures("GET"), [0_u16; 0], "a GET whose answer had not begun is tried again");
        assert!(tally.failures("POST").iter().all(|status| *status == 504));
        slow.store(false, Ordering::Release);
        tally.until_answered_by("a");
    });
}

#[test]
fn a_reload_forgets_nothing_of_an_endpoint_that_stays() {
    let reply = |status, body: &str| Reply { status, fields: vec![], body: body.into() };
    let a = Upstream::start_with(move |request| if request.target == "/up" { reply(503, "") } else { reply(200, "a") });
    let b = Upstream::start_with(move |_| reply(200, "b"));
    let yaml = format!(
        "endpoints: [\"{}\", \"{}\"]\nhealth: {{ path: /up, interval: 200ms, unhealthy_after: 3 }}",
        a.url(),
        b.url()
    );
    let gateway = gateway(&issuer(), &yaml).start();
    let answers = || (0..4).map(|_| gateway.client().get("/x", None).text()).collect::<String>();
    until("a is found sick", || (answers() == "bbbb").then_some(()));
    for round in 0..4 {
        assert_eq!(gateway.admin().reload()["outcome"], "applied");
        assert_eq!(answers(), "bbbb", "reload {round}");
    }
}

#[test]
fn when_all_are_down_the_load_is_shed_and_no_token_is_spent() {
    let (mut a, mut b, issuer) = (Endpoint::start("a"), Endpoint::start("b"), issuer());
    let gateway = gateway(&issuer, &endpoints(&[&a, &b])).start();
    let once = |token: &str| gateway.client().get("/once", Some(token));
    until("the store vouches for new tokens", || (once(&issuer.token("probe")).status == 200).then_some(()));
    a.kill();
    b.kill();
    let token = issuer.token("alice");
    until("both are left out", || {
        let answer = once(&token);
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")), "{}", answer.text());
        let metrics = gateway.admin().metrics();
        (metrics.count("tollgate_upstream_healthy", &[("upstream", "pool")]) == 0).then_some(())
    });
    b.restart();
    until("the token is still good", || {
        let answer = once(&token);
        assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
        (answer.status == 200).then_some(())
    });
    let spent = once(&token);
    assert_eq!(spent.status, 401, "now it is spent: {}", spent.text());
    let metrics = gateway.admin().metrics();
    assert!(metrics.count("tollgate_denials_total", &[("reason", "upstream_unavailable")]) > 0);
    assert!(metrics.count("tollgate_upstream_errors_total", &[("upstream", "pool"), ("kind", "unreachable")]) > 0);
}

#[test]
fn a_one_time_request_that_was_sent_is_never_sent_again() {
    let (issuer, sent) = (issuer(), std::sync::Arc::new(AtomicUsize::new(0)));
    let seen = std::sync::Arc::clone(&sent);
    // Answers nothing: it closes the connection once it has read the request.
    let upstream = Upstream::start_with(move |request| {
        let first = request.target != "/once" || seen.fetch_add(1, Ordering::AcqRel) == 0;
        assert!(first, "the endpoint breaks down");
        Reply { status: 200, fields: vec![], body: vec![] }
    });
    let gateway = gateway(&issuer, &format!("endpoints: [\"{}\"]\nretries: 3", upstream.url())).start();
    let once = |token: &str| gateway.client().get("/once", Some(token)).status;
    until("the store vouches for new tokens", || (once(&issuer.token("probe")) != 401).then_some(()));
    let before = sent.load(Ordering::Acquire);
    let token = issuer.token("alice");
    assert_eq!(once(&token), 502);
    assert_eq!(sent.load(Ordering::Acquire), before + 1);
    assert_eq!(once(&token), 401, "a byte was sent, so the token is spent");
}

#[test]
fn a_one_time_request_is_sent_once_without_its_store_too() {
    let (issuer, mut redis) = (issuer(), common::Redis::start());
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let breaking = || {
        let sent = std::sync::Arc::clone(&sent);
        Upstream::start_with(move |_| {
            sent.fetch_add(1, Ordering::AcqRel);
            panic!("the endpoint breaks down")
        })
    };
    let upstreams = [breaking(), breaking()];
    let yaml = format!("endpoints: [\"{}\", \"{}\"]\nretries: 3", upstreams[0].url(), upstreams[1].url());
    let once = |policy: &str| {
        format!(
            "name: once-{policy}\nmatch: {{ path: /{policy} }}\nupstream: pool\n\
             access: {{ issuers: [corp], replay: once, on_loss: {policy} }}"
        )
    };
    let gateway = gateway(&issuer, &yaml).redis(&redis).route(&once("local")).route(&once("open")).start();
    redis.kill();
    for path in ["/local", "/open"] {
        let answer = gateway.client().get(path, Some(&issuer.token("alice")));
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        assert_eq!(sent.swap(0, Ordering::AcqRel), 1, "{path}");
    }
    assert_eq!(gateway.client().get("/other", None).status, 502);
    assert!(sent.load(Ordering::Acquire) > 1, "what spends nothing is tried elsewhere");
}

#[test]
fn an_endpoint_that_fails_its_health_checks_gets_no_requests() {
    let sick = std::sync::Arc::new(AtomicBool::new(false));
    let health = std::sync::Arc::clone(&sick);
    let reply = |status, body: &str| Reply { status, fields: vec![], body: body.into() };
    let a = Upstream::start_with(move |request| match request.target.as_str() {
        "/up" if health.load(Ordering::Acquire) => reply(503, ""),
        _ => reply(200, "a"),
    });
    let b = Upstream::start_with(move |_| reply(200, "b"));
    let yaml = format!(
        "endpoints: [\"{}\", \"{}\"]\nhealth: {{ path: /up, interval: 50ms, unhealthy_after: 2, healthy_after: 2 }}",
        a.url(),
        b.url()
    );
    let gateway = gateway(&issuer(), &yaml).start();
    let healthy = || {
        let labels = [("upstream", "pool"), ("endpoint", &a.address().to_string())];
        gateway.admin().metrics().gauge("tollgate_upstream_healthy", &labels)
    };
    let answers = || (0..6).map(|_| gateway.client().get("/x", None).text()).collect::<String>();
    assert_eq!(answers().matches('a').count(), 3, "in turn");
    sick.store(true, Ordering::Release);
    until("it is found sick", || (healthy() < 1.0).then_some(()));
    assert_eq!(answers(), "bbbbbb");
    sick.store(false, Ordering::Release);
    until("it is found well", || (healthy() > 0.0).then_some(()));
    assert_eq!(answers().matches('a').count(), 3);
    let check = a.requests().into_iter().find(|request| request.target == "/up").unwrap();
    assert_eq!((check.method.as_str(), check.values("Host")), ("GET", vec![a.address().to_string()]));
}

#[test]
fn a_subject_goes_to_one_endpoint_as_long_as_that_is_well() {
    let (mut all, issuer) = ([Endpoint::start("a"), Endpoint::start("b"), Endpoint::start("c")], issuer());
    let yaml = format!("{}\nbalance: hash_subject", endpoints(&[&all[0], &all[1], &all[2]]));
    let config = Config::new().issuer(&issuer).upstream_yaml(&format!("name: pool\n{yaml}"));
    let gateway =
        config.route("name: mine\nmatch: { path: /mine }\nupstream: pool\naccess: { issuers: [corp] }").start();
    let place = |subject: &str| gateway.client().get("/mine", Some(&issuer.token(subject))).text();
    let first = place("alice");
    assert!((0..5).all(|_| place("alice") == first));
    let places: std::collections::BTreeSet<String> = (0..30).map(|n| place(&format!("user-{n}"))).collect();
    assert_eq!(places.len(), 3, "many subjects go to all endpoints");
    all.iter_mut().find(|endpoint| name(endpoint) == first).unwrap().kill();
    assert_ne!(place("alice"), first);
}

fn name(endpoint: &Endpoint) -> String {
    common::Client::plain(endpoint.address(), "x").get("/", None).text()
}

/// Servers whose certificates are for `pool.internal`, and that want to see one of ours.
struct Secured {
    directory: tempfile::TempDir,
    servers: Authority,
    ours: Authority,
}

impl Secured {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            servers: Authority::new("Servers"),
            ours: Authority::new("Ours"),
        }
    }

    fn start(&self, max_version: &str) -> Endpoint {
        let files = self.servers.write(self.directory.path(), "server", &["pool.internal"]);
        let ca = self.directory.path().join("ours.pem");
        fs::write(&ca, self.ours.pem()).unwrap();
        Endpoint::start_tls("secured", &files.chain, &files.key, &ca, max_version)
    }

    /// What a client is answered by a gateway that believes `authority`, and speaks TLS as `tls` has it.
    fn status(&self, endpoint: &Endpoint, authority: &Authority, tls: &str) -> u16 {
        let address = endpoint.address();
        let yaml = format!("endpoints: [\"https://{address}\"]\ntls: {{ ca: servers.pem, {tls} }}");
        let config = gateway(&issuer(), &yaml).file("servers.pem", authority.pem());
        self.ours.write(config.directory(), "ours", &["gateway.internal"]);
        config.start().client().get("/x", None).status
    }
}

const OURS: &str = "client_certificate: { chain: ours.pem, key: \"file:ours.key\" }";

#[test]
fn an_upstream_sees_our_certificate_and_is_refused_below_its_lowest_version() {
    let secured = Secured::new();
    for (max_version, min_version, certificate, expected) in
        [("1.3", "1.3", OURS, 200), ("1.2", "1.2", OURS, 200), ("1.2", "1.3", OURS, 502), ("1.3", "1.2", "", 502)]
    {
        let tls = format!("server_name: pool.internal, min_version: \"{min_version}\", {certificate}");
        let status = secured.status(&secured.start(max_version), &secured.servers, &tls);
        assert_eq!(status, expected, "{max_version} {tls}");
    }
}

#[test]
fn an_upstream_that_shows_no_certificate_of_its_own_hears_nothing() {
    let secured = Secured::new();
    let (endpoint, strangers) = (secured.start("1.3"), Authority::new("Servers"));
    for (authority, name, expected) in [
        (&secured.servers, "pool.internal", 200),
        (&secured.servers, "other.internal", 502),
        (&strangers, "pool.internal", 502),
    ] {
        let status = secured.status(&endpoint, authority, &format!("server_name: {name}, {OURS}"));
        assert_eq!(status, expected, "{name}");
    }
}

/// The system's resolver reads names from a file of the scene, by cwrap's nss_wrapper: the gateway is as it always is.
struct Names {
    file: PathBuf,
    written: u64,
}

impl Names {
    fn new(config: Config) -> (Self, Config) {
        let file = config.directory().join("hosts");
        let config = config
            .environment("LD_PRELOAD", &nss_wrapper().display().to_string())
            .environment("NSS_WRAPPER_HOSTS", &file.display().to_string());
        (Self { file, written: 0 }, config)
    }

    /// Lets `name` stand for `addresses` from now on.
    fn set(&mut self, name: &str, addresses: &[&str]) {
        let mut file = fs::File::create(&self.file).unwrap();
        for address in addresses {
            writeln!(file, "{address} {name}").unwrap();
        }
        // The library reads it again when its time has changed, which it sees by the second.
        self.written += 10;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(self.written)).unwrap();
    }
}

#[test]
fn a_name_that_moves_is_followed() {
    let port = common::ports::free().port();
    let at = |ip: &str, name: &str| Endpoint::start_at(name, SocketAddr::new(ip.parse().unwrap(), port));
    let _all = [at("127.0.0.2", "two"), at("127.0.0.3", "three"), at("127.0.0.4", "four")];
    let yaml = format!("endpoints: [\"http://pool.test:{port}\"]\nresolve: 100ms");
    let (mut names, config) = Names::new(gateway(&issuer(), &yaml));
    names.set("pool.test", &["127.0.0.2", "127.0.0.3"]);
    let gateway = config.start();
    let answers = || {
        let answers: std::collections::BTreeSet<String> =
            (0..6).map(|_| gateway.client().get("/x", None).text()).collect();
        answers.into_iter().collect::<Vec<_>>().join(" ")
    };
    until("both addresses of the name are used", || (answers() == "three two").then_some(()));
    names.set("pool.test", &["127.0.0.4"]);
    until("the new address is used alone", || (answers() == "four").then_some(()));
    names.set("other.test", &["127.0.0.2"]);
    until("a look-up has failed", || gateway.log().contains("can't be resolved").then_some(()));
    assert_eq!(answers(), "four", "an outage of DNS is none of the upstream");
    let host = gateway.client().get("/x", None);
    assert_eq!((host.status, HOST), (200, "api.example.test"));
}
