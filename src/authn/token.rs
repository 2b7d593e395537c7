//! From the bytes of a credential to verified claims.
//!
//! The order is the defence: size and shape, then the issuer, then the JOSE header against that issuer's contract, all
//! before any crypto; then decrypt, verify, and only then read the claims. A token's header chooses nothing: it is
//! compared with what the issuer promised.

mod opening;

use super::workshop::{self, Workshop};
use crate::clock::UnixTime;
use crate::issuer::{AcceptedTypes, IssuerId, IssuerProfile, Registry, Unchosen};
use crate::jose::{self, Claims, Compact};
use crate::observe::Observer;
use opening::{Asked, Effort, Halt, Halted, Opening};
use std::sync::Arc;

/// Why a token was refused. Each variant is one reason of the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the meaning of each stands in decision::denial, which maps them one to one")]
pub enum TokenError {
    #[error("too large")]
    TooLarge,
    #[error("wrong form")]
    WrongForm,
    #[error("header refused")]
    HeaderRefused,
    #[error("unknown issuer")]
    UnknownIssuer,
    #[error("algorithm refused")]
    AlgorithmRefused,
    #[error("type refused")]
    TypeRefused,
    #[error("keys unavailable")]
    KeysUnavailable,
    #[error("unknown key")]
    UnknownKey,
    #[error("decryption failed")]
    DecryptionFailed,
    #[error("bad signature")]
    BadSignature,
    #[error("malformed claims")]
    MalformedClaims,
    #[error("claim missing")]
    ClaimMissing,
    #[error("expired")]
    Expired,
    #[error("not yet valid")]
    NotYetValid,
    #[error("issued in the future")]
    IssuedInFuture,
    #[error("lifetime too long")]
    LifetimeTooLong,
    #[error("wrong audience")]
    WrongAudience,
    #[error("no room for the cryptography it takes")]
    Overloaded,
}

/// A token whose signature, or whose sealing, proves its claims. It may still be expired: see [`Opened::judge`].
#[derive(Clone, Debug)]
pub struct Opened {
    claims: Arc<Claims>,
    issuer: IssuerId,
    /// The JWS out of a JWE.
    inner: Option<Arc<str>>,
    /// The generation of verification keys that proved it; `None` for sealed tokens, whose keys are fixed.
    key_generation: Option<u64>,
}

/// The witness that a token was opened *and* its claims hold now. Only [`Opened::judge`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    opened: Opened,
}

impl Verified {
    /// The verified claims.
    #[must_use]
    pub fn claims(&self) -> &Arc<Claims> {
        &self.opened.claims
    }

    /// The issuer whose contract the token fulfils.
    #[must_use]
    pub fn issuer(&self) -> IssuerId {
        self.opened.issuer
    }

    /// The JWS out of a nested token, in compact form.
    #[must_use]
    pub fn inner_token(&self) -> Option<&str> {
        self.opened.inner.as_deref()
    }
}

/// A refusal, with the issuer once one was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: TokenError,
    /// By whose contract.
    pub issuer: Option<IssuerId>,
    /// True where a newer key set of the issuer might tell otherwise: a key is not there, or none that has a name
    /// fits. Opening itself asks for nothing; who serves a real request does ([`crate::issuer::KeyRing::want_newer`]).
    pub newer_keys_may_help: bool,
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self { error, issuer: None, newer_keys_may_help: false }
    }
}

