//! The audit log: who was let through and who was refused, one JSON object a line, chained under a key.
//!
//! A request hands its record to a bounded queue and goes on; one thread of its own writes. What can't be written is
//! counted, never waited for without end: an audit log that stops the traffic would be a switch for whoever fills the
//! disk.

mod chain;
mod file;
mod head;
mod queue;
mod record;
mod settings;
mod tail;
mod verify;
mod writer;

pub use chain::Head;
pub use head::AuditStatus;
pub use queue::{Audit, AuditSetupError};
pub use record::AuditRecord;
pub use settings::{AuditEvents, AuditSettings, AuditTerms, Overflow, SubjectForm};
pub use verify::{AuditFault, AuditProof, verify};
