//! The headers that tell an upstream who the caller is, made from verified claims.

use crate::jose::{Claims, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue};
use std::fmt::Write as _;

/// How a claim with several values becomes header text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// One header, the values joined by commas; a value with a comma is refused.
    #[default]
    Comma,
    /// One header holding the claim as JSON.
    Json,
    /// One header a value.
    Repeat,
}

/// How a value that is not plain printable ASCII becomes a header value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Encoding {
    /// It does not: the request is refused.
    #[default]
    Reject,
    /// Percent-encoded UTF-8 (RFC 3986 §2.1); `%` itself is encoded too.
    Percent,
    /// Base64url of the UTF-8 bytes, without padding (RFC 4648 §5). Every value is encoded, plain ones too.
    Base64Url,
}

/// What becomes of the credential the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TokenHandling {
    /// It goes no further.
    #[default]
    Drop,
    /// It is forwarded as sent.
    Keep,
    /// The JWS from inside the JWE is forwarded as `Authorization: Bearer`.
    Inner,
}

/// One header and the claim it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header's name as written: upstreams over HTTP/1.1 see this spelling.
    pub name: String,
    /// The name of a top-level claim, or a JSON Pointer (RFC 6901).
    pub claim: String,
    /// How several values are written.
    pub format: Format,
    /// How values beyond plain ASCII are written.
    pub encoding: Encoding,
}

/// What one route tells its upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityPlan {
    /// The headers.
    pub headers: Vec<HeaderRule>,
    /// The credential.
    pub token: TokenHandling,
}

/// A claim that can't be written into its header without ambiguity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim for {header} can't be written into a header")]
pub struct Unencodable {
    /// The header's name.
    pub header: String,
}

impl IdentityPlan {
    /// The headers for `claims`, in order. A claim that is absent or null gives no header.
    pub fn values(&self, claims: &Claims) -> Result<Vec<(String, HeaderValue)>, Unencodable> {
        let mut values = Vec::with_capacity(self.headers.len());
        for rule in &self.headers {
            let texts = claims.lookup(&rule.claim).map_or_else(|| Some(Vec::new()), |value| rule.texts(value));
            for text in texts.ok_or_else(|| rule.unencodable())? {
                let value = HeaderValue::from_str(&text).map_err(|_| rule.unencodable())?;
                values.push((rule.name.clone(), value));
            }
        }
        Ok(values)
    }
}

impl HeaderRule {
    /// True when `name` can be a header that carries an identity.
    #[must_use]
    pub fn name_is_sound(name: &str) -> bool {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && !name.contains('_')
    }

    fn unencodable(&self) -> Unencodable {
        Unencodable { header: self.name.clone() }
    }

    /// The header values for one claim; `None` where it can't be written.
    fn texts(&self, value: Json<'_>) -> Option<Vec<String>> {
        if value.is_null() {
            return Some(Vec::new());
        }
        match self.format {
            Format::Json => Some(vec![self.encode(&ascii_json(value)?)?]),
            Format::Comma => self.list(value).map(|parts| if parts.is_empty() { parts } else { vec![parts.join(",")] }),
            Format::Repeat => self.list(value),
        }
    }

    /// The parts of a list. Fields of one name are one list to whoever joins them (RFC 9110 §5.3), so a comma within a
    /// part would make two of it under either format.
    fn list(&self, value: Json<'_>) -> Option<Vec<String>> {
        self.parts(value).filter(|parts| !parts.iter().any(|part| part.contains(',')))
    }

    /// The scalar, or each scalar of an array, as encoded text.
    fn parts(&self, value: Json<'_>) -> Option<Vec<String>> {
        match value {
            Json::Array(items) => items.map(|item| self.scalar(item)).collect(),
            single => Some(vec![self.scalar(single)?]),
        }
    }

    fn scalar(&self, value: Json<'_>) -> Option<String> {
        let text = match value {
            Json::Text(text) => text.to_owned(),
            Json::Number(number) => number.to_string(),
            Json::Bool(truth) => truth.to_string(),
            _ => return None,
        };
        // An empty element is as good as none to most readers, and a way to shift the others.
        if text.is_empty() { None } else { self.encode(&text) }
    }

