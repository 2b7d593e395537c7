//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037): reading them strictly, before any library sees them.

use super::base64url;
use super::elliptic::{CURVE25519_LEN, Curve, check_ed25519};
use super::header::MAX_KID_LEN;
use super::json;
use super::rsa;
use crate::secret::Secret;
use openssl::sha::sha256;
use serde_json::{Map, Value};

/// The members that make a key private or symmetric (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key is refused. The text never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a JSON object, or one with duplicate members.
    #[error("the key is not a well-formed JSON object")]
    Malformed,
    /// This member is missing, mistyped, or not canonical base64url.
    #[error("the key member `{0}` is missing or malformed")]
    BadMember(&'static str),
    /// A `kty` or `crv` that is not supported here.
    #[error("the key type or curve is not supported")]
    UnknownType,
    /// A private or symmetric key where a public one belongs.
    #[error("private or symmetric key material in a public key")]
    PrivateMaterial,
    /// `use` or `key_ops` say that the key is for something else.
    #[error("`use` or `key_ops` reserve the key for another purpose")]
    WrongUse,
    /// The algorithm named (by `alg` or by the caller) is unknown or does not go with the key.
    #[error("the algorithm does not go with the key")]
    WrongAlgorithm,
    /// An RSA modulus that is even, shorter than 2048 or longer than 8192 bits.
    #[error("the RSA modulus is even, below 2048 or above 8192 bits, or not in its shortest form")]
    RsaModulus,
    /// An RSA exponent other than 65537.
    #[error("the RSA public exponent is not 65537")]
    RsaExponent,
    /// A key of the broken Infineon generator: its private key can be computed (CVE-2017-15361).
    #[error("the RSA modulus carries the ROCA fingerprint (CVE-2017-15361)")]
    Roca,
    /// A point that is off its curve, of small order, or of the wrong length.
    #[error("the public key is no usable point of its curve")]
    BadPoint,
    /// Private and public part belong to different keys.
    #[error("the private and the public part do not belong together")]
    Mismatch,
    /// A shared secret shorter than its algorithm's hash (RFC 7518 §3.2).
    #[error("the secret is shorter than the hash of its algorithm")]
    ShortSecret,
    /// A PEM or DER key offered as a shared secret: the start of an HS/RS confusion.
    #[error("a public or private key is no shared secret")]
    KeyAsSecret,
    /// The cryptographic library refused the key.
    #[error("the key cannot be used")]
    Unusable,
}

/// A shared secret as written in a file or variable: its raw bytes with one trailing newline dropped, or, where it
/// begins with `{`, a JWK of type `oct` (RFC 7518 §6.4).
pub fn shared_secret(bytes: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
    if bytes.first() != Some(&b'{') {
        return Ok(Secret::new(bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec()));
    }
    let members = json::parse_object(bytes).map_err(|_| KeyError::Malformed)?;
    if text(&members, "kty")? != "oct" {
        return Err(KeyError::UnknownType);
    }
    octets(&members, "k").map(Secret::new)
}

/// The thumbprint of a key (RFC 7638 §3, RFC 8037 §2) with SHA-256, in base64url. Private members play no part,
/// except that a symmetric key is nothing else.
pub fn thumbprint(jwk: &Map<String, Value>) -> Result<String, KeyError> {
    match text(jwk, "kty")? {
        "oct" => Ok(base64url::encode(&hash_members(&collect(jwk, &["k", "kty"])?))),
        _ => PublicJwk::read(jwk).map(|key| key.thumbprint()),
    }
}

/// Refuses a key that has any private or symmetric member.
pub(super) fn refuse_private(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    let private = jwk.get("kty").is_some_and(|kty| kty == "oct")
        || PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member));
    if private { Err(KeyError::PrivateMaterial) } else { Ok(()) }
}

/// What a key is to be used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Verify,
    Sign,
    Decrypt,
}

