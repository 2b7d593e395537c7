//! A real Prometheus watches two replicas under mixed load: what is shipped under deploy/prometheus fires when something
//! breaks and is silent when nothing does, and every query of the dashboards has an answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::process::repository_file;
use common::{
    Client, Config, Connection, Endpoint, Gateway, Issuer, Prometheus, Redis, Reply, Upstream, unix_now, until,
};
use serde_json::{Value, json};

/// Between two rounds of a client: some hundred requests a second in all.
const PAUSE: Duration = Duration::from_millis(50);
/// One round in so many has refusals in it, while nobody floods us.
const SELDOM: usize = 64;
/// Certificates of scenes are good for one day, so these two fire from the first moment: for real.
const OF_THE_CERTIFICATE: [&str; 2] = ["TollgateCertificateExpires", "TollgateCertificateExpiresNow"];

/// The shipped rules, faster: a scene has seconds where an alert waits minutes. Thresholds are what is shipped.
fn shipped_rules() -> [(&'static str, String); 2] {
    let read = |name: &str| std::fs::read_to_string(repository_file("deploy/prometheus").join(name)).unwrap();
    let faster = |line: &str| match line.trim_start().strip_prefix("for: ") {
        Some(wait) => line.replace(wait, "1s"),
        None => line.replace("[5m]", "[15s]"),
    };
    let alerts = read("alerts.yaml").lines().map(faster).collect::<Vec<_>>().join("\n");
    [("recording.yaml", read("recording.yaml").replace("interval: 30s", "interval: 1s")), ("alerts.yaml", alerts)]
}

/// Everything around the two replicas.
struct World {
    redis: Redis,
    echo: Upstream,
    /// Its health is asked for.
    frail: Upstream,
    /// Whether it is well shows with requests alone.
    unasked: Endpoint,
    keys: Upstream,
    held: Issuer,
    fetched: Issuer,
}

impl World {
    fn new() -> Self {
        let fetched = Issuer::new("fetched", "RS256");
        let jwks = fetched.jwks();
        let keys = Upstream::start_with(move |_| Reply::json(200, &jwks));
        let (echo, frail) = (Upstream::start(), Upstream::start());
        Self {
            redis: Redis::start(),
            echo,
            frail,
            unasked: Endpoint::start("unasked"),
            keys,
            held: Issuer::new("held", "ES256").with("leeway: 0s"),
            fetched,
        }
    }

    fn replica(&self) -> Gateway {
        let (fetched, keys, frail) = (&self.fetched, self.keys.url(), self.frail.url());
        let route = |name: &str, upstream: &str, access: &str| {
            format!("name: {name}\nmatch: {{ path: /{name} }}\nupstream: {upstream}\naccess: {access}")
        };
        Config::new()
            .redis(&self.redis)
            .issuer(&self.held)
            .issuer_yaml(&format!(
                "name: fetched\nissuer: {}\naudiences: [{}]\nkeys: {{ jwks_uri: \"{keys}/jwks.json\" }}\n\
                 fetch: {{ refresh: 2s, cooldown: 1s, max_stale: 10s }}\ntoken: {{ signing_algorithms: [RS256] }}",
                fetched.iss, fetched.audience
            ))
            .upstream("echo", &self.echo)
            .upstream_yaml(&format!(
                "name: frail\nendpoints: [\"{frail}\"]\nhealth: {{ path: /, interval: 1s, unhealthy_after: 1 }}"
            ))
            .upstream_yaml(&format!("name: unasked\nendpoints: [\"{}\"]", self.unasked.url()))
            .route(&route("unasked", "unasked", "{ issuers: [held], replay: once }"))
            .route(&route("once", "echo", "{ issuers: [held], replay: once }"))
            .route(&route("frail", "frail", "{ issuers: [held], replay: once }"))
            .route(&route("fetched", "echo", "{ issuers: [fetched] }"))
            .route(&route("scoped", "echo", "{ issuers: [held], scopes: [write] }"))
            .route(&format!(
                "{}\nlimits: {{ rate: {{ per: client, requests: 2, period: 1m }} }}",
                route("limited", "echo", "public")
            ))
            .route(&route("tried", "echo", "{ issuers: [held], scopes: [write], mode: report }"))
            .route(&route("public", "echo", "public"))
            .block(
                "telemetry:\n  log: { format: json, level: info }\n  audit: { file: audit.jsonl, key: \"env:AUDIT_KEY\", events: denials }",
            )
            .environment("AUDIT_KEY", &"audit".repeat(8))
            .start()
    }

    /// One round of a client that means well.
    fn calls(&self, connection: &mut Connection, bearer: &str) -> io::Result<()> {
        connection.get("/once", Some(&self.held.token("alice")))?;
        connection.get("/frail", Some(&self.held.token("alice")))?;
        connection.get("/unasked", Some(&self.held.token("alice")))?;
        for _ in 0..3 {
            connection.get("/fetched", Some(bearer))?;
        }
        connection.get("/tried", Some(bearer))?;
        connection.get("/public", None).map(drop)
    }

    /// One round of clients that don't, or don't know better.
    fn refused(&self, connection: &mut Connection) -> io::Result<()> {
        let spent = self.held.token("mallory");
        let forged = format!("{}A", &spent[..spent.len() - 1]);
        let expired = self.held.sign(&json!({
            "iss": self.held.iss, "aud": self.held.audience, "sub": "late", "jti": "x", "iat": unix_now() - 900, "exp": unix_now() - 600
        }));
        for token in [Some(&spent), Some(&spent), Some(&forged), Some(&expired), None] {
            connection.get("/once", token.map(String::as_str))?;
        }
        connection.get("/limited", None)?;
        connection.get("/scoped", Some(&self.held.token("bob"))).map(drop)
    }

    /// Round after round until `over`; a replica that is gone is tried again. A `flood` refuses in every round.
    fn load(&self, client: &Client, over: &AtomicBool, flood: &AtomicBool) {
        let bearer = self.fetched.token("carol");
        let mut connection = None;
        for round in 0_usize.. {
            if over.load(Ordering::Acquire) {
                return;
            }
            let open = connection.take().or_else(|| client.connect().ok());
            connection = open.and_then(|mut connection| {
                self.calls(&mut connection, &bearer).ok()?;
                if round.is_multiple_of(SELDOM) || flood.load(Ordering::Acquire) {
                    self.refused(&mut connection).ok()?;
                }
                Some(connection)
            });
            thread::sleep(PAUSE);
        }
    }
}

/// The queries of both dashboards with the panel each stands in, as Grafana would send them.
fn dashboard_queries() -> Vec<(String, String)> {
    let mut queries = vec![];
    for name in ["health", "refusals"] {
        let text = std::fs::read(repository_file("deploy/grafana/dashboards").join(format!("{name}.json"))).unwrap();
        let dashboard: Value = serde_json::from_slice(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query =
                    target["expr"].as_str().unwrap().replace("$__rate_interval", "1m").replace("$__range", "5m");
                let query =
                    ["$job", "$route", "$issuer", "$reason"].iter().fold(query, |q, name| q.replace(name, ".*"));
                queries.push((format!("{name}: {}", panel["title"]), query));
            }
        }
    }
    queries
}

