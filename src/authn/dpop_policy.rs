//! What a route asks of DPoP proofs (RFC 9449 §4.3, §9), as a finished policy.

use crate::jose::SigningAlgorithm;
use std::sync::Arc;
use std::time::Duration;

/// Whether a proof must hold a nonce of ours (RFC 9449 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DpopNonceRule {
    /// No nonce is handed out, and none is looked at.
    #[default]
    None,
    /// A proof without a current nonce is refused with a new one.
    Required,
}

/// What one route asks of proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopPolicy {
    nonce: DpopNonceRule,
    max_age: Duration,
    algorithms: Vec<SigningAlgorithm>,
    algorithms_text: Arc<str>,
}

/// A list of algorithms no proof can be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DpopPolicyError {
    /// The list is empty.
    #[error("names no algorithm")]
    NoAlgorithm,
    /// A symmetric algorithm: whoever could check the proof could make it (RFC 9449 §4.2).
    #[error("{0} is symmetric: a proof needs a key that only the client has")]
    Symmetric(SigningAlgorithm),
}

impl DpopPolicy {
    /// Proofs by one of `algorithms`, at most `max_age` old.
    pub fn new(
        nonce: DpopNonceRule,
        max_age: Duration,
        algorithms: Vec<SigningAlgorithm>,
    ) -> Result<Self, DpopPolicyError> {
        if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
            return Err(DpopPolicyError::Symmetric(*symmetric));
        }
        if algorithms.is_empty() {
            return Err(DpopPolicyError::NoAlgorithm);
        }
        let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
        Ok(Self { nonce, max_age, algorithms_text: names.join(" ").into(), algorithms })
    }

    /// True when a proof may be signed with this algorithm.
    #[must_use]
    pub fn accepts(&self, algorithm: SigningAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// True when proofs must hold a nonce of ours.
    #[must_use]
    pub fn wants_nonce(&self) -> bool {
        self.nonce == DpopNonceRule::Required
    }

    /// How old a proof may be.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The accepted algorithms separated by spaces, as the challenge lists them (RFC 9449 §7.1).
    #[must_use]
    pub fn algorithms_text(&self) -> &Arc<str> {
        &self.algorithms_text
    }
}

impl Default for DpopPolicy {
    /// No nonce, a minute, ES256 or EdDSA.
    fn default() -> Self {
        Self {
            nonce: DpopNonceRule::None,
            max_age: Duration::from_secs(60),
            algorithms: vec![SigningAlgorithm::ES256, SigningAlgorithm::EdDSA],
            algorithms_text: "ES256 EdDSA".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_symmetric_algorithms_is_refused() {
        let new = |algorithms| DpopPolicy::new(DpopNonceRule::None, Duration::ZERO, algorithms);
        let symmetric = SigningAlgorithm::HS256;
        assert_eq!(new(vec![SigningAlgorithm::ES256, symmetric]), Err(DpopPolicyError::Symmetric(symmetric)));
        assert_eq!(new(vec![]), Err(DpopPolicyError::NoAlgorithm));
    }
}
