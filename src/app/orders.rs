//! What the process is told: by signals, and by another process that takes over.

use super::reload::Reloads;
use super::upgrade::{Successor, Successors};
use crate::admin::ReloadCause;
use log::warn;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// How the process is told to end.
pub(super) enum Order {
    /// Once the requests in flight are answered.
    Drain,
    /// The same, while another process serves already.
    HandOver(Successor),
    /// Now.
    Quit,
}

/// SIGXFSZ has no name in the runtime's list; its number is the same wherever this builds.
const SIGXFSZ: i32 = 25;

/// The signals of the process.
pub(super) struct Orders {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Taken so that it does not end the process: a file that reached the limit of its size (RLIMIT_FSIZE) is an error of
    /// writing like a full disk, and handled where it is written.
    _file_size: Signal,
}

impl Orders {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Waits for the order to end, handing on those to reload. A service that ends by itself, which none does, ends
    /// the process too.
    pub(super) async fn wait(
        &mut self,
        reloads: &Reloads,
        successors: &mut Successors,
        running: &mut JoinSet<()>,
    ) -> Order {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Drain,
                Some(successor) = successors.next() => return Order::HandOver(successor),
                _ = self.interrupt.recv() => return Order::Quit,
                _ = self.hangup.recv() => reloads.order(ReloadCause::Signal),
                _ = running.join_next() => {
                    warn!("a service ended by itself");
                    return Order::Quit;
                }
            }
        }
    }

    /// Waits for the order to end at once.
    pub(super) async fn interrupted(&mut self) {
        if self.interrupt.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
