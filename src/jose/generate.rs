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

/// A new private (or symmetric) JWK for `alg`: a signing algorithm, a key management algorithm, or an encryption key on
/// the curve of this name (`P-256`, `P-384`, `P-521`, `X25519`), which then serves all of ECDH-ES. `enc` gives a `dir`
/// key its length; nothing else depends on it.
///
/// The key is named by its RFC 7638 thumbprint. That of a symmetric key would tell about it, so it gets a random name.
pub fn generate(alg: &str, enc: ContentEncryption) -> Result<Value, SignError> {
    let recipe = Recipe::of(alg, enc).ok_or(SignError::Algorithm)?;
    let mut members: Map<String, Value> = recipe.material.generate().map_err(|_| SignError::Failed)?.into();
    // josekit marks some kinds of keys and not others; the marks below are the only ones.
    members.retain(|name, _| !matches!(name.as_str(), "use" | "alg" | "kid" | "key_ops"));
    members.insert("use".to_owned(), recipe.key_use.into());
    if let Some(alg) = recipe.alg {
        members.insert("alg".to_owned(), alg.into());
    }
    let kid = match recipe.material {
        Material::Oct(_) => random_name()?,
        _ => jwk::thumbprint(&members)?,
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
    fn of(name: &str, enc: ContentEncryption) -> Option<Self> {
        if let Some(alg) = SigningAlgorithm::from_name(name) {
            return Some(Self { material: Material::signing(alg), key_use: "sig", alg: Some(alg.name()) });
        }
        if let Some(alg) = KeyAlgorithm::from_name(name) {
            return Some(Self { material: Material::encryption(alg, enc)?, key_use: "enc", alg: Some(alg.name()) });
        }
        Some(Self { material: Material::on_curve(name)?, key_use: "enc", alg: None })
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

    fn encryption(alg: KeyAlgorithm, enc: ContentEncryption) -> Option<Self> {
        use KeyAlgorithm as A;
        Some(match alg {
            A::Dir => Self::Oct(u8::try_from(enc.key_len()).ok()?),
            A::RsaOaep | A::RsaOaep256 => Self::Rsa,
            A::EcdhEs | A::EcdhEsA128KW | A::EcdhEsA192KW | A::EcdhEsA256KW => Self::Ec(EcCurve::P256),
            A::A128KW | A::A128GCMKW => Self::Oct(16),
            A::A192KW | A::A192GCMKW => Self::Oct(24),
            A::A256KW | A::A256GCMKW => Self::Oct(32),
        })
    }

    fn on_curve(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::Ec(EcCurve::P256)),
            "P-384" => Some(Self::Ec(EcCurve::P384)),
            "P-521" => Some(Self::Ec(EcCurve::P521)),
            "X25519" => Some(Self::X25519),
            _ => None,
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

    fn key(alg: &str) -> Value {
        generate(alg, ContentEncryption::A256GCM).unwrap()
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let key = key("ES256");
        assert_eq!(key["kid"], jwk::thumbprint(key.as_object().unwrap()).unwrap());
        assert_eq!((&key["use"], &key["alg"]), (&"sig".into(), &"ES256".into()));
    }

    #[test]
    fn a_secret_is_not_named_by_its_hash() {
        let key = key("HS256");
        assert_ne!(key["kid"], jwk::thumbprint(key.as_object().unwrap()).unwrap());
    }

    #[test]
    fn every_name_yields_a_key_that_imports() {
        for name in KeyAlgorithm::ALL.iter().map(|alg| alg.name()).chain(["P-256", "P-384", "P-521", "X25519"]) {
            let key = key(name);
            assert_eq!(key["use"], "enc", "{name}");
            assert!(DecryptionKey::from_jwk(key.as_object().unwrap()).is_ok(), "{name}");
            assert!(SigningKey::from_jwk(key.as_object().unwrap(), None).is_err(), "{name}");
        }
        for alg in SigningAlgorithm::ALL {
            let key = key(alg.name());
            assert!(SigningKey::from_jwk(key.as_object().unwrap(), None).is_ok(), "{alg}");
            assert!(DecryptionKey::from_jwk(key.as_object().unwrap()).is_err(), "{alg}");
        }
        assert_eq!(generate("none", ContentEncryption::A128GCM), Err(SignError::Algorithm));
    }

    #[test]
    fn a_direct_key_has_the_length_of_its_encryption() {
        for enc in ContentEncryption::ALL {
            let key = generate("dir", *enc).unwrap();
            let key = DecryptionKey::from_jwk(key.as_object().unwrap()).unwrap();
            assert!(key.fits(KeyAlgorithm::Dir, *enc), "{enc}");
        }
    }

    #[test]
    fn coordinates_keep_their_leading_zeros() {
        for _ in 0..300 {
            assert!(public_jwk(&key("ES256")).is_ok());
        }
    }

    #[test]
    fn the_public_half_has_no_private_member() {
        for alg in ["RS256", "ES384", "EdDSA", "ECDH-ES", "X25519", "RSA-OAEP"] {
            let public = public_jwk(&key(alg)).unwrap();
            assert!(jwk::refuse_private(public.as_object().unwrap()).is_ok(), "{alg}");
            assert!(public["kid"].is_string());
        }
        assert!(public_jwk(&key("HS256")).is_err());
    }
}
