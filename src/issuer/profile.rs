//! The token contract of one issuer. The profile fixes form, algorithms, types and keys; a token's own header is only
//! compared with it, and chooses nothing.

use super::KeyRing;
use crate::jose::{ContentEncryption, KeyAlgorithm, SigningAlgorithm, media_type};
use std::sync::Arc;
use std::time::Duration;

/// What the tokens of an issuer look like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A JWS (RFC 7515).
    Signed,
    /// A JWE around a JWS (RFC 7519 §11.2: signed, then encrypted).
    Nested,
    /// A JWE under a symmetric key, with the claims directly inside.
    Sealed,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Signed, Self::Nested, Self::Sealed];

    /// The form's name in gateway.yaml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Nested => "nested",
            Self::Sealed => "sealed",
        }
    }

    /// True when the token is a JWE on the outside.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Nested | Self::Sealed)
    }
}

/// The `typ` values an issuer's tokens may have (RFC 8725 §3.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedTypes {
    names: Vec<String>,
    absent: bool,
}

/// Types that are never an access token, whatever the configuration says: a proof or a log-out notice signed by the
/// very same key must not open a door (RFC 9449 §4.2, OpenID Connect Back-Channel Logout §2.4, RFC 8417 §2.3).
pub const NEVER_ACCEPTED: [&str; 3] = ["dpop+jwt", "logout+jwt", "secevent+jwt"];

impl AcceptedTypes {
    /// Exactly these types; an absent `typ` is refused. `Err` names one that is never accepted.
    pub fn only(names: &[String]) -> Result<Self, String> {
        let names: Vec<String> = names.iter().map(|name| media_type(name)).collect();
        match names.iter().find(|name| NEVER_ACCEPTED.contains(&name.as_str())) {
            Some(never) => Err(never.clone()),
            None => Ok(Self { names, absent: false }),
        }
    }

    /// `logout+jwt` alone (OpenID Connect Back-Channel Logout §2.4): for notices, which are no access tokens.
    #[must_use]
    pub fn logout_notice() -> Self {
        Self { names: vec!["logout+jwt".to_owned()], absent: false }
    }

    /// True when a token with this `typ` is accepted.
    #[must_use]
    pub fn accept(&self, typ: Option<&str>) -> bool {
        typ.map_or(self.absent, |typ| {
            let typ = media_type(typ);
            self.names.contains(&typ)
        })
    }
}

impl Default for AcceptedTypes {
    /// `at+jwt` (RFC 9068 §2.1), `JWT` (RFC 7519 §5.1), or none.
    fn default() -> Self {
        Self { names: vec!["at+jwt".to_owned(), "jwt".to_owned()], absent: true }
    }
}

/// What every token of an issuer must be.
#[derive(Clone, Debug)]
pub struct TokenContract {
    /// The form.
    pub form: Form,
    /// The signing algorithms (RFC 7518 §3.1); empty for `sealed`.
    pub signing_algorithms: Vec<SigningAlgorithm>,
    /// The key management algorithms (RFC 7518 §4.1); empty for `signed`.
    pub key_algorithms: Vec<KeyAlgorithm>,
    /// The content encryptions (RFC 7518 §5.1); empty for `signed`.
    pub content_encryptions: Vec<ContentEncryption>,
    /// The accepted `typ` values.
    pub types: AcceptedTypes,
    /// Where the scopes stand: a claim's name, or a JSON Pointer (RFC 6901).
    pub scope_claim: String,
    /// Where the token's identifier stands: a claim's name, or a JSON Pointer.
    pub id_claim: String,
    /// The longest permitted `exp` − `iat`; makes `iat` mandatory.
    pub max_lifetime: Option<Duration>,
    /// How far the issuer's clock and ours may differ.
    pub leeway: Duration,
    /// The largest token, in bytes.
    pub max_size: usize,
    /// Claims that must be there, besides `iss`, `aud` and `exp`.
    pub required_claims: Vec<String>,
}

impl TokenContract {
    /// Tokens of `form` under `signing_algorithms`, and everything else as gateway.yaml has it where nothing is written.
    #[must_use]
    pub fn new(form: Form, signing_algorithms: Vec<SigningAlgorithm>) -> Self {
        Self {
            form,
            signing_algorithms,
            key_algorithms: Vec::new(),
            content_encryptions: Vec::new(),
            types: AcceptedTypes::default(),
            scope_claim: "scope".to_owned(),
            id_claim: "jti".to_owned(),
            max_lifetime: None,
            leeway: Duration::from_secs(10),
            max_size: 8 * 1024,
            required_claims: Vec::new(),
        }
    }
}

/// One issuer: its name, its tokens, its keys.
#[derive(Debug)]
pub struct IssuerProfile {
    /// The name in gateway.yaml and in metrics.
    pub name: Arc<str>,
    /// The exact `iss` of its tokens.
    pub issuer: Arc<str>,
    /// The audiences of which a token must name at least one.
    pub audiences: Vec<String>,
    /// What its tokens must be.
    pub contract: TokenContract,
    /// Its keys.
    pub keys: KeyRing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_as_media_types() {
        let types = AcceptedTypes::only(&["at+jwt".to_owned()]).unwrap();
        assert!(types.accept(Some("AT+JWT")));
        assert!(types.accept(Some("application/at+jwt")));
        assert!(!types.accept(Some("JWT")));
        assert!(!types.accept(None));
    }

    #[test]
    fn a_proof_or_a_logout_notice_is_never_an_access_token() {
        for never in NEVER_ACCEPTED {
            assert!(!AcceptedTypes::default().accept(Some(never)));
            assert!(AcceptedTypes::only(&[format!("application/{never}")]).is_err());
        }
    }
}
