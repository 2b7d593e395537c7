//! 1. What arrived, as plain data: no connection, no proxy type, no clock.

pub mod authority;
pub mod chunks;
pub mod credentials;
pub mod facts;
pub mod form;
pub mod forwarded;
pub mod framing;
pub mod hop;
pub mod path;
pub mod proxy_protocol;
pub mod target_uri;

pub use authority::{Authority, Host};
pub use credentials::{Credential, CredentialError, Scheme};
pub use facts::{Facts, RequestId, TransportFacts};
pub use path::{AmbiguousPath, CanonicalPath};
pub use target_uri::{PublicAddress, TargetUri, UriScheme};
