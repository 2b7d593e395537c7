//! ECDH-ES (RFC 7518 §4.6): the agreement, and the Concat KDF (NIST SP 800-56A §5.8.1) with SHA-256.
//!
//! The sender's point is read directly. Going through DER, as a general library must, costs more than the agreement.

use super::decryption_key::Material;
use super::elliptic::CURVE25519_LEN;
use super::header::EphemeralKey;
use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sha::Sha256;
use zeroize::Zeroizing;

/// The shared secret Z of our key and the sender's ephemeral key; `None` if they are not on one curve, or the point
/// is not on it, or (X25519) the result is zero (RFC 7748 §6.1).
pub(super) fn agree(ours: &Material, theirs: &EphemeralKey) -> Option<Zeroizing<Vec<u8>>> {
    match ours {
        Material::Ec { curve, group, key } => {
            if theirs.kty != "EC" || theirs.crv != curve.name() {
                return None;
            }
            let point = curve.point(group, &theirs.x, theirs.y.as_deref()?).ok()?;
            derive(key, &PKey::from_ec_key(point).ok()?)
        }
        Material::X25519(key) => {
            if theirs.kty != "OKP" || theirs.crv != "X25519" || theirs.y.is_some() || theirs.x.len() != CURVE25519_LEN {
                return None;
            }
            derive(key, &PKey::public_key_from_raw_bytes(&theirs.x, Id::X25519).ok()?)
        }
        Material::Rsa { .. } | Material::Oct(_) => None,
    }
}

/// The agreement itself. The peer is not validated a second time: its point was checked when it was read.
pub(super) fn derive(ours: &PKey<Private>, theirs: &PKey<Public>) -> Option<Zeroizing<Vec<u8>>> {
    let mut deriver = Deriver::new(ours).ok()?;
    deriver.set_peer_ex(theirs, false).ok()?;
    deriver.derive_to_vec().map(Zeroizing::new).ok()
}

/// Derives `len` bytes of key for `algorithm` (RFC 7518 §4.6.2).
pub(super) fn concat_kdf(z: &[u8], algorithm: &str, apu: &[u8], apv: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(32)));
    let mut round: u32 = 1;
    while key.len() < len {
        let mut hash = Sha256::new();
        hash.update(&round.to_be_bytes());
        hash.update(z);
        for field in [algorithm.as_bytes(), apu, apv] {
            hash.update(&length(field.len()));
            hash.update(field);
        }
        hash.update(&length(len * 8));
        key.extend_from_slice(&hash.finish());
        round += 1;
    }
    key.truncate(len);
    key
}

/// A 32-bit length field. Header values are bounded far below its limit.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivation_of_rfc_7518_appendix_c() {
        let z = [
            158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128,
            106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
        ];
        let key = concat_kdf(&z, "A128GCM", b"Alice", b"Bob", 16);
        assert_eq!(crate::jose::base64url::encode(&key), "VqqN6vgjbSBcIijNcacQGg");
    }

    #[test]
    fn longer_keys_take_more_rounds() {
        let key = concat_kdf(b"z", "A256CBC-HS512", b"", b"", 64);
        assert_eq!(key.len(), 64);
        assert_ne!(key[..32], key[32..]);
        assert_eq!(concat_kdf(b"z", "A192CBC-HS384", b"", b"", 48).len(), 48);
    }
}
