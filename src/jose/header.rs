//! The protected header of a JWS or JWE (RFC 7515 §4, RFC 7516 §4), read strictly.

use super::base64url;
use super::json::{self, JsonError};
use serde_json::{Map, Value};
use std::fmt;

/// The longest `kid` that is looked at, in bytes (RFC 8725 §3.10: a `kid` is input like any other).
pub const MAX_KID_LEN: usize = 256;

/// Why a header is refused. The text names members, never values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a JSON object as RFC 7515 §4 wants it.
    #[error("the header is not a well-formed JSON object")]
    Malformed,
    /// A member occurs twice (RFC 7515 §4 leaves this to us; we refuse).
    #[error("a header member occurs twice")]
    DuplicateMember,
    /// `alg` is missing.
    #[error("the header has no `alg`")]
    NoAlgorithm,
    /// This member has the wrong JSON type or an illegal value.
    #[error("the header member `{0}` is mistyped or out of bounds")]
    BadMember(&'static str),
    /// This member would let the token choose keys, extensions or costs.
    #[error("the header member `{0}` is not accepted")]
    Refused(&'static str),
}

/// The members of a protected header that anything here or above looks at. Others are ignored (RFC 7515 §4).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct JoseHeader {
    /// `alg` as the token claims it: to be compared, never obeyed (RFC 8725 §3.1).
    pub alg: String,
    /// `enc` (RFC 7516 §4.1.2).
    pub enc: Option<String>,
    /// `kid`, at most [`MAX_KID_LEN`] bytes: an opaque name.
    pub kid: Option<String>,
    /// `typ` (RFC 7515 §4.1.9); compare with [`is_media_type`].
    pub typ: Option<String>,
    /// `cty` (RFC 7515 §4.1.10); compare with [`is_media_type`].
    pub cty: Option<String>,
    /// The replicated claim `iss` (RFC 7519 §5.3).
    pub iss: Option<String>,
    /// The replicated claim `sub` (RFC 7519 §5.3).
    pub sub: Option<String>,
    /// The replicated claim `aud` (RFC 7519 §5.3), one or many.
    pub aud: Option<Vec<String>>,
    /// The public key of a DPoP proof (RFC 9449 §4.2). Only [`JoseHeader::parse_proof`] fills it.
    pub jwk: Option<Map<String, Value>>,
    pub(super) epk: Option<EphemeralKey>,
    pub(super) apu: Option<Vec<u8>>,
    pub(super) apv: Option<Vec<u8>>,
    pub(super) iv: Option<Vec<u8>>,
    pub(super) tag: Option<Vec<u8>>,
}

/// The sender's ephemeral public key of ECDH-ES (RFC 7518 §4.6.1.1); lengths are checked against the key's curve.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct EphemeralKey {
    pub(super) kty: String,
    pub(super) crv: String,
    pub(super) x: Vec<u8>,
    pub(super) y: Option<Vec<u8>>,
}

impl JoseHeader {
    /// Reads the decoded header of an ordinary token.
    pub fn parse(json: &[u8]) -> Result<Self, HeaderError> {
        parse(json, false)
    }

    /// Reads the decoded header of a DPoP proof, where the member `jwk` is required to say whose proof it is.
    pub fn parse_proof(json: &[u8]) -> Result<Self, HeaderError> {
        parse(json, true)
    }
}

impl fmt::Debug for JoseHeader {
    /// Shows the algorithms only: a header may carry identities and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoseHeader").field("alg", &self.alg).field("enc", &self.enc).finish_non_exhaustive()
    }
}

/// The normal form of a `typ` or `cty` value: lower case, without the prefix `application/` (RFC 7515 §4.1.9).
#[must_use]
pub fn media_type(value: &str) -> String {
    strip_application(value).to_ascii_lowercase()
}

/// Whether a `typ` or `cty` value names the media type `expected`, ignoring case and the prefix `application/`.
#[must_use]
pub fn is_media_type(value: &str, expected: &str) -> bool {
    strip_application(value).eq_ignore_ascii_case(strip_application(expected))
}

