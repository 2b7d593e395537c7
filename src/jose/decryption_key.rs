//! Keys that open encrypted tokens (RFC 7516 §5.2, RFC 7518 §4). They are another type than [`super::VerificationKey`]:
//! a key to read with can never become a key to believe.

use super::alg::{ContentEncryption, KeyAlgorithm};
use super::elliptic::Curve;
use super::json;
use super::jwk::{KeyError, Metadata, PublicJwk, Purpose, Shape, octets, text};
use super::key_set::{KeySelectionError, KeySetError, Named, choose, duplicate_kid, entries, holds_kid};
use crate::secret::Secret;
use josekit::jwe::{self, JweDecrypter};
use josekit::jwk::Jwk;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroizing;

/// A private or symmetric key that opens tokens.
pub struct DecryptionKey {
    kid: Option<String>,
    /// The algorithm that the key names, if it names one.
    alg: Option<String>,
    pub(super) material: Material,
}

/// The key itself, parsed.
pub(super) enum Material {
    Rsa { modulus_len: usize, oaep: Box<dyn JweDecrypter>, oaep_256: Box<dyn JweDecrypter> },
    Ec { curve: Curve, group: EcGroup, key: PKey<Private> },
    X25519(PKey<Private>),
    Oct(Secret<Vec<u8>>),
}

impl DecryptionKey {
    /// A shared secret, for `dir`, A*KW or A*GCMKW as its length allows.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        Self { kid: None, alg: None, material: Material::Oct(Secret::new(secret.to_vec())) }
    }

    /// A private or symmetric JWK: RSA with its five CRT members, EC on a NIST curve, OKP X25519, or oct.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let Metadata { kid, alg } = Metadata::read(jwk, Purpose::Decrypt)?;
        let material = match text(jwk, "kty")? {
            "oct" => Material::Oct(Secret::new(octets(jwk, "k")?)),
            _ => private_material(jwk)?,
        };
        let key = Self { kid, alg, material };
        // A key that names an algorithm it can never serve is a mistake best told at once.
        let serves = |alg: &KeyAlgorithm| ContentEncryption::ALL.iter().any(|enc| key.fits(*alg, *enc));
        if KeyAlgorithm::ALL.iter().any(serves) { Ok(key) } else { Err(KeyError::WrongAlgorithm) }
    }

    /// The key's `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether opening a token with it takes so long that other requests should not wait for it: a third of a
    /// millisecond with RSA, more on the larger curves.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        match &self.material {
            Material::Rsa { .. } => true,
            Material::Ec { curve, .. } => *curve != Curve::P256,
            Material::X25519(_) | Material::Oct(_) => false,
        }
    }

    /// Whether type, length and `alg` of the key allow these algorithms. With `dir` the key may name the content
    /// encryption instead (as in RFC 7520 §5.6).
    #[must_use]
    pub fn fits(&self, key_alg: KeyAlgorithm, enc: ContentEncryption) -> bool {
        let named = self
            .alg
            .as_deref()
            .is_none_or(|alg| alg == key_alg.name() || (key_alg == KeyAlgorithm::Dir && alg == enc.name()));
        named && self.material.fits(key_alg, enc)
    }
}

impl Material {
    fn fits(&self, key_alg: KeyAlgorithm, enc: ContentEncryption) -> bool {
        match self {
            Self::Rsa { .. } => matches!(key_alg, KeyAlgorithm::RsaOaep | KeyAlgorithm::RsaOaep256),
            Self::Ec { .. } | Self::X25519(_) => key_alg.is_ecdh(),
            Self::Oct(secret) if key_alg == KeyAlgorithm::Dir => secret.expose().len() == enc.key_len(),
            Self::Oct(secret) => key_alg.is_symmetric() && key_alg.wrapping_key_len() == Some(secret.expose().len()),
        }
    }
}

impl fmt::Debug for DecryptionKey {
    /// Shows the type of the key only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.material {
            Material::Rsa { .. } => "RSA",
            Material::Ec { curve, .. } => curve.name(),
            Material::X25519(_) => "X25519",
            Material::Oct(_) => "oct",
        };
        f.debug_tuple("DecryptionKey").field(&kind).finish()
    }
}

impl Named for DecryptionKey {
    fn kid(&self) -> Option<&str> {
        self.kid()
    }
}

/// Our own keys to open tokens with.
#[derive(Debug, Default)]
pub struct DecryptionKeySet {
    keys: Vec<DecryptionKey>,
}

