//! Making signatures (RFC 7515 §5.1): development tokens, and the gateway's own statements.

use super::alg::SigningAlgorithm;
use super::hmac::HmacKey;
use super::json::JsonError;
use super::jwk::{KeyError, Metadata, PublicJwk, Purpose, Shape, octets, text};
use super::verification_key::{VerificationKey, hmac_hash, served_algorithms};
use super::{base64url, jwk};
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsSigner};
use serde_json::{Map, Value};
use std::fmt;

pub use super::encrypt::encrypt_compact;
pub use super::generate::{generate, public_jwk};

/// Why something was not signed, encrypted or generated. Holds no key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key does not serve.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is no JSON object.
    #[error("the key is not acceptable: {0}")]
    Json(#[from] JsonError),
    /// No algorithm of this name, or none that goes with the key.
    #[error("the algorithm is unknown or does not go with the key")]
    Algorithm,
    /// The cryptographic library failed.
    #[error("the operation failed")]
    Failed,
}

/// A private key or secret that signs with one algorithm. Everything is parsed at import.
pub struct SigningKey {
    alg: SigningAlgorithm,
    kid: Option<String>,
    thumbprint: String,
    signer: Signer,
}

enum Signer {
    Hmac(Box<HmacKey>),
    PrivateKey(Box<dyn JwsSigner>),
}

impl SigningKey {
    /// A private JWK, or an `oct` one. It signs with `alg`, or else with the key's own `alg`, or else with the first
    /// algorithm of its type.
    ///
    /// A trial signature must verify with the key's public part: one whose two parts belong to different keys would
    /// else be found by every recipient but not by us.
    pub fn from_jwk(jwk: &Map<String, Value>, alg: Option<SigningAlgorithm>) -> Result<Self, SignError> {
        let metadata = Metadata::read(jwk, Purpose::Sign)?;
        if text(jwk, "kty")? == "oct" {
            return Self::symmetric(jwk, metadata, alg);
        }
        let public = PublicJwk::read(jwk)?;
        let served = served_algorithms(public.shape, metadata.alg.as_deref())?;
        let alg = alg.or(served.first().copied()).filter(|alg| served.contains(alg)).ok_or(SignError::Algorithm)?;
        let signer = josekit_signer(alg, &bare_private(jwk, &public)?)?;
        let verifier = VerificationKey::from_jwk(&public.members)?;
        let key = Self { alg, kid: metadata.kid, thumbprint: public.thumbprint(), signer: Signer::PrivateKey(signer) };
        verifier.verify(alg, b"trial", &key.sign(b"trial")?).map_err(|_| KeyError::Mismatch)?;
        Ok(key)
    }

    fn symmetric(
        jwk: &Map<String, Value>,
        metadata: Metadata,
        alg: Option<SigningAlgorithm>,
    ) -> Result<Self, SignError> {
        let own = metadata.alg.as_deref().map(|name| SigningAlgorithm::from_name(name).ok_or(SignError::Algorithm));
        let own = own.transpose()?;
        let alg = alg.or(own).unwrap_or(SigningAlgorithm::HS256);
        if own.is_some_and(|own| own != alg) {
            return Err(SignError::Algorithm);
        }
        let hash = hmac_hash(alg).ok_or(SignError::Algorithm)?;
        let secret = zeroize::Zeroizing::new(octets(jwk, "k")?);
        if secret.len() < hash.output_len() {
            return Err(KeyError::ShortSecret.into());
        }
        let signer = Signer::Hmac(Box::new(HmacKey::new(hash, &secret)));
        Ok(Self { alg, kid: metadata.kid, thumbprint: jwk::thumbprint(jwk)?, signer })
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.alg
    }

    /// The key's `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The RFC 7638 thumbprint with SHA-256, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The signature over `signing_input`.
    pub fn sign(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.signer {
            Signer::Hmac(key) => Ok(key.tag(&[signing_input]).as_bytes().to_vec()),
            Signer::PrivateKey(signer) => signer.sign(signing_input).map_err(|_| SignError::Failed),
        }
    }

    /// A JWS in compact form (RFC 7515 §7.1). `alg` is set from the key; the other header members are the caller's.
    pub fn sign_compact(&self, header: &Map<String, Value>, payload: &[u8]) -> Result<String, SignError> {
        let mut header = header.clone();
        header.insert("alg".to_owned(), self.alg.name().into());
        let mut token = base64url::encode(Value::Object(header).to_string().as_bytes());
        token.push('.');
        token.push_str(&base64url::encode(payload));
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url::encode(&signature));
        Ok(token)
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the algorithm only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("alg", &self.alg).finish_non_exhaustive()
    }
}

