//! What the operator can see: metrics, the log, the audit log and traces. None ever holds a token, a secret or a query.

pub mod access;
pub mod audit;
pub mod logs;
pub mod metrics;
pub mod outcome;
pub mod settings;
pub mod traces;

pub use access::AccessLine;
pub use audit::{Audit, AuditRecord, AuditSettings, AuditStatus};
pub use metrics::{METRICS, MetricInfo, MetricKind, Metrics, RouteMeter, UpstreamMeter};
pub use outcome::Outcome;
pub use settings::{LogLevel, LogSettings, LogTarget};
pub use traces::{Traces, TracesSettings};
