//! The claims set of a JWT (RFC 7519 §4), read strictly: a claim of the wrong type refuses the token, it is never
//! treated as absent.

use super::document::{Document, Items, Json, Members, unescaped};
use super::json::JsonError;
use crate::clock::UnixTime;
use std::fmt;

/// The last second that is believed to be a time: 9999-12-31T23:59:59Z.
pub const MAX_SECONDS: i64 = 253_402_300_799;

/// Claims that are strings wherever they occur (RFC 7519 §4.1, OpenID Connect Core §2, RFC 8693 §4.3).
const TEXT_CLAIMS: [&str; 8] = ["iss", "sub", "jti", "sid", "azp", "client_id", "nonce", "acr"];

/// Why a claims set is refused. Names claims, never their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// Not a JSON object, or one that names a member twice.
    #[error("the claims are not acceptable: {0}")]
    Json(#[from] JsonError),
    /// This claim has the wrong type.
    #[error("the claim `{0}` is mistyped")]
    BadClaim(&'static str),
    /// This time is not finite, negative, or past the year 9999.
    #[error("the claim `{0}` is not a time between 1970 and 9999")]
    BadTime(&'static str),
}

/// A claims set whose registered claims have their right types. Nothing is said about who made it.
///
/// It takes about as much memory as the text it was read from.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    document: Document,
    expires_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    authenticated_at: Option<UnixTime>,
}

impl Claims {
    /// Reads the bytes of a payload or plaintext.
    pub fn parse(bytes: &[u8]) -> Result<Self, ClaimsError> {
        let document = Document::parse(bytes)?;
        let (mut expires_at, mut not_before, mut issued_at, mut authenticated_at) = (None, None, None, None);
        for (name, value) in document.members() {
            match name {
                "aud" => check_audiences(value)?,
                "exp" => expires_at = Some(time(value, "exp")?),
                "nbf" => not_before = Some(time(value, "nbf")?),
                "iat" => issued_at = Some(time(value, "iat")?),
                "auth_time" => authenticated_at = Some(time(value, "auth_time")?),
                _ => check_text(name, value)?,
            }
        }
        Ok(Self { document, expires_at, not_before, issued_at, authenticated_at })
    }

    /// `iss` (RFC 7519 §4.1.1).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub` (RFC 7519 §4.1.2).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `aud` (RFC 7519 §4.1.3), one or many; empty if the claim is absent.
    #[must_use]
    pub fn audiences(&self) -> Audiences<'_> {
        match self.get("aud") {
            None => Audiences::None,
            Some(Json::Array(many)) => Audiences::Many(many),
            Some(one) => Audiences::One(one),
        }
    }

    /// `exp` (RFC 7519 §4.1.4).
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// `nbf` (RFC 7519 §4.1.5).
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.not_before
    }

    /// `iat` (RFC 7519 §4.1.6).
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// `auth_time` (OpenID Connect Core §2): when the user last authenticated.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<UnixTime> {
        self.authenticated_at
    }

    /// `jti` (RFC 7519 §4.1.7).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// The claim of this name if it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The claim of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Json<'_>> {
        self.document.members().get(name)
    }

    /// The value at a JSON pointer (RFC 6901), such as `/realm_access/roles/0`. The empty pointer finds nothing: the
    /// whole claims set is [`Claims::members`].
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<Json<'_>> {
        let path = pointer.strip_prefix('/')?;
        let (first, rest) = path.find('/').map_or((path, ""), |slash| path.split_at(slash));
        self.get(&unescaped(first))?.pointer(rest)
    }

    /// The claim of this name, or the value at this pointer if it begins with `/`.
    #[must_use]
    pub fn lookup(&self, name_or_pointer: &str) -> Option<Json<'_>> {
        if name_or_pointer.starts_with('/') { self.pointer(name_or_pointer) } else { self.get(name_or_pointer) }
    }

    /// All claims.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        self.document.members()
    }

    /// How much memory the claims hold, in bytes. A short text can hold much: each value takes a place of its own.
    #[must_use]
    pub fn footprint(&self) -> usize {
        size_of::<Self>() + self.document.footprint()
    }
}

/// The audiences of a token, in their order.
#[derive(Clone)]
pub enum Audiences<'c> {
    /// None is left.
    None,
    /// One, as a string.
    One(Json<'c>),
    /// Those of a list.
    Many(Items<'c>),
}

impl<'c> Iterator for Audiences<'c> {
    type Item = &'c str;

    fn next(&mut self) -> Option<&'c str> {
        match self {
            Self::None => None,
            Self::One(one) => {
                let one = one.as_str();
                *self = Self::None;
                one
            }
            Self::Many(many) => many.next()?.as_str(),
        }
    }
}

impl fmt::Debug for Claims {
    /// Shows the names of the claims, never their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")?;
        f.debug_set().entries(self.members().map(|(name, _)| name)).finish()
    }
}

fn check_text(name: &str, value: Json<'_>) -> Result<(), ClaimsError> {
    match TEXT_CLAIMS.iter().find(|claim| **claim == name) {
        Some(claim) if value.as_str().is_none() => Err(ClaimsError::BadClaim(claim)),
        _ => Ok(()),
    }
}

fn check_audiences(value: Json<'_>) -> Result<(), ClaimsError> {
    let is_audience = |value: Json<'_>| value.as_str().is_some_and(|text| !text.is_empty());
    let sound = match value {
        Json::Array(mut many) => many.all(is_audience),
        one => is_audience(one),
    };
    if sound { Ok(()) } else { Err(ClaimsError::BadClaim("aud")) }
}

