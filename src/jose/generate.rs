//! New keys (RFC 7517), for `tollgate keys generate`.

use super::alg::{ContentEncryption, KeyAlgorithm, SigningAlgorithm};
use super::jwk::{self, KeyError, PublicJwk};
use super::sign::SignError;
use josekit::JoseError;
use josekit::jwk::Jwk;
use josekit::jwk::alg::{ec::EcCurve, ecx::EcxCurve, ed::EdCurve};
use serde_json::{Map, Value};

/// The length of new RSA keys.
const RSA_BITS: u32 = 2048;

/// A new private (or symmetric) JWK for `alg`.
///
/// `alg` is a signing algorithm, a key management algorithm, or (for a `dir` key) a content encryption; with
/// `use_enc` the name of a signing algorithm stands for an encryption key of the same type. Without a `kid` the key is
/// named by its RFC 7638 thumbprint; the thumbprint of a symmetric key would tell about it, so that one gets a random
/// name.
pub fn generate(alg: &str, use_enc: bool, kid: Option<&str>) -> Result<Value, SignError> {
    let recipe = Recipe::of(alg, use_enc).ok_or(SignError::Algorithm)?;
    let mut members: Map<String, Value> = recipe.material.generate().map_err(|_| SignError::Failed)?.into();
    // josekit marks some kinds of keys and not others; the marks below are the only ones.
    members.retain(|name, _| !matches!(name.as_str(), "use" | "alg" | "kid" | "key_ops"));
    members.insert("use".to_owned(), recipe.key_use.into());
    if let Some(alg) = recipe.alg {
        members.insert("alg".to_owned(), alg.into());
    }
    let kid = match (kid, recipe.material) {
        (Some(kid), _) => kid.to_owned(),
        (None, Material::Oct(_)) => random_name()?,
        (None, _) => jwk::thumbprint(&members)?,
    };
    members.insert("kid".to_owned(), kid.into());
    Ok(Value::Object(members))
}

/// The public half of a private JWK, with its `use`, `alg` and `kid`. A symmetric key has none.
pub fn public_jwk(private: &Value) -> Result<Value, SignError> {
    let jwk = private.as_object().ok_or(KeyError::Malformed)?;
    if jwk.get("kty").is_some_and(|kty| kty == "oct") {
        return Err(KeyError::PrivateMaterial.into());
    }
    let mut public = PublicJwk::read(jwk)?.members;
    for name in ["use", "alg", "kid"] {
        if let Some(value) = jwk.get(name) {
            public.insert(name.to_owned(), value.clone());
        }
    }
    Ok(Value::Object(public))
}

fn random_name() -> Result<String, SignError> {
    let mut name = [0; 16];
    openssl::rand::rand_bytes(&mut name).map_err(|_| SignError::Failed)?;
    Ok(super::base64url::encode(&name))
}

/// What to generate, and what to write on it.
struct Recipe {
    material: Material,
    key_use: &'static str,
    alg: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Material {
    Rsa,
    Ec(EcCurve),
    Ed25519,
    X25519,
    Oct(u8),
}

impl Recipe {
    fn of(name: &str, use_enc: bool) -> Option<Self> {
        if let Some(alg) = SigningAlgorithm::from_name(name) {
            let (material, key_use, alg) = match Material::signing(alg) {
                Material::Ed25519 if use_enc => (Material::X25519, "enc", None),
                material if use_enc => (material, "enc", None),
                material => (material, "sig", Some(alg.name())),
            };
            return Some(Self { material, key_use, alg });
        }
        let (material, alg) = match KeyAlgorithm::from_name(name) {
            Some(alg) => (Material::encryption(alg), Some(alg.name())),
            None => Material::named(name)?,
        };
        Some(Self { material, key_use: "enc", alg })
    }
}

impl Material {
    fn signing(alg: SigningAlgorithm) -> Self {
        use SigningAlgorithm as A;
        match alg {
            A::HS256 => Self::Oct(32),
            A::HS384 => Self::Oct(48),
            A::HS512 => Self::Oct(64),
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => Self::Rsa,
            A::ES256 => Self::Ec(EcCurve::P256),
            A::ES384 => Self::Ec(EcCurve::P384),
            A::ES512 => Self::Ec(EcCurve::P521),
            A::EdDSA => Self::Ed25519,
        }
    }

