//! The Helm chart and the kustomize base, judged by Helm, kustomize, Kubernetes' schemas and the Prometheus operator's.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::configs::assert_accepted;
use super::judge::{judge, passes, read, repository, verdict};

/// What Helm renders with these values, or what it says against them.
fn render(values: &Value) -> Result<Vec<Value>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let output = judge("judges/venv/bin/python")
        .arg(repository("tests/judges/helm.py"))
        .args([repository("deploy/helm/tollgate"), file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(said) }
}

/// The values of `deploy/helm/tollgate/ci/NAME-values.yaml`.
fn example(name: &str) -> Value {
    serde_yaml::from_str(&read(&format!("deploy/helm/tollgate/ci/{name}-values.yaml"))).unwrap()
}

fn with(mut values: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    values.pointer_mut(parent).unwrap()[key] = value;
    values
}

fn of_kind<'o>(objects: &'o [Value], kind: &str) -> Vec<&'o Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn only<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}

/// Kubernetes' own schemas, unknown fields refused; what only the operator knows is judged by its schemas.
fn assert_valid(objects: &[Value]) {
    let is_custom = |object: &&Value| object["apiVersion"].as_str().unwrap().starts_with("monitoring.coreos.com/");
    let (custom, known): (Vec<&Value>, Vec<&Value>) = objects.iter().partition(is_custom);
    let (_directory, file) = written(&known);
    let said = passes(judge("judges/venv/bin/kubernetes-validate").arg("--strict").arg(file));
    assert_eq!(said.matches("passed for resource").count(), known.len(), "{said}");
    if !custom.is_empty() {
        let mut node = judge("bin/node");
        node.arg(repository("tests/judges/custom_resources.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.spawn().unwrap();
        child.stdin.take().unwrap().write_all(json!(custom).to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the operator's schemas say no; why stands above");
        assert_eq!(String::from_utf8_lossy(&output.stdout).matches(": valid").count(), custom.len());
    }
}

/// The objects in one file.
fn written(objects: &[&Value]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("objects.yaml");
    let text: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect();
    std::fs::write(&file, text.join("---\n")).unwrap();
    (directory, file)
}

/// What every pod of ours keeps to.
fn assert_confined(deployment: &Value) {
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
    }
}

#[test]
fn a_chart_with_everything_is_valid_and_serves_a_configuration_that_loads() {
    let objects = render(&example("redis")).unwrap();
    assert_valid(&objects);
    let kinds = ["HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"];
    for kind in kinds {
        only(&objects, kind);
    }
    assert_confined(only(&objects, "Deployment"));
    let configs = of_kind(&objects, "ConfigMap");
    let served = configs.iter().find_map(|map| map["data"]["gateway.yaml"].as_str()).unwrap();
    assert_accepted(served, &[("/etc/tollgate/edge/tls.crt", "edge.pem"), ("/etc/tollgate/edge/tls.key", "edge.key")]);
    let shown = configs.iter().find_map(|map| map["data"]["tollgate-health.json"].as_str()).unwrap();
    assert_eq!(shown.trim_end(), read("deploy/grafana/dashboards/health.json").trim_end());
}

#[test]
fn the_rules_of_the_chart_are_the_rules_that_are_tested() {
    let objects = render(&example("redis")).unwrap();
    let rules = &only(&objects, "PrometheusRule")["spec"];
    let groups = |path: &str| -> Vec<Value> {
        let file: Value = serde_yaml::from_str(&read(path)).unwrap();
        file["groups"].as_array().unwrap().clone()
    };
    let tested = [groups("deploy/prometheus/recording.yaml"), groups("deploy/prometheus/alerts.yaml")].concat();
    assert_eq!(rules["groups"], json!(tested));
    let monitor = only(&objects, "ServiceMonitor");
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let services = of_kind(&objects, "Service");
    let has = |service: &Value| labels.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value);
    let scraped: Vec<_> = services.into_iter().filter(|service| has(service)).collect();
    assert_eq!(scraped.len(), 1, "the monitor finds one service");
    assert_eq!(scraped[0]["spec"]["ports"][0]["name"], monitor["spec"]["endpoints"][0]["port"]);
}

#[test]
fn one_replica_with_the_embedded_store_is_valid_and_never_runs_beside_its_successor() {
    let objects = render(&example("embedded")).unwrap();
    assert_valid(&objects);
    let deployment = only(&objects, "Deployment");
    assert_confined(deployment);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    assert!(of_kind(&objects, "PodDisruptionBudget").is_empty(), "it would keep a node from being drained");
}

#[test]
fn more_than_one_replica_needs_a_shared_store() {
    let more = [("/replicas", json!(2)), ("/autoscaling", json!({ "enabled": true }))];
    for (key, value) in more {
        let refusal = render(&with(example("embedded"), key, value)).unwrap_err();
        assert!(refusal.contains("the embedded store is one process' memory"), "{refusal}");
    }
}

#[test]
fn values_are_checked() {
    let without_routes = with(example("embedded"), "/config", json!({}));
    let faults = [
        (without_routes, "routes"),
        (with(example("embedded"), "/nonsense", json!(1)), "nonsense"),
        (with(example("embedded"), "/replicas", json!("two")), "replicas"),
        (with(example("redis"), "/env/0/value", json!("a secret in the values")), "value"),
        (with(example("redis"), "/config/admin/address", json!("0.0.0.0:9901")), "admin"),
    ];
    for (values, named) in faults {
        let refusal = render(&values).unwrap_err();
        assert!(refusal.contains(named), "{named}: {refusal}");
    }
}

#[test]
fn the_kustomize_base_is_valid_and_serves_a_configuration_that_loads() {
    let built = passes(judge("judges/venv/bin/kubectl").args(["kustomize", "deploy/kustomize/base"]));
    let documents = serde_yaml::Deserializer::from_str(&built);
    let objects: Vec<Value> = documents.map(|document| serde::Deserialize::deserialize(document).unwrap()).collect();
    assert_valid(&objects);
    assert_confined(only(&objects, "Deployment"));
    for kind in ["HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"] {
        only(&objects, kind);
    }
    let served = only(&objects, "ConfigMap")["data"]["gateway.yaml"].as_str().unwrap();
    assert_accepted(served, &[("/etc/tollgate/edge/tls.crt", "edge.pem"), ("/etc/tollgate/edge/tls.key", "edge.key")]);
}

#[test]
fn the_judges_can_say_no() {
    let mut objects = render(&example("embedded")).unwrap();
    let deployment = objects.iter_mut().find(|object| object["kind"] == "Deployment").unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContexts"] = json!({});
    let (_directory, file) = written(&[&*deployment]);
    let (passed, said) = verdict(judge("judges/venv/bin/kubernetes-validate").arg("--strict").arg(file));
    assert!(!passed && said.contains("securityContexts"), "{said}");
}
