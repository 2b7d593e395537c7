//! The admin address: metrics, health, explain.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::answer::Answer;
use super::client::Client;
use super::config::ADMIN_TOKEN;

/// A client of the admin address.
#[derive(Clone)]
pub struct Admin {
    address: SocketAddr,
    client: Client,
}

impl Admin {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: Client::plain(address, &address.to_string()) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The status of `GET path` without credentials; `None` when nothing answers.
    pub fn status(&self, path: &str) -> Option<u16> {
        let answer = self.client.connect().and_then(|mut connection| connection.get(path, None));
        answer.ok().map(|answer| answer.status)
    }

    /// `GET path` without credentials.
    pub fn get(&self, path: &str) -> Answer {
        self.client.get(path, None)
    }

    /// `GET path` with the admin token, as JSON.
    pub fn ask(&self, path: &str) -> Value {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let answer = self.client.request("GET", path, &[("Authorization", &authorization)], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The generation of the configuration in force.
    pub fn generation(&self) -> u64 {
        self.ask("/api/status")["generation"].as_u64().expect("a number")
    }

    /// Has the configuration read again, and answers what came of it.
    pub fn reload(&self) -> Value {
        self.post("/api/reload", &Value::Null).json()
    }

    /// `POST path` with the admin token.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let fields = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.client.request("POST", path, &fields, body.to_string().as_bytes())
    }

    /// Revokes the token of `issuer` with this identifier, until `expires_at`.
    pub fn revoke(&self, issuer: &str, id: &str, expires_at: i64) {
        let revocation = json!({ "issuer": issuer, "jti": id, "expires_at": expires_at });
        let answer = self.post("/api/revocations", &revocation);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// What `POST /api/explain` says of a request.
    pub fn explain(&self, request: &Value) -> Value {
        let answer = self.post("/api/explain", request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The metrics as they stand now.
    pub fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics { text: answer.text() }
    }
}

/// Metrics in Prometheus' text format.
pub struct Metrics {
    pub text: String,
}

impl Metrics {
    /// The sum of the samples of the counter `name` that have all of `labels`.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.samples(name, labels).map(|value| value.parse::<u64>().expect("a whole number")).sum()
    }

    /// The value of the one sample of the gauge `name` that has all of `labels`.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let values: Vec<&str> = self.samples(name, labels).collect();
        assert_eq!(values.len(), 1, "{name} {labels:?} in {}", self.text);
        values[0].parse().expect("a number")
    }

    fn samples<'a>(&'a self, name: &'a str, labels: &[(&str, &str)]) -> impl Iterator<Item = &'a str> {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        self.text.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, set) = series.split_once('{').unwrap_or((series, ""));
            let has = |label: &String| set.trim_end_matches('}').split(',').any(|one| one == label);
            (metric == name && wanted.iter().all(has)).then_some(value)
        })
    }
}
