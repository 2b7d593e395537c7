//! What the rooms below refuse for, as reasons of the closed list.

use super::Reason;
use crate::authn::ProofError;
use crate::authn::binding::BindingError;
use crate::authn::replay::ReplayRefusal;
use crate::authn::revocation::RevocationRefusal;
use crate::authn::token::TokenError;
use crate::request::CredentialError;

impl From<CredentialError> for Reason {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Missing => Self::NoCredential,
            CredentialError::Several => Self::SeveralCredentials,
            CredentialError::Malformed => Self::MalformedCredential,
        }
    }
}

impl From<TokenError> for Reason {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::TooLarge => Self::TokenTooLarge,
            TokenError::WrongForm => Self::WrongForm,
            TokenError::HeaderRefused => Self::HeaderRefused,
            TokenError::UnknownIssuer => Self::UnknownIssuer,
            TokenError::AlgorithmRefused => Self::AlgorithmRefused,
            TokenError::TypeRefused => Self::TypeRefused,
            TokenError::KeysUnavailable => Self::KeysUnavailable,
            TokenError::UnknownKey => Self::UnknownKey,
            TokenError::DecryptionFailed => Self::DecryptionFailed,
            TokenError::BadSignature => Self::BadSignature,
            TokenError::MalformedClaims => Self::MalformedClaims,
            TokenError::ClaimMissing => Self::ClaimMissing,
            TokenError::Expired => Self::Expired,
            TokenError::NotYetValid => Self::NotYetValid,
            TokenError::IssuedInFuture => Self::IssuedInFuture,
            TokenError::LifetimeTooLong => Self::LifetimeTooLong,
            TokenError::WrongAudience => Self::WrongAudience,
            TokenError::Overloaded => Self::Overloaded,
        }
    }
}

impl From<RevocationRefusal> for Reason {
    fn from(refusal: RevocationRefusal) -> Self {
        match refusal {
            RevocationRefusal::Revoked { .. } => Self::Revoked,
            RevocationRefusal::Stale | RevocationRefusal::NeverHad => Self::StoreUnavailable,
        }
    }
}

impl From<BindingError> for Reason {
    fn from(error: BindingError) -> Self {
        match error {
            BindingError::Unbound | BindingError::NoKey | BindingError::Downgraded | BindingError::NoCertificate => {
                Self::BindingMissing
            }
            BindingError::OtherCertificate | BindingError::Proof(ProofError::OtherKey) => Self::BindingMismatch,
            BindingError::Unknown => Self::BindingRefused,
            BindingError::Proof(ProofError::Malformed(_)) => Self::ProofMalformed,
            BindingError::Proof(ProofError::Mismatch(_)) => Self::ProofMismatch,
            BindingError::Proof(ProofError::Stale(_)) => Self::ProofStale,
            BindingError::Proof(ProofError::NonceRequired) => Self::NonceRequired,
            BindingError::Proof(ProofError::Overloaded) => Self::Overloaded,
        }
    }
}

impl From<ReplayRefusal> for Reason {
    fn from(refusal: ReplayRefusal) -> Self {
        match refusal {
            ReplayRefusal::Unidentified => Self::ClaimMissing,
            ReplayRefusal::Replayed => Self::Replayed,
            ReplayRefusal::ProofReplayed => Self::ProofReplayed,
            ReplayRefusal::Unprovable => Self::ReplayUnprovable,
            ReplayRefusal::StoreLost(_) => Self::StoreUnavailable,
        }
    }
}