    fn encryption(alg: KeyAlgorithm) -> Self {
        use KeyAlgorithm as A;
        match alg {
            A::RsaOaep | A::RsaOaep256 => Self::Rsa,
            A::EcdhEs | A::EcdhEsA128KW | A::EcdhEsA192KW | A::EcdhEsA256KW => Self::Ec(EcCurve::P256),
            A::A128KW | A::A128GCMKW => Self::Oct(16),
            A::A192KW | A::A192GCMKW => Self::Oct(24),
            // `dir` leaves the length open: 32 bytes serve A256GCM and A128CBC-HS256.
            A::A256KW | A::A256GCMKW | A::Dir => Self::Oct(32),
        }
    }

    /// A curve, or the content encryption of a `dir` key (which then names it, as RFC 7520 §5.6 does).
    fn named(name: &str) -> Option<(Self, Option<&'static str>)> {
        match name {
            "P-256" => Some((Self::Ec(EcCurve::P256), None)),
            "P-384" => Some((Self::Ec(EcCurve::P384), None)),
            "P-521" => Some((Self::Ec(EcCurve::P521), None)),
            "X25519" => Some((Self::X25519, None)),
            _ => {
                let enc = ContentEncryption::from_name(name)?;
                Some((Self::Oct(u8::try_from(enc.key_len()).ok()?), Some(enc.name())))
            }
        }
    }

    fn generate(self) -> Result<Jwk, JoseError> {
        match self {
            Self::Rsa => Jwk::generate_rsa_key(RSA_BITS),
            Self::Ec(curve) => Jwk::generate_ec_key(curve),
            Self::Ed25519 => Jwk::generate_ed_key(EdCurve::Ed25519),
            Self::X25519 => Jwk::generate_ecx_key(EcxCurve::X25519),
            Self::Oct(len) => Jwk::generate_oct_key(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{DecryptionKey, SigningKey};

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let key = generate("ES256", false, None).unwrap();
        assert_eq!(key["kid"], jwk::thumbprint(key.as_object().unwrap()).unwrap());
        assert_eq!((&key["use"], &key["alg"]), (&"sig".into(), &"ES256".into()));
        assert_eq!(generate("ES256", false, Some("mine")).unwrap()["kid"], "mine");
    }

    #[test]
    fn a_secret_is_not_named_by_its_hash() {
        let key = generate("HS256", false, None).unwrap();
        assert_ne!(key["kid"], jwk::thumbprint(key.as_object().unwrap()).unwrap());
    }

    #[test]
    fn every_name_yields_a_key_that_imports() {
        let encryption = KeyAlgorithm::ALL.iter().map(|alg| alg.name());
        let contents = ContentEncryption::ALL.iter().map(|enc| enc.name());
        for name in encryption.chain(contents).chain(["P-256", "P-384", "P-521", "X25519"]) {
            let key = generate(name, false, None).unwrap();
            assert_eq!(key["use"], "enc", "{name}");
            assert!(DecryptionKey::from_jwk(key.as_object().unwrap()).is_ok(), "{name}");
        }
        for alg in SigningAlgorithm::ALL {
            let (sig, enc) = (generate(alg.name(), false, None).unwrap(), generate(alg.name(), true, None).unwrap());
            assert!(SigningKey::from_jwk(sig.as_object().unwrap(), None).is_ok(), "{alg}");
            assert!(SigningKey::from_jwk(enc.as_object().unwrap(), None).is_err(), "{alg}");
            // 48 bytes are no AES key, but a `dir` key of A192CBC-HS384.
            assert!(DecryptionKey::from_jwk(enc.as_object().unwrap()).is_ok(), "{alg}");
        }
        assert_eq!(generate("none", false, None), Err(SignError::Algorithm));
    }

    #[test]
    fn coordinates_keep_their_leading_zeros() {
        for _ in 0..300 {
            assert!(public_jwk(&generate("ES256", false, None).unwrap()).is_ok());
        }
    }

    #[test]
    fn the_public_half_has_no_private_member() {
        for alg in ["RS256", "ES384", "EdDSA", "ECDH-ES", "X25519", "RSA-OAEP"] {
            let public = public_jwk(&generate(alg, false, None).unwrap()).unwrap();
            assert!(jwk::refuse_private(public.as_object().unwrap()).is_ok(), "{alg}");
            assert!(public["kid"].is_string());
        }
        assert!(public_jwk(&generate("HS256", false, None).unwrap()).is_err());
    }
}
