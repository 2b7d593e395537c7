//! What the gateway counts: every sample of a busy gateway stands in the one table, under labels of the closed lists, and
//! Prometheus' own checker finds nothing to say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use common::process::peer;
use common::{Config, Gateway, Issuer, Redis, Upstream, tollgate, until};
use serde_json::Value;
use tollgate::telemetry::METRICS;
use tollgate::telemetry::metrics::{MetricInfo, Values};

/// Names that the scene's gateway.yaml gives, and those that stand for nothing.
const CONFIGURED: [&str; 13] = [
    "tried",
    "none",
    "corp",
    "once",
    "again",
    "public",
    "rare",
    "broken",
    "echo",
    "gone",
    "https",
    "http",
    "api.example.test",
];

/// A gateway with a Redis, on which every kind of thing has happened at least once.
fn busy(redis: &Redis, upstream: &Upstream) -> Gateway {
    let issuer = Issuer::new("corp", "ES256").with("leeway: 0s");
    let route = |name: &str, upstream: &str, access: &str| {
        format!("name: {name}\nmatch: {{ path: /{name} }}\nupstream: {upstream}\naccess: {access}")
    };
    let gateway = Config::new()
        .store(&format!("redis: {{ url: \"{}\", timeout: 2s }}", redis.url()))
        .issuer(&issuer)
        .upstream("echo", upstream)
        .upstream_yaml("name: gone\nendpoints: [\"http://127.0.0.1:9\"]")
        .route(&route("once", "echo", "{ issuers: [corp], replay: once }"))
        .route(&route("again", "echo", "{ issuers: [corp] }"))
        .route(&route("tried", "echo", "{ issuers: [corp], mode: report }"))
        .block("telemetry: { log: { level: info }, audit: { file: audit.jsonl, key: \"file:audit.key\" } }")
        .file("audit.key", "the-key-of-the-audit-log-in-this-scene")
        .route(&route("broken", "gone", "public"))
        .route(&route("public", "echo", "public"))
        .route(&format!(
            "{}\nlimits: {{ rate: {{ per: route, requests: 1, period: 1h }} }}",
            route("rare", "echo", "public")
        ))
        .start();
    let client = gateway.client();
    until("the store vouches for new tokens", || {
        (client.get("/once", Some(&issuer.token("probe"))).status == 200).then_some(())
    });
    let token = issuer.token("alice");
    for path in ["/once", "/once", "/again", "/again", "/public", "/broken", "/nowhere", "/rare", "/rare", "/once"] {
        client.get(path, Some(&token));
    }
    client.get("/again", None);
    client.get("/tried", None);
    client.get("/again", Some("no.such.token"));
    client.get("/a/../b", None);
    gateway.plain_client().get("/public", None);
    gateway.admin().reload();
    gateway
}

/// The labels and the value of one line of Prometheus' text format.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, set) = series.split_once('{').unwrap_or((series, ""));
    let labels = set.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value.parse().unwrap())
}

/// The row of the table that a sample belongs to.
fn row(name: &str) -> Option<&'static MetricInfo> {
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    METRICS.iter().find(|metric| metric.name == name || Some(metric.name) == of_histogram)
}

fn is_allowed(values: Values, value: &str, endpoints: &[String]) -> bool {
    match values {
        Values::OneOf(list) => list().contains(&value),
        Values::Status => value == "none" || value == "other" || value.parse::<u16>().is_ok_and(|code| code < 600),
        Values::Configured(_) | Values::ConfiguredOrNone(_) => {
            CONFIGURED.contains(&value) || endpoints.iter().any(|endpoint| endpoint == value)
        }
    }
}

#[test]
fn every_sample_stands_in_the_table_under_closed_labels() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let gateway = busy(&redis, &upstream);
    let endpoints = [upstream.url().replace("http://", ""), "127.0.0.1:9".to_owned()];
    let text = gateway.admin().metrics().text;
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && line.starts_with("tollgate_")) {
        let (name, mut labels, _) = sample(line);
        let row = row(&name).unwrap_or_else(|| panic!("not in the table: {line}"));
        labels.remove("le");
        let names: BTreeSet<&str> = row.labels.iter().map(|label| label.name).collect();
        assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), names, "{line}");
        for label in row.labels {
            assert!(is_allowed(label.values, &labels[label.name], &endpoints), "an open label: {line}");
        }
        seen.insert(row.name);
    }
    for metric in METRICS.iter().filter(|metric| seen.contains(metric.name)) {
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.meaning)), "{}", metric.name);
        assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.name())), "{}", metric.name);
    }
    // What is counted only where a configuration asks for it.
    let elsewhere = ["tollgate_issuer_keys_age_seconds", "tollgate_issuer_fetch_total"];
    let missing: Vec<_> = METRICS.iter().map(|metric| metric.name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, elsewhere, "a metric of the table that a busy gateway does not have");
}

#[test]
fn prometheus_finds_no_fault_with_the_metrics() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let gateway = busy(&redis, &upstream);
    let mut promtool = Command::new(peer("bin/promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(gateway.admin().metrics().text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn the_list_of_metrics_is_printed_for_people_and_for_programs() {
    let directory = tempfile::tempdir().unwrap();
    let text = tollgate(directory.path(), &["metrics", "--list"]);
    let text = String::from_utf8(text.stdout).unwrap();
    let json = tollgate(directory.path(), &["metrics", "--list", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), METRICS.len());
    for (metric, row) in METRICS.iter().zip(json.as_array().unwrap()) {
        assert!(text.contains(&format!("{} ({})\n    {}\n", metric.name, metric.kind.name(), metric.meaning)));
        assert_eq!(row["name"], metric.name);
        assert_eq!(row["labels"].as_array().unwrap().len(), metric.labels.len());
    }
    assert_eq!(tollgate(directory.path(), &["metrics"]).status.code(), Some(2));
}
