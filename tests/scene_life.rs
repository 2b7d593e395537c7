//! The life of a gateway: it tells balancers and the service manager how it is, drains when told to end, and hands its
//! sockets over without anybody noticing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{
    Config, Gateway, HOST, Issuer, Process, Redis, Reply, Upstream, nss_wrapper, peer, repository_file, until,
};
use serde_json::{Value, json};

const HEALTH: &str = "/.tollgate/healthz";

fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

fn config(issuer: &Issuer, upstream: &Upstream) -> Config {
    Config::new()
        .issuer(issuer)
        .upstream("far", upstream)
        .route("name: again\nmatch: { path: \"/{*rest}\" }\nupstream: far\naccess: { issuers: [corp] }")
        .route("name: once\nmatch: { path: /once }\nupstream: far\naccess: { issuers: [corp], replay: once }")
}

/// Connections of an old process are kept here, some without a request yet: a busy machine must not have them cut.
fn server(settings: &str) -> String {
    format!("server: {{ threads: 2, runtime_dir: run, shutdown_grace: 2m, header_timeout: 2m, {settings} }}")
}

/// An upstream that answers `/slow` when it is told to.
#[derive(Default)]
struct Slow {
    arrived: AtomicBool,
    go: AtomicBool,
}

impl Slow {
    fn start() -> (Upstream, Arc<Self>) {
        let slow = Arc::new(Self::default());
        let told = Arc::clone(&slow);
        let upstream = Upstream::start_with(move |request| {
            if request.target == "/slow" {
                told.arrived.store(true, Ordering::Release);
                until("the slow request may be answered", || told.go.load(Ordering::Acquire).then_some(()));
            }
            Reply { status: 200, fields: vec![], body: b"done".to_vec() }
        });
        (upstream, slow)
    }
}

/// wrk with 200 connections, which ask one after the other as fast as they are answered.
struct Load(Process);

impl Load {
    fn start(gateway: &Gateway, token: &str) -> Self {
        let hosts = gateway.directory().join("hosts");
        fs::write(&hosts, format!("127.0.0.1 {HOST}\n")).unwrap();
        let mut command = Command::new("wrk");
        command.args(["-t", "2", "-c", "200", "-d", "300s", "--timeout", "30s", "-H"]);
        command.arg(format!("Authorization: Bearer {token}"));
        command.arg(format!("https://{HOST}:{}/load", gateway.https_address().port()));
        command.env("LD_PRELOAD", nss_wrapper()).env("NSS_WRAPPER_HOSTS", &hosts).stdout(Stdio::piped());
        Self(Process::start(&mut command))
    }

    /// Ends it, and gives its report.
    fn end(mut self) -> String {
        self.0.signal("INT");
        let mut report = String::new();
        self.0.child().stdout.take().unwrap().read_to_string(&mut report).unwrap();
        assert!(self.0.wait("wrk ends").success(), "{report}");
        report
    }
}

/// Node.js with twenty connections over HTTP/2, each with five streams, which ask as fast as they are answered.
struct Http2Load(Process);

impl Http2Load {
    fn start(gateway: &Gateway, token: &str) -> Self {
        let ca = gateway.directory().join("ca.pem");
        fs::write(&ca, gateway.authority().pem()).unwrap();
        let url = format!("https://{HOST}:{}/over-http2", gateway.https_address().port());
        let order = json!({ "url": url, "token": token, "connections": 20, "streams": 5, "ca": ca });
        let mut command = Command::new(peer("bin/node"));
        command.arg(repository_file("tests/peers/h2_load.mjs")).arg(order.to_string()).stdout(Stdio::piped());
        Self(Process::start(&mut command))
    }

    /// Ends it, and gives its report.
    fn end(mut self) -> Value {
        self.0.signal("INT");
        let mut report = String::new();
        self.0.child().stdout.take().unwrap().read_to_string(&mut report).unwrap();
        assert!(self.0.wait("the load ends").success(), "{report}");
        serde_json::from_str(&report).unwrap()
    }
}

