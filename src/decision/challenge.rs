//! `WWW-Authenticate` as data (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9449 §7.1). `proxy/respond` writes it.

use super::denial::ChallengeKind;
use crate::request::Scheme;
use std::fmt;
use std::sync::Arc;

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
}

impl Challenge {
    /// The challenge of `kind` for a request under `scheme`; `None` where the reason has none.
    #[must_use]
    pub fn of(kind: ChallengeKind, scheme: Scheme, realm: &Arc<str>, scope: Option<&Arc<str>>) -> Option<Self> {
        let error = match kind {
            ChallengeKind::None => return None,
            ChallengeKind::Ask => None,
            ChallengeKind::InvalidRequest => Some("invalid_request"),
            ChallengeKind::InvalidToken => Some("invalid_token"),
            ChallengeKind::InsufficientScope => Some("insufficient_scope"),
        };
        let scope = (kind == ChallengeKind::InsufficientScope).then(|| scope.cloned()).flatten();
        Some(Self { scheme, realm: Arc::clone(realm), error, scope })
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} realm=\"{}\"", self.scheme.name(), self.realm)?;
        if let Some(error) = self.error {
            write!(f, ", error=\"{error}\"")?;
        }
        if let Some(scope) = &self.scope {
            write!(f, ", scope=\"{scope}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_reads_as_rfc_6750_writes_it() {
        let realm: Arc<str> = "orders".into();
        let scope: Arc<str> = "orders:read".into();
        let text = |kind| Challenge::of(kind, Scheme::Bearer, &realm, Some(&scope)).map(|c| c.to_string());
        assert_eq!(text(ChallengeKind::None), None);
        assert_eq!(text(ChallengeKind::Ask).as_deref(), Some("Bearer realm=\"orders\""));
        assert_eq!(
            text(ChallengeKind::InvalidToken).as_deref(),
            Some("Bearer realm=\"orders\", error=\"invalid_token\"")
        );
        assert_eq!(
            text(ChallengeKind::InsufficientScope).as_deref(),
            Some("Bearer realm=\"orders\", error=\"insufficient_scope\", scope=\"orders:read\"")
        );
    }
}
