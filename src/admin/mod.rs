//! The admin API: metrics, health, status, reload, revocations, and the answer to "why was this refused?".

pub mod api;
pub mod explain;
pub mod operate;
pub mod settings;

mod answer;
mod revocations;
mod url;

pub use api::{Admin, AdminToken, Listening, Readiness, Source, services};
pub use explain::{ExplainAnswer, ExplainError, ExplainRequest, ExplainStage, explain};
pub use operate::{
    EffectivePolicy, FetchReport, IssuerKeys, Operator, ReloadCause, ReloadOutcome, ReloadReport, Status, StoreReport,
};
pub use settings::AdminSettings;
