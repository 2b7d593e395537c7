//! One canonical form for a path, and a refusal for everything that two programs could read differently.
//!
//! A gateway that matches one reading of a path and forwards another has a hole: `/%61dmin` is not `/admin` to the
//! route table, but it is to the backend. So there is one form; what is not in it gets 400. The only repair is the
//! case of hexadecimal digits (RFC 3986 §6.2.2.1), and the repaired bytes are both matched and forwarded.

use std::borrow::Cow;
use std::fmt;

/// A path in canonical form: begins with `/`, holds only RFC 3986 §3.3 `pchar` and `/`, no empty segment but the
/// last, no dot segment, no `;`, no escape that stands for an unreserved character, a slash, a backslash, a control
/// character or another escape.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CanonicalPath(String);

/// Why a path has no canonical form. Each variant is one trick by which matcher and backend could disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguousPath {
    /// The path does not begin with `/`.
    #[error("does not begin with /")]
    NotAbsolute,
    /// Two slashes in a row.
    #[error("has an empty segment (//)")]
    EmptySegment,
    /// A segment `.` or `..`, spelled in any way.
    #[error("has a dot segment")]
    DotSegment,
    /// A matrix parameter, plain or escaped: some servers cut a segment at `;`.
    #[error("has a semicolon")]
    Semicolon,
    /// A byte outside RFC 3986 §3.3: backslash, control byte, raw non-ASCII, `#`, …
    #[error("has a byte that does not belong in a path")]
    ForbiddenByte,
    /// `%` without two hexadecimal digits.
    #[error("has a broken percent escape")]
    BrokenEscape,
    /// An escaped slash or backslash.
    #[error("has an escaped slash or backslash")]
    EscapedSlash,
    /// An escaped control character.
    #[error("has an escaped control character")]
    EscapedControl,
    /// An escaped unreserved character (RFC 3986 §2.3), such as `%61` for `a`.
    #[error("escapes a character that needs no escape")]
    NeedlessEscape,
    /// `%25` before two hexadecimal digits: an escape of an escape.
    #[error("is escaped twice")]
    DoubleEscape,
    /// The escapes do not spell UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
}

impl CanonicalPath {
    /// Brings `raw`, the bytes between authority and `?`, into canonical form.
    pub fn parse(raw: &[u8]) -> Result<Self, AmbiguousPath> {
        if raw.first() != Some(&b'/') {
            return Err(AmbiguousPath::NotAbsolute);
        }
        let mut canonical = String::with_capacity(raw.len());
        let mut decoded = Vec::with_capacity(raw.len());
        let mut rest = raw;
        while let [byte, tail @ ..] = rest {
            if *byte == b'%' {
                let value = escape_value(tail)?;
                check_escape(value, &tail[2..])?;
                canonical.push('%');
                canonical.extend(tail[..2].iter().map(|digit| char::from(digit.to_ascii_uppercase())));
                decoded.push(value);
                rest = &tail[2..];
            } else {
                check_plain(*byte)?;
                canonical.push(char::from(*byte));
                decoded.push(*byte);
                rest = tail;
            }
        }
        check_segments(&canonical)?;
        let text = std::str::from_utf8(&decoded).map_err(|_| AmbiguousPath::NotUtf8)?;
        if text.chars().any(char::is_control) {
            return Err(AmbiguousPath::EscapedControl);
        }
        Ok(Self(canonical))
    }

