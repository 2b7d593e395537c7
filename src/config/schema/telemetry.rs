//! `telemetry`: what the gateway writes about its work.

use super::value::{FilePath, Line, SecretRef, Size};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the gateway writes about its work.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The log on standard error.
    pub log: Option<Log>,
    /// The audit log: who was let through and who was refused, chained so that a change shows. Default: none.
    pub audit: Option<Audit>,
    /// Traces: the spans of each request, sent to a collector of OpenTelemetry. Default: none.
    pub otlp: Option<Otlp>,
}

/// Where traces are sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector, which takes OTLP over gRPC: `http://HOST:PORT`, or `https://HOST:PORT` for TLS. Without a port it is
    /// 4317.
    #[schemars(required, extend("x-is" = "the URL of a collector",
        "x-write" = "`http://HOST:4317` or `https://HOST:4317`", "examples" = ["http://127.0.0.1:4317"]))]
    pub endpoint: Option<Line>,
    /// The PEM file of the authorities that may sign the collector's certificate. Default: the system's.
    pub ca: Option<FilePath>,
}

/// The audit log.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The file.
    #[schemars(required, extend("examples" = ["/var/log/tollgate/audit.jsonl"]))]
    pub file: Option<FilePath>,
    /// The key of the chain, at least 32 bytes. Whoever has it can prove the log, and forge it.
    #[schemars(required, extend("examples" = ["env:AUDIT_KEY"]))]
    pub key: Option<SecretRef>,
    /// What is written. Default: all.
    pub events: Option<AuditEvents>,
    /// How the token's subject is written. Default: hash.
    pub subject: Option<AuditSubject>,
    /// What happens when records come faster than they can be written. Default: block.
    pub overflow: Option<AuditOverflow>,
    /// The size beyond which the file is set aside and the chain goes on in a new one. Default: 100MiB.
    pub rotate: Option<Size>,
    /// Whether each record tells how far the request came. Default: false.
    pub trace: Option<bool>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditEvents {
    /// Every decision.
    All,
    /// Refusals alone.
    Denials,
}

/// How the token's subject is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditSubject {
    /// As it is.
    Clear,
    /// As a hash under the key.
    Hash,
    /// Not at all.
    None,
}

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOverflow {
    /// Requests wait, for a second at most.
    Block,
    /// Records are dropped and counted.
    Drop,
}

/// The log.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How a line looks. Default: json.
    pub format: Option<LogFormat>,
    /// The least important lines written. Default: info.
    pub level: Option<LogLevel>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
}

/// The importance of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What needs an operator.
    Error,
    /// What may need one soon.
    Warn,
    /// One line a request.
    Info,
}
