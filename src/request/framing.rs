//! The head of an HTTP/1 request as bytes: what two programs could read differently is refused before any parser repairs
//! it (RFC 9112 §2.2, §3, §5, §6).
//!
//! Parsers are lenient, each in its own way: one takes a bare line feed for a line end, one joins folded lines, one lets
//! `Transfer-Encoding` win over `Content-Length`. Where the gateway's leniency is not its upstream's, one request becomes
//! two. So there is one strict reading, made over the bytes themselves.

use super::Authority;
use memchr::{memchr, memchr_iter};

/// The most fields of one head.
pub const MAX_FIELDS: usize = 100;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// All of it, in bytes.
    pub bytes: usize,
    /// The request line alone, in bytes.
    pub line: usize,
    /// The number of fields.
    pub fields: usize,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// It is larger than it may be, or has too many fields.
    #[error("too large")]
    TooLarge,
    /// The request line is longer than it may be.
    #[error("the request line is too long")]
    TargetTooLong,
    /// The target has a byte that some parsers escape, cut off or drop.
    #[error("the target has a byte that does not belong there")]
    AmbiguousTarget,
    /// `CONNECT` and `TRACE` are for proxies that clients have chosen.
    #[error("the method is not for gateways")]
    Method,
    /// Everything else, in words for the operator.
    #[error("{0}")]
    Malformed(&'static str),
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// By its length; where none is told there is no body.
    Sized,
    /// By its last chunk.
    Chunked,
}

/// The fields that decide over where a message ends, and for whom it is.
#[derive(Default)]
struct Framing<'h> {
    host: Option<&'h [u8]>,
    length: Option<&'h [u8]>,
    chunked: bool,
    websocket: bool,
}

/// The length of the head at the beginning of `bytes`, its empty line included; `None` when it is not complete. Bytes
/// before `seen` were looked at before.
#[must_use]
pub fn end_of_head(bytes: &[u8], seen: usize) -> Option<usize> {
    let mut at = seen.saturating_sub(3);
    while let Some(found) = memchr(b'\n', bytes.get(at..)?) {
        at += found + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Judges what is there of a head that is not complete: whether more of it is worth waiting for.
pub fn check_partial(bytes: &[u8], limits: &HeadLimits) -> Result<(), HeadFault> {
    let line = memchr(b'\n', &bytes[..bytes.len().min(limits.line + 2)]);
    match line {
        None if bytes.len() > limits.line + 1 => Err(HeadFault::TargetTooLong),
        _ if bytes.len() > limits.bytes => Err(HeadFault::TooLarge),
        _ => Ok(()),
    }
}

/// Judges a whole head, from the first byte of the request line to the end of the empty line.
pub fn check(head: &[u8], limits: &HeadLimits) -> Result<Body, HeadFault> {
    check_partial(head, limits)?;
    let body = head.strip_suffix(b"\r\n\r\n").ok_or(HeadFault::Malformed("a line does not end with CRLF"))?;
    let mut lines = lines(body);
    let first = lines.next().unwrap_or_default();
    let fields = memchr_iter(b'\n', body).count();
    if fields > limits.fields {
        return Err(HeadFault::TooLarge);
    }
    let request_line = if fields == 0 { first } else { without_cr(first)? };
    let (method, target, modern) = request_line_of(request_line)?;
    let mut framing = Framing::default();
    for (index, line) in lines.enumerate() {
        let line = if index + 1 == fields { line } else { without_cr(line)? };
        let (name, value) = field(line)?;
        framing.note(name, value)?;
    }
    framing.check(modern)?;
    check_target(method, target, framing.host)?;
    Ok(if framing.chunked { Body::Chunked } else { Body::Sized })
}

/// What stands between line feeds. A token makes most of a head one long line: it is searched, not walked.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr(b'\n', bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

/// The line without the CR that stood before its LF. The last line's end is gone already.
fn without_cr(line: &[u8]) -> Result<&[u8], HeadFault> {
    line.strip_suffix(b"\r").ok_or(HeadFault::Malformed("a line does not end with CRLF"))
}

/// `METHOD SP TARGET SP HTTP/1.x`, with exactly these two spaces; true for HTTP/1.1.
fn request_line_of(line: &[u8]) -> Result<(&[u8], &[u8], bool), HeadFault> {
    let fault = HeadFault::Malformed("the request line is not a method, a target and a version");
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(fault);
    };
    let modern = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err(HeadFault::Malformed("the version is not HTTP/1.0 or HTTP/1.1")),
    };
    if method.is_empty() || !method.iter().copied().all(is_token) || target.is_empty() {
        return Err(fault);
    }
    match method {
        b"CONNECT" | b"TRACE" => Err(HeadFault::Method),
        _ => Ok((method, target, modern)),
    }
}