#[test]
fn told_to_end_it_turns_balancers_away_then_drains() {
    let (issuer, (upstream, slow)) = (issuer(), Slow::start());
    let mut gateway = config(&issuer, &upstream).block(&server("drain_delay: 2s")).start();
    for client in [gateway.client(), gateway.plain_client(), gateway.client().host("10.0.0.1")] {
        let answer = client.server_name(None).get(HEALTH, None);
        assert_eq!(answer.status, 200);
        assert!(answer.header("X-Request-Id").is_some());
    }
    assert_eq!(gateway.client().request("POST", HEALTH, &[], b"").status, 401, "only GET is asked");

    let token = issuer.token("alice");
    let in_flight = {
        let (client, token) = (gateway.client(), token.clone());
        thread::spawn(move || client.get("/slow", Some(&token)))
    };
    until("the slow request is at the upstream", || slow.arrived.load(Ordering::Acquire).then_some(()));
    gateway.signal("TERM");
    // Still during the delay: the listeners are open, and say that nobody new is wanted.
    until("balancers are turned away", || (gateway.client().get(HEALTH, None).status == 503).then_some(()));
    assert_eq!((gateway.plain_client().get(HEALTH, None).status, gateway.admin().status("/readyz")), (503, Some(503)));
    let late = gateway.client().get("/late", Some(&token));
    assert_eq!((late.status, late.header("Connection")), (200, Some("close")), "served, for the last time");
    until("nobody new is accepted", || gateway.client().connect().err());
    slow.go.store(true, Ordering::Release);
    let answer = in_flight.join().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"), "what was in flight is answered");
    assert!(gateway.stop().success());
}

#[test]
fn the_service_manager_is_told() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut gateway = config(&issuer, &upstream).environment("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    let mut buffer = [0; 200];
    let mut heard = || {
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1\n");
    gateway.signal("HUP");
    let reloading = heard();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(heard(), "READY=1\n");
    let mut old = gateway.upgrade();
    // The process that is watched says who comes after it: nobody else may be believed.
    assert_eq!(heard(), format!("MAINPID={}\n", gateway.pid()));
    assert_eq!(heard(), "READY=1\n");
    assert!(old.wait("the old process ends").success());
    gateway.stop();
    assert_eq!(heard(), "STOPPING=1\n");
}

#[test]
fn upgrades_and_reloads_under_load_fail_no_request() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let mut gateway = config(&issuer, &upstream).block(&server("drain_delay: 0s")).start();
    let token = issuer.token("alice");
    let (load, over_http2) = (Load::start(&gateway, &token), Http2Load::start(&gateway, &token));
    let served = |gateway: &Gateway| {
        gateway.admin().metrics().count("tollgate_requests_total", &[("route", "again"), ("outcome", "allowed")])
    };
    let until_served = |gateway: &Gateway, what: &str| until(what, || (served(gateway) > 200).then_some(()));
    until_served(&gateway, "the first process is under load");
    for generation in 2..5 {
        gateway.rewrite(|text| format!("{text}# {generation}\n"));
        // The change may have been seen before the order came, which is then one reload more.
        let report = gateway.admin().reload();
        assert!(report["outcome"] == "applied" && report["generation"].as_u64() >= Some(generation), "{report}");
    }
    let mut first = gateway.upgrade();
    until_served(&gateway, "the second process is under load");
    assert_eq!(gateway.admin().reload()["outcome"], "applied");
    let mut second = gateway.upgrade();
    until_served(&gateway, "the third process is under load");
    for (name, old) in [("first", &mut first), ("second", &mut second)] {
        assert!(old.wait(&format!("the {name} process ends")).success());
    }
    let (report, over_http2) = (load.end(), over_http2.end());
    let processed = upstream.requests().iter().filter(|request| request.target == "/over-http2").count();
    assert!(over_http2["failed"] == 0, "{over_http2}");
    assert_eq!(over_http2["answered"], processed, "what was refused had not been begun: {over_http2}");
    assert!(over_http2["opened"].as_u64().unwrap() >= 60, "each process closed its connections: {over_http2}");
    assert!(report.contains("requests in"), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
}

#[test]
fn no_one_time_token_is_accepted_by_both_processes() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let mut gateway = config(&issuer, &upstream).block(&server("drain_delay: 0s")).start();
    let once = |gateway: &Gateway, token: &str| gateway.client().get("/once", Some(token)).status;
    until("the first memory vouches for new tokens", || (once(&gateway, &issuer.token("probe")) == 200).then_some(()));
    let mut kept: Vec<_> = (0..40).map(|_| gateway.client().connect().unwrap()).collect();
    let (spent, unspent) = (issuer.token("spent"), issuer.token("unspent"));
    assert_eq!(once(&gateway, &spent), 200);

    let mut old = gateway.upgrade();
    assert_eq!((once(&gateway, &spent), once(&gateway, &unspent)), (401, 401), "older than the new memory");
    // The old process still serves the connections it has: each gets one more answer.
    let answer = kept.pop().unwrap().get("/once", Some(&unspent)).unwrap();
    assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")), "the old memory vouches for it");
    let (mut by_old, mut by_new) = (0, 0);
    while let Some(mut connection) = kept.pop() {
        let token = issuer.token("new");
        let first = connection.get("/once", Some(&token)).unwrap().status;
        let second = once(&gateway, &token);
        assert!(first != 200 || second != 200, "one token was accepted twice");
        by_old += usize::from(first == 200);
        by_new += usize::from(second == 200);
        if kept.len() == 1 && by_new == 0 {
            until("the new memory vouches for new tokens", || {
                by_new += usize::from(once(&gateway, &issuer.token("probe")) == 200);
                (by_new > 0).then_some(())
            });
        }
    }
    assert!(by_new > 0, "{by_old} by the old process alone");
    assert!(old.wait("the old process ends").success());
}

