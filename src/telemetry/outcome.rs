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
    /// It would have been refused, had the route not been in report mode.
    WouldDeny,
    /// Gateway, store or upstream could not do their part (5xx).
    Error,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Allowed, Self::Public, Self::Denied, Self::WouldDeny, Self::Error];

    /// The outcome of a refusal: its status says on whose side the fault lies.
    #[must_use]
    pub const fn refused(reason: Reason) -> Self {
        if reason.status() >= 500 { Self::Error } else { Self::Denied }
    }

    /// The outcome of a permit.
    #[must_use]
    pub fn permitted(permit: &Permit) -> Self {
        match permit.report() {
            Some(report) if report.would_deny.is_some() => Self::WouldDeny,
            None if permit.is_public() => Self::Public,
            Some(_) | None => Self::Allowed,
        }
    }

    /// The outcome's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Public => "public",
            Self::Denied => "denied",
            Self::WouldDeny => "would_deny",
            Self::Error => "error",
        }
    }

    /// The position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
