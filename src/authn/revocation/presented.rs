//! A token that is handed in to be revoked (RFC 7009 §2.1).

use super::super::token::{self, TokenError};
use crate::clock::UnixTime;
use crate::issuer::Registry;
use crate::jose::Json;
use crate::observe::Observer;
use crate::store::{Revocation, RevocationId, Target};

/// Why nothing is revoked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRevocable {
    /// It is not a token of an issuer of ours, or its signature proves nothing: a stranger must not fill the list.
    #[error("{0}")]
    Token(TokenError),
    /// It has expired for good: there is nothing to revoke.
    #[error("expired")]
    Expired,
    /// It has no identifier by which it could be told from others (RFC 7009 §2.2.1 `unsupported_token_type`).
    #[error("the token has no identifier")]
    Unidentified,
    /// It has no `exp`, so that no route would take it.
    #[error("the token has no expiry")]
    Timeless,
}

/// The revocation of exactly this token, by its identifier, until it expires.
pub fn revocation_of(
    registry: &Registry,
    token: &str,
    id: RevocationId,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<Revocation, NotRevocable> {
    let opened = token::open_of_any(registry, token, None, now, observer);
    let opened = opened.map_err(|refused| NotRevocable::Token(refused.error))?;
    let profile = registry.profile(opened.issuer()).ok_or(NotRevocable::Token(TokenError::UnknownIssuer))?;
    let (claims, contract) = (opened.claims(), &profile.contract);
    let expires_at = claims.expires_at().ok_or(NotRevocable::Timeless)?.plus(contract.leeway);
    if now >= expires_at {
        return Err(NotRevocable::Expired);
    }
    let identifier = claims.lookup(&contract.id_claim).and_then(Json::as_str);
    let identifier = identifier.filter(|identifier| !identifier.is_empty()).ok_or(NotRevocable::Unidentified)?;
    Ok(Revocation::new(id, &profile.issuer, Target::Token(identifier), expires_at, now))
}

#[cfg(test)]
mod tests {
    use super::super::logout_token::tests::{NOW, Provider};
    use super::super::tests::at;
    use super::*;
    use crate::observe::Silent;
    use serde_json::{Value, json};

    fn hand_in(provider: &Provider, claims: &Value) -> Result<Revocation, NotRevocable> {
        let header = json!({ "alg": "ES256", "kid": provider.key["kid"], "typ": "at+jwt" });
        let token = provider.sign(&header, claims);
        revocation_of(&provider.registry, &token, RevocationId::from_bits(1), at(NOW), &Silent)
    }

    #[test]
    fn a_token_is_revoked_by_its_identifier_until_it_expires() {
        let provider = Provider::new(None);
        let claims = json!({ "iss": "https://idp", "jti": "x", "exp": NOW + 60, "aud": "somebody else" });
        let made = hand_in(&provider, &claims).unwrap();
        assert_eq!(made, Revocation::new(made.id, "https://idp", Target::Token("x"), at(NOW + 70), at(NOW)));
    }

    #[test]
    fn what_can_not_be_revoked_is_told_from_what_need_not_be() {
        let provider = Provider::new(None);
        let cases = [
            (json!({ "iss": "https://idp", "jti": "x", "exp": NOW - 10 }), NotRevocable::Expired),
            (json!({ "iss": "https://idp", "exp": NOW + 60 }), NotRevocable::Unidentified),
            (json!({ "iss": "https://idp", "jti": "", "exp": NOW + 60 }), NotRevocable::Unidentified),
            (json!({ "iss": "https://idp", "jti": "x" }), NotRevocable::Timeless),
            (
                json!({ "iss": "https://else", "jti": "x", "exp": NOW + 60 }),
                NotRevocable::Token(TokenError::UnknownIssuer),
            ),
        ];
        for (claims, fault) in cases {
            assert_eq!(hand_in(&provider, &claims), Err(fault), "{claims}");
        }
        let stranger = Provider { registry: provider.registry, ..Provider::new(None) };
        let claims = json!({ "iss": "https://idp", "jti": "x", "exp": NOW + 60 });
        assert!(matches!(hand_in(&stranger, &claims), Err(NotRevocable::Token(_))));
    }
}
