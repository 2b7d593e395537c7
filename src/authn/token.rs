//! From the bytes of a credential to verified claims.
//!
//! The order is the defence: size and shape, then the issuer, then the JOSE header against that issuer's contract, all
//! before any crypto; then decrypt, verify, and only then read the claims. A token's header chooses nothing: it is
//! compared with what the issuer promised.

use crate::clock::{Stopwatch, UnixTime};
use crate::issuer::{AcceptedTypes, Form, IssuerId, IssuerProfile, Registry, TokenContract, Unchosen};
use crate::jose::{
    self, Claims, Compact, ContentEncryption, JoseHeader, JweParts, JwsParts, KeyAlgorithm, KeySelectionError,
    SigningAlgorithm, media_type,
};
use crate::observe::Observer;
use std::cell::Cell;
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

/// Opens `token` for one of `candidates`: shape, issuer, header, decryption, signature.
pub fn open(
    registry: &Registry,
    candidates: &[IssuerId],
    token: &str,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<Opened, Refused> {
    open_typed(registry, candidates, token, None, now, observer)
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
    let all: Vec<IssuerId> = registry.iter().map(|(id, _)| id).collect();
    check_size(registry, &all, token)?;
    let iss = jose::split(token).ok().and_then(Compact::into_jws);
    let iss = iss.and_then(|jws| Some(Claims::parse(&jws.payload).ok()?.issuer()?.to_owned()));
    let Some(iss) = iss else {
        return open_typed(registry, &all, token, types, now, observer);
    };
    // Only within a route do `iss` and shape name one issuer: here each that has this `iss` is asked.
    let named = registry.iter().filter(|(_, profile)| *profile.issuer == *iss).map(|(id, _)| id);
    let mut refused = Refused::from(TokenError::UnknownIssuer);
    for id in named {
        match open_typed(registry, &[id], token, types, now, observer) {
            Ok(opened) => return Ok(opened),
            Err(other) => refused = other,
        }
    }
    Err(refused)
}

fn open_typed(
    registry: &Registry,
    candidates: &[IssuerId],
    token: &str,
    types: Option<&AcceptedTypes>,
    now: UnixTime,
    observer: &dyn Observer,
) -> Result<Opened, Refused> {
    check_size(registry, candidates, token)?;
    match jose::split(token).map_err(TokenError::from)? {
        Compact::Jws(jws) => {
            let claims = Claims::parse(&jws.payload);
            let iss = claims.as_ref().ok().and_then(Claims::issuer);
            let issuer = registry.choose_signed(candidates, iss).map_err(TokenError::from)?;
            let opening = Opening::new(profile(registry, issuer)?, issuer, types, now, observer);
            let claims = claims.map_err(|_| TokenError::MalformedClaims);
            let opened = opening.check_size(token).and_then(|()| opening.signed(&jws, claims));
            opened.map_err(|error| opening.refuse(error))
        }
        Compact::Jwe(jwe) => {
            let issuer = registry.choose_encrypted(candidates, &jwe.header).map_err(TokenError::from)?;
            let opening = Opening::new(profile(registry, issuer)?, issuer, types, now, observer);
            let opened = opening.check_size(token).and_then(|()| opening.encrypted(&jwe));
            opened.map_err(|error| opening.refuse(error))
        }
    }
}

/// No token larger than the largest any candidate permits is even looked at.
fn check_size(registry: &Registry, candidates: &[IssuerId], token: &str) -> Result<(), TokenError> {
    let sizes = candidates.iter().filter_map(|id| registry.profile(*id)).map(|profile| profile.contract.max_size);
    if token.len() > sizes.max().unwrap_or(0) { Err(TokenError::TooLarge) } else { Ok(()) }
}

fn profile(registry: &Registry, issuer: IssuerId) -> Result<&IssuerProfile, TokenError> {
    registry.profile(issuer).map(|profile| &**profile).ok_or(TokenError::UnknownIssuer)
}

/// One token on its way through one issuer's contract.
struct Opening<'o> {
    profile: &'o IssuerProfile,
    issuer: IssuerId,
    /// What `typ` is asked instead of the contract's.
    types: Option<&'o AcceptedTypes>,
    now: UnixTime,
    observer: &'o dyn Observer,
    /// Set where a key is missing; beside the error, because the same error also has causes no key set can mend.
    newer_may_help: Cell<bool>,
}

impl<'o> Opening<'o> {
    fn new(
        profile: &'o IssuerProfile,
        issuer: IssuerId,
        types: Option<&'o AcceptedTypes>,
        now: UnixTime,
        observer: &'o dyn Observer,
    ) -> Self {
        Self { profile, issuer, types, now, observer, newer_may_help: Cell::new(false) }
    }

    fn refuse(&self, error: TokenError) -> Refused {
        Refused { error, issuer: Some(self.issuer), newer_keys_may_help: self.newer_may_help.get() }
    }

    fn contract(&self) -> &TokenContract {
        &self.profile.contract
    }

    /// Another issuer of the route may make larger tokens; this one does not.
    fn check_size(&self, token: &str) -> Result<(), TokenError> {
        if token.len() > self.contract().max_size { Err(TokenError::TooLarge) } else { Ok(()) }
    }

    fn accepts(&self, typ: Option<&str>) -> bool {
        self.types.unwrap_or(&self.contract().types).accept(typ)
    }

    fn signed(&self, jws: &JwsParts<'_>, claims: Result<Claims, TokenError>) -> Result<Opened, TokenError> {
        let key_generation = self.verify(jws)?;
        self.opened(claims?, None, Some(key_generation))
    }