impl DecryptionKeySet {
    /// Reads a private JWK, or a JWKS of them. These are our own keys, so every one must be usable.
    pub fn parse_private(bytes: &[u8]) -> Result<Self, KeySetError> {
        let document = json::parse_object(bytes)?;
        if !document.contains_key("keys") {
            return Self::from_keys(vec![read(0, &document)?]);
        }
        let keys = entries(&document)?.iter().enumerate().map(|(index, entry)| {
            let jwk = entry.as_object().ok_or(KeySetError::Key { index, error: KeyError::Malformed })?;
            read(index, jwk)
        });
        Self::from_keys(keys.collect::<Result<_, _>>()?)
    }

    /// A set of keys at hand.
    pub fn from_keys(keys: Vec<DecryptionKey>) -> Result<Self, KeySetError> {
        duplicate_kid(&keys).map_or(Ok(Self { keys }), |index| Err(KeySetError::DuplicateKid(index)))
    }

    /// The keys in their order.
    #[must_use]
    pub fn keys(&self) -> &[DecryptionKey] {
        &self.keys
    }

    /// Whether a key of this name is in the set.
    #[must_use]
    pub fn has_kid(&self, kid: &str) -> bool {
        holds_kid(&self.keys, Some(kid))
    }

    /// The keys to try for a token: the one it names, or, if it names none, the first four that serve the algorithms.
    /// Where no key of the set has a name, a token's `kid` says nothing and counts as absent.
    pub fn select(
        &self,
        kid: Option<&str>,
        key_alg: KeyAlgorithm,
        enc: ContentEncryption,
    ) -> Result<Vec<&DecryptionKey>, KeySelectionError> {
        choose(&self.keys, kid, |key| key.fits(key_alg, enc))
    }
}

fn read(index: usize, jwk: &Map<String, Value>) -> Result<DecryptionKey, KeySetError> {
    DecryptionKey::from_jwk(jwk).map_err(|error| KeySetError::Key { index, error })
}

fn private_material(jwk: &Map<String, Value>) -> Result<Material, KeyError> {
    let public = PublicJwk::read(jwk)?;
    match public.shape {
        Shape::Rsa { modulus_len } => rsa(jwk, public, modulus_len),
        Shape::Ec(curve) => ec(jwk, curve),
        Shape::X25519 => x25519(jwk),
        Shape::Ed25519 => Err(KeyError::WrongUse),
    }
}

fn rsa(jwk: &Map<String, Value>, public: PublicJwk, modulus_len: usize) -> Result<Material, KeyError> {
    if jwk.contains_key("oth") {
        return Err(KeyError::BadMember("oth"));
    }
    let number = |name| BigNum::from_slice(&Zeroizing::new(octets(jwk, name)?)).map_err(|_| KeyError::Unusable);
    let rsa = Rsa::from_private_components(
        number("n")?,
        number("e")?,
        number("d")?,
        number("p")?,
        number("q")?,
        number("dp")?,
        number("dq")?,
        number("qi")?,
    );
    if !rsa.and_then(|rsa| rsa.check_key()).unwrap_or(false) {
        return Err(KeyError::Mismatch);
    }
    let mut members = public.members;
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        members.insert(name.to_owned(), Value::from(text(jwk, name)?));
    }
    let bare = Jwk::from_map(members).map_err(|_| KeyError::Unusable)?;
    let oaep = Box::new(jwe::RSA_OAEP.decrypter_from_jwk(&bare).map_err(|_| KeyError::Unusable)?);
    let oaep_256 = Box::new(jwe::RSA_OAEP_256.decrypter_from_jwk(&bare).map_err(|_| KeyError::Unusable)?);
    Ok(Material::Rsa { modulus_len, oaep, oaep_256 })
}

fn ec(jwk: &Map<String, Value>, curve: Curve) -> Result<Material, KeyError> {
    let group = curve.group()?;
    let public = curve.point(&group, &octets(jwk, "x")?, &octets(jwk, "y")?)?;
    let d = Zeroizing::new(octets(jwk, "d")?);
    if d.len() != curve.coordinate_len() {
        return Err(KeyError::BadMember("d"));
    }
    let d = BigNum::from_slice(&d).map_err(|_| KeyError::Unusable)?;
    let key = EcKey::from_private_components(&group, &d, public.public_key()).map_err(|_| KeyError::Unusable)?;
    // Also compares d·G with the public point: a foreign x and y would make us open nothing, or the wrong thing.
    key.check_key().map_err(|_| KeyError::Mismatch)?;
    Ok(Material::Ec { curve, group, key: PKey::from_ec_key(key).map_err(|_| KeyError::Unusable)? })
}

fn x25519(jwk: &Map<String, Value>) -> Result<Material, KeyError> {
    let key = PKey::private_key_from_raw_bytes(&octets(jwk, "d")?, Id::X25519).map_err(|_| KeyError::BadMember("d"))?;
    let public = key.raw_public_key().map_err(|_| KeyError::Unusable)?;
    if public == octets(jwk, "x")? { Ok(Material::X25519(key)) } else { Err(KeyError::Mismatch) }
}
