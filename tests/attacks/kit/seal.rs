//! Sealing, so that every part of a JWE can be wrong on purpose while all the others are right.

use openssl::aes::{AesKey, wrap_key};
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Signer;
use openssl::symm::{Cipher, Crypter, Mode, encrypt, encrypt_aead};
use serde_json::{Value, json};

use super::agree;
use super::issuers::Keys;
use super::token::{b64, unb64, with};

/// A vector for rows that choose one themselves.
pub const IV: [u8; 16] = [0x42; 16];
/// A content key for rows that choose one themselves.
pub const CEK: [u8; 32] = [0x17; 32];

/// A JWE in its parts.
#[derive(Clone)]
pub struct Jwe {
    pub header: Vec<u8>,
    pub encrypted_key: Vec<u8>,
    pub iv: Vec<u8>,
    pub ciphertext: Vec<u8>,
    pub tag: Vec<u8>,
    /// The content key: what a holder of the recipient's key would know.
    pub cek: Vec<u8>,
}

impl Jwe {
    pub fn compact(&self) -> String {
        [&self.header, &self.encrypted_key, &self.iv, &self.ciphertext, &self.tag].map(b64).join(".")
    }

    /// The token with one part changed after it was sealed.
    pub fn changed(mut self, change: impl FnOnce(&mut Self)) -> String {
        change(&mut self);
        self.compact()
    }
}

/// Random bytes, as an honest sender takes them: two tokens under one content key would be good with each other's
/// encrypted key.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes).unwrap();
    bytes
}

/// Seals `plaintext` as `issuer` does.
pub fn seal(keys: &Keys, issuer: &str, header: &[u8], plaintext: &[u8]) -> Jwe {
    let (cek, iv) = (random::<32>(), random::<16>());
    match issuer {
        "nest" => gcm(header, &oaep(keys.private("nest"), &cek, MessageDigest::sha256()), &cek, &iv[..12], plaintext),
        "direct" => gcm(header, b"", &keys.secret("direct"), &iv[..12], plaintext),
        "cbc" => cbc(header, b"", &keys.secret("cbc"), &iv, &padded(plaintext)),
        "wrap" => gcm(header, &key_wrap(&keys.secret("wrap"), &cek), &cek, &iv[..12], plaintext),
        "gcmkw" => {
            let (wrapped, tag) = gcm_raw(&keys.secret("gcmkw"), &IV[..12], b"", &cek);
            let header = with(&with(header, "iv", json!(b64(&IV[..12]))), "tag", json!(b64(tag)));
            gcm(&header, &wrapped, &cek, &iv[..12], plaintext)
        }
        "agree" | "agree-kw" | "x25519" => {
            let ephemeral = agree::Ephemeral::for_recipient(keys.private(issuer));
            ephemeral.seal(header, &ephemeral.epk(), plaintext)
        }
        other => panic!("{other} seals nothing"),
    }
}

/// AES-GCM under this content key, over this header.
pub fn gcm(header: &[u8], encrypted_key: &[u8], cek: &[u8], iv: &[u8], plaintext: &[u8]) -> Jwe {
    let (ciphertext, tag) = gcm_raw(cek, iv, b64(header).as_bytes(), plaintext);
    let (encrypted_key, iv, cek) = (encrypted_key.to_vec(), iv.to_vec(), cek.to_vec());
    Jwe { header: header.to_vec(), encrypted_key, iv, ciphertext, tag, cek }
}

/// AES-GCM itself.
pub fn gcm_raw(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let cipher = match key.len() {
        16 => Cipher::aes_128_gcm(),
        24 => Cipher::aes_192_gcm(),
        _ => Cipher::aes_256_gcm(),
    };
    let mut tag = vec![0; 16];
    let ciphertext = encrypt_aead(cipher, key, Some(iv), aad, plaintext, &mut tag).unwrap();
    (ciphertext, tag)
}

/// A256CBC-HS512 over blocks that are padded already, well or badly. The tag is always right.
pub fn cbc(header: &[u8], encrypted_key: &[u8], key: &[u8], iv: &[u8], blocks: &[u8]) -> Jwe {
    let (mac, aes) = key.split_at(32);
    let mut crypter = Crypter::new(Cipher::aes_256_cbc(), Mode::Encrypt, aes, Some(&iv[..16])).unwrap();
    crypter.pad(false);
    let mut ciphertext = vec![0; blocks.len() + 16];
    let mut written = crypter.update(blocks, &mut ciphertext).unwrap();
    written += crypter.finalize(&mut ciphertext[written..]).unwrap();
    ciphertext.truncate(written);
    let tag = cbc_tag(mac, &b64(header), iv, &ciphertext)[..32].to_vec();
    let (encrypted_key, iv, cek) = (encrypted_key.to_vec(), iv.to_vec(), key.to_vec());
    Jwe { header: header.to_vec(), encrypted_key, iv, ciphertext, tag, cek }
}

/// The whole HMAC of which the tag is the first half.
pub fn cbc_tag(mac: &[u8], aad: &str, iv: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(mac).unwrap();
    let bits = (aad.len() as u64 * 8).to_be_bytes();
    let input = [aad.as_bytes(), iv, ciphertext, &bits].concat();
    Signer::new(MessageDigest::sha512(), &key).unwrap().sign_oneshot_to_vec(&input).unwrap()
}

/// PKCS#7.
pub fn padded(plaintext: &[u8]) -> Vec<u8> {
    let missing = 16 - plaintext.len() % 16;
    [plaintext, &vec![u8::try_from(missing).unwrap(); missing]].concat()
}

/// AES key wrap (RFC 3394).
pub fn key_wrap(kek: &[u8], key: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![0; key.len() + 8];
    wrap_key(&AesKey::new_encrypt(kek).unwrap(), None, &mut wrapped, key).unwrap();
    wrapped
}

/// RSA-OAEP to the public part of `jwk`, with this hash for everything.
pub fn oaep(jwk: &Value, key: &[u8], hash: MessageDigest) -> Vec<u8> {
    let public = rsa_public(jwk);
    let mut encrypter = Encrypter::new(&public).unwrap();
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    encrypter.set_rsa_oaep_md(hash).unwrap();
    encrypter.set_rsa_mgf1_md(hash).unwrap();
    run(&encrypter, key)
}

/// RSA with the padding of PKCS#1 v1.5, which is not to be accepted under any name.
pub fn pkcs1(jwk: &Value, key: &[u8]) -> Vec<u8> {
    let public = rsa_public(jwk);
    let mut encrypter = Encrypter::new(&public).unwrap();
    encrypter.set_rsa_padding(Padding::PKCS1).unwrap();
    run(&encrypter, key)
}

fn run(encrypter: &Encrypter<'_>, key: &[u8]) -> Vec<u8> {
    let mut output = vec![0; encrypter.encrypt_len(key).unwrap()];
    let written = encrypter.encrypt(key, &mut output).unwrap();
    output.truncate(written);
    output
}

pub fn rsa_public(jwk: &Value) -> PKey<openssl::pkey::Public> {
    let number = |name: &str| openssl::bn::BigNum::from_slice(&unb64(jwk[name].as_str().unwrap())).unwrap();
    PKey::from_rsa(Rsa::from_public_components(number("n"), number("e")).unwrap()).unwrap()
}
