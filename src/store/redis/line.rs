//! The tasks that move a session's bytes, and the state of its connections that they share with it.

use super::dialer::Driver;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// Whether the connections are there, and whether the server is late.
#[derive(Debug, Default)]
pub(super) struct Line {
    closed: AtomicBool,
    stalled: AtomicBool,
    doubtful: AtomicBool,
    alarm: Notify,
}

impl Line {
    /// Whether a connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the server is late with an answer.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// The server is late with an answer (or not any more).
    pub(super) fn stall(&self, stalled: bool) {
        if self.stalled.swap(stalled, Ordering::AcqRel) != stalled && stalled {
            self.alarm.notify_one();
        }
    }

    /// A connection is gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.alarm.notify_one();
    }

    /// The records of the epochs are not what they were: look at all of them.
    pub(super) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Release);
        self.alarm.notify_one();
    }

    /// Whether all records must be looked at, asked once.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubtful.swap(false, Ordering::AcqRel)
    }

    /// Waits until something is wrong.
    pub(super) async fn alarm(&self) {
        self.alarm.notified().await;
    }
}

/// A connection's driver, which gives way once before each turn: whoever is ready to send then does so first, and all of
/// it goes in one write. Without that, every request would be a write of its own.
///
/// Closes the line when it is dropped: when the connection ends, and when its runtime does.
pub(super) struct Driving {
    driver: Driver,
    gave_way: bool,
    line: Arc<Line>,
}

impl Driving {
    pub(super) fn new(driver: Driver, line: &Arc<Line>) -> Self {
        Self { driver, gave_way: false, line: Arc::clone(line) }
    }
}

impl Future for Driving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.gave_way = !self.gave_way;
        if self.gave_way {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.driver.as_mut().poll(context)
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.line.close();
    }
}
