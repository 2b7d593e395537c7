//! The configuration changes under a running gateway: by command, by signal, by a changed file; and when the new one is
//! broken, nothing changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use common::config::ADMIN_TOKEN;
use common::{Authority, Client, Config, Gateway, Issuer, Reply, Upstream, until};
use serde_json::{Value, json};

/// Requests that are in flight while the configuration changes.
const IN_FLIGHT: usize = 200;

/// An upstream that holds requests for `/held/…` until it is told to let them go.
struct Held {
    upstream: Upstream,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    arrived: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Held {
    fn start() -> Self {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        let upstream = Upstream::start_with(move |request| {
            if request.target.starts_with("/held/") {
                held.arrived.fetch_add(1, Ordering::AcqRel);
                drop(held.opened.wait_while(held.open.lock().unwrap(), |open| !*open).unwrap());
            }
            Reply::json(200, &json!({ "by": "the old one" }))
        });
        Self { upstream, gate }
    }

    fn arrived(&self) -> usize {
        self.gate.arrived.load(Ordering::Acquire)
    }

    fn let_go(&self) {
        *self.gate.open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }
}

fn scene(issuer: &Issuer, upstream: &Upstream) -> Config {
    let url = upstream.url();
    Config::new()
        .issuer(issuer)
        .upstream_yaml(&format!("name: back\nendpoints: [\"{url}\"]\ntimeouts: {{ connect: 20s, read: 60s }}"))
        .route("name: all\nmatch: { path: \"/{*rest}\" }\nupstream: back\naccess: { issuers: [corp], scopes: [] }")
}

/// `IN_FLIGHT` requests, each on a connection of its own, sent and not yet answered; the threads give their statuses.
fn in_flight(gateway: &Gateway, issuer: &Issuer) -> Vec<thread::JoinHandle<(u16, Value)>> {
    let request = |number: usize| {
        let (client, token) = (gateway.client(), issuer.token("alice"));
        thread::spawn(move || {
            let answer = client.get(&format!("/held/{number}"), Some(&token));
            (answer.status, answer.json())
        })
    };
    (0..IN_FLIGHT).map(request).collect()
}

#[test]
fn requests_in_flight_finish_on_the_configuration_they_began_with() {
    let (issuer, old) = (Issuer::new("corp", "ES256"), Held::start());
    let new = Upstream::start_with(|_| Reply::json(200, &json!({ "by": "the new one" })));
    let gateway = scene(&issuer, &old.upstream).start();
    let requests = in_flight(&gateway, &issuer);
    until("all requests are in flight", || (old.arrived() == IN_FLIGHT).then_some(()));

    gateway.rewrite(|text| text.replace(&old.upstream.url(), &new.url()));
    // The change may have been seen before the order came, which is then one reload more.
    let report = gateway.admin().reload();
    assert_eq!(report["outcome"], "applied", "{report}");
    let fresh = gateway.client().get("/fresh", Some(&issuer.token("bob")));
    assert_eq!((fresh.status, fresh.json()["by"].clone()), (200, json!("the new one")));

    old.let_go();
    for request in requests {
        assert_eq!(request.join().unwrap(), (200, json!({ "by": "the old one" })));
    }
    let in_force = gateway.admin().metrics().gauge("tollgate_config_generation", &[]);
    assert_eq!(json!(in_force), json!(report["generation"].as_f64()), "{report}");
}

#[test]
fn under_steady_load_no_request_notices_a_reload() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = scene(&issuer, &upstream).start();
    let (done, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let worker = |_| {
        let (client, token) = (gateway.client(), issuer.token("alice"));
        let (done, served) = (Arc::clone(&done), Arc::clone(&served));
        thread::spawn(move || {
            let mut connection = client.connect().unwrap();
            while !done.load(Ordering::Acquire) {
                assert_eq!(connection.get("/steady", Some(&token)).unwrap().status, 200);
                served.fetch_add(1, Ordering::AcqRel);
            }
        })
    };
    let workers: Vec<_> = (0..8).map(worker).collect();
    for generation in 2..=11 {
        let before = served.load(Ordering::Acquire);
        assert_eq!(gateway.admin().reload()["generation"], json!(generation));
        until("requests go on", || (served.load(Ordering::Acquire) > before + 8).then_some(()));
    }
    done.store(true, Ordering::Release);
    for worker in workers {
        worker.join().expect("no request failed");
    }
}

#[test]
fn a_broken_file_under_load_changes_nothing_and_is_told_everywhere() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Held::start());
    let gateway = scene(&issuer, &upstream.upstream).start();
    let requests = in_flight(&gateway, &issuer);
    until("all requests are in flight", || (upstream.arrived() == IN_FLIGHT).then_some(()));
    let sound = fs::read_to_string(gateway.directory().join("gateway.yaml")).unwrap();
    fs::write(gateway.directory().join("short.secret"), "hunter2").unwrap();

    gateway.rewrite(|text| {
        text.replace("upstream: back", "upstream: front").replace("env:TOLLGATE_ADMIN_TOKEN", "file:short.secret")
    });
    let answer = gateway.admin().post("/api/reload", &Value::Null);
    let report = answer.json();
    assert_eq!((answer.status, &report["outcome"], &report["generation"]), (422, &json!("refused"), &json!(1)));
    let faults: Vec<&str> = report["faults"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("routes[all].upstream: names upstream `front`")), "{faults:#?}");

    let status = gateway.admin().ask("/api/status");
    assert_eq!((&status["generation"], &status["last_reload"]["outcome"]), (&json!(1), &json!("refused")));
    assert_eq!(status["last_reload"]["faults"].as_array().map(Vec::len), Some(2));
    let metrics = gateway.admin().metrics();
    assert!(metrics.gauge("tollgate_config_last_reload_success", &[]) < 0.5);
    assert!((metrics.gauge("tollgate_config_generation", &[]) - 1.0).abs() < 0.5);
    let log = gateway.log();
    assert!(log.contains("refused for 2 faults") && log.contains("names upstream `front`"), "{log}");
    assert!(!log.contains("hunter2") && !answer.text().contains("hunter2"), "a secret shows");

    upstream.let_go();
    assert!(requests.into_iter().all(|request| request.join().unwrap().0 == 200));
    assert_eq!(gateway.client().get("/after", Some(&issuer.token("bob"))).status, 200);

    // Mended, it is taken up without being told.
    gateway.rewrite(|_| sound);
    until("the mended file is in force", || (gateway.admin().generation() == 2).then_some(()));
    assert_eq!(gateway.admin().ask("/api/status")["last_reload"]["cause"], "change");
    assert!(gateway.admin().metrics().gauge("tollgate_config_last_reload_success", &[]) > 0.5);
}