#[test]
fn what_is_revoked_on_either_side_of_an_upgrade_is_revoked_on_both() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let config = config(&issuer, &upstream).store("embedded: {}\nrevocations_file: revoked.list");
    let mut gateway = config.block(&server("drain_delay: 0s")).start();
    let token = |id: &str| issuer.token_with_id(id).0;
    let revoke = |gateway: &Gateway, id: &str| gateway.admin().revoke("corp", id, issuer.token_with_id(id).1);
    let get = |gateway: &Gateway, id: &str| gateway.client().get("/again", Some(&token(id))).status;
    let mut kept: Vec<_> = (0..60).map(|_| gateway.client().connect().unwrap()).collect();
    revoke(&gateway, "before");
    assert_eq!((get(&gateway, "before"), get(&gateway, "after")), (401, 200));
    let _old = gateway.upgrade();
    assert_eq!((get(&gateway, "before"), get(&gateway, "after")), (401, 200));
    revoke(&gateway, "after");
    assert_eq!((get(&gateway, "before"), get(&gateway, "after")), (401, 401));
    until("the old process knows it too", || {
        // Each has one answer left: a few a second are enough to see it.
        thread::sleep(Duration::from_millis(250));
        let mut connection = kept.pop().expect("a connection of the old process");
        (connection.get("/again", Some(&token("after"))).unwrap().status == 401).then_some(())
    });
}

#[test]
fn processes_with_a_shared_store_share_its_memory() {
    let (issuer, upstream, redis) = (issuer(), Upstream::start(), Redis::start());
    let mut gateway = config(&issuer, &upstream).redis(&redis).block(&server("drain_delay: 0s")).start();
    let once = |gateway: &Gateway, token: &str| gateway.client().get("/once", Some(token)).status;
    until("the store vouches for new tokens", || (once(&gateway, &issuer.token("probe")) == 200).then_some(()));
    let mut kept: Vec<_> = (0..2).map(|_| gateway.client().connect().unwrap()).collect();
    let (spent, unspent, last) = (issuer.token("spent"), issuer.token("unspent"), issuer.token("last"));
    assert_eq!(once(&gateway, &spent), 200);
    let _old = gateway.upgrade();
    assert_eq!((once(&gateway, &spent), once(&gateway, &unspent)), (401, 200));
    let mut by_old = |token: &str| kept.pop().unwrap().get("/once", Some(token)).unwrap().status;
    assert_eq!((by_old(&unspent), by_old(&last)), (401, 200));
    assert_eq!(once(&gateway, &last), 401);
}

#[test]
fn only_its_own_user_may_take_over_and_only_from_somebody() {
    let (issuer, upstream) = (issuer(), Upstream::start());
    let mut gateway = config(&issuer, &upstream).start();
    let socket = gateway.directory().join("run/upgrade.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    gateway.stop();
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["run", "-c", "gateway.yaml", "--upgrade"])
        .current_dir(gateway.directory())
        .env("TOLLGATE_ADMIN_TOKEN", "admin-token-of-the-scenes-0123456789abcdef")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("can't take over from the process that serves"), "{message}");
}
