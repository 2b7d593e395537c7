//! Keys that verify signatures (RFC 7515 §5.2, RFC 7518 §3). A key knows the algorithms it serves; a token cannot add
//! one.

use super::alg::SigningAlgorithm;
use super::elliptic::Curve;
use super::hmac::{Hash, HmacKey};
use super::jwk::{KeyError, Metadata, PublicJwk, Purpose, Shape, refuse_private};
use super::{base64url, jwk};
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use openssl::pkey::PKey;
use openssl::x509::X509;
use serde_json::{Map, Value};
use std::fmt;

/// The signature does not hold. Deliberately without a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// The longest RSA modulus, in bytes, with which a verification takes no longer than one on P-256.
pub(super) const LIGHT_MODULUS: usize = 512;

/// A public key or a shared secret, with a verifier for each algorithm it serves.
///
/// Everything is parsed at import; verifying parses nothing.
pub struct VerificationKey {
    kid: Option<String>,
    thumbprint: String,
    verifiers: Vec<(SigningAlgorithm, Verifier)>,
}

impl VerificationKey {
    /// A shared secret for the HMAC algorithms in `algorithms`, each of whose hashes it must match in length (RFC 7518
    /// §3.2). A PEM or DER key is refused: that is how a public key becomes an HMAC secret.
    pub fn from_secret(secret: &[u8], algorithms: &[SigningAlgorithm]) -> Result<Self, KeyError> {
        if looks_like_a_key(secret) {
            return Err(KeyError::KeyAsSecret);
        }
        let verifiers: Vec<_> =
            algorithms.iter().map(|alg| Ok((*alg, Verifier::hmac(*alg, secret)?))).collect::<Result<_, _>>()?;
        if verifiers.is_empty() {
            return Err(KeyError::WrongAlgorithm);
        }
        let k = base64url::encode(secret);
        let members = [("k", k.as_str()), ("kty", "oct")].map(|(name, value)| (name.to_owned(), Value::from(value)));
        Ok(Self { kid: None, thumbprint: jwk::thumbprint(&members.into_iter().collect())?, verifiers })
    }

    /// A public key (RFC 7517). It serves every algorithm of its type, or only its `alg` if it names one.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        refuse_private(jwk)?;
        let metadata = Metadata::read(jwk, Purpose::Verify)?;
        let key = PublicJwk::read(jwk)?;
        let served = served_algorithms(key.shape, metadata.alg.as_deref())?;
        let verifiers =
            served.into_iter().map(|alg| Ok((alg, Verifier::josekit(alg, &key)?))).collect::<Result<_, KeyError>>()?;
        Ok(Self { kid: metadata.kid, thumbprint: key.thumbprint(), verifiers })
    }

    /// The same key under another name, or none.
    #[must_use]
    pub fn with_kid(self, kid: Option<String>) -> Self {
        Self { kid, ..self }
    }

    /// The key's `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The RFC 7638 thumbprint with SHA-256, in base64url. That of a shared secret is a hash of it: not for logs.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether type, curve, `alg`, `use` and `key_ops` of the key allow this algorithm.
    #[must_use]
    pub fn fits(&self, alg: SigningAlgorithm) -> bool {
        self.verifier(alg).is_some()
    }

    /// Whether verifying with it takes so long that other requests should not wait for it: half a millisecond on P-384,
    /// one on P-521, a quarter with RSA keys of 8192 bits.
    #[must_use]
    pub fn is_heavy(&self, alg: SigningAlgorithm) -> bool {
        alg.is_on_large_curve() || alg.is_rsa() && self.verifier(alg).is_some_and(|it| it.signature_len > LIGHT_MODULUS)
    }

    /// Verifies `signature` over `signing_input`. The caller names the algorithm; one the key does not serve fails.
    pub fn verify(&self, alg: SigningAlgorithm, signing_input: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verifier(alg).ok_or(BadSignature)?.verify(signing_input, signature)
    }

    fn verifier(&self, alg: SigningAlgorithm) -> Option<&Verifier> {
        self.verifiers.iter().find_map(|(served, verifier)| (*served == alg).then_some(verifier))
    }
}