    fn encode(&self, text: &str) -> Option<String> {
        // Control characters are refused under every encoding: a backend that decodes would meet them after all.
        if text.chars().any(char::is_control) {
            return None;
        }
        match self.encoding {
            Encoding::Reject => is_plain(text).then(|| text.to_owned()),
            Encoding::Percent => Some(percent(text)),
            Encoding::Base64Url => Some(URL_SAFE_NO_PAD.encode(text)),
        }
    }
}

/// Printable ASCII without white space at the ends, which a parser would trim (RFC 9110 §5.5).
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim() == text
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// JSON in ASCII: other characters as `\u` escapes, which every JSON reader undoes.
fn ascii_json(value: Json<'_>) -> Option<String> {
    let mut ascii = String::new();
    for unit in serde_json::to_string(&value).ok()?.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() && byte != 0x7f => ascii.push(char::from(byte)),
            _ => {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    Some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(claims: &str, claim: &str, format: Format, encoding: Encoding) -> Result<Vec<String>, Unencodable> {
        let base = format!(r#"{{"iss":"i","aud":"a","exp":1,{claims}}}"#);
        let claims = Claims::parse(base.as_bytes()).unwrap();
        let rule = HeaderRule { name: "X-Who".into(), claim: claim.into(), format, encoding };
        let plan = IdentityPlan { headers: vec![rule], token: TokenHandling::Drop };
        let values = plan.values(&claims)?;
        Ok(values.iter().map(|(_, value)| value.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn claims_become_headers_in_the_declared_format() {
        let roles = r#""realm_access":{"roles":["a","b"]},"n":7,"t":true"#;
        let write = |claim, format| write(roles, claim, format, Encoding::Reject).unwrap();
        assert_eq!(write("/realm_access/roles", Format::Comma), ["a,b"]);
        assert_eq!(write("/realm_access/roles", Format::Repeat), ["a", "b"]);
        assert_eq!(write("/realm_access/roles", Format::Json), [r#"["a","b"]"#]);
        assert_eq!(write("n", Format::Comma), ["7"]);
        assert_eq!(write("t", Format::Comma), ["true"]);
    }

    #[test]
    fn an_absent_claim_gives_no_header() {
        assert_eq!(write(r#""x":null,"e":[]"#, "sub", Format::Comma, Encoding::Reject), Ok(vec![]));
        assert_eq!(write(r#""x":null,"e":[]"#, "x", Format::Json, Encoding::Reject), Ok(vec![]));
        assert_eq!(write(r#""x":null,"e":[]"#, "e", Format::Comma, Encoding::Reject), Ok(vec![]));
    }

    #[test]
    fn what_would_read_differently_is_refused() {
        for value in [
            r#""a,b""#,
            r#"["a","b,c"]"#,
            r#""""#,
            r#"["a",""]"#,
            r#""a\nb""#,
            r#""é""#,
            r#"" a""#,
            r#"{"a":1}"#,
            r#"[["a"]]"#,
        ] {
            let claims = format!(r#""x":{value}"#);
            assert!(write(&claims, "x", Format::Comma, Encoding::Reject).is_err(), "{value}");
            assert!(write(&claims, "x", Format::Repeat, Encoding::Reject).is_err(), "{value}");
        }
        assert!(write(r#""x":"a\r\nb""#, "x", Format::Comma, Encoding::Percent).is_err());
    }

    #[test]
    fn other_scripts_go_through_an_encoding() {
        assert_eq!(write(r#""x":"Zoë 1%""#, "x", Format::Comma, Encoding::Percent).unwrap(), ["Zo%C3%AB%201%25"]);
        assert_eq!(write(r#""x":"Zoë""#, "x", Format::Comma, Encoding::Base64Url).unwrap(), ["Wm_Dqw"]);
        assert_eq!(
            write(r#""x":["Zoë","𝄞"]"#, "x", Format::Json, Encoding::Reject).unwrap(),
            [r#"["Zo\u00eb","\ud834\udd1e"]"#]
        );
    }
}
