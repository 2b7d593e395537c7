//! What the operator can see: metrics and the log. Neither ever holds a token, a secret or a query.

pub mod settings;

pub use settings::{LogLevel, LogSettings, LogTarget};
