//! The proxy room: the only one that knows what a session of the HTTP engine is.

pub mod settings;

pub use settings::{ListenerKind, ListenerSettings, PublicAddress, Scheme, ServerSettings};
