//! The admin API: metrics, health, and the answer to "why was this refused?".

pub mod settings;

pub use settings::AdminSettings;
