//! 5. Whom we believe: the token contract of each issuer, its keys, and the choice among issuers.

pub mod address;
#[cfg(feature = "server")]
pub mod http;
pub mod keys;
pub mod metadata;
pub mod profile;
pub mod refresh;
pub mod registry;

pub use keys::{KeyRing, KeySnapshot, RefetchSignal};
pub use profile::{AcceptedTypes, Form, IssuerProfile, TokenContract};
pub use registry::{Registry, Unchosen};

/// The number of an issuer within one generation of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(u16);

impl IssuerId {
    /// The id of the issuer at `index`.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The position of the issuer in the registry.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
