//! What the operator can see: metrics and the log. Neither ever holds a token, a secret or a query.

pub mod access;
pub mod logs;
pub mod metrics;
pub mod outcome;
pub mod settings;

pub use access::AccessLine;
pub use metrics::{METRICS, MetricInfo, MetricKind, Metrics, RouteMeter, UpstreamMeter};
pub use outcome::Outcome;
pub use settings::{LogLevel, LogSettings, LogTarget};