impl Purpose {
    const fn key_use(self) -> &'static str {
        match self {
            Self::Verify | Self::Sign => "sig",
            Self::Decrypt => "enc",
        }
    }

    /// The `key_ops` of which one must be there (RFC 7517 §4.3), whatever the key's type.
    const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Verify => &["verify"],
            Self::Sign => &["sign"],
            Self::Decrypt => &["decrypt", "unwrapKey", "deriveKey", "deriveBits"],
        }
    }

    fn check_operations(self, value: &Value) -> Result<(), KeyError> {
        let operations: Option<Vec<&str>> = value.as_array().and_then(|ops| ops.iter().map(Value::as_str).collect());
        let operations = operations.ok_or(KeyError::BadMember("key_ops"))?;
        if operations.iter().any(|op| self.operations().contains(op)) { Ok(()) } else { Err(KeyError::WrongUse) }
    }
}

/// What a key says about itself (RFC 7517 §4.2–4.5).
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) kid: Option<String>,
    pub(super) alg: Option<String>,
}

impl Metadata {
    /// Reads it, and refuses a key that is reserved for another purpose.
    pub(super) fn read(jwk: &Map<String, Value>, purpose: Purpose) -> Result<Self, KeyError> {
        if optional_text(jwk, "use")?.is_some_and(|key_use| key_use != purpose.key_use()) {
            return Err(KeyError::WrongUse);
        }
        if let Some(operations) = jwk.get("key_ops") {
            purpose.check_operations(operations)?;
        }
        let kid = optional_text(jwk, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_LEN) {
            return Err(KeyError::BadMember("kid"));
        }
        Ok(Self { kid, alg: optional_text(jwk, "alg")?.map(str::to_owned) })
    }
}

/// The kinds of asymmetric keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Rsa { modulus_len: usize },
    Ec(Curve),
    Ed25519,
    X25519,
}

/// The public part of a key, checked: only the members that make it (RFC 7638 §3.2), in lexicographic order.
#[derive(Clone)]
pub(super) struct PublicJwk {
    pub(super) shape: Shape,
    pub(super) members: Map<String, Value>,
}

impl PublicJwk {
    /// Reads and checks the public part; private members are left aside.
    pub(super) fn read(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        match text(jwk, "kty")? {
            "RSA" => Self::rsa(jwk),
            "EC" => Self::ec(jwk),
            "OKP" => Self::okp(jwk),
            _ => Err(KeyError::UnknownType),
        }
    }

    fn rsa(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let modulus = rsa::check_public(&octets(jwk, "n")?, &octets(jwk, "e")?)?;
        let modulus_len = usize::try_from(modulus.num_bytes()).map_err(|_| KeyError::RsaModulus)?;
        Ok(Self { shape: Shape::Rsa { modulus_len }, members: required_members(jwk)? })
    }

    fn ec(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let curve = Curve::from_name(text(jwk, "crv")?).ok_or(KeyError::UnknownType)?;
        curve.point(&*curve.group()?, &octets(jwk, "x")?, &octets(jwk, "y")?)?;
        Ok(Self { shape: Shape::Ec(curve), members: required_members(jwk)? })
    }

    fn okp(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let x = octets(jwk, "x")?;
        let shape = match text(jwk, "crv")? {
            "Ed25519" => {
                check_ed25519(&x)?;
                Shape::Ed25519
            }
            "X25519" if x.len() == CURVE25519_LEN => Shape::X25519,
            "X25519" => return Err(KeyError::BadPoint),
            _ => return Err(KeyError::UnknownType),
        };
        Ok(Self { shape, members: required_members(jwk)? })
    }

    /// RFC 7638 §3: the hash of the required members in lexicographic order, without white space.
    pub(super) fn thumbprint(&self) -> String {
        base64url::encode(&hash_members(&self.members))
    }
}