/// The name and the value of one field.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), HeadFault> {
    let colon = memchr(b':', line).ok_or(HeadFault::Malformed("a field has no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // A name that begins with a space would be a folded line; one that ends with a space is read in two ways.
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(HeadFault::Malformed("a field name is not a token"));
    }
    // Without a way out half-way, many bytes are looked at in one step.
    let odd = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    if value.iter().fold(false, |found, byte| found | odd(*byte)) {
        return Err(HeadFault::Malformed("a field value holds a control byte"));
    }
    Ok((name, value.trim_ascii()))
}

impl<'h> Framing<'h> {
    fn note(&mut self, name: &[u8], value: &'h [u8]) -> Result<(), HeadFault> {
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        if is(b"content-length") {
            check_length(value)?;
            if self.length.replace(value).is_some() {
                return Err(HeadFault::Malformed("two Content-Length fields"));
            }
        } else if is(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadFault::Malformed("a Transfer-Encoding that is not one `chunked`"));
            }
            self.chunked = true;
        } else if is(b"host") {
            if self.host.replace(value).is_some() {
                return Err(HeadFault::Malformed("two Host fields"));
            }
        } else if is(b"upgrade") {
            self.websocket |= value.to_ascii_lowercase().windows(9).any(|word| word == b"websocket");
        }
        Ok(())
    }

    fn check(&self, modern: bool) -> Result<(), HeadFault> {
        if self.chunked && self.length.is_some() {
            return Err(HeadFault::Malformed("Content-Length beside Transfer-Encoding"));
        }
        if self.chunked && !modern {
            return Err(HeadFault::Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        if self.websocket && (self.chunked || self.length.is_some_and(|length| length != b"0")) {
            return Err(HeadFault::Malformed("a WebSocket handshake with a body"));
        }
        match self.host {
            None if modern => Err(HeadFault::Malformed("no Host")),
            Some(host) if !is_authority(host) => Err(HeadFault::Malformed("a Host that is none")),
            _ => Ok(()),
        }
    }
}

/// Digits without a sign, a comma or a leading zero; fifteen of them are a petabyte.
fn check_length(value: &[u8]) -> Result<(), HeadFault> {
    let digits = (1..=15).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let plain = value == b"0" || !value.starts_with(b"0");
    if digits && plain { Ok(()) } else { Err(HeadFault::Malformed("an odd Content-Length")) }
}

/// A path, `*` for OPTIONS, or a URL of the very host that is asked (RFC 9112 §3.2).
fn check_target(method: &[u8], target: &[u8], host: Option<&[u8]>) -> Result<(), HeadFault> {
    let path = match target {
        [b'/', ..] => target,
        b"*" if method == b"OPTIONS" => return Ok(()),
        _ => path_of_url(target, host)?,
    };
    let (path, query) = path.split_at(path.iter().position(|byte| *byte == b'?').unwrap_or(path.len()));
    let odd_in_path = |byte: &u8| !byte.is_ascii_graphic() || b"\"#<>\\^`{|}".contains(byte);
    // The engine refuses the quotes, the brackets and what is no UTF-8 too, but without a reason.
    let odd_in_query = |byte: &u8| *byte < b' ' || b"\"#<>\x7f".contains(byte);
    if path.iter().any(odd_in_path) || query.iter().any(odd_in_query) || std::str::from_utf8(query).is_err() {
        return Err(HeadFault::AmbiguousTarget);
    }
    Ok(())
}

/// The path of an absolute target; empty where it has none.
fn path_of_url<'h>(target: &'h [u8], host: Option<&[u8]>) -> Result<&'h [u8], HeadFault> {
    let fault = HeadFault::Malformed("a target that is neither a path nor a URL of this host");
    let split = target.windows(3).position(|part| part == b"://").ok_or(fault)?;
    let (scheme, rest) = (&target[..split], &target[split + 3..]);
    let known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let (authority, path) = rest.split_at(rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len()));
    let same = host.is_none_or(|host| host == authority);
    if known && same && is_authority(authority) { Ok(path) } else { Err(fault) }
}

