//! The public key inside a DPoP proof's header (RFC 9449 §4.2): the only key a token may bring along, because the
//! access token names it by thumbprint.

use super::alg::SigningAlgorithm;
use super::jwk::{KeyError, Metadata, Purpose, hash_members, refuse_private, required_members};
use super::verification_key::VerificationKey;
use serde_json::{Map, Value};

/// A key as a proof carries it: public and meant for the proof's algorithm, but its numbers not yet looked at.
///
/// The thumbprint comes before the arithmetic: a key that is not the one the token names is refused for the price of a
/// hash, and a key that was seen before need not be imported again.
#[derive(Clone)]
pub struct EmbeddedKey {
    alg: SigningAlgorithm,
    thumbprint: [u8; 32],
    members: Map<String, Value>,
}

impl EmbeddedKey {
    /// Reads the `jwk` of a proof that names `alg`. A private or symmetric key is refused, and so is one whose own
    /// `alg`, `use` or `key_ops` say that it is for something else (RFC 7517 §4.2–4.4).
    pub fn read(jwk: &Map<String, Value>, alg: SigningAlgorithm) -> Result<Self, KeyError> {
        refuse_private(jwk)?;
        let metadata = Metadata::read(jwk, Purpose::Verify)?;
        if metadata.alg.is_some_and(|own| SigningAlgorithm::from_name(&own) != Some(alg)) {
            return Err(KeyError::WrongAlgorithm);
        }
        let members = required_members(jwk)?;
        Ok(Self { alg, thumbprint: hash_members(&members), members })
    }

    /// The algorithm of the proof.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.alg
    }

    /// Whether importing it and verifying with it takes so long that other requests should not wait for it.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        let modulus = self.members.get("n").and_then(Value::as_str).map_or(0, |n| n.len() / 4 * 3);
        self.alg.is_on_large_curve() || modulus > super::verification_key::LIGHT_MODULUS
    }

    /// The RFC 7638 thumbprint with SHA-256, of the members as they are spelled. Two spellings of one key have two
    /// thumbprints, and the one with the thumbprint of a sound key is that very key.
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// The key, checked as strictly as any other, and serving the proof's algorithm alone.
    pub fn import(mut self) -> Result<VerificationKey, KeyError> {
        self.members.insert("alg".to_owned(), self.alg.name().into());
        VerificationKey::from_jwk(&self.members)
    }
}

impl std::fmt::Debug for EmbeddedKey {
    /// Shows the algorithm only: a public key tells whose proof it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedKey").field("alg", &self.alg).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::base64url;
    use serde_json::json;

    fn key() -> Map<String, Value> {
        // The key of RFC 9449 §4.1.
        let key = json!({
            "kty": "EC", "crv": "P-256",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        });
        serde_json::from_value(key).unwrap()
    }

    fn with(name: &str, value: Value) -> Map<String, Value> {
        let mut key = key();
        key.insert(name.to_owned(), value);
        key
    }

    #[test]
    fn the_thumbprint_of_rfc_9449_section_6_1() {
        let read = EmbeddedKey::read(&key(), SigningAlgorithm::ES256).unwrap();
        assert_eq!(base64url::encode(read.thumbprint()), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert!(read.import().unwrap().fits(SigningAlgorithm::ES256));
    }

    #[test]
    fn members_that_make_no_key_leave_the_thumbprint_alone() {
        let plain = EmbeddedKey::read(&key(), SigningAlgorithm::ES256).unwrap();
        for (name, value) in [("kid", json!("k")), ("use", json!("sig")), ("alg", json!("ES256")), ("x5c", json!([]))] {
            let read = EmbeddedKey::read(&with(name, value), SigningAlgorithm::ES256).unwrap();
            assert_eq!(read.thumbprint(), plain.thumbprint(), "{name}");
        }
    }

    #[test]
    fn a_private_or_symmetric_key_is_refused() {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let read = EmbeddedKey::read(&with(member, json!("AQ")), SigningAlgorithm::ES256);
            assert_eq!(read.map(drop), Err(KeyError::PrivateMaterial), "{member}");
        }
        let read = EmbeddedKey::read(&with("kty", json!("oct")), SigningAlgorithm::ES256);
        assert_eq!(read.map(drop), Err(KeyError::PrivateMaterial));
    }

    #[test]
    fn a_key_for_something_else_is_refused() {
        for (name, value, error) in [
            ("use", json!("enc"), KeyError::WrongUse),
            ("key_ops", json!(["encrypt"]), KeyError::WrongUse),
            ("alg", json!("ES384"), KeyError::WrongAlgorithm),
            ("kty", json!("XYZ"), KeyError::UnknownType),
            ("x", json!(1), KeyError::BadMember("x")),
        ] {
            assert_eq!(EmbeddedKey::read(&with(name, value), SigningAlgorithm::ES256).map(drop), Err(error), "{name}");
        }
    }

    #[test]
    fn import_checks_the_numbers() {
        let off_curve = EmbeddedKey::read(
            &with("y", json!("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDE")),
            SigningAlgorithm::ES256,
        );
        assert_eq!(off_curve.unwrap().import().map(drop), Err(KeyError::BadPoint));
        let other = EmbeddedKey::read(&key(), SigningAlgorithm::RS256).unwrap();
        assert_eq!(other.import().map(drop), Err(KeyError::WrongAlgorithm));
    }
}
