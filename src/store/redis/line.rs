//! The state of a session's connections, shared with the tasks that move their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Closes the line when it is dropped: when the driver ends, and when its runtime does.
pub(super) struct Closing(Arc<Line>);

impl Closing {
    pub(super) fn of(line: &Arc<Line>) -> Self {
        Self(Arc::clone(line))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
