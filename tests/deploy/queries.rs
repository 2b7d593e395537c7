//! Every query of alerts and dashboards asks for metrics that there are, with labels that they have.

use std::collections::{BTreeMap, BTreeSet};

use tollgate::telemetry::{METRICS, MetricKind};

use super::judge::read;

/// The labels of each series that the gateway, Prometheus or a recording rule makes.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let set = |labels: &[&str]| labels.iter().chain(&["job", "instance"]).map(|label| (*label).to_owned()).collect();
    let mut known = BTreeMap::new();
    for metric in METRICS {
        let names: Vec<&str> = metric.labels.iter().map(|label| label.name).collect();
        let labels: BTreeSet<String> = set(&names);
        if metric.kind == MetricKind::Histogram {
            let with_bound: BTreeSet<String> = labels.iter().cloned().chain(["le".to_owned()]).collect();
            known.insert(format!("{}_bucket", metric.name), with_bound);
            known.insert(format!("{}_count", metric.name), labels.clone());
            known.insert(format!("{}_sum", metric.name), labels);
        } else {
            known.insert(metric.name.to_owned(), labels);
        }
    }
    for name in
        ["up", "process_open_fds", "process_max_fds", "process_cpu_seconds_total", "process_resident_memory_bytes"]
    {
        known.insert(name.to_owned(), set(&[]));
    }
    for line in read("deploy/prometheus/recording.yaml").lines() {
        if let Some((_, name)) = line.split_once("- record: ") {
            let labels: Vec<&str> = name.split(':').next().unwrap().split('_').collect();
            known.insert(name.to_owned(), set(&labels));
        }
    }
    known
}

/// The series that a query names, each with the labels it compares.
fn asked(query: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = vec![];
    let mut rest = query;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').map_or("", |(_, after)| after);
            continue;
        }
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        rest = &rest[name.len()..];
        let of_ours = ["tollgate_", "process_"].iter().any(|prefix| name.starts_with(prefix));
        if of_ours || name.contains(":tollgate_") || name == "up" {
            let within = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map_or("", |(inner, _)| inner);
            let labels = within.split('"').step_by(2).map(|part| part.trim_matches(|c: char| !is_name(c)).to_owned());
            found.push((name.to_owned(), labels.filter(|label| !label.is_empty()).collect()));
        }
    }
    found
}

/// Panics unless every series of `query` is known, with the labels it compares.
pub fn asks_for_what_there_is(place: &str, query: &str) {
    let known = known();
    let asked = asked(query);
    assert!(!asked.is_empty(), "{place} asks for nothing of ours: {query}");
    for (name, labels) in asked {
        let has = known.get(&name).unwrap_or_else(|| panic!("{place}: there is no {name}"));
        for label in labels {
            assert!(has.contains(&label), "{place}: {name} has no label {label}, only {has:?}");
        }
    }
}

#[test]
fn a_query_is_taken_apart() {
    let query = r#"sum by (job) (rate(tollgate_denials_total{reason=~"a|tollgate_x", issuer="b"}[5m])) / up{job="c"}"#;
    let names = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
    let expected =
        [("tollgate_denials_total".to_owned(), names(&["reason", "issuer"])), ("up".to_owned(), names(&["job"]))];
    assert_eq!(asked(query), expected);
}

#[test]
fn alerts_ask_for_what_there_is() {
    for (name, alert) in super::alerts::alerts() {
        asks_for_what_there_is(&name, alert["expr"].as_str().unwrap());
    }
}