impl fmt::Debug for VerificationKey {
    /// Shows the algorithms only: the key may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.verifiers.iter().map(|(alg, _)| *alg).collect();
        f.debug_struct("VerificationKey").field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

/// The algorithms that a key of this shape serves, narrowed to its own `alg`.
pub(super) fn served_algorithms(shape: Shape, alg: Option<&str>) -> Result<Vec<SigningAlgorithm>, KeyError> {
    use SigningAlgorithm as A;
    let all: &[A] = match shape {
        Shape::Rsa { .. } => &[A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512],
        Shape::Ec(Curve::P256) => &[A::ES256],
        Shape::Ec(Curve::P384) => &[A::ES384],
        Shape::Ec(Curve::P521) => &[A::ES512],
        Shape::Ed25519 => &[A::EdDSA],
        Shape::X25519 => return Err(KeyError::WrongUse),
    };
    let Some(name) = alg else { return Ok(all.to_vec()) };
    let named = A::from_name(name).filter(|alg| all.contains(alg)).ok_or(KeyError::WrongAlgorithm)?;
    Ok(vec![named])
}

/// The hash of an HMAC algorithm.
pub(super) fn hmac_hash(alg: SigningAlgorithm) -> Option<Hash> {
    match alg {
        SigningAlgorithm::HS256 => Some(Hash::Sha256),
        SigningAlgorithm::HS384 => Some(Hash::Sha384),
        SigningAlgorithm::HS512 => Some(Hash::Sha512),
        _ => None,
    }
}

struct Verifier {
    /// The one length a signature can have: anything else never reaches the arithmetic.
    signature_len: usize,
    kind: Kind,
}

enum Kind {
    Hmac(Box<HmacKey>),
    PublicKey(Box<dyn JwsVerifier>),
}

impl Verifier {
    fn hmac(alg: SigningAlgorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let hash = hmac_hash(alg).ok_or(KeyError::WrongAlgorithm)?;
        if secret.len() < hash.output_len() {
            return Err(KeyError::ShortSecret);
        }
        Ok(Self { signature_len: hash.output_len(), kind: Kind::Hmac(Box::new(HmacKey::new(hash, secret))) })
    }

    /// Hands josekit the bare public members: `use`, `key_ops`, `alg` and `kid` are judged above, by the RFC's rules.
    fn josekit(alg: SigningAlgorithm, key: &PublicJwk) -> Result<Self, KeyError> {
        let signature_len = match key.shape {
            Shape::Rsa { modulus_len } => modulus_len,
            _ => alg.signature_len().ok_or(KeyError::WrongAlgorithm)?,
        };
        let jwk = Jwk::from_map(key.members.clone()).map_err(|_| KeyError::Unusable)?;
        Ok(Self { signature_len, kind: Kind::PublicKey(josekit_verifier(alg, &jwk)?) })
    }

    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if signature.len() != self.signature_len {
            return Err(BadSignature);
        }
        let holds = match &self.kind {
            Kind::Hmac(key) => key.tag(&[signing_input]).starts_as(self.signature_len, signature),
            Kind::PublicKey(verifier) => verifier.verify(signing_input, signature).is_ok(),
        };
        if holds { Ok(()) } else { Err(BadSignature) }
    }
}

fn josekit_verifier(alg: SigningAlgorithm, jwk: &Jwk) -> Result<Box<dyn JwsVerifier>, KeyError> {
    use SigningAlgorithm as A;
    fn boxed<V: JwsVerifier + 'static, E>(made: Result<V, E>) -> Result<Box<dyn JwsVerifier>, KeyError> {
        made.map(|verifier| Box::new(verifier) as Box<dyn JwsVerifier>).map_err(|_| KeyError::Unusable)
    }
    match alg {
        A::RS256 => boxed(jws::RS256.verifier_from_jwk(jwk)),
        A::RS384 => boxed(jws::RS384.verifier_from_jwk(jwk)),
        A::RS512 => boxed(jws::RS512.verifier_from_jwk(jwk)),
        A::PS256 => boxed(jws::PS256.verifier_from_jwk(jwk)),
        A::PS384 => boxed(jws::PS384.verifier_from_jwk(jwk)),
        A::PS512 => boxed(jws::PS512.verifier_from_jwk(jwk)),
        A::ES256 => boxed(jws::ES256.verifier_from_jwk(jwk)),
        A::ES384 => boxed(jws::ES384.verifier_from_jwk(jwk)),
        A::ES512 => boxed(jws::ES512.verifier_from_jwk(jwk)),
        A::EdDSA => boxed(jws::EdDSA.verifier_from_jwk(jwk)),
        A::HS256 | A::HS384 | A::HS512 => Err(KeyError::WrongAlgorithm),
    }
}

/// Whether the bytes are a key file. A marker anywhere counts: a reader that skips leading white space once turned a
/// public key into a secret (CVE-2026-34950).
fn looks_like_a_key(secret: &[u8]) -> bool {
    let holds = |marker: &[u8]| secret.windows(marker.len()).any(|window| window == marker);
    // The second is the text of a JWK or JWKS; one that is meant as a secret begins with its brace and was read before.
    holds(b"-----BEGIN")
        || (holds(b"\"kty\"") && secret.trim_ascii_start().starts_with(b"{"))
        || secret.starts_with(b"ssh-")
        || PKey::public_key_from_der(secret).is_ok()
        || PKey::private_key_from_der(secret).is_ok()
        || X509::from_der(secret).is_ok()
}
