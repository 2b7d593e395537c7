//! What is told of the audit log: how far it is written, and what is wrong.

use super::chain::Head;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The audit log at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditStatus {
    /// The file that is written.
    pub file: String,
    /// The head, as exported every minute: whoever keeps it can prove later that no record up to it is missing.
    pub head: Option<String>,
    /// When it was exported, in seconds since the Unix epoch.
    pub head_at: Option<i64>,
    /// How many records were lost since the process started.
    pub lost: u64,
    /// Why nothing can be written at present.
    pub error: Option<String>,
}

/// The same, as the writer keeps it.
#[derive(Debug, Default)]
pub(super) struct Board {
    status: Mutex<AuditStatus>,
    /// Records that found no place in the queue, and that the log itself does not tell of yet.
    dropped: AtomicU64,
}

impl Board {
    pub(super) fn show(&self) -> AuditStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut AuditStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts a record that found no place in the queue.
    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.change(|status| status.lost = status.lost.saturating_add(1));
    }

    /// How many were dropped since this was asked last.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    pub(super) fn publish(&self, head: Head, at: i64) {
        self.change(|status| {
            status.head = Some(head.to_string());
            status.head_at = Some(at);
        });
    }
}