/// The members that make a public key of its type (RFC 7638 §3.2, RFC 8037 §2), as they are spelled.
pub(super) fn required_members(jwk: &Map<String, Value>) -> Result<Map<String, Value>, KeyError> {
    match text(jwk, "kty")? {
        "RSA" => collect(jwk, &["e", "kty", "n"]),
        "EC" => collect(jwk, &["crv", "kty", "x", "y"]),
        "OKP" if jwk.contains_key("y") => Err(KeyError::BadMember("y")),
        "OKP" => collect(jwk, &["crv", "kty", "x"]),
        _ => Err(KeyError::UnknownType),
    }
}

/// SHA-256 over the members in lexicographic order, without white space (RFC 7638 §3).
pub(super) fn hash_members(members: &Map<String, Value>) -> [u8; 32] {
    sha256(Value::Object(members.clone()).to_string().as_bytes())
}

/// The named members, which are strings.
fn collect(jwk: &Map<String, Value>, names: &[&'static str]) -> Result<Map<String, Value>, KeyError> {
    names.iter().map(|name| Ok(((*name).to_owned(), Value::from(text(jwk, name)?)))).collect()
}

/// A member that must be a string.
pub(super) fn text<'k>(jwk: &'k Map<String, Value>, name: &'static str) -> Result<&'k str, KeyError> {
    optional_text(jwk, name)?.ok_or(KeyError::BadMember(name))
}

fn optional_text<'k>(jwk: &'k Map<String, Value>, name: &'static str) -> Result<Option<&'k str>, KeyError> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::BadMember(name)),
    }
}

/// A member that must be canonical base64url.
pub(super) fn octets(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    base64url::decode(text(jwk, name)?).ok_or(KeyError::BadMember(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_thumbprint_of_rfc_8037_appendix_a3() {
        let key = map(json!({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"x"}));
        assert_eq!(thumbprint(&key).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn members_of_the_wrong_type_are_refused() {
        for (name, value) in [("kty", json!(1)), ("kid", json!(1)), ("use", json!([])), ("alg", json!(null))] {
            let mut key = map(json!({"kty":"OKP"}));
            key.insert(name.into(), value);
            let read = Metadata::read(&key, Purpose::Verify).map(drop).and(PublicJwk::read(&key).map(drop));
            assert!(read.is_err(), "{name}");
        }
        let key = map(json!({"key_ops":["verify", 1]}));
        assert_eq!(Metadata::read(&key, Purpose::Verify).map(drop), Err(KeyError::BadMember("key_ops")));
    }

    #[test]
    fn a_key_reserved_for_something_else_is_refused() {
        for key in [json!({"use":"enc"}), json!({"key_ops":["sign"]}), json!({"key_ops":[]}), json!({"use":"SIG"})] {
            assert_eq!(Metadata::read(&map(key), Purpose::Verify).map(drop), Err(KeyError::WrongUse));
        }
        assert!(Metadata::read(&map(json!({"use":"sig","key_ops":["sign","verify"]})), Purpose::Verify).is_ok());
        assert!(Metadata::read(&map(json!({"key_ops":["unwrapKey"]})), Purpose::Decrypt).is_ok());
    }

    #[test]
    fn a_raw_secret_loses_one_newline_and_no_more() {
        let raw = |bytes: &[u8]| shared_secret(bytes).unwrap().expose().clone();
        assert_eq!(raw(b"abc\n\n"), b"abc\n");
        assert_eq!(raw(b"abc"), b"abc");
        assert_eq!(raw(b" {\n"), b" {");
    }

    #[test]
    fn a_secret_that_begins_with_a_brace_is_an_oct_key() {
        let jwk = br#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}"#;
        assert_eq!(shared_secret(jwk).unwrap().expose().len(), 33);
        for bad in [&b"{"[..], b"{}", br#"{"kty":"RSA","n":"AQ"}"#, br#"{"kty":"oct","k":"A="}"#, br#"{"kty":"oct"}"#] {
            assert!(shared_secret(bad).is_err());
        }
    }
}
