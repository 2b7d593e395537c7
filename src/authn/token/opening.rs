//! One token on its way through one issuer's contract.

use super::{Opened, Refused, TokenError};
use crate::clock::{Stopwatch, UnixTime};
use crate::issuer::{AcceptedTypes, Form, IssuerId, IssuerProfile, TokenContract};
use crate::jose::{
    self, Claims, ClaimsError, Compact, ContentEncryption, JoseHeader, JweParts, JwsParts, KeyAlgorithm,
    KeySelectionError, SigningAlgorithm, media_type,
};
use crate::observe::Observer;
use std::cell::Cell;
use std::sync::Arc;

/// How an opening is meant.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What `typ` is asked instead of the contract's.
    pub(super) types: Option<&'a AcceptedTypes>,
    pub(super) now: UnixTime,
    pub(super) effort: Effort,
}

/// How much work may be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// All but what takes long, as the keys say it.
    Light,
    /// Any.
    Any,
}

/// Why an opening ended early.
#[derive(Clone, Copy)]
pub(super) enum Halt {
    Refused(TokenError),
    /// What comes next takes longer than may be done here. Nothing was found wrong up to there.
    Heavy,
}

impl From<TokenError> for Halt {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

/// An opening that ended early, with the issuer once one was chosen.
#[derive(Clone, Copy)]
pub(super) struct Halted {
    pub(super) halt: Halt,
    pub(super) issuer: Option<IssuerId>,
    newer_keys_may_help: bool,
}

impl Halted {
    /// The refusal. What may do any work never halts before heavy work.
    pub(super) fn into_refused(self) -> Refused {
        let Self { halt, issuer, newer_keys_may_help } = self;
        let error = match halt {
            Halt::Refused(error) => error,
            Halt::Heavy => TokenError::Overloaded,
        };
        Refused { error, issuer, newer_keys_may_help }
    }
}

impl From<TokenError> for Halted {
    fn from(error: TokenError) -> Self {
        Self { halt: error.into(), issuer: None, newer_keys_may_help: false }
    }
}

/// One token on its way through one issuer's contract.
pub(super) struct Opening<'o> {
    profile: &'o IssuerProfile,
    issuer: IssuerId,
    asked: Asked<'o>,
    observer: &'o dyn Observer,
    /// Set where a key is missing; beside the error, because the same error also has causes no key set can mend.
    newer_may_help: Cell<bool>,
}

impl<'o> Opening<'o> {
    pub(super) fn new(
        profile: &'o IssuerProfile,
        issuer: IssuerId,
        asked: Asked<'o>,
        observer: &'o dyn Observer,
    ) -> Self {
        Self { profile, issuer, asked, observer, newer_may_help: Cell::new(false) }
    }

    /// Opens `token`, which is known to be this issuer's.
    pub(super) fn open(&self, token: &str) -> Result<Opened, Halted> {
        match jose::split(token).map_err(TokenError::from)? {
            Compact::Jws(jws) => self.open_signed(token, &jws, Claims::parse(&jws.payload)),
            Compact::Jwe(jwe) => self.open_encrypted(token, &jwe),
        }
    }

    /// Opens `token`, whose parts are `jws` and the payload in it.
    pub(super) fn open_signed(
        &self,
        token: &str,
        jws: &JwsParts<'_>,
        claims: Result<Claims, ClaimsError>,
    ) -> Result<Opened, Halted> {
        self.check_size(token).and_then(|()| self.signed(jws, claims)).map_err(|halt| self.halted(halt))
    }

    /// Opens `token`, whose parts are `jwe`.
    pub(super) fn open_encrypted(&self, token: &str, jwe: &JweParts<'_>) -> Result<Opened, Halted> {
        self.check_size(token).and_then(|()| self.encrypted(jwe)).map_err(|halt| self.halted(halt))
    }

    fn halted(&self, halt: Halt) -> Halted {
        Halted { halt, issuer: Some(self.issuer), newer_keys_may_help: self.newer_may_help.get() }
    }

    fn contract(&self) -> &TokenContract {
        &self.profile.contract
    }

    /// Another issuer of the route may make larger tokens; this one does not.
    fn check_size(&self, token: &str) -> Result<(), Halt> {
        if token.len() > self.contract().max_size { Err(TokenError::TooLarge.into()) } else { Ok(()) }
    }

    fn accepts(&self, typ: Option<&str>) -> bool {
        self.asked.types.unwrap_or(&self.contract().types).accept(typ)
    }

