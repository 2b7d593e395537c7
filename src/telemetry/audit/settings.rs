//! What the audit log is told.

use crate::secret::Secret;
use std::path::PathBuf;

/// `telemetry.audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where it is written.
    pub file: PathBuf,
    /// What the chain is made under: 32 bytes or more.
    pub key: Secret<Vec<u8>>,
    /// A file that would grow beyond this many bytes is set aside, and the chain goes on in a new one.
    pub rotate: u64,
    /// What a reload can change.
    pub terms: AuditTerms,
}

/// The part of the settings that a reload can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuditTerms {
    /// What is written.
    pub events: AuditEvents,
    /// How the token's subject is written.
    pub subject: SubjectForm,
    /// What happens when the queue is full.
    pub overflow: Overflow,
    /// Whether a record tells how far the request came.
    pub trace: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuditEvents {
    /// Every decision.
    #[default]
    All,
    /// Refusals, those that report mode would have made, and requests that passed without the store's word.
    Denials,
}

/// How the token's subject is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SubjectForm {
    /// As it is.
    Clear,
    /// As a keyed hash: two records of one subject can be told to be, and nobody without the key can say whose.
    #[default]
    Hash,
    /// Not at all.
    None,
}

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Requests wait, at most a second in all until the file takes records again; then their records are dropped.
    #[default]
    Block,
    /// The record is dropped at once.
    Drop,
}
