//! The end of a process: on order, or because another one has taken over.

use super::App;
use super::notify::ServiceManager;
use super::orders::Orders;
use super::upgrade::Successor;
use crate::clock::Stopwatch;
use log::{info, warn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often a drain looks whether the last one is done.
const STEP: Duration = Duration::from_millis(20);
/// How often a process that drains looks whether its successor has revoked something.
const REVOCATIONS_EVERY: Duration = Duration::from_secs(1);

/// How long the end of a process waits for its last spans, within the grace it has.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// What is still running, and how it is told to end.
pub(super) struct Running {
    pub(super) services: JoinSet<()>,
    pub(super) ending: watch::Sender<bool>,
    pub(super) orders: Orders,
}

impl Running {
    /// Lets no further connection in.
    fn close(&self) {
        // A closed channel means that nothing runs any more.
        let _ = self.ending.send(true);
    }

    /// Waits until nothing is `open` any more, at most for `grace`, and not after an order to end at once.
    async fn drain(&mut self, open: impl Fn() -> usize, grace: Duration) {
        let watch = Stopwatch::start();
        while watch.elapsed() < grace && open() > 0 {
            tokio::select! {
                () = tokio::time::sleep(STEP) => {}
                () = self.orders.interrupted() => return warn!("told to end at once: {} were cut", open()),
            }
        }
        let left = grace.saturating_sub(watch.elapsed()).min(Duration::from_secs(1));
        // Listeners that do not close in time are cut with the runtime.
        let _ = tokio::time::timeout(left, async { while self.services.join_next().await.is_some() {} }).await;
        match open() {
            0 => info!("drained in {:?}", watch.elapsed()),
            cut => warn!("{cut} requests or connections were cut after {grace:?}"),
        }
    }
}

impl App {
    /// Turns balancers away, waits until they have noticed, then lets nobody in, and ends with the last request.
    pub(super) async fn end(&self, running: &mut Running, manager: &ServiceManager) {
        manager.stopping();
        self.live.shared.draining.store(true, Ordering::Release);
        let server = &self.live.standing.load_full().server;
        let (delay, grace) = (server.drain_delay, server.shutdown_grace);
        info!("draining: not ready for {delay:?}, then {grace:?} for requests in flight");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = running.orders.interrupted() => return info!("told to end at once"),
        }
        running.close();
        let in_flight = &self.live.shared.in_flight;
        running.drain(|| in_flight.now(), grace).await;
    }

    /// Lets `successor` serve, and ends with the last connection. Those that lie idle are left to their clients, for each
    /// may carry a request already: it is answered, and told to be the last.
    pub(super) async fn hand_over(&self, successor: Successor, running: &mut Running, manager: &ServiceManager) {
        let shared = &self.live.shared;
        shared.draining.store(true, Ordering::Release);
        let at = shared.clock.now();
        // Processes with a shared store ask the same memory.
        if self.embedded.is_some() {
            shared.memory.replay.leave_to_successor(at);
        }
        running.close();
        while running.services.join_next().await.is_some() {}
        if let Some(pid) = successor.pid {
            manager.hands_over_to(pid);
        }
        match successor.begin(at).await {
            Ok(()) => info!("another process serves now; this one ends with its last connection"),
            Err(error) => warn!("another process was about to serve, and is gone: {error}"),
        }
        self.follow_successor();
        let (grace, connections) = (self.live.standing.load().server.shutdown_grace, &self.connections);
        running.drain(|| connections.open().max(shared.in_flight.now()), grace).await;
    }

    /// Has what was recorded of the last requests written and sent. A collector that does not answer is waited for no
    /// longer than a request would have been.
    pub(super) async fn close(&self) {
        let (shared, grace) = (&self.live.shared, self.live.standing.load().server.shutdown_grace);
        let written = async {
            if let Some(audit) = &shared.audit {
                audit.close().await;
            }
        };
        let sent = async {
            if let Some(traces) = &shared.traces {
                traces.close(grace.min(LAST_SPANS)).await;
            }
        };
        tokio::join!(written, sent);
    }

    /// What the successor writes to the file of revocations holds here too.
    fn follow_successor(&self) {
        let shared = Arc::clone(&self.live.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(REVOCATIONS_EVERY).await;
                // What is known stays known; the successor tells what is wrong with the file.
                let _ = shared.memory.revocations.load(shared.clock.now()).await;
            }
        });
    }
}
