//! `telemetry`: what the gateway writes about its work.

use schemars::JsonSchema;
use serde::Deserialize;

/// What the gateway writes about its work.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The log on standard error.
    pub log: Option<Log>,
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