    fn encrypted(&self, jwe: &JweParts<'_>) -> Result<Opened, TokenError> {
        let (key_algorithm, encryption) = self.check_jwe_header(&jwe.header)?;
        let keys = self.profile.keys.decryption().ok_or(TokenError::KeysUnavailable)?;
        let candidates = keys.select(jwe.header.kid.as_deref(), key_algorithm, encryption);
        let candidates = candidates.map_err(|_| TokenError::UnknownKey)?;
        let watch = Stopwatch::start();
        let plain = candidates.iter().find_map(|key| jose::decrypt(jwe, key_algorithm, encryption, key).ok());
        // Failures are counted like successes: a flood of them must show in what it costs.
        self.observer.verified(key_algorithm.name(), watch.elapsed());
        let plain = plain.ok_or(TokenError::DecryptionFailed)?;
        if self.contract().form == Form::Sealed {
            let claims = Claims::parse(&plain).map_err(|_| TokenError::MalformedClaims)?;
            check_replicated(&jwe.header, &claims)?;
            return self.opened(claims, None, None);
        }
        // A JWE proves nothing about its sender: anyone can encrypt to a public key. The JWS inside does.
        let text =
            std::str::from_utf8(&plain).ok().filter(|text| !text.starts_with('{')).ok_or(TokenError::WrongForm)?;
        let Compact::Jws(jws) = jose::split(text).map_err(TokenError::from)? else {
            return Err(TokenError::WrongForm);
        };
        let key_generation = self.verify(&jws)?;
        let claims = Claims::parse(&jws.payload).map_err(|_| TokenError::MalformedClaims)?;
        check_replicated(&jwe.header, &claims)?;
        self.opened(claims, Some(text.into()), Some(key_generation))
    }

    fn check_jwe_header(&self, header: &JoseHeader) -> Result<(KeyAlgorithm, ContentEncryption), TokenError> {
        let contract = self.contract();
        let algorithm = KeyAlgorithm::from_name(&header.alg).filter(|alg| contract.key_algorithms.contains(alg));
        let encryption = header.enc.as_deref().and_then(ContentEncryption::from_name);
        let encryption = encryption.filter(|enc| contract.content_encryptions.contains(enc));
        let pair = algorithm.zip(encryption).ok_or(TokenError::AlgorithmRefused)?;
        let nested_cty = header.cty.as_deref().is_some_and(|cty| matches!(media_type(cty).as_str(), "jwt" | "at+jwt"));
        match contract.form {
            Form::Nested if !nested_cty => Err(TokenError::TypeRefused),
            Form::Sealed if header.cty.is_some() || !self.accepts(header.typ.as_deref()) => {
                Err(TokenError::TypeRefused)
            }
            _ => Ok(pair),
        }
    }

    /// Verifies the signature, and answers which generation of keys proved it.
    fn verify(&self, jws: &JwsParts<'_>) -> Result<u64, TokenError> {
        let contract = self.contract();
        let algorithm = SigningAlgorithm::from_name(&jws.header.alg)
            .filter(|algorithm| contract.signing_algorithms.contains(algorithm))
            .ok_or(TokenError::AlgorithmRefused)?;
        if !self.accepts(jws.header.typ.as_deref()) {
            return Err(TokenError::TypeRefused);
        }
        let kid = jws.header.kid.as_deref();
        let keys = self.profile.keys.verification(self.now).ok_or_else(|| self.missing(TokenError::KeysUnavailable))?;
        let candidates = keys.set.select(kid, algorithm).map_err(|error| match error {
            KeySelectionError::Unfit => TokenError::UnknownKey,
            _ => self.missing(TokenError::UnknownKey),
        })?;
        let watch = Stopwatch::start();
        let input = jws.signing_input.as_bytes();
        let proven = candidates.iter().any(|key| key.verify(algorithm, input, &jws.signature).is_ok());
        self.observer.verified(algorithm.name(), watch.elapsed());
        let named = kid.is_some_and(|kid| keys.set.has_kid(kid));
        match (proven, named) {
            (true, _) => Ok(keys.generation),
            (false, true) => Err(TokenError::BadSignature),
            // An issuer that names no keys rotates them all the same.
            (false, false) => Err(self.missing(TokenError::BadSignature)),
        }
    }

    fn missing(&self, error: TokenError) -> TokenError {
        self.newer_may_help.set(true);
        error
    }

    /// The proven claims must be of the issuer whose contract was applied.
    fn opened(
        &self,
        claims: Claims,
        inner: Option<Arc<str>>,
        key_generation: Option<u64>,
    ) -> Result<Opened, TokenError> {
        match claims.issuer() {
            None => Err(TokenError::ClaimMissing),
            Some(iss) if iss != &*self.profile.issuer => Err(TokenError::UnknownIssuer),
            Some(_) => Ok(Opened { claims: Arc::new(claims), issuer: self.issuer, inner, key_generation }),
        }
    }
}

/// Whether the claim of this name, or at this pointer, says anything: `null` is how some issuers write an absent one.
fn has(claims: &Claims, name: &str) -> bool {
    claims.lookup(name).is_some_and(|value| !value.is_null())
}

/// Claims replicated in the JWE header must be those inside (RFC 7519 §5.3).
fn check_replicated(header: &JoseHeader, claims: &Claims) -> Result<(), TokenError> {
    let same = |outer: Option<&str>, inner: Option<&str>| outer.is_none() || outer == inner;
    let audiences_agree = header.aud.as_deref().is_none_or(|audiences| audiences == claims.audiences());
    if same(header.iss.as_deref(), claims.issuer()) && same(header.sub.as_deref(), claims.subject()) && audiences_agree
    {
        Ok(())
    } else {
        Err(TokenError::HeaderRefused)
    }
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
        if claims.audiences().is_empty() || !contract.required_claims.iter().all(|name| has(claims, name)) {
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
        if !claims.audiences().iter().any(|audience| profile.audiences.contains(audience)) {
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
