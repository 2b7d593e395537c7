//! What the process is told by signals, and its end.

use super::reload::Reloads;
use crate::admin::ReloadCause;
use crate::clock::Stopwatch;
use crate::proxy::InFlight;
use log::{info, warn};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// How often a shutdown looks whether the last request is done.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// How the process is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Once the requests in flight are answered.
    Drain,
    /// Now.
    Quit,
}

/// The signals of the process.
pub(super) struct Orders {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Orders {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the order to end, handing on those to reload. A service that ends by itself, which none does, ends
    /// the process too.
    pub(super) async fn wait(&mut self, reloads: &Reloads, running: &mut JoinSet<()>) -> Order {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Drain,
                _ = self.interrupt.recv() => return Order::Quit,
                _ = self.hangup.recv() => reloads.order(ReloadCause::Signal),
                _ = running.join_next() => {
                    warn!("a service ended by itself");
                    return Order::Quit;
                }
            }
        }
    }
}

/// Waits until no request is served any more, at most for `grace`.
pub(super) async fn drain(in_flight: &InFlight, grace: Duration, running: &mut JoinSet<()>) {
    let watch = Stopwatch::start();
    while watch.elapsed() < grace && in_flight.now() > 0 {
        tokio::time::sleep(DRAIN_STEP).await;
    }
    let left = grace.saturating_sub(watch.elapsed()).min(Duration::from_secs(1));
    // Listeners that do not close in time are cut with the runtime.
    let _ = tokio::time::timeout(left, async { while running.join_next().await.is_some() {} }).await;
    match in_flight.now() {
        0 => info!("drained in {:?}", watch.elapsed()),
        cut => warn!("{cut} requests were cut after {grace:?}"),
    }
}
