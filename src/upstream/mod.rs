//! 9. Whom requests are forwarded to: endpoints, their choice, their addresses.

pub mod settings;

pub use settings::{EndpointSettings, HostPolicy, Timeouts, UpstreamSettings, UpstreamTls};
