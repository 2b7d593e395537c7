//! The admin API: metrics, health, the answer to "why was this refused?", and the list of what was revoked.

pub mod api;
pub mod explain;
pub mod settings;

mod revocations;
mod url;

pub use api::{Admin, Readiness, Source, services};
pub use explain::{ExplainAnswer, ExplainError, ExplainRequest, ExplainStage, explain};
pub use settings::AdminSettings;
