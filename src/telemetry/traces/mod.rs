//! Traces: the spans of requests, exported by OTLP over gRPC (`telemetry.otlp`).
//!
//! # Whom we believe
//!
//! A sound `traceparent` is continued, whoever sent it: the trace's identifier proves nothing and decides nothing. Where
//! the caller says that it is not recorded, neither is our part. Where it says that it is, that changes nothing: without
//! its word our part would be recorded too. So a stranger can have less exported, never more than the few spans of each
//! request it makes; and what it has left out is in the metrics, the log and the audit log all the same.
//!
//! # What a span says
//!
//! Names and numbers of ours, and names of gateway.yaml: never a token, a claim, a subject, a query or a path as it was
//! sent. What a client could fill with anything is left out: an unknown method, a `Host`
//! other than the name of the handshake.
//!
//! # What it costs
//!
//! Nothing where it is off. Where it is on, a request hands its spans over at its end and waits for nobody: the queue is
//! bounded, what finds no room is dropped and counted (`tollgate_trace_spans_total`).

mod collector;
mod context;
mod export;
mod otlp;
mod settings;
mod span;

pub use collector::TracesSetupError;
pub use context::{SpanId, TRACEPARENT, TRACESTATE, TraceContext, TraceId, is_sound_state};
pub use export::{Exporter, Traces};
pub use settings::{CollectorUrl, CollectorUrlError, TracesSettings};
pub use span::{Span, SpanKind, Times, Value};
