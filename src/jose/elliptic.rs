//! Curves and their points (RFC 7518 §6.2, RFC 8037 §2): every point is checked before it becomes a key.

use super::jwk::KeyError;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcGroupRef, EcKey, EcPoint};
use openssl::nid::Nid;
use openssl::pkey::Public;

/// A NIST curve of JWA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The exact length of a coordinate in bytes (RFC 7518 §6.2.1.2).
    pub(super) const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    pub(super) fn group(self) -> Result<EcGroup, KeyError> {
        let nid = match self {
            Self::P256 => Nid::X9_62_PRIME256V1,
            Self::P384 => Nid::SECP384R1,
            Self::P521 => Nid::SECP521R1,
        };
        EcGroup::from_curve_name(nid).map_err(|_| KeyError::Unusable)
    }

    /// The public key at (x, y). `group` is this curve's group, which costs enough to be kept by whoever has it.
    ///
    /// Reading the uncompressed form checks that the point lies on the curve; the cofactor of all three curves is 1,
    /// so it then has the right order, and infinity has no such form.
    pub(super) fn point(self, group: &EcGroupRef, x: &[u8], y: &[u8]) -> Result<EcKey<Public>, KeyError> {
        if x.len() != self.coordinate_len() || y.len() != self.coordinate_len() {
            return Err(KeyError::BadPoint);
        }
        let mut ctx = BigNumContext::new().map_err(|_| KeyError::Unusable)?;
        let point = EcPoint::from_bytes(group, &[&[4], x, y].concat(), &mut ctx).map_err(|_| KeyError::BadPoint)?;
        EcKey::from_public_key(group, &point).map_err(|_| KeyError::BadPoint)
    }
}

/// The length of an Ed25519 or X25519 public or private key.
pub(super) const CURVE25519_LEN: usize = 32;

/// Refuses Ed25519 public keys for which one signature fits many messages: the points of small order, and encodings
/// of y that are not reduced (RFC 8032 §5.1.3).
pub(super) fn check_ed25519(key: &[u8]) -> Result<(), KeyError> {
    let Ok(mut y) = <[u8; CURVE25519_LEN]>::try_from(key) else { return Err(KeyError::BadPoint) };
    // The sign of x is in the top bit; a point and its negative have the same order.
    y[31] &= 0x7f;
    let reduced = y.iter().rev().lt(PRIME_25519.iter().rev());
    if reduced && !SMALL_ORDER_Y.contains(&y) { Ok(()) } else { Err(KeyError::BadPoint) }
}

/// 2²⁵⁵ − 19, little-endian.
const PRIME_25519: [u8; 32] = filled(0xed, 0xff, 0x7f);

/// The y of the eight points whose order divides 8, little-endian: 0 and the two of order 8, 1, and −1.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    filled(0, 0, 0),
    filled(1, 0, 0),
    filled(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn filled(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_curve_points_and_odd_lengths_are_refused() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let group = curve.group().unwrap();
            let len = curve.coordinate_len();
            for (x, y) in [(len, len), (0, 0), (len - 1, len + 1), (2 * len, 0), (len + 1, len)] {
                assert!(curve.point(&group, &vec![1; x], &vec![1; y]).is_err(), "{curve:?} {x} {y}");
            }
            assert!(curve.point(&group, &vec![0; len], &vec![0; len]).is_err());
            assert!(curve.point(&group, &vec![0xff; len], &vec![0xff; len]).is_err());
        }
    }

    #[test]
    fn small_order_ed25519_keys_are_refused_with_either_sign() {
        for y in SMALL_ORDER_Y {
            assert_eq!(check_ed25519(&y), Err(KeyError::BadPoint));
            let mut negative = y;
            negative[31] |= 0x80;
            assert_eq!(check_ed25519(&negative), Err(KeyError::BadPoint));
        }
    }

    #[test]
    fn unreduced_ed25519_keys_are_refused() {
        for first in 0xed..=0xff {
            assert_eq!(check_ed25519(&filled(first, 0xff, 0x7f)), Err(KeyError::BadPoint));
            assert_eq!(check_ed25519(&filled(first, 0xff, 0xff)), Err(KeyError::BadPoint));
        }
        assert!(check_ed25519(&filled(0xeb, 0xff, 0x7f)).is_ok());
        assert!(check_ed25519(&[7; 31]).is_err() && check_ed25519(&[7; 33]).is_err());
    }
}
