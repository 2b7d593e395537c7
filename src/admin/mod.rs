//! The admin API: metrics, health, and the answer to "why was this refused?".

pub mod api;
pub mod explain;
pub mod settings;

mod url;

pub use api::{Admin, Readiness, Source, services};
pub use explain::{ExplainAnswer, ExplainError, ExplainRequest, ExplainStage, explain};
pub use settings::AdminSettings;
