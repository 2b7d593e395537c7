//! Every query of alerts and dashboards asks for metrics that there are, by labels that they have, and compares these with
//! values that they can take: a misspelt one would be silent for ever.

use std::collections::BTreeMap;

use tollgate::telemetry::{METRICS, MetricKind};

use super::judge::read;

/// The labels of one series, each with the values it can take; `None`: those are not listed in the code.
type Labels = BTreeMap<String, Option<Vec<&'static str>>>;

/// What the process itself and Prometheus add.
const BESIDE: [&str; 5] =
    ["up", "process_open_fds", "process_max_fds", "process_cpu_seconds_total", "process_resident_memory_bytes"];

/// Every series that the gateway, Prometheus or a recording rule makes.
fn known() -> BTreeMap<String, Labels> {
    let beside = |labels: Labels| -> Labels {
        labels.into_iter().chain(["job", "instance"].map(|name| (name.to_owned(), None))).collect()
    };
    let mut known = BTreeMap::new();
    for metric in METRICS {
        let labels = metric.labels.iter().map(|label| (label.name.to_owned(), label.values.list())).collect();
        let labels = beside(labels);
        if metric.kind == MetricKind::Histogram {
            let with_bound = labels.clone().into_iter().chain([("le".to_owned(), None)]).collect();
            known.insert(format!("{}_bucket", metric.name), with_bound);
            known.insert(format!("{}_count", metric.name), labels.clone());
            known.insert(format!("{}_sum", metric.name), labels);
        } else {
            known.insert(metric.name.to_owned(), labels);
        }
    }
    known.extend(BESIDE.map(|name| (name.to_owned(), beside(Labels::new()))));
    for line in read("deploy/prometheus/recording.yaml").lines() {
        if let Some((_, name)) = line.split_once("- record: ") {
            let labels = name.split(':').next().unwrap().split('_').map(|label| (label.to_owned(), None)).collect();
            known.insert(name.to_owned(), labels);
        }
    }
    known
}

/// A series that a query names, each with what it compares: label and values.
#[derive(Debug, PartialEq)]
struct Asked {
    series: String,
    compared: Vec<(String, String)>,
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn asked(query: &str) -> Vec<Asked> {
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
            let parts: Vec<&str> = within.split('"').collect();
            let pair = |pair: &[&str]| {
                let [label, values] = pair else { return None };
                Some((label.trim_matches(|c| !is_name(c)).to_owned(), (*values).to_owned()))
            };
            found.push(Asked { series: name.to_owned(), compared: parts.chunks(2).filter_map(pair).collect() });
        }
    }
    found
}

/// The labels by which a query sums.
fn grouped(query: &str) -> Vec<&str> {
    let lists = query.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',').map(str::trim)).collect()
}

/// Whether one alternative of a comparison is, or begins, a value of `list`; a variable of a dashboard may be anything.
fn can_be(alternative: &str, list: &[&str]) -> bool {
    match alternative.strip_suffix(".*") {
        _ if alternative.starts_with('$') => true,
        Some(prefix) => list.iter().any(|value| value.starts_with(prefix)),
        None => list.contains(&alternative),
    }
}

/// Panics unless every series of `query` is known, with the labels it compares and is summed by, and their values.
pub fn asks_for_what_there_is(place: &str, query: &str) {
    let known = known();
    let asked = asked(query);
    assert!(!asked.is_empty(), "{place} asks for nothing of ours: {query}");
    for one in &asked {
        let has = known.get(&one.series).unwrap_or_else(|| panic!("{place}: there is no {}", one.series));
        for (label, values) in &one.compared {
            let list = has.get(label).unwrap_or_else(|| panic!("{place}: {} has no {label}, only {has:?}", one.series));
            for alternative in values.split('|') {
                let fits = list.as_ref().is_none_or(|list| can_be(alternative, list));
                assert!(fits, "{place}: {label} of {} is never {alternative}, only {list:?}", one.series);
            }
        }
    }
    for label in grouped(query) {
        let has = asked.iter().any(|one| known[&one.series].contains_key(label));
        assert!(has, "{place} sums by {label}, which nothing has that it asks for");
    }
}

#[test]
fn a_query_is_taken_apart() {
    let query =
        r#"sum by (job, le) (rate(tollgate_denials_total{reason=~"a|tollgate_x", issuer="b"}[5m])) / up{job="c"}"#;
    let of = |series: &str, compared: &[(&str, &str)]| Asked {
        series: series.to_owned(),
        compared: compared.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
    };
    let expected =
        [of("tollgate_denials_total", &[("reason", "a|tollgate_x"), ("issuer", "b")]), of("up", &[("job", "c")])];
    assert_eq!(asked(query), expected);
    assert_eq!(grouped(query), ["job", "le"]);
    assert!(can_be("upstream_.*", &["upstream_failed"]) && can_be("$reason", &[]) && can_be("a", &["a"]));
    assert!(!can_be("a", &["ab"]) && !can_be("x.*", &["a"]));
}

#[test]
fn alerts_ask_for_what_there_is() {
    for (name, alert) in super::alerts::alerts() {
        asks_for_what_there_is(&name, alert["expr"].as_str().unwrap());
    }
}