/// Opens `token` for one of `candidates`: shape, issuer, header, decryption, signature. All of it here, however long it
/// takes.
pub fn open(
    registry: &Registry,
    candidates: &[IssuerId],
    token: &str,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<Opened, Refused> {
    let asked = Asked { types: None, now, effort: Effort::Any };
    attempt(registry, candidates, token, asked, observer).map_err(Halted::into_refused)
}

/// As [`open`], but what takes long is done in `workshop`. Whatever can be refused cheaply never gets there.
pub async fn open_in(
    workshop: &dyn Workshop,
    registry: &Registry,
    candidates: &[IssuerId],
    token: &str,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<Opened, Refused> {
    let asked = Asked { types: None, now, effort: Effort::Light };
    let (profile, issuer) = match attempt(registry, candidates, token, asked, observer) {
        Ok(opened) => return Ok(opened),
        Err(Halted { halt: Halt::Heavy, issuer: Some(issuer), .. }) => (Arc::clone(profile(registry, issuer)?), issuer),
        Err(halted) => return Err(halted.into_refused()),
    };
    let token = token.to_owned();
    let work = move |observer: &dyn Observer| {
        let asked = Asked { types: None, now, effort: Effort::Any };
        Opening::new(&profile, issuer, asked, observer).open(&token).map_err(Halted::into_refused)
    };
    let full = Refused { error: TokenError::Overloaded, issuer: Some(issuer), newer_keys_may_help: false };
    workshop::ask(workshop, observer, work).await.unwrap_or(Err(full))
}

/// As [`open`], for a token that is not presented on a route: any issuer of the configuration can have made it. With
/// `types`, its `typ` must be one of these instead of the issuer's.
pub(super) fn open_of_any(
    registry: &Registry,
    token: &str,
    types: Option<&AcceptedTypes>,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<Opened, Refused> {
    let asked = Asked { types, now, effort: Effort::Any };
    let all: Vec<IssuerId> = registry.iter().map(|(id, _)| id).collect();
    check_size(registry, &all, token)?;
    let iss = jose::split(token).ok().and_then(Compact::into_jws);
    let iss = iss.and_then(|jws| Some(Claims::parse(&jws.payload).ok()?.issuer()?.to_owned()));
    let Some(iss) = iss else {
        return attempt(registry, &all, token, asked, observer).map_err(Halted::into_refused);
    };
    // Only within a route do `iss` and shape name one issuer: here each that has this `iss` is asked.
    let named = registry.iter().filter(|(_, profile)| *profile.issuer == *iss).map(|(id, _)| id);
    let mut refused = Refused::from(TokenError::UnknownIssuer);
    for id in named {
        match attempt(registry, &[id], token, asked, observer) {
            Ok(opened) => return Ok(opened),
            Err(halted) => refused = halted.into_refused(),
        }
    }
    Err(refused)
}

fn attempt(
    registry: &Registry,
    candidates: &[IssuerId],
    token: &str,
    asked: Asked<'_>,
    observer: &dyn Observer,
) -> Result<Opened, Halted> {
    check_size(registry, candidates, token)?;
    match jose::split(token).map_err(TokenError::from)? {
        Compact::Jws(jws) => {
            let claims = Claims::parse(&jws.payload);
            let iss = claims.as_ref().ok().and_then(Claims::issuer);
            let issuer = registry.choose_signed(candidates, iss).map_err(TokenError::from)?;
            Opening::new(profile(registry, issuer)?, issuer, asked, observer).open_signed(token, &jws, claims)
        }
        Compact::Jwe(jwe) => {
            let issuer = registry.choose_encrypted(candidates, &jwe.header).map_err(TokenError::from)?;
            Opening::new(profile(registry, issuer)?, issuer, asked, observer).open_encrypted(token, &jwe)
        }
    }
}

fn profile(registry: &Registry, issuer: IssuerId) -> Result<&Arc<IssuerProfile>, TokenError> {
    registry.profile(issuer).ok_or(TokenError::UnknownIssuer)
}

/// No token larger than the largest any candidate permits is even looked at.
fn check_size(registry: &Registry, candidates: &[IssuerId], token: &str) -> Result<(), TokenError> {
    let sizes = candidates.iter().filter_map(|id| registry.profile(*id)).map(|profile| profile.contract.max_size);
    if token.len() > sizes.max().unwrap_or(0) { Err(TokenError::TooLarge) } else { Ok(()) }
}

/// Whether the claim of this name, or at this pointer, says anything: `null` is how some issuers write an absent one.
fn has(claims: &Claims, name: &str) -> bool {
    claims.lookup(name).is_some_and(|value| !value.is_null())
}

impl Opened {
    /// How much memory it holds, in bytes; an estimate that is rather too high.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.claims.footprint() + self.inner.as_ref().map_or(0, |inner| inner.len())
    }

    /// The issuer whose keys proved the claims.
    #[must_use]
    pub fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// The proven claims, none of them judged: the token may be expired, or meant for somebody else.
    #[must_use]
    pub fn claims(&self) -> &Arc<Claims> {
        &self.claims
    }

    /// True while the keys that proved this token are the ones its issuer has, and may be believed, at `now`.
    #[must_use]
    pub fn is_still_proven(&self, registry: &Registry, now: UnixTime) -> bool {
        let Some(generation) = self.key_generation else { return true };
        let keys = registry.profile(self.issuer).and_then(|profile| profile.keys.verification(now));
        keys.is_some_and(|keys| keys.generation == generation)
    }

    /// Judges what depends on the moment and the contract: presence, times, lifetime, audience of the issuer.
    pub fn judge(self, profile: &IssuerProfile, now: UnixTime) -> Result<Verified, TokenError> {
        let (claims, contract) = (&self.claims, &profile.contract);
        let leeway = contract.leeway;
        let expires_at = claims.expires_at().ok_or(TokenError::ClaimMissing)?;
        if claims.audiences().next().is_none() || !contract.required_claims.iter().all(|name| has(claims, name)) {
            return Err(TokenError::ClaimMissing);
        }
        if now >= expires_at.plus(leeway) {
            return Err(TokenError::Expired);
        }
        if claims.not_before().is_some_and(|not_before| now < not_before.minus(leeway)) {
            return Err(TokenError::NotYetValid);
        }
        let issued_at = claims.issued_at();
        if issued_at.is_some_and(|issued_at| now < issued_at.minus(leeway)) {
            return Err(TokenError::IssuedInFuture);
        }
        if let Some(max_lifetime) = contract.max_lifetime {
            let issued_at = issued_at.ok_or(TokenError::ClaimMissing)?;
            if expires_at.since(issued_at) > max_lifetime {
                return Err(TokenError::LifetimeTooLong);
            }
        }
        if !claims.audiences().any(|audience| profile.audiences.iter().any(|own| own == audience)) {
            return Err(TokenError::WrongAudience);
        }
        Ok(Verified { opened: self })
    }
}

impl From<jose::CompactError> for TokenError {
    fn from(error: jose::CompactError) -> Self {
        match error {
            jose::CompactError::Segments => Self::WrongForm,
            _ => Self::HeaderRefused,
        }
    }
}

impl From<Unchosen> for TokenError {
    fn from(unchosen: Unchosen) -> Self {
        match unchosen {
            Unchosen::WrongForm => Self::WrongForm,
            Unchosen::Unknown => Self::UnknownIssuer,
        }
    }
}
