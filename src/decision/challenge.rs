//! `WWW-Authenticate` as data (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3). `proxy/respond` writes it.

use super::denial::ChallengeKind;
use super::policy::Guard;
use crate::authn::StepUp;
use crate::request::Scheme;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme the client should use.
    pub scheme: Scheme,
    /// The protection space: the route's name.
    pub realm: Arc<str>,
    /// The registered error code, where the request carried a credential.
    pub error: Option<&'static str>,
    /// The scopes the route asks, with `insufficient_scope`.
    pub scope: Option<Arc<str>>,
    /// The authentication contexts the route asks, with `insufficient_user_authentication`.
    pub acr_values: Option<Arc<str>>,
    /// The age of the authentication the route asks, likewise.
    pub max_age: Option<Duration>,
    /// The algorithms a proof may have, under the scheme `DPoP`.
    pub algorithms: Option<Arc<str>>,
}

impl Challenge {
    /// The challenge of `kind` by a route called `realm`, for a request under `scheme`; `None` where the reason has none.
    #[must_use]
    pub fn of(kind: ChallengeKind, scheme: Scheme, realm: &Arc<str>, guard: &Guard) -> Option<Self> {
        let error = match kind {
            ChallengeKind::None => return None,
            ChallengeKind::Ask => None,
            ChallengeKind::InvalidRequest => Some("invalid_request"),
            ChallengeKind::InvalidToken => Some("invalid_token"),
            ChallengeKind::InsufficientScope => Some("insufficient_scope"),
            ChallengeKind::InvalidProof => Some("invalid_dpop_proof"),
            ChallengeKind::UseNonce => Some("use_dpop_nonce"),
            ChallengeKind::StepUp => Some("insufficient_user_authentication"),
        };
        let scope = guard.scopes.text().filter(|_| kind == ChallengeKind::InsufficientScope);
        let step_up = guard.step_up.as_ref().filter(|_| kind == ChallengeKind::StepUp);
        let dpop = guard.dpop.as_ref().filter(|_| scheme == Scheme::Dpop);
        Some(Self {
            scheme,
            realm: Arc::clone(realm),
            error,
            scope: scope.cloned(),
            acr_values: step_up.and_then(|asked| asked.acr_text().cloned()),
            max_age: step_up.and_then(StepUp::max_age),
            algorithms: dpop.map(|policy| Arc::clone(policy.algorithms_text())),
        })
    }

    /// The parameters in the order in which they are written.
    fn parameters(&self) -> Vec<String> {
        let quoted = |name: &str, value: &str| format!("{name}=\"{value}\"");
        // RFC 9449 shows no realm, and some clients read the first parameter only.
        let realm = (self.scheme == Scheme::Bearer).then(|| quoted("realm", &self.realm));
        [
            realm,
            self.error.map(|error| quoted("error", error)),
            self.scope.as_ref().map(|scope| quoted("scope", scope)),
            self.acr_values.as_ref().map(|values| quoted("acr_values", values)),
            self.max_age.map(|max_age| format!("max_age={}", max_age.as_secs())),
            self.algorithms.as_ref().map(|algorithms| quoted("algs", algorithms)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.parameters().join(", ");
        let space = if parameters.is_empty() { "" } else { " " };
        write!(f, "{}{space}{parameters}", self.scheme.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::{BindingRule, DpopPolicy, OnLoss, ReplayMode, RevocationPolicy};
    use crate::decision::{Mode, Scopes};

    fn guard() -> Guard {
        let step_up = StepUp::new(vec!["urn:loa:2".into()], Some(Duration::from_secs(600)), vec![]);
        Guard {
            issuers: vec![],
            audiences: vec![],
            scopes: Scopes::all_of(vec!["orders:read".into()]),
            when: None,
            binding: BindingRule::IfBound,
            dpop: Some(DpopPolicy::default()),
            step_up: Some(step_up.unwrap()),
            replay: ReplayMode::None,
            on_loss: OnLoss::Closed,
            revocation: RevocationPolicy::LastKnown,
            mode: Mode::Enforce,
        }
    }

    fn text(kind: ChallengeKind, scheme: Scheme) -> Option<String> {
        Challenge::of(kind, scheme, &"orders".into(), &guard()).map(|challenge| challenge.to_string())
    }

    #[test]
    fn a_bearer_challenge_reads_as_rfc_6750_writes_it() {
        let text = |kind| text(kind, Scheme::Bearer);
        assert_eq!(text(ChallengeKind::None), None);
        assert_eq!(text(ChallengeKind::Ask).as_deref(), Some(r#"Bearer realm="orders""#));
        assert_eq!(
            text(ChallengeKind::InvalidToken).as_deref(),
            Some(r#"Bearer realm="orders", error="invalid_token""#)
        );
        assert_eq!(
            text(ChallengeKind::InsufficientScope).as_deref(),
            Some(r#"Bearer realm="orders", error="insufficient_scope", scope="orders:read""#)
        );
    }

    #[test]
    fn a_dpop_challenge_reads_as_rfc_9449_writes_it() {
        let text = |kind| text(kind, Scheme::Dpop);
        assert_eq!(text(ChallengeKind::Ask).as_deref(), Some(r#"DPoP algs="ES256 EdDSA""#));
        assert_eq!(
            text(ChallengeKind::InvalidProof).as_deref(),
            Some(r#"DPoP error="invalid_dpop_proof", algs="ES256 EdDSA""#)
        );
        assert_eq!(
            text(ChallengeKind::UseNonce).as_deref(),
            Some(r#"DPoP error="use_dpop_nonce", algs="ES256 EdDSA""#)
        );
    }

    #[test]
    fn a_step_up_challenge_reads_as_rfc_9470_writes_it() {
        assert_eq!(
            text(ChallengeKind::StepUp, Scheme::Bearer).as_deref(),
            Some(
                r#"Bearer realm="orders", error="insufficient_user_authentication", acr_values="urn:loa:2", max_age=600"#
            )
        );
    }
}
