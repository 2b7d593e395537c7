//! What an operator sees of the running gateway, and what the gateway can be told to do: the answers of the admin API
//! as data. Who fills them in, `app` hands over; nothing here knows where a configuration comes from.

use crate::issuer::http::{IssuerStatus, LastFetch};
use crate::telemetry::AuditStatus;
use async_trait::async_trait;
use serde::Serialize;

/// What made the gateway read its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadCause {
    /// The start of the process.
    Start,
    /// SIGHUP.
    Signal,
    /// A file changed.
    Change,
    /// `POST /api/reload`.
    Api,
}

impl ReloadCause {
    /// The cause as a log line names it.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Start => "the start",
            Self::Signal => "SIGHUP",
            Self::Change => "a changed file",
            Self::Api => "the admin API",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The new configuration is in force, but for what needs a restart.
    Applied,
    /// The one before it stays in force.
    Refused,
}

/// One reading of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// When it ended, in seconds since the Unix epoch.
    pub at: i64,
    /// What made it happen.
    pub cause: ReloadCause,
    /// What came of it.
    pub outcome: ReloadOutcome,
    /// The generation in force afterwards.
    pub generation: u64,
    /// Everything wrong with a configuration that was refused; no fault quotes a secret.
    pub faults: Vec<String>,
    /// The keys that differ from what the process was started with, and take effect with its next start only.
    pub needs_restart: Vec<String>,
}

/// The keys of one issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssuerKeys {
    /// The issuer's name.
    pub issuer: String,
    /// The URL they are fetched from, or whose metadata names it; `null` for keys from a file or a secret.
    pub source: Option<String>,
    /// How many of them may be used now.
    pub keys: usize,
    /// How many of the set are of no use here.
    pub skipped: usize,
    /// Whether there is a set that may be believed.
    pub usable: bool,
    /// How long ago the set was fetched.
    pub age_seconds: Option<u64>,
    /// How many fetches in a row brought nothing.
    pub failures: u32,
    /// The last fetch.
    pub last_fetch: Option<FetchReport>,
}

/// One fetch of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchReport {
    /// When it ended, in seconds since the Unix epoch.
    pub at: i64,
    /// How, as in `tollgate_issuer_fetch_total{result}`.
    pub result: &'static str,
    /// What was wrong.
    pub error: Option<String>,
}

impl From<IssuerStatus> for IssuerKeys {
    fn from(status: IssuerStatus) -> Self {
        Self {
            issuer: status.issuer.to_string(),
            source: Some(status.source),
            keys: status.keys,
            skipped: status.skipped,
            usable: status.usable,
            age_seconds: status.age.map(|age| age.as_secs()),
            failures: status.failures,
            last_fetch: status.last.map(FetchReport::from),
        }
    }
}

impl From<LastFetch> for FetchReport {
    fn from(last: LastFetch) -> Self {
        Self { at: last.at.as_seconds(), result: last.result.label(), error: last.error }
    }
}

/// The whole gateway at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
    /// When the process was started, in seconds since the Unix epoch.
    pub started_at: i64,
    /// Whether it should be sent requests.
    pub ready: bool,
    /// What is not as it should be.
    pub reasons: Vec<String>,
    /// The generation of the configuration in force: 1 at the start, one more with each reload.
    pub generation: u64,
    /// The last reading of the configuration.
    pub last_reload: ReloadReport,
    /// The memory of spent tokens.
    pub store: StoreReport,
    /// The keys of every issuer.
    pub issuers: Vec<IssuerKeys>,
    /// The audit log; `null` where there is none.
    pub audit: Option<AuditStatus>,
}

/// The memory of spent tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreReport {
    /// Whether it can't answer, or can't be relied on, in whole or in part.
    pub degraded: bool,
    /// Why, as in `tollgate_store_errors_total{kind}`.
    pub error: Option<&'static str>,
    /// Whether some claims are answered all the same: by the shards that are left of a cluster.
    pub serves_some: bool,
    /// Since when it has not forgotten, in seconds since the Unix epoch; of a cluster's shards the latest.
    pub epoch: Option<i64>,
}

/// What one route asks in the end, as `tollgate check` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectivePolicy {
    /// The route's name.
    pub route: String,
    /// Lines of `what: value`.
    pub policy: Vec<String>,
}

/// What the gateway can be told to do.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Reads the configuration again; `None` while the process ends.
    async fn reload(&self) -> Option<ReloadReport>;
    /// Fetches the keys of all issuers now, and waits for the answers for a while.
    async fn refresh_keys(&self) -> Vec<IssuerKeys>;
}