#[test]
fn a_file_that_breaks_by_itself_is_told_and_one_with_the_same_content_is_no_change() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = scene(&issuer, &upstream).start();
    gateway.rewrite(|text| format!("{text}oops: true\n"));
    let refused = || {
        let report = gateway.admin().ask("/api/status")["last_reload"].clone();
        (report["outcome"] == "refused").then_some(report)
    };
    let report = until("the broken file is noticed", refused);
    assert_eq!((&report["cause"], &report["generation"]), (&json!("change"), &json!(1)));
    gateway.rewrite(|text| text.replace("oops: true\n", ""));
    until("the mended file is in force", || (gateway.admin().generation() == 2).then_some(()));
    // Another inode, the same content; what comes after it is noticed, and it was not.
    gateway.rewrite(|text| text);
    gateway.rewrite(|text| text.replace("scopes: []", "scopes: [more]"));
    until("the last change is in force", || {
        (gateway.client().get("/x", Some(&issuer.token("alice"))).status == 403).then_some(())
    });
    assert_eq!(gateway.admin().generation(), 3);
}

#[test]
fn a_changed_key_file_and_a_new_included_file_are_taken_up() {
    let (old, new, upstream) = (Issuer::new("corp", "ES256"), Issuer::new("corp", "ES256"), Upstream::start());
    let config = scene(&old, &upstream).block("include: [\"routes.d/*.yaml\"]");
    fs::create_dir(config.directory().join("routes.d")).unwrap();
    let gateway = config.start();
    let status = |issuer: &Issuer, path: &str| gateway.client().get(path, Some(&issuer.token("alice"))).status;
    assert_eq!((status(&old, "/x"), status(&new, "/x")), (200, 401));

    let (name, content) = new.key_file();
    fs::write(gateway.directory().join(name), content).unwrap();
    until("the new key is believed", || (status(&new, "/x") == 200).then_some(()));
    assert_eq!(status(&old, "/x"), 401, "the old key is gone, and with it every verdict under it");

    let route = "owner: team-b\nroutes:\n  - { name: b, match: { path: /b }, upstream: back, access: { issuers: [corp], scopes: [b] } }\n";
    fs::write(gateway.directory().join("routes.d/b.yaml"), route).unwrap();
    until("the new route is there", || (status(&new, "/b") == 403).then_some(()));
    let routes = gateway.admin().ask("/api/routes");
    let names: Vec<_> = routes["routes"].as_array().unwrap().iter().map(|route| &route["route"]).collect();
    assert_eq!(names, ["all", "b"]);
    assert!(routes["routes"][1]["policy"].as_array().unwrap().contains(&json!("scopes: b")), "{routes}");
}