    /// The canonical form: what is matched, and what is forwarded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path with every character plain that may stand plain (RFC 3986 §3.3: `@`, `:`, `*`, …). Escaped, those are
    /// other bytes to whoever compares, and the same to whoever decodes first, as nearly every backend does. Borrowed
    /// where nothing of the kind is escaped.
    #[must_use]
    pub fn plain(&self) -> Cow<'_, str> {
        let mut plain = String::new();
        let mut copied = 0;
        for (at, _) in self.0.match_indices('%') {
            if let Some(byte) = escape_value(&self.0.as_bytes()[at + 1..]).ok().filter(|byte| is_delimiter(*byte)) {
                plain.push_str(&self.0[copied..at]);
                plain.push(char::from(byte));
                copied = at + 3;
            }
        }
        if copied == 0 {
            return Cow::Borrowed(&self.0);
        }
        plain.push_str(&self.0[copied..]);
        Cow::Owned(plain)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decodes the percent escapes of one captured part of a canonical path, as the upstream will read it.
#[must_use]
pub fn decode(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [byte, tail @ ..] = rest {
        if let (b'%', Ok(value)) = (*byte, escape_value(tail)) {
            bytes.push(value);
            rest = &tail[2..];
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn check_plain(byte: u8) -> Result<(), AmbiguousPath> {
    match byte {
        b';' => Err(AmbiguousPath::Semicolon),
        b'/' => Ok(()),
        _ if is_unreserved(byte) || is_delimiter(byte) => Ok(()),
        _ => Err(AmbiguousPath::ForbiddenByte),
    }
}

fn check_escape(value: u8, behind: &[u8]) -> Result<(), AmbiguousPath> {
    match value {
        b'/' | b'\\' => Err(AmbiguousPath::EscapedSlash),
        // Whoever decodes it on the way makes a matrix parameter of it for whoever comes next.
        b';' => Err(AmbiguousPath::Semicolon),
        0..=0x1f | 0x7f => Err(AmbiguousPath::EscapedControl),
        b'.' => Err(AmbiguousPath::DotSegment),
        b'%' if escape_value(behind).is_ok() => Err(AmbiguousPath::DoubleEscape),
        // `%25` before the escape of a hexadecimal digit is refused too: that digit's own escape is needless.
        _ if is_unreserved(value) => Err(AmbiguousPath::NeedlessEscape),
        _ => Ok(()),
    }
}

fn check_segments(path: &str) -> Result<(), AmbiguousPath> {
    let segments = path[1..].split('/');
    let last = path[1..].matches('/').count();
    for (index, segment) in segments.enumerate() {
        match segment {
            "" if index != last => return Err(AmbiguousPath::EmptySegment),
            "." | ".." => return Err(AmbiguousPath::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn escape_value(digits: &[u8]) -> Result<u8, AmbiguousPath> {
    let digit = |index: usize| digits.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    match (digit(0), digit(1)) {
        (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| AmbiguousPath::BrokenEscape),
        _ => Err(AmbiguousPath::BrokenEscape),
    }
}

/// What RFC 3986 §3.3 lets stand in a segment plain or escaped, with one meaning for most. `;` is refused before.
fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=')
}

/// RFC 3986 §2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<String, AmbiguousPath> {
        CanonicalPath::parse(raw.as_bytes()).map(|path| path.0)
    }

    #[test]
    fn ordinary_paths_stay_as_they_are() {
        for path in
            ["/", "/a", "/a/", "/orders/17", "/a.b/c~d_e-f", "/x:y@z", "/%20", "/caf%C3%A9", "/...", "/.well-known/x"]
        {
            assert_eq!(parse(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn hexadecimal_digits_become_upper_case() {
        assert_eq!(parse("/caf%c3%a9").as_deref(), Ok("/caf%C3%A9"));
    }

    #[test]
    fn every_trick_is_refused() {
        use AmbiguousPath::*;
        let tricks = [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("admin", NotAbsolute),
            ("http://h/", NotAbsolute),
            ("//", EmptySegment),
            ("/a//b", EmptySegment),
            ("//admin", EmptySegment),
            ("/.", DotSegment),
            ("/..", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/./b", DotSegment),
            ("/%2e%2e/x", DotSegment),
            ("/%2E./x", DotSegment),
            ("/a/.%2e", DotSegment),
            ("/a%2eb", DotSegment),
            ("/..;/x", Semicolon),
            ("/a;x=1", Semicolon),
            ("/..%3B/x", Semicolon),
            ("/a%3bx=1", Semicolon),
            ("/a\\b", ForbiddenByte),
            ("/a b", ForbiddenByte),
            ("/a\tb", ForbiddenByte),
            ("/a#b", ForbiddenByte),
            ("/a?b", ForbiddenByte),
            ("/é", ForbiddenByte),
            ("/%", BrokenEscape),
            ("/%4", BrokenEscape),
            ("/%zz", BrokenEscape),
            ("/a%2fb", EscapedSlash),
            ("/a%5Cb", EscapedSlash),
            ("/%00", EscapedControl),
            ("/%0d%0a", EscapedControl),
            ("/%7f", EscapedControl),
            ("/%61dmin", NeedlessEscape),
            ("/%7Euser", NeedlessEscape),
            ("/%252f", DoubleEscape),
            ("/%2561", DoubleEscape),
            ("/%25%32%66", NeedlessEscape),
            ("/%ff", NotUtf8),
            ("/%c0%af", NotUtf8),
            ("/%C2%85", EscapedControl),
        ];
        for (path, fault) in tricks {
            assert_eq!(parse(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn what_may_stand_plain_is_plain_in_the_plain_form_alone() {
        let plain = |raw: &str| CanonicalPath::parse(raw.as_bytes()).unwrap().plain().into_owned();
        assert_eq!(plain("/users/%40me"), "/users/@me");
        assert_eq!(plain("/%21%24%26%27%28%29%2a%2B%2C%3D%3A%40"), "/!$&'()*+,=:@");
        assert_eq!(plain("/a%3Ab%20c%3a/%40"), "/a:b%20c:/@");
        for same in ["/", "/a:b", "/%20%3C%3F%25", "/caf%C3%A9", "/100%25"] {
            assert_eq!(plain(same), same);
        }
        assert_eq!(parse("/users/%40me").as_deref(), Ok("/users/%40me"), "forwarded as it came");
    }

    #[test]
    fn a_lone_percent_escape_is_data() {
        assert_eq!(parse("/100%25").as_deref(), Ok("/100%25"));
        assert_eq!(decode("100%25%20caf%C3%A9"), "100% café");
    }
}