fn time(value: Json<'_>, name: &'static str) -> Result<UnixTime, ClaimsError> {
    let Json::Number(number) = value else { return Err(ClaimsError::BadClaim(name)) };
    let time = match number.as_i64() {
        Some(seconds) => (0..=MAX_SECONDS).contains(&seconds).then(|| UnixTime::from_seconds(seconds)),
        None => number.as_f64().and_then(fractional),
    };
    time.ok_or(ClaimsError::BadTime(name))
}

/// A `NumericDate` with a fraction, rounded down to milliseconds.
fn fractional(seconds: f64) -> Option<UnixTime> {
    #[expect(clippy::cast_precision_loss, reason = "the bound is far below 2^53")]
    let bounded = (0.0..=MAX_SECONDS as f64).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "bounded above; rounding down is meant")]
    bounded.then(|| UnixTime::from_millis((seconds * 1000.0).floor() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Claims, ClaimsError> {
        Claims::parse(json.as_bytes())
    }

    #[test]
    fn the_registered_claims_are_read() {
        let claims = parse(
            r#"{"iss":"https://i","sub":"s","aud":"a","exp":1300819380,"nbf":1.5,"iat":0,"auth_time":7,"jti":"j"}"#,
        )
        .unwrap();
        assert_eq!((claims.issuer(), claims.subject(), claims.token_id()), (Some("https://i"), Some("s"), Some("j")));
        assert!(claims.audiences().eq(["a"]));
        assert_eq!(claims.expires_at(), Some(UnixTime::from_seconds(1_300_819_380)));
        assert_eq!(claims.not_before(), Some(UnixTime::from_millis(1500)));
        assert_eq!(claims.issued_at(), Some(UnixTime::from_seconds(0)));
        assert_eq!(claims.authenticated_at(), Some(UnixTime::from_seconds(7)));
    }

    #[test]
    fn string_exp_and_other_mistyped_times_are_refused() {
        for name in ["exp", "nbf", "iat", "auth_time"] {
            for value in ["\"1300819380\"", "null", "true", "[1]", "{}", "\"\""] {
                assert_eq!(parse(&format!(r#"{{"{name}":{value}}}"#)), Err(ClaimsError::BadClaim(name)), "{value}");
            }
        }
    }

    #[test]
    fn absurd_times_are_refused() {
        for value in ["1e300", "-1", "-0.001", "253402300800", "253402300799.5", "18446744073709551615", "1e19"] {
            assert_eq!(parse(&format!(r#"{{"exp":{value}}}"#)), Err(ClaimsError::BadTime("exp")), "{value}");
        }
        for value in ["NaN", "Infinity", "-Infinity", "1e999", "0x10"] {
            assert_eq!(
                parse(&format!(r#"{{"exp":{value}}}"#)),
                Err(ClaimsError::Json(JsonError::Malformed)),
                "{value}"
            );
        }
        assert!(parse(r#"{"exp":253402300799,"iat":1.3e9}"#).is_ok());
    }

    #[test]
    fn identities_that_are_no_strings_are_refused() {
        for name in TEXT_CLAIMS {
            for value in ["1", "null", "[\"x\"]", "{\"x\":1}", "true"] {
                assert_eq!(parse(&format!(r#"{{"{name}":{value}}}"#)), Err(ClaimsError::BadClaim(name)), "{value}");
            }
        }
    }

    #[test]
    fn audiences_are_nonempty_strings() {
        assert!(parse(r#"{"aud":["a","b"]}"#).unwrap().audiences().eq(["a", "b"]));
        assert!(parse("{}").unwrap().audiences().next().is_none());
        for value in ["1", "null", "\"\"", "[\"a\",1]", "[\"\"]", "[[\"a\"]]", "{\"a\":1}"] {
            assert_eq!(parse(&format!(r#"{{"aud":{value}}}"#)), Err(ClaimsError::BadClaim("aud")), "{value}");
        }
    }

    #[test]
    fn duplicate_claims_are_refused_at_any_depth() {
        for json in [r#"{"exp":1,"exp":9}"#, r#"{"a":{"b":[{"c":1,"c":2}]}}"#, r#"{"sub":"a","s\u0075b":"b"}"#] {
            assert_eq!(parse(json), Err(ClaimsError::Json(JsonError::DuplicateMember)), "{json}");
        }
    }

    #[test]
    fn only_an_object_is_a_claims_set() {
        for json in ["[]", "null", "1", "\"x\"", "true"] {
            assert_eq!(parse(json), Err(ClaimsError::Json(JsonError::NotAnObject)), "{json}");
        }
    }

    #[test]
    fn pointers_and_names_find_claims() {
        let claims = parse(r#"{"a":{"b/c":[10,{"~":1}]},"https://x/y":2,"":{"":3}}"#).unwrap();
        let number = |found: Option<Json<'_>>| match found {
            Some(Json::Number(number)) => number.as_i64(),
            _ => None,
        };
        assert_eq!(number(claims.pointer("/a/b~1c/0")), Some(10));
        assert_eq!(number(claims.lookup("/a/b~1c/1/~0")), Some(1));
        assert_eq!(number(claims.lookup("https://x/y")), Some(2));
        assert_eq!(number(claims.pointer("//")), Some(3));
        assert_eq!((claims.pointer(""), claims.pointer("a"), claims.pointer("/a/z")), (None, None, None));
    }

    #[test]
    fn many_small_members_weigh_more_than_their_text() {
        let text = format!(r#"{{"a":[{}]}}"#, vec!["1"; 1000].join(","));
        assert!(parse(&text).unwrap().footprint() > 7 * text.len());
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(2000));
        assert!((2000..2500).contains(&parse(&long).unwrap().footprint()));
    }

    #[test]
    fn debug_shows_names_only() {
        assert_eq!(format!("{:?}", parse(r#"{"sub":"alice","x":1}"#).unwrap()), r#"Claims{"sub", "x"}"#);
    }
}