fn strip_application(value: &str) -> &str {
    const PREFIX: &str = "application/";
    match value.split_at_checked(PREFIX.len()) {
        // With a further slash the value is no abbreviated subtype, so the prefix stays.
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => value,
    }
}

/// Members that let a token choose its own key, switch on an extension or set our costs. `jwk` joins them outside
/// DPoP proofs. `x5t` and `x5t#S256` only name a certificate; like unknown members they are ignored.
const REFUSED: [&str; 8] = ["crit", "zip", "b64", "jku", "x5u", "x5c", "p2s", "p2c"];

fn parse(bytes: &[u8], proof: bool) -> Result<JoseHeader, HeaderError> {
    let members = json::parse_object(bytes).map_err(|error| match error {
        JsonError::DuplicateMember => HeaderError::DuplicateMember,
        _ => HeaderError::Malformed,
    })?;
    let mut header = JoseHeader::default();
    let mut alg = None;
    for (name, value) in members {
        match name.as_str() {
            "alg" => alg = Some(text("alg", value)?),
            "enc" => header.enc = Some(text("enc", value)?),
            "kid" => header.kid = Some(kid(value)?),
            "typ" => header.typ = Some(text("typ", value)?),
            "cty" => header.cty = Some(text("cty", value)?),
            "iss" => header.iss = Some(text("iss", value)?),
            "sub" => header.sub = Some(text("sub", value)?),
            "aud" => header.aud = Some(one_or_many(value)?),
            "epk" => header.epk = Some(ephemeral_key(value)?),
            "apu" => header.apu = Some(bytes_of("apu", value)?),
            "apv" => header.apv = Some(bytes_of("apv", value)?),
            "iv" => header.iv = Some(bytes_of("iv", value)?),
            "tag" => header.tag = Some(bytes_of("tag", value)?),
            "jwk" if proof => header.jwk = Some(object("jwk", value)?),
            "jwk" => return Err(HeaderError::Refused("jwk")),
            other => refuse_by_name(other)?,
        }
    }
    header.alg = alg.ok_or(HeaderError::NoAlgorithm)?;
    Ok(header)
}

fn refuse_by_name(name: &str) -> Result<(), HeaderError> {
    REFUSED.iter().find(|refused| **refused == name).map_or(Ok(()), |refused| Err(HeaderError::Refused(refused)))
}

fn text(name: &'static str, value: Value) -> Result<String, HeaderError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(HeaderError::BadMember(name)),
    }
}

fn kid(value: Value) -> Result<String, HeaderError> {
    let kid = text("kid", value)?;
    if kid.len() > MAX_KID_LEN { Err(HeaderError::BadMember("kid")) } else { Ok(kid) }
}

fn bytes_of(name: &'static str, value: Value) -> Result<Vec<u8>, HeaderError> {
    base64url::decode(&text(name, value)?).ok_or(HeaderError::BadMember(name))
}

fn object(name: &'static str, value: Value) -> Result<Map<String, Value>, HeaderError> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(HeaderError::BadMember(name)),
    }
}

fn one_or_many(value: Value) -> Result<Vec<String>, HeaderError> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| text("aud", item)).collect(),
        one => Ok(vec![text("aud", one)?]),
    }
}

