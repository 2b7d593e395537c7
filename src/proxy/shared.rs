//! What the requests of a gateway have in common.

use super::context::InFlight;
use super::generation::Generation;
use super::settings::{ListenerSettings, ServerSettings};
use crate::clock::Clock;
use crate::decision::Recollection;
use crate::telemetry::{Audit, Metrics, Traces};
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What all requests share.
pub struct Shared {
    /// The configuration in force. A reload swaps it whole.
    pub generation: ArcSwap<Generation>,
    /// What outlives a request: spent tokens, opened tokens.
    pub memory: Arc<Recollection>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// The source of `now`.
    pub clock: Arc<dyn Clock>,
    /// The audit log, where there is one.
    pub audit: Option<Arc<Audit>>,
    /// Where spans go, where traces are on.
    pub traces: Option<Arc<Traces>>,
    /// The limits of the server.
    pub settings: ServerSettings,
    /// The listeners, in the order in which handshakes number them.
    pub listeners: Vec<ListenerSettings>,
    /// How many requests are being served.
    pub in_flight: InFlight,
    /// True once the process is about to end.
    pub draining: AtomicBool,
}