fn is_authority(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(Authority::is_sound)
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1000, line: 100, fields: 10 };

    fn judge(head: &str) -> Result<(), HeadFault> {
        assert_eq!(end_of_head(head.as_bytes(), 0), Some(head.len()), "{head:?}");
        check(head.as_bytes(), &LIMITS).map(|_| ())
    }

    fn fields(fields: &str) -> Result<(), HeadFault> {
        judge(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"))
    }

    fn line(line: &str) -> Result<(), HeadFault> {
        judge(&format!("{line}\r\nHost: a.test\r\n\r\n"))
    }

    #[test]
    fn one_length_or_one_chunked_coding_frames_a_body() {
        for text in [
            "",
            "Content-Length: 5\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "transfer-encoding:CHUNKED \r\n",
            "X: caf\u{e9} \t x\r\n",
        ] {
            assert_eq!(fields(text), Ok(()), "{text}");
        }
        assert_eq!(judge("GET / HTTP/1.0\r\n\r\n"), Ok(()));
    }

    #[test]
    fn what_two_servers_could_frame_differently_is_refused() {
        for text in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 05\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding : chunked\r\n",
            " X: folded\r\n",
            "X: 1\r\n\tfolded\r\n",
            "X: 1\nY: 2\r\n",
            "X: 1\r2\r\n",
            "X: \u{0}\r\n",
            "X: 1\r\r\n",
            "Transfer-Encoding: \u{c}chunked\r\n",
            "X\r\n",
            ": 1\r\n",
            "Host: b.test\r\n",
            "Upgrade: websocket\r\nContent-Length: 5\r\n",
        ] {
            assert!(matches!(fields(text), Err(HeadFault::Malformed(_))), "{text:?}: {:?}", fields(text));
        }
        assert!(judge("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(judge("GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(judge("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_line_has_three_parts_and_two_spaces() {
        for text in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "GET /",
            "G(T / HTTP/1.1",
            "/ HTTP/1.1",
        ] {
            assert!(matches!(line(text), Err(HeadFault::Malformed(_))), "{text}");
        }
        for text in ["CONNECT a.test:443 HTTP/1.1", "TRACE / HTTP/1.1"] {
            assert_eq!(line(text), Err(HeadFault::Method), "{text}");
        }
    }

    #[test]
    fn a_target_is_a_path_or_a_url_of_this_host() {
        for text in [
            "GET /a/%2e?b='c'\u{e9}`{|} HTTP/1.1",
            "GET http://a.test/x HTTP/1.1",
            "GET HTTPS://a.test HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET //a HTTP/1.1",
        ] {
            assert_eq!(line(text), Ok(()), "{text}");
        }
        for text in [
            "GET * HTTP/1.1",
            "GET admin HTTP/1.1",
            "GET http://b.test/ HTTP/1.1",
            "GET http://u@a.test/ HTTP/1.1",
            "GET ftp://a.test/ HTTP/1.1",
            "GET a.test:443 HTTP/1.1",
            "GET \\admin HTTP/1.1",
        ] {
            assert!(matches!(line(text), Err(HeadFault::Malformed(_))), "{text}");
        }
        for text in [
            "GET /a#b HTTP/1.1",
            "GET /a\"b HTTP/1.1",
            "GET /<a> HTTP/1.1",
            "GET /a\\b HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /?a=\u{1} HTTP/1.1",
            "GET /?a=\"b\" HTTP/1.1",
            "GET /?a=<b> HTTP/1.1",
            "GET /?a#b HTTP/1.1",
            "GET http://a.test/x#y HTTP/1.1",
        ] {
            assert_eq!(line(text), Err(HeadFault::AmbiguousTarget), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_as_soon_as_it_is_seen() {
        let long = format!("GET /{} HTTP/1.1", "a".repeat(100));
        assert_eq!(line(&long), Err(HeadFault::TargetTooLong));
        assert_eq!(check_partial(&[b'a'; 102], &LIMITS), Err(HeadFault::TargetTooLong));
        assert_eq!(check_partial(&[b'a'; 50], &LIMITS), Ok(()));
        assert_eq!(fields(&format!("X: {}\r\n", "a".repeat(1000))), Err(HeadFault::TooLarge));
        assert_eq!(fields(&"X: 1\r\n".repeat(10)), Err(HeadFault::TooLarge));
        assert_eq!(fields(&"X: 1\r\n".repeat(9)), Ok(()));
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_were_cut() {
        for head in
            ["GET / HTTP/1.1\r\nA: b\r\n\r\nrest", "GET / HTTP/1.1\nA: b\n\nrest", "GET / HTTP/1.1\r\nA: b\n\r\nrest"]
        {
            let end = head.len() - 4;
            for cut in 0..head.len() {
                let seen = end_of_head(&head.as_bytes()[..cut], 0);
                assert_eq!(seen, (cut >= end).then_some(end), "{head:?} {cut}");
                assert_eq!(end_of_head(head.as_bytes(), cut.min(end)), Some(end), "{head:?} {cut}");
            }
        }
    }
}