/// What a Kubernetes volume looks like: the files are links into `..data`, which is a link to a directory with a date,
/// and an update swaps that one link.
#[test]
fn the_swap_of_a_mounted_volume_is_taken_up() {
    let (old, new, upstream) = (Issuer::new("corp", "ES256"), Issuer::new("corp", "ES256"), Upstream::start());
    let config = scene(&old, &upstream);
    let volume = config.directory().join("volume");
    let publish = |version: &str, issuer: &Issuer| {
        fs::create_dir_all(volume.join(version)).unwrap();
        fs::write(volume.join(version).join("keys.json"), issuer.key_file().1).unwrap();
        symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    publish("..2026_11_24_1", &old);
    symlink("..data/keys.json", volume.join("keys.json")).unwrap();
    let text = config.text().replace("corp.jwks.json", "volume/keys.json");
    let gateway = config.start();
    gateway.rewrite(|_| text);
    assert_eq!(gateway.admin().reload()["outcome"], "applied");
    let status = |issuer: &Issuer| gateway.client().get("/x", Some(&issuer.token("alice"))).status;
    assert_eq!((status(&old), status(&new)), (200, 401));
    publish("..2026_11_24_2", &new);
    until("the new volume is in force", || (status(&new) == 200).then_some(()));
    assert_eq!(status(&old), 401);
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = scene(&issuer, &upstream).start();
    let token = issuer.token("alice");
    let mut old = gateway.client().connect().unwrap();
    assert_eq!(old.get("/x", Some(&token)).unwrap().status, 200);

    let renewed = Authority::new("Another authority");
    // Two files, one after the other: between the two the key does not belong to the certificate.
    renewed.write(gateway.directory(), "edge", &["api.example.test"]);
    let client = Client::https(gateway.https_address(), "api.example.test", &renewed);
    until("the new certificate is shown", || client.connect().ok());
    assert_eq!(client.get("/x", Some(&token)).status, 200);
    assert!(gateway.client().connect().is_err(), "the old certificate is gone");
    assert_eq!(old.get("/x", Some(&token)).unwrap().status, 200, "a connection outlives the certificate it began with");
}

#[test]
fn a_hangup_reloads() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = scene(&issuer, &upstream).start();
    gateway.signal("HUP");
    until("the generation grows", || (gateway.admin().generation() == 2).then_some(()));
    assert_eq!(gateway.admin().ask("/api/status")["last_reload"]["cause"], "signal");
    assert_eq!(gateway.client().get("/x", Some(&issuer.token("alice"))).status, 200);
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = scene(&issuer, &upstream).start();
    gateway.rewrite(|text| {
        let text = text.replace("threads: 2", "threads: 3").replace("max_entries: 100000", "max_entries: 200000");
        text.replace("http2: true", "http2: false").replace("scopes: []", "scopes: [more]")
    });
    let report = gateway.admin().reload();
    assert_eq!(report["outcome"], "applied");
    assert_eq!(
        report["needs_restart"],
        json!(["listeners[https].http2", "store.embedded.max_entries", "server.threads"])
    );
    assert_eq!(gateway.client().get("/x", Some(&issuer.token("alice"))).status, 403, "the new scope is asked");
    assert!(gateway.log().contains("server.threads differs from what the process was started with"));
    // It goes on being told until the restart, and no longer than it is so.
    let before = gateway.admin().generation();
    gateway.signal("HUP");
    until("another reload", || (gateway.admin().generation() > before).then_some(()));
    let told = gateway.admin().ask("/api/status")["last_reload"]["needs_restart"].as_array().map(Vec::len);
    assert_eq!(told, Some(3));
}

#[test]
fn a_spent_token_stays_spent_across_a_reload() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256").with("leeway: 0s"), Upstream::start());
    let gateway = Config::new()
        .issuer(&issuer)
        .upstream("back", &upstream)
        .route(
            "name: once\nmatch: { path: /once }\nupstream: back\naccess: { issuers: [corp], scopes: [], replay: once }",
        )
        .start();
    let fresh = || {
        let token = issuer.token("alice");
        (gateway.client().get("/once", Some(&token)).status == 200).then_some(token)
    };
    let token = until("a token younger than the store is accepted", fresh);
    assert_eq!(gateway.admin().reload()["outcome"], "applied");
    assert_eq!(gateway.client().get("/once", Some(&token)).status, 401);
}

#[test]
fn the_admin_token_is_swapped_and_guards_what_changes_or_reveals() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = scene(&issuer, &upstream).start();
    let next = "the-next-admin-token-of-the-scenes-0123456789";
    fs::write(gateway.directory().join("admin.token"), next).unwrap();
    gateway.rewrite(|text| text.replace("env:TOLLGATE_ADMIN_TOKEN", "file:admin.token"));
    let address = gateway.admin().address();
    let client = Client::plain(address, &address.to_string());
    let status = |method: &str, path: &str, token: &str| {
        client.request(method, path, &[("Authorization", &format!("Bearer {token}"))], b"").status
    };
    assert_eq!(status("POST", "/api/reload", ADMIN_TOKEN), 200);
    for (method, path) in
        [("GET", "/api/status"), ("GET", "/api/routes"), ("POST", "/api/reload"), ("POST", "/api/keys/refresh")]
    {
        assert_eq!(status(method, path, ADMIN_TOKEN), 401, "{path}");
        assert_eq!(client.request(method, path, &[], b"").status, 401, "{path}");
        assert_eq!(status(method, path, next), 200, "{path}");
        let other = if method == "GET" { "POST" } else { "GET" };
        assert_eq!(status(other, path, next), 405, "{path}");
    }
}
