//! A real Prometheus that scrapes the gateways of a scene.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::clock::until;
use super::ports;
use super::process::{Process, peer};

/// A running Prometheus, with a scrape and an evaluation each second; killed when dropped.
pub struct Prometheus {
    client: Client,
    _directory: TempDir,
    _process: Process,
}

impl Prometheus {
    /// Scrapes `targets` as the job `tollgate`, and evaluates these files of rules, given as (name, text).
    pub fn start(targets: &[SocketAddr], rules: &[(&str, String)]) -> Self {
        let (directory, address) = (tempfile::tempdir().unwrap(), ports::free());
        let mut config =
            "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\nrule_files:\n".to_owned();
        for (name, text) in rules {
            std::fs::write(directory.path().join(name), text).unwrap();
            let _ = writeln!(config, "  - {name}");
        }
        let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let targets = targets.join(", ");
        let _ =
            write!(config, "scrape_configs: [{{ job_name: tollgate, static_configs: [{{ targets: [{targets}] }}] }}]");
        std::fs::write(directory.path().join("prometheus.yaml"), config).unwrap();
        let mut command = Command::new(peer("bin/prometheus"));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        command.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"]).current_dir(directory.path());
        let process = Process::start(command.stdin(Stdio::null()));
        let client = Client::plain(address, &address.to_string());
        until("prometheus is ready", || {
            let answer = client.connect().and_then(|mut connection| connection.get("/-/ready", None)).ok()?;
            (answer.status == 200).then_some(())
        });
        Self { client, _directory: directory, _process: process }
    }

    /// What `query` answers now: one object for each series.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let body = format!("query={}", percent(query));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = self.client.request("POST", "/api/v1/query", &form, body.as_bytes());
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()["data"]["result"].as_array().expect("a vector").clone()
    }

    /// The alerts that fire, as Prometheus tells them.
    pub fn alerts(&self) -> Vec<Value> {
        let alerts = self.client.get("/api/v1/alerts", None).json()["data"]["alerts"].as_array().unwrap().clone();
        alerts.into_iter().filter(|alert| alert["state"] == "firing").collect()
    }

    /// Their names.
    pub fn firing(&self) -> BTreeSet<String> {
        self.alerts().iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the alert fires.
    pub fn until_it_fires(&self, alert: &str) {
        until(&format!("{alert} fires"), || self.firing().contains(alert).then_some(()));
    }
}

/// As a value of a form.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}
