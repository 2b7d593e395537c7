//! The rules and alerts of Prometheus, judged by promtool, and their runbooks.

use std::collections::BTreeSet;

use serde_yaml::Value;

use super::judge::{judge, passes, read};

/// Where each alert's runbook is read.
const RUNBOOKS: &str = "https://github.com/tollgate/tollgate/blob/main/src/manual/alerts.md";

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn rules(path: &str) -> Vec<Value> {
    let groups = yaml(path)["groups"].as_sequence().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone()).collect()
}

/// Every alert, by name.
pub fn alerts() -> Vec<(String, Value)> {
    let named = |rule: Value| (rule["alert"].as_str().expect("an alert").to_owned(), rule);
    rules("deploy/prometheus/alerts.yaml").into_iter().map(named).collect()
}

#[test]
fn promtool_finds_no_fault_in_the_rules() {
    let files = ["deploy/prometheus/recording.yaml", "deploy/prometheus/alerts.yaml"];
    passes(judge("bin/promtool").args(["check", "rules"]).args(files));
    passes(judge("bin/promtool").args(["check", "config", "deploy/prometheus/prometheus.yaml"]));
}

#[test]
fn every_alert_fires_in_one_case_and_is_quiet_in_another() {
    passes(judge("bin/promtool").args(["test", "rules", "deploy/prometheus/alerts.test.yaml"]));
    let cases = yaml("deploy/prometheus/alerts.test.yaml")["tests"].as_sequence().unwrap().clone();
    let mut expected: Vec<String> = vec![];
    for (alert, _) in alerts() {
        for (case, fires) in [(format!("{alert} fires"), true), (format!("{alert} is quiet"), false)] {
            let found =
                cases.iter().find(|one| one["name"] == case.as_str()).unwrap_or_else(|| panic!("no case {case}"));
            let question = &found["promql_expr_test"][0];
            assert_eq!(question["expr"].as_str().unwrap(), r#"count by (alertname) (ALERTS{alertstate="firing"})"#);
            let samples = question["exp_samples"].as_sequence().unwrap();
            let names_it = |sample: &Value| sample["labels"].as_str() == Some(&format!("{{alertname=\"{alert}\"}}"));
            assert_eq!(samples.iter().any(names_it), fires, "{case}");
            expected.push(case);
        }
    }
    assert_eq!(cases.len(), expected.len(), "a case of an alert that is no more");
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let page = read("src/manual/alerts.md");
    let runbooks: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let names: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(runbooks, names);
    for (name, alert) in alerts() {
        let link = format!("{RUNBOOKS}#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"].as_str(), Some(&*link), "{name}");
        assert!(alert["annotations"]["summary"].is_string(), "{name}");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        let begins = match severity {
            "page" => "*Page.*",
            "ticket" => "*Ticket.*",
            other => panic!("{name}: {other}"),
        };
        let runbook = page.split(&format!("## {name}\n")).nth(1).unwrap().trim_start();
        assert!(runbook.starts_with(begins), "the runbook of {name} does not say that it is a {severity}");
    }
}

#[test]
fn links_within_the_runbooks_lead_somewhere() {
    let page = read("src/manual/alerts.md");
    let links: Vec<&str> = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        assert!(page.lines().any(|line| line.trim_start_matches('#').trim().to_lowercase() == link), "{link}");
    }
}