    /// Goes no further where what comes next is `heavy` and may not be done here.
    fn check_effort(&self, heavy: bool) -> Result<(), Halt> {
        if heavy && self.asked.effort == Effort::Light { Err(Halt::Heavy) } else { Ok(()) }
    }

    fn signed(&self, jws: &JwsParts<'_>, claims: Result<Claims, ClaimsError>) -> Result<Opened, Halt> {
        let key_generation = self.verify(jws)?;
        let claims = claims.map_err(|_| TokenError::MalformedClaims)?;
        Ok(self.opened(claims, None, Some(key_generation))?)
    }

    fn encrypted(&self, jwe: &JweParts<'_>) -> Result<Opened, Halt> {
        let (key_algorithm, encryption) = self.check_jwe_header(&jwe.header)?;
        let keys = self.profile.keys.decryption().ok_or(TokenError::KeysUnavailable)?;
        let candidates = keys.select(jwe.header.kid.as_deref(), key_algorithm, encryption);
        let candidates = candidates.map_err(|_| TokenError::UnknownKey)?;
        self.check_effort(candidates.iter().any(|key| key.is_heavy()))?;
        let watch = Stopwatch::start();
        let plain = candidates.iter().find_map(|key| jose::decrypt(jwe, key_algorithm, encryption, key).ok());
        // Failures are counted like successes: a flood of them must show in what it costs.
        self.observer.verified(key_algorithm.name(), watch.elapsed());
        let plain = plain.ok_or(TokenError::DecryptionFailed)?;
        if self.contract().form == Form::Sealed {
            let claims = Claims::parse(&plain).map_err(|_| TokenError::MalformedClaims)?;
            check_replicated(&jwe.header, &claims)?;
            return Ok(self.opened(claims, None, None)?);
        }
        // A JWE proves nothing about its sender: anyone can encrypt to a public key. The JWS inside does.
        let text =
            std::str::from_utf8(&plain).ok().filter(|text| !text.starts_with('{')).ok_or(TokenError::WrongForm)?;
        let Compact::Jws(jws) = jose::split(text).map_err(TokenError::from)? else {
            return Err(TokenError::WrongForm.into());
        };
        let key_generation = self.verify(&jws)?;
        let claims = Claims::parse(&jws.payload).map_err(|_| TokenError::MalformedClaims)?;
        check_replicated(&jwe.header, &claims)?;
        Ok(self.opened(claims, Some(text.into()), Some(key_generation))?)
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
    fn verify(&self, jws: &JwsParts<'_>) -> Result<u64, Halt> {
        let contract = self.contract();
        let algorithm = SigningAlgorithm::from_name(&jws.header.alg)
            .filter(|algorithm| contract.signing_algorithms.contains(algorithm))
            .ok_or(TokenError::AlgorithmRefused)?;
        if !self.accepts(jws.header.typ.as_deref()) {
            return Err(TokenError::TypeRefused.into());
        }
        let kid = jws.header.kid.as_deref();
        let keys = self.profile.keys.verification(self.asked.now);
        let keys = keys.ok_or_else(|| self.missing(TokenError::KeysUnavailable))?;
        let candidates = keys.set.select(kid, algorithm).map_err(|error| match error {
            KeySelectionError::Unfit => TokenError::UnknownKey,
            _ => self.missing(TokenError::UnknownKey),
        })?;
        self.check_effort(candidates.iter().any(|key| key.is_heavy(algorithm)))?;
        let watch = Stopwatch::start();
        let input = jws.signing_input.as_bytes();
        let proven = candidates.iter().any(|key| key.verify(algorithm, input, &jws.signature).is_ok());
        self.observer.verified(algorithm.name(), watch.elapsed());
        let named = kid.is_some_and(|kid| keys.set.has_kid(kid));
        match (proven, named) {
            (true, _) => Ok(keys.generation),
            (false, true) => Err(TokenError::BadSignature.into()),
            // An issuer that names no keys rotates them all the same.
            (false, false) => Err(self.missing(TokenError::BadSignature).into()),
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

/// Claims replicated in the JWE header must be those inside (RFC 7519 §5.3).
fn check_replicated(header: &JoseHeader, claims: &Claims) -> Result<(), TokenError> {
    let same = |outer: Option<&str>, inner: Option<&str>| outer.is_none() || outer == inner;
    let audiences_agree = header.aud.as_deref().is_none_or(|audiences| claims.audiences().eq(audiences));
    if same(header.iss.as_deref(), claims.issuer()) && same(header.sub.as_deref(), claims.subject()) && audiences_agree
    {
        Ok(())
    } else {
        Err(TokenError::HeaderRefused)
    }
}
