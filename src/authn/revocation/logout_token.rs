//! Log-out notices of an identity provider (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6).
//!
//! A notice is validated in full before anything is believed of it, by the same contract as the issuer's access
//! tokens: form, algorithms, keys, `iss`, `aud`. Its `typ` must be `logout+jwt`: the standard only recommends that, but
//! a notice without it could be any other token of the issuer.

use super::super::token::{self, TokenError};
use crate::clock::UnixTime;
use crate::issuer::{AcceptedTypes, Form, IssuerId, IssuerProfile, Registry};
use crate::jose::{Claims, Json};
use crate::observe::Observer;
use crate::store::{Nonce, NonceKey, Revocation, RevocationId, Target};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The event a notice tells of (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The claim on a notice's `jti` outlives the notice by this, as that of a one-time token does.
const CLAIM_MARGIN: Duration = Duration::from_secs(60);
/// How long a log-out holds where the issuer has no `max_lifetime`: nobody can say when its last token expires, and
/// access tokens that live longer than a month are not to be expected.
const KEPT_WITHOUT_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why a notice is refused. One public answer for all of them: 400 (§2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutError {
    /// It is not a token of an issuer of ours, or its signature proves nothing.
    #[error("{0}")]
    Token(TokenError),
    /// The issuer signs nothing.
    #[error("tokens of this issuer are not signed")]
    Unsigned,
    /// A claim that must be there is absent, or has a wrong type.
    #[error("the claim `{0}` is missing or malformed")]
    Claim(&'static str),
    /// It has a `nonce`: an ID token can't be presented as a notice.
    #[error("it has a nonce")]
    Nonce,
    /// It is addressed to somebody else.
    #[error("no audience of the issuer is in `aud`")]
    Audience,
    /// Its time has passed.
    #[error("expired")]
    Expired,
    /// Its time has not come.
    #[error("issued in the future, or not yet valid")]
    Early,
}

impl From<TokenError> for LogoutError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// A notice that is proven, in force and meant for us. It was not yet said whether it came before.
pub struct LogoutToken {
    claims: Arc<Claims>,
    profile: Arc<IssuerProfile>,
    issuer: IssuerId,
    id: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
}

impl LogoutToken {
    /// Validates `token` by the contract of the issuer that it claims to be from (§2.6).
    pub fn verify(
        registry: &Registry,
        token: &str,
        now: UnixTime,
        observer: &dyn Observer,
    ) -> Result<Self, LogoutError> {
        let types = AcceptedTypes::logout_notice();
        let opened =
            token::open_of_any(registry, token, Some(&types), now, observer).map_err(|refused| refused.error)?;
        let profile = registry.profile(opened.issuer()).ok_or(TokenError::UnknownIssuer)?;
        if profile.contract.form == Form::Sealed {
            return Err(LogoutError::Unsigned);
        }
        Self::judge(opened.claims(), opened.issuer(), profile, now)
    }

    fn judge(
        claims: &Arc<Claims>,
        issuer: IssuerId,
        profile: &Arc<IssuerProfile>,
        now: UnixTime,
    ) -> Result<Self, LogoutError> {
        let leeway = profile.contract.leeway;
        if !claims.audiences().any(|audience| profile.audiences.iter().any(|own| own == audience)) {
            return Err(LogoutError::Audience);
        }
        let issued_at = claims.issued_at().ok_or(LogoutError::Claim("iat"))?;
        let expires_at = claims.expires_at().ok_or(LogoutError::Claim("exp"))?;
        let begins_at = claims.not_before().map_or(issued_at, |not_before| not_before.max(issued_at));
        if now < begins_at.minus(leeway) {
            return Err(LogoutError::Early);
        }
        if now >= expires_at.plus(leeway) {
            return Err(LogoutError::Expired);
        }
        if claims.get("nonce").is_some() {
            return Err(LogoutError::Nonce);
        }
        let event = claims.get("events").and_then(|events| events.as_object()?.get(EVENT));
        if event.and_then(Json::as_object).is_none() {
            return Err(LogoutError::Claim("events"));
        }
        let id = text(claims, "jti")?.ok_or(LogoutError::Claim("jti"))?.to_owned();
        if text(claims, "sub")?.or(text(claims, "sid")?).is_none() {
            return Err(LogoutError::Claim("sub"));
        }
        let (claims, profile) = (Arc::clone(claims), Arc::clone(profile));
        Ok(Self { claims, profile, issuer, id, issued_at, expires_at })
    }

    /// The issuer that sent it.
    #[must_use]
    pub const fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// What must be claimed so that a notice counts once (§2.6 step 8).
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        Nonce {
            key: NonceKey::new("logout", &self.profile.issuer, &self.id),
            uses: 1,
            keep_until: self.expires_at.plus(self.profile.contract.leeway).plus(CLAIM_MARGIN),
        }
    }

    /// The revocation that carries it out: of the session, or of everything the subject had until then.
    ///
    /// Its id is that of the notice, so that carrying one out twice is one revocation.
    #[must_use]
    pub fn revocation(&self, now: UnixTime) -> Revocation {
        let id = RevocationId::from_bits(u128::from_be_bytes(*self.nonce().key.as_bytes()));
        let contract = &self.profile.contract;
        let lifetime = contract.max_lifetime.unwrap_or(KEPT_WITHOUT_LIFETIME);
        let expires_at = now.plus(lifetime).plus(contract.leeway);
        Revocation::new(id, &self.profile.issuer, self.target(), expires_at, now)
    }

    fn target(&self) -> Target<'_> {
        match (self.claims.text("sid"), self.claims.subject()) {
            (Some(session), _) => Target::Session(session),
            (None, subject) => Target::Subject {
                subject: subject.unwrap_or_default(),
                // `iat` has whole seconds: a token of the very second of the log-out is one of those logged out.
                issued_before: UnixTime::from_seconds(self.issued_at.as_seconds().saturating_add(1)),
            },
        }
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogoutToken({})", self.profile.name)
    }
}

/// A claim that must not be empty where it is there; [`Claims`] has seen to its type.
fn text<'c>(claims: &'c Claims, name: &'static str) -> Result<Option<&'c str>, LogoutError> {
    match claims.text(name) {
        Some("") => Err(LogoutError::Claim(name)),
        value => Ok(value),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::at;
    use super::*;
    use crate::issuer::{KeyRing, TokenContract};
    use crate::jose::{ContentEncryption, SigningAlgorithm, VerificationKeySet, sign};
    use crate::observe::Silent;
    use serde_json::{Map, Value, json};

    pub(in super::super) const NOW: i64 = 1_000;

    /// An issuer and its key.
    pub(in super::super) struct Provider {
        pub(in super::super) key: Value,
        pub(in super::super) registry: Registry,
    }

    impl Provider {
        pub(in super::super) fn new(max_lifetime: Option<Duration>) -> Self {
            let key = sign::generate("ES256", ContentEncryption::A256GCM).unwrap();
            let set = json!({ "keys": [sign::public_jwk(&key).unwrap()] }).to_string();
            let contract = TokenContract {
                form: Form::Signed,
                signing_algorithms: vec![SigningAlgorithm::ES256],
                key_algorithms: Vec::new(),
                content_encryptions: Vec::new(),
                types: AcceptedTypes::default(),
                scope_claim: "scope".into(),
                id_claim: "jti".into(),
                max_lifetime,
                leeway: Duration::from_secs(10),
                max_size: 8192,
                required_claims: vec!["tenant".into()],
            };
            let profile = IssuerProfile {
                name: "idp".into(),
                issuer: "https://idp".into(),
                audiences: vec!["gateway".into()],
                contract,
                keys: KeyRing::new(Some(VerificationKeySet::parse(set.as_bytes(), 64).unwrap()), None),
            };
            Self { key, registry: Registry::new(vec![Arc::new(profile)]) }
        }

        pub(in super::super) fn sign(&self, header: &Value, claims: &Value) -> String {
            let header: Map<String, Value> = header.as_object().unwrap().clone();
            sign::sign_compact(&header, claims.to_string().as_bytes(), &self.key).unwrap()
        }

        fn judge(&self, header: &Value, claims: &Value) -> Result<LogoutToken, LogoutError> {
            let token = self.sign(header, claims);
            LogoutToken::verify(&self.registry, &token, at(NOW), &Silent)
        }

        fn fault(&self, claims: &Value) -> LogoutError {
            self.judge(&self.header(), claims).unwrap_err()
        }

        pub(in super::super) fn header(&self) -> Value {
            json!({ "alg": "ES256", "kid": self.key["kid"], "typ": "logout+jwt" })
        }
    }

    pub(in super::super) fn notice() -> Value {
        json!({
            "iss": "https://idp", "aud": "gateway", "iat": NOW, "exp": NOW + 120, "jti": "n1", "sub": "alice",
            "events": { EVENT: {} },
        })
    }

    fn with(member: &str, value: Value) -> Value {
        let mut claims = notice();
        claims[member] = value;
        claims
    }

    fn without(member: &str) -> Value {
        let mut claims = notice();
        claims.as_object_mut().unwrap().remove(member);
        claims
    }

    #[test]
    fn a_notice_without_a_session_revokes_what_the_subject_had_until_then() {
        let provider = Provider::new(Some(Duration::from_secs(300)));
        let notice = provider.judge(&provider.header(), &notice()).unwrap();
        let made = notice.revocation(at(NOW));
        let target = Target::Subject { subject: "alice", issued_before: at(NOW + 1) };
        assert_eq!(made, Revocation::new(made.id, "https://idp", target, at(NOW + 310), at(NOW)));
        assert_eq!(notice.nonce().key, NonceKey::new("logout", "https://idp", "n1"));
        assert_eq!(notice.nonce().keep_until, at(NOW + 120 + 10 + 60));
    }

    #[test]
    fn a_notice_with_a_session_revokes_the_session_alone() {
        let provider = Provider::new(None);
        for claims in [with("sid", json!("s1")), {
            let mut claims = without("sub");
            claims["sid"] = json!("s1");
            claims
        }] {
            let made = provider.judge(&provider.header(), &claims).unwrap();
            let made = made.revocation(at(NOW));
            let expires_at = at(NOW + 10).plus(KEPT_WITHOUT_LIFETIME);
            assert_eq!(made, Revocation::new(made.id, "https://idp", Target::Session("s1"), expires_at, at(NOW)));
        }
    }

    #[test]
    fn a_notice_says_in_its_header_that_it_is_one() {
        let provider = Provider::new(None);
        let mut header = provider.header();
        for typ in ["JWT", "at+jwt", "secevent+jwt", ""] {
            header["typ"] = json!(typ);
            let fault = provider.judge(&header, &notice()).unwrap_err();
            assert_eq!(fault, LogoutError::Token(TokenError::TypeRefused), "{typ}");
        }
        header["typ"] = json!("application/LOGOUT+jwt");
        assert!(provider.judge(&header, &notice()).is_ok());
    }

    #[test]
    fn only_the_issuers_keys_prove_a_notice() {
        let (provider, other) = (Provider::new(None), Provider::new(None));
        let mut header = provider.header();
        let stranger = Provider { key: other.key.clone(), registry: provider.registry };
        let fault = stranger.judge(&header, &notice()).unwrap_err();
        assert_eq!(fault, LogoutError::Token(TokenError::BadSignature));
        header["kid"] = other.key["kid"].clone();
        assert_eq!(stranger.judge(&header, &notice()).unwrap_err(), LogoutError::Token(TokenError::UnknownKey));
        assert_eq!(stranger.fault(&with("iss", json!("https://else"))), LogoutError::Token(TokenError::UnknownIssuer));
    }

    #[test]
    fn every_claim_of_a_notice_is_checked() {
        let provider = Provider::new(None);
        let cases = [
            (with("aud", json!("somebody else")), LogoutError::Audience),
            (without("aud"), LogoutError::Audience),
            (without("iat"), LogoutError::Claim("iat")),
            (with("iat", json!(NOW + 11)), LogoutError::Early),
            (with("nbf", json!(NOW + 11)), LogoutError::Early),
            (without("exp"), LogoutError::Claim("exp")),
            (with("exp", json!(NOW - 10)), LogoutError::Expired),
            (with("nonce", json!("n")), LogoutError::Nonce),
            (without("events"), LogoutError::Claim("events")),
            (with("events", json!([EVENT])), LogoutError::Claim("events")),
            (with("events", json!({ "https://else": {} })), LogoutError::Claim("events")),
            (with("events", json!({ EVENT: null })), LogoutError::Claim("events")),
            (without("jti"), LogoutError::Claim("jti")),
            (with("jti", json!("")), LogoutError::Claim("jti")),
            (without("sub"), LogoutError::Claim("sub")),
            (with("sub", json!("")), LogoutError::Claim("sub")),
            (with("sid", json!("")), LogoutError::Claim("sid")),
            (with("sid", json!(7)), LogoutError::Token(TokenError::MalformedClaims)),
        ];
        for (claims, fault) in cases {
            assert_eq!(provider.fault(&claims), fault, "{claims}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_before_any_crypto() {
        let provider = Provider::new(None);
        for text in ["", "x", "a.b.c", &"x".repeat(9000)] {
            assert!(LogoutToken::verify(&provider.registry, text, at(NOW), &Silent).is_err());
        }
    }
}