/// Signs once with a private JWK. The header's `alg` decides, or the key's own where the header has none.
pub fn sign_compact(header: &Map<String, Value>, payload: &[u8], private_jwk: &Value) -> Result<String, SignError> {
    let jwk = private_jwk.as_object().ok_or(KeyError::Malformed)?;
    let alg = match header.get("alg") {
        None => None,
        Some(name) => Some(name.as_str().and_then(SigningAlgorithm::from_name).ok_or(SignError::Algorithm)?),
    };
    SigningKey::from_jwk(jwk, alg)?.sign_compact(header, payload)
}

/// The members that make a private key, without `use`, `key_ops`, `alg` and `kid`, which are judged above.
fn bare_private(jwk: &Map<String, Value>, public: &PublicJwk) -> Result<Jwk, KeyError> {
    let private: &[&'static str] = match public.shape {
        Shape::Rsa { .. } => &["d", "p", "q", "dp", "dq", "qi"],
        _ => &["d"],
    };
    let mut members = public.members.clone();
    for name in private {
        octets(jwk, name)?;
        members.insert((*name).to_owned(), text(jwk, name)?.into());
    }
    Jwk::from_map(members).map_err(|_| KeyError::Unusable)
}

fn josekit_signer(alg: SigningAlgorithm, jwk: &Jwk) -> Result<Box<dyn JwsSigner>, KeyError> {
    use SigningAlgorithm as A;
    fn boxed<S: JwsSigner + 'static, E>(made: Result<S, E>) -> Result<Box<dyn JwsSigner>, KeyError> {
        made.map(|signer| Box::new(signer) as Box<dyn JwsSigner>).map_err(|_| KeyError::Unusable)
    }
    match alg {
        A::RS256 => boxed(jws::RS256.signer_from_jwk(jwk)),
        A::RS384 => boxed(jws::RS384.signer_from_jwk(jwk)),
        A::RS512 => boxed(jws::RS512.signer_from_jwk(jwk)),
        A::PS256 => boxed(jws::PS256.signer_from_jwk(jwk)),
        A::PS384 => boxed(jws::PS384.signer_from_jwk(jwk)),
        A::PS512 => boxed(jws::PS512.signer_from_jwk(jwk)),
        A::ES256 => boxed(jws::ES256.signer_from_jwk(jwk)),
        A::ES384 => boxed(jws::ES384.signer_from_jwk(jwk)),
        A::ES512 => boxed(jws::ES512.signer_from_jwk(jwk)),
        A::EdDSA => boxed(jws::EdDSA.signer_from_jwk(jwk)),
        A::HS256 | A::HS384 | A::HS512 => Err(KeyError::WrongAlgorithm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{BadSignature, ContentEncryption, split};

    #[test]
    fn every_algorithm_signs_what_its_public_key_verifies() {
        for alg in SigningAlgorithm::ALL {
            let private = generate(alg.name(), ContentEncryption::A256GCM).unwrap();
            let header = Map::from_iter([("typ".to_owned(), "JWT".into())]);
            let token = sign_compact(&header, b"{}", &private).unwrap();
            let parts = split(&token).unwrap().into_jws().unwrap();
            assert_eq!((parts.header.alg.as_str(), parts.payload.as_slice()), (alg.name(), &b"{}"[..]));
            let key = if alg.is_symmetric() {
                VerificationKey::from_secret(&octets(private.as_object().unwrap(), "k").unwrap(), &[*alg]).unwrap()
            } else {
                VerificationKey::from_jwk(public_jwk(&private).unwrap().as_object().unwrap()).unwrap()
            };
            assert_eq!(key.verify(*alg, parts.signing_input.as_bytes(), &parts.signature), Ok(()), "{alg}");
            assert_eq!(key.verify(*alg, b"another", &parts.signature), Err(BadSignature), "{alg}");
        }
    }

    #[test]
    fn a_private_key_with_a_foreign_public_part_is_refused() {
        for alg in ["RS256", "ES256", "ES512", "EdDSA"] {
            let mut one = generate(alg, ContentEncryption::A256GCM).unwrap();
            let other = generate(alg, ContentEncryption::A256GCM).unwrap();
            for name in ["x", "y", "n"] {
                if other.get(name).is_some() {
                    one[name] = other[name].clone();
                }
            }
            assert!(SigningKey::from_jwk(one.as_object().unwrap(), None).is_err(), "{alg}");
        }
    }

    #[test]
    fn a_key_signs_only_with_what_it_names() {
        let key = generate("ES256", ContentEncryption::A256GCM).unwrap();
        let header = |alg: &str| Map::from_iter([("alg".to_owned(), alg.into())]);
        assert!(sign_compact(&header("ES256"), b"", &key).is_ok());
        for alg in ["none", "HS256", "ES384", "RS256"] {
            assert!(sign_compact(&header(alg), b"", &key).is_err(), "{alg}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = generate("HS256", ContentEncryption::A256GCM).unwrap();
        let shown = format!("{:?}", SigningKey::from_jwk(key.as_object().unwrap(), None).unwrap());
        assert_eq!(shown, "SigningKey { alg: HS256, .. }");
    }
}
