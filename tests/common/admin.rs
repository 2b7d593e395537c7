//! The admin address: metrics, health, explain.

use std::net::SocketAddr;

use serde_json::Value;

use super::answer::Answer;
use super::client::Client;
use super::config::ADMIN_TOKEN;

/// A client of the admin address.
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::plain(address, &address.to_string()) }
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

    /// `POST path` with the admin token.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let fields = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.client.request("POST", path, &fields, body.to_string().as_bytes())
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
    /// The sum of the samples called `name` that have all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let samples = self.text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, set) = series.split_once('{').unwrap_or((series, ""));
            let fits = metric == name
                && wanted.iter().all(|label| set.trim_end_matches('}').split(',').any(|one| one == label));
            fits.then(|| value.parse::<f64>().expect("a number"))
        });
        samples.sum()
    }
}