/// Takes exactly the members of a public key: an `epk` with a private `d`, or anything else, is no honest sender's.
fn ephemeral_key(value: Value) -> Result<EphemeralKey, HeaderError> {
    const BAD: HeaderError = HeaderError::BadMember("epk");
    let (mut kty, mut crv, mut x, mut y) = (None, None, None, None);
    for (name, value) in object("epk", value)? {
        match name.as_str() {
            "kty" => kty = Some(text("epk", value)?),
            "crv" => crv = Some(text("epk", value)?),
            "x" => x = Some(bytes_of("epk", value)?),
            "y" => y = Some(bytes_of("epk", value)?),
            _ => return Err(BAD),
        }
    }
    Ok(EphemeralKey { kty: kty.ok_or(BAD)?, crv: crv.ok_or(BAD)?, x: x.ok_or(BAD)?, y })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> HeaderError {
        JoseHeader::parse(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn key_choosing_and_extending_members_are_refused_by_name() {
        for name in REFUSED.into_iter().chain(["jwk"]) {
            for value in ["null", "[]", "{}", "true", "1", "\"x\""] {
                let json = format!(r#"{{"alg":"HS256","{name}":{value}}}"#);
                assert_eq!(refused(&json), HeaderError::Refused(name), "{json}");
            }
        }
    }

    #[test]
    fn duplicate_members_are_refused_known_or_not() {
        for json in
            [r#"{"alg":"none","alg":"HS256"}"#, r#"{"alg":"HS256","x":1,"x":1}"#, r#"{"alg":"a","\u0061lg":"b"}"#]
        {
            assert_eq!(refused(json), HeaderError::DuplicateMember, "{json}");
        }
    }

    #[test]
    fn mistyped_members_are_refused() {
        for name in ["alg", "enc", "kid", "typ", "cty", "iss", "sub", "aud", "epk", "apu", "apv", "iv", "tag"] {
            for value in ["1", "null", "[1]", "true", "{}"] {
                let json = format!(r#"{{"{name}":{value}}}"#);
                assert_eq!(refused(&json), HeaderError::BadMember(name), "{json}");
            }
        }
    }

    #[test]
    fn a_header_without_an_algorithm_is_refused() {
        assert_eq!(refused("{}"), HeaderError::NoAlgorithm);
        assert_eq!(refused("[]"), HeaderError::Malformed);
        assert_eq!(refused(r#"{"alg":"HS256"}x"#), HeaderError::Malformed);
    }

    #[test]
    fn a_kid_is_bounded() {
        let json = |n| format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(n));
        assert!(JoseHeader::parse(json(MAX_KID_LEN).as_bytes()).is_ok());
        assert_eq!(refused(&json(MAX_KID_LEN + 1)), HeaderError::BadMember("kid"));
    }

    #[test]
    fn certificate_thumbprints_and_unknown_members_are_ignored() {
        let header = JoseHeader::parse(br#"{"alg":"RS256","x5t":"a","x5t#S256":"b","foo":[1]}"#).unwrap();
        assert_eq!(header, JoseHeader { alg: "RS256".into(), ..JoseHeader::default() });
    }

    #[test]
    fn replicated_claims_and_key_agreement_members_are_read() {
        let json = br#"{"alg":"ECDH-ES","enc":"A128GCM","iss":"i","sub":"s","aud":["a","b"],"apu":"QWxpY2U",
            "epk":{"kty":"OKP","crv":"X25519","x":"AAAA"}}"#;
        let header = JoseHeader::parse(json).unwrap();
        assert_eq!(header.aud, Some(vec!["a".into(), "b".into()]));
        assert_eq!(header.apu.as_deref(), Some(&b"Alice"[..]));
        assert!(header.epk.is_some_and(|epk| epk.x == [0, 0, 0] && epk.y.is_none()));
    }

    #[test]
    fn an_ephemeral_key_with_a_private_part_is_refused() {
        let json = r#"{"alg":"ECDH-ES","epk":{"kty":"OKP","crv":"X25519","x":"AAAA","d":"AAAA"}}"#;
        assert_eq!(refused(json), HeaderError::BadMember("epk"));
    }

    #[test]
    fn only_a_proof_may_carry_a_key() {
        let json = br#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC"}}"#;
        assert!(JoseHeader::parse_proof(json).unwrap().jwk.is_some());
        assert_eq!(JoseHeader::parse(json), Err(HeaderError::Refused("jwk")));
    }

    #[test]
    fn media_types_compare_without_case_and_prefix() {
        assert!(is_media_type("application/at+JWT", "at+jwt"));
        assert!(is_media_type("JWT", "jwt"));
        assert!(!is_media_type("application/a/b", "a/b"));
        assert!(!is_media_type("", "jwt"));
        assert_eq!(media_type("Application/DPoP+JWT"), "dpop+jwt");
        assert_eq!(media_type("äpplication/x"), "äpplication/x");
    }

    #[test]
    fn debug_shows_no_identity() {
        let header = JoseHeader::parse(br#"{"alg":"RS256","kid":"secret-kid","sub":"alice"}"#).unwrap();
        let shown = format!("{header:?}");
        assert!(!shown.contains("secret-kid") && !shown.contains("alice"), "{shown}");
    }
}
