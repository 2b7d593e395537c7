//! ECDH-ES from the sender's side (RFC 7518 §4.6), with an ephemeral key that can be written down wrongly although the
//! agreement behind it is right.

use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::seal::{Jwe, gcm, key_wrap, random};
use super::token::{b64, unb64, with};

/// A sender's key pair, and what it agreed with the recipient.
pub struct Ephemeral {
    epk: Value,
    pub d: Vec<u8>,
    pub z: Vec<u8>,
}

impl Ephemeral {
    /// A fresh key on the curve of `recipient`.
    pub fn for_recipient(recipient: &Value) -> Self {
        if recipient["crv"] == "X25519" { Self::x25519(recipient) } else { Self::p256(recipient) }
    }

    fn x25519(recipient: &Value) -> Self {
        let ours = PKey::generate_x25519().unwrap();
        let theirs = PKey::public_key_from_raw_bytes(&bytes(recipient, "x"), Id::X25519).unwrap();
        let epk = json!({ "kty": "OKP", "crv": "X25519", "x": b64(ours.raw_public_key().unwrap()) });
        Self { epk, d: ours.raw_private_key().unwrap(), z: derive(&ours, &theirs) }
    }

    fn p256(recipient: &Value) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let [x, y] = ["x", "y"].map(|name| BigNum::from_slice(&bytes(recipient, name)).unwrap());
        let theirs = PKey::from_ec_key(EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap()).unwrap();
        let ours = EcKey::generate(&group).unwrap();
        let mut context = BigNumContext::new().unwrap();
        let point = ours.public_key().to_bytes(&group, PointConversionForm::UNCOMPRESSED, &mut context).unwrap();
        let epk = json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) });
        let d = ours.private_key().to_vec_padded(32).unwrap();
        Self { epk, d, z: derive(&PKey::from_ec_key(ours).unwrap(), &theirs) }
    }

    /// The public part, written as it should be.
    pub fn epk(&self) -> Value {
        self.epk.clone()
    }

    /// The public part with one member changed.
    pub fn epk_with(&self, name: &str, value: Value) -> Value {
        let mut epk = self.epk();
        epk[name] = value;
        epk
    }

    /// Both coordinates of the point in one text, divided at another place.
    pub fn epk_divided_at(&self, place: usize) -> Value {
        let point = [bytes(&self.epk, "x"), bytes(&self.epk, "y")].concat();
        let mut epk = self.epk_with("x", json!(b64(&point[..place])));
        epk["y"] = json!(b64(&point[place..]));
        epk
    }

    /// Seals with what was agreed, whatever `epk` says.
    pub fn seal(&self, header: &[u8], epk: &Value, plaintext: &[u8]) -> Jwe {
        seal_under(&self.z, &with(header, "epk", epk.clone()), plaintext)
    }
}

/// Seals under the agreed `z`, by the algorithms that the header names.
pub fn seal_under(z: &[u8], header: &[u8], plaintext: &[u8]) -> Jwe {
    let named: Value = serde_json::from_slice(header).unwrap();
    let key = |algorithm: &Value| concat_kdf(z, algorithm.as_str().unwrap());
    if named["alg"] == "ECDH-ES" {
        gcm(header, b"", &key(&named["enc"]), &random::<12>(), plaintext)
    } else {
        let cek = random::<32>();
        gcm(header, &key_wrap(&key(&named["alg"]), &cek), &cek, &random::<12>(), plaintext)
    }
}

/// The derivation for 256 bits without party information.
fn concat_kdf(z: &[u8], algorithm: &str) -> Vec<u8> {
    let len = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let none = len(0);
    let input = [&len(1), z, &len(algorithm.len()), algorithm.as_bytes(), &none, &none, &len(256)].concat();
    sha256(&input).to_vec()
}

fn derive(ours: &PKey<Private>, theirs: &PKey<Public>) -> Vec<u8> {
    let mut deriver = Deriver::new(ours).unwrap();
    deriver.set_peer(theirs).unwrap();
    deriver.derive_to_vec().unwrap()
}

fn bytes(jwk: &Value, name: &str) -> Vec<u8> {
    unb64(jwk[name].as_str().unwrap())
}