#[test]
fn alerts_fire_for_real_faults_alone_and_every_dashboard_query_has_data() {
    let mut world = World::new();
    let mut replicas = [(); 2].map(|()| world.replica());
    let targets = replicas.each_ref().map(|replica| replica.admin().address());
    let prometheus = Prometheus::start(&targets, &shipped_rules());
    let clients = replicas.each_ref().map(Gateway::client);
    let (over, flood) = (AtomicBool::new(false), AtomicBool::new(false));

    let healthy: BTreeSet<String> = OF_THE_CERTIFICATE.map(str::to_owned).into();
    thread::scope(|scope| {
        let _end = OnDrop(&over);
        for client in &clients {
            let (world, over, flood) = (&world, &over, &flood);
            scope.spawn(move || world.load(client, over, flood));
        }
        until("both replicas are under load", || {
            let answered = prometheus.query(r#"sum by (instance) (tollgate_requests_total{outcome="allowed"}) > 100"#);
            (answered.len() == 2).then_some(())
        });
        until("nothing but the certificate is wrong", || (prometheus.firing() == healthy).then_some(()));

        // An upstream dies, an issuer's key endpoint dies, a bad file is written, used and forged tokens pour in.
        world.frail.stop();
        world.unasked.signal("KILL");
        world.keys.stop();
        replicas[0].rewrite(|text| text.replace("replay: once", "replay: twice"));
        flood.store(true, Ordering::Release);
        until("attempts fail, and claims are given back", || {
            let counted = ["tollgate_upstream_errors_total", "tollgate_claim_releases_total"];
            counted.iter().all(|name| !prometheus.query(name).is_empty()).then_some(())
        });
        for alert in ["UpstreamDown", "IssuerWithoutKeys", "ReloadRefused", "Replays", "Forgeries", "ErrorBudgetFast"] {
            prometheus.until_it_fires(&format!("Tollgate{alert}"));
        }
        assert!(!prometheus.firing().contains("TollgateStoreDegraded"), "the store is well");
    });

    // The store dies and comes back with an empty memory.
    let over = AtomicBool::new(false);
    world.redis.kill();
    thread::scope(|scope| {
        let _end = OnDrop(&over);
        for client in &clients {
            let (world, over, flood) = (&world, &over, &flood);
            scope.spawn(move || world.load(client, over, flood));
        }
        prometheus.until_it_fires("TollgateStoreDegraded");
        until("requests end for want of the store", || {
            let refused = prometheus.query(r#"tollgate_denials_total{reason="store_unavailable"} > 0"#);
            (refused.len() >= 2).then_some(())
        });
    });
    world.redis.restart();
    prometheus.until_it_fires("TollgateStoreForgot");
    until("the store is well again", || (!prometheus.firing().contains("TollgateStoreDegraded")).then_some(()));

    for alert in prometheus.alerts() {
        let annotations = alert["annotations"].to_string();
        assert!(!annotations.contains("error expanding") && !annotations.contains("no value"), "{annotations}");
    }
    let empty: Vec<(String, String)> =
        dashboard_queries().into_iter().filter(|(_, query)| prometheus.query(query).is_empty()).collect();
    assert!(empty.is_empty(), "without data: {empty:#?}");

    replicas[1].stop();
    prometheus.until_it_fires("TollgateDown");
}

/// Sets its flag when it goes, in a panic too: the threads of the scope end with it.
struct OnDrop<'f>(&'f AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
