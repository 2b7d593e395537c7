//! The dashboards of Grafana. Grafana itself comes from no package registry, so that none runs here: the JSON is judged
//! by Grafana's model of it and by rules of its own, and `tests/scene_monitoring.rs` asks a real Prometheus every query.

use serde_json::Value;
use tollgate::telemetry::METRICS;

use super::judge::{judge, passes, read, repository, verdict};
use super::queries::asks_for_what_there_is;

const DASHBOARDS: [&str; 2] = ["health", "refusals"];

fn path(name: &str) -> String {
    format!("deploy/grafana/dashboards/{name}.json")
}

fn dashboard(name: &str) -> Value {
    serde_json::from_str(&read(&path(name))).unwrap()
}

fn panels(dashboard: &Value) -> Vec<Value> {
    dashboard["panels"].as_array().unwrap().clone()
}

#[test]
fn the_json_is_what_the_script_writes() {
    let mut python = std::process::Command::new("python3");
    passes(python.arg(repository("deploy/grafana/dashboards.py")).arg("--check"));
}

#[test]
fn grafanas_own_model_knows_every_field() {
    let mut model = judge("judges/venv/bin/python");
    passes(model.arg("tests/judges/dashboards.py").args(DASHBOARDS.map(path)));
    let faulty = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(faulty.path(), read(&path("health")).replace("\"gridPos\"", "\"gridPosition\"")).unwrap();
    let (passed, said) = verdict(judge("judges/venv/bin/python").arg("tests/judges/dashboards.py").arg(faulty.path()));
    assert!(!passed && said.contains("gridPosition"), "{said}");
}

#[test]
fn every_query_of_a_dashboard_asks_for_what_there_is() {
    for name in DASHBOARDS {
        let mut asked = 0;
        for panel in panels(&dashboard(name)) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                asks_for_what_there_is(&format!("{name}: {}", panel["title"]), target["expr"].as_str().unwrap());
                asked += 1;
            }
        }
        assert!(asked > 15, "{name} asks {asked} queries");
    }
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let all = DASHBOARDS.map(|name| read(&path(name))).concat();
    let asks = |name: &str| ["{", "_bucket{", "_count{"].iter().any(|end| all.contains(&format!("{name}{end}")));
    let missing: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| !asks(name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn panels_have_a_question_an_identifier_and_a_place_of_their_own() {
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        assert_eq!(dashboard["uid"], format!("tollgate-{name}"));
        let mut taken = std::collections::BTreeSet::new();
        let mut numbers = std::collections::BTreeSet::new();
        for panel in panels(&dashboard) {
            assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{name}: two panels {}", panel["id"]);
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {} is too wide", panel["title"]);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{name}: {} stands on another panel", panel["title"]);
                }
            }
            let is_row = panel["type"] == "row";
            assert!(is_row || panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        }
    }
}

#[test]
fn variables_that_queries_use_are_declared() {
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let declared: Vec<&str> = variables.iter().map(|one| one["name"].as_str().unwrap()).collect();
        for used in dashboard.to_string().split('$').skip(1) {
            let word: String =
                used.trim_start_matches('{').chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let known = declared.contains(&&*word) || word.starts_with("__");
            assert!(known, "{name} uses ${word}, and declares {declared:?}");
        }
    }
}
