//! How a request ended, in the words of metrics, log and `explain`.

use crate::decision::{Permit, Reason};

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A proven caller was let through.
    Allowed,
    /// Nobody was asked who they are.
    Public,
    /// The request was refused.
    Denied,
    /// Gateway, store or upstream could not do their part (5xx).
    Error,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Allowed, Self::Public, Self::Denied, Self::Error];

    /// The outcome of a refusal: its status says on whose side the fault lies.
    #[must_use]
    pub const fn refused(reason: Reason) -> Self {
        if reason.status() >= 500 { Self::Error } else { Self::Denied }
    }

    /// The outcome of a permit.
    #[must_use]
    pub fn permitted(permit: &Permit) -> Self {
        if permit.is_public() { Self::Public } else { Self::Allowed }
    }

    /// The outcome's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Public => "public",
            Self::Denied => "denied",
            Self::Error => "error",
        }
    }

    /// The position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
