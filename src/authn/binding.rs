//! The binding of a token to a key (RFC 7800 `cnf`): every key the token names must be proven, and a confirmation we do
//! not know is never taken for none.

use super::DpopPolicy;
use super::Verified;
use super::dpop::{self, Expected, ProofError, ProofTools, ProofUse};
use super::mtls::CertificateDigest;
use crate::clock::UnixTime;
use crate::jose::{Claims, Json, base64url};
use crate::request::{Scheme, TargetUri};
use http::{HeaderMap, Method};
use std::time::Duration;

/// Which tokens a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BindingRule {
    /// Bound and unbound ones; a bound one must be proven.
    #[default]
    IfBound,
    /// Bound ones, in whichever way.
    Required,
    /// Tokens bound to a DPoP key (RFC 9449 §6.1).
    Dpop,
    /// Tokens bound to a client certificate (RFC 8705 §3.1).
    Mtls,
}

impl BindingRule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::IfBound, Self::Required, Self::Dpop, Self::Mtls];

    /// The rule's name in gateway.yaml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IfBound => "if_bound",
            Self::Required => "required",
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
        }
    }

    /// True when a token may come under this scheme: `DPoP` for proofs, `Bearer` for all else (RFC 8705 §3).
    #[must_use]
    pub const fn accepts(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Bearer => !matches!(self, Self::Dpop),
            Scheme::Dpop => !matches!(self, Self::Mtls),
        }
    }

    const fn is_met_by(self, confirmation: &Confirmation) -> bool {
        match self {
            Self::IfBound => true,
            Self::Required => confirmation.key.is_some() || confirmation.certificate.is_some(),
            Self::Dpop => confirmation.key.is_some(),
            Self::Mtls => confirmation.certificate.is_some(),
        }
    }
}

/// How the token was presented.
#[derive(Clone, Debug)]
pub struct Presented<'r> {
    /// The scheme.
    pub scheme: Scheme,
    /// The token as sent.
    pub token: &'r str,
    /// All header fields.
    pub headers: &'r HeaderMap,
    /// The method.
    pub method: &'r Method,
    /// The target URI.
    pub target: TargetUri,
    /// The client certificate of this connection, or the one a trusted proxy tells.
    pub certificate: Option<CertificateDigest>,
    /// The moment of the request.
    pub now: UnixTime,
    /// How far clocks may differ.
    pub leeway: Duration,
}

/// Why possession is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The route asks for a binding the token does not have.
    #[error("the token is not bound in the way the route asks")]
    Unbound,
    /// The token came under `DPoP`, but names no key a proof could be by (RFC 9449 §7.1).
    #[error("the token is not bound to a DPoP key")]
    NoKey,
    /// A token bound to a DPoP key came as a plain bearer token (RFC 9449 §7.2).
    #[error("a token bound to a DPoP key was presented without proof")]
    Downgraded,
    /// The token is bound to a certificate, and the client has shown none.
    #[error("the token is bound to a certificate, and there is none on this connection")]
    NoCertificate,
    /// The client certificate is not the token's.
    #[error("the certificate is not the token's")]
    OtherCertificate,
    /// `cnf` has a member that is unknown or malformed, or that this route can't check.
    #[error("the token is bound in a way that can't be checked here")]
    Unknown,
    /// The proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// The witness that whoever presents the token holds every key it is bound to. Only [`prove`] makes one.
#[derive(Clone, Debug)]
pub struct ProofOfPossession {
    proof: Option<ProofUse>,
    certificate: bool,
}

impl ProofOfPossession {
    /// The proof that must be claimed, so that it is used once.
    #[must_use]
    pub fn proof(&self) -> Option<&ProofUse> {
        self.proof.as_ref()
    }

    /// What was proven, in a word: `none`, `dpop`, `mtls` or `dpop+mtls`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match (self.proof.is_some(), self.certificate) {
            (false, false) => "none",
            (true, false) => "dpop",
            (false, true) => "mtls",
            (true, true) => "dpop+mtls",
        }
    }
}

/// Proves that the presenter holds every key the token names.
///
/// `dpop` is `None` on a route that can't check proofs, because it serves any host: a proof made for another server
/// would fit there.
pub async fn prove(
    rule: BindingRule,
    dpop: Option<&DpopPolicy>,
    token: &Verified,
    presented: &Presented<'_>,
    tools: ProofTools<'_>,
) -> Result<ProofOfPossession, BindingError> {
    let confirmation = Confirmation::read(token.claims())?;
    if !rule.is_met_by(&confirmation) {
        return Err(BindingError::Unbound);
    }
    if let Some(certificate) = confirmation.certificate {
        check_certificate(&certificate, presented)?;
    }
    let proof = match (&confirmation.key, presented.scheme) {
        (None, Scheme::Bearer) => None,
        (None, Scheme::Dpop) => return Err(BindingError::NoKey),
        (Some(_), Scheme::Bearer) => return Err(BindingError::Downgraded),
        (Some(key), Scheme::Dpop) => {
            Some(dpop::check(dpop.ok_or(BindingError::Unknown)?, &expected(presented, key), tools).await?)
        }
    };
    Ok(ProofOfPossession { proof, certificate: confirmation.certificate.is_some() })
}

fn check_certificate(wanted: &CertificateDigest, presented: &Presented<'_>) -> Result<(), BindingError> {
    match presented.certificate {
        None => Err(BindingError::NoCertificate),
        Some(shown) if shown == *wanted => Ok(()),
        Some(_) => Err(BindingError::OtherCertificate),
    }
}

fn expected<'r>(presented: &'r Presented<'_>, key: &'r [u8; 32]) -> Expected<'r> {
    Expected {
        headers: presented.headers,
        method: presented.method,
        target: &presented.target,
        token: presented.token,
        key,
        now: presented.now,
        leeway: presented.leeway,
    }
}

/// The keys a token is bound to (RFC 7800 §3.1).
#[derive(Debug, Default)]
struct Confirmation {
    /// `jkt`: the thumbprint of a DPoP key (RFC 9449 §6.1).
    key: Option<[u8; 32]>,
    /// `x5t#S256`: the thumbprint of a certificate (RFC 8705 §3.1).
    certificate: Option<CertificateDigest>,
}

impl Confirmation {
    /// Reads `cnf`. One that is there but says nothing we can prove is a binding all the same, and refused.
    fn read(claims: &Claims) -> Result<Self, BindingError> {
        let Some(confirmation) = claims.get("cnf") else { return Ok(Self::default()) };
        let members = confirmation.as_object().filter(|members| members.len() > 0).ok_or(BindingError::Unknown)?;
        let mut read = Self::default();
        for (name, value) in members {
            match name {
                "jkt" => read.key = Some(thumbprint(value)?),
                "x5t#S256" => read.certificate = Some(thumbprint(value)?),
                _ => return Err(BindingError::Unknown),
            }
        }
        Ok(read)
    }
}

/// The SHA-256 in a member of `cnf`.
fn thumbprint(value: Json<'_>) -> Result<[u8; 32], BindingError> {
    let bytes = value.as_str().and_then(base64url::decode).ok_or(BindingError::Unknown)?;
    bytes.try_into().map_err(|_| BindingError::Unknown)
}
