//! The chunks of an HTTP/1 body as bytes (RFC 9112 §7.1), read strictly before a lenient parser reads them.
//!
//! What the gateway sends on is framed anew. But whoever stands before it may have found another end in the same bytes:
//! parsers differ over a size that is missing or padded, over a bare line feed in a chunk extension, over what a trailer
//! may be. Such a body is refused.

use super::framing::{HeadLimits, field};

/// The most digits of a size: more would not fit into memory anywhere.
const MAX_DIGITS: u8 = 15;
/// The longest extensions of one chunk. A signature, which is what they are used for, takes some 150 bytes.
const MAX_EXTENSIONS: u16 = 1024;

/// Why a body is refused, in words for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChunkFault(&'static str);

/// How far a body was read.
#[derive(Debug)]
pub struct Chunks {
    state: State,
    limits: HeadLimits,
    /// The trailer section: its size and its number of fields, and the line that is being read.
    trailers: (usize, usize),
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        digits: u8,
        size: u64,
    },
    /// Behind the size, with this many bytes of extensions read.
    Extension(Extension, u16, u64),
    /// Behind the CR of a chunk's first line.
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndLf,
    Trailers,
    Done,
}

/// `; name [= value]`, where a value is a token or quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    NameBegin,
    Name,
    ValueBegin,
    Value,
    Quoted,
    QuotedPair,
    QuotedEnd,
}

impl Chunks {
    /// A body of which nothing was read, whose trailers are bounded as a head is.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self { state: State::Size { digits: 0, size: 0 }, limits, trailers: (0, 0), line: Vec::new() }
    }

    /// True when the body has come to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads on. What stands behind the end of the body is not looked at.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), ChunkFault> {
        while let [byte, rest @ ..] = bytes {
            match self.state {
                State::Done => return Ok(()),
                // Content is passed over in one step.
                State::Data(left) => {
                    let here = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - u64::try_from(here).unwrap_or(left);
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    bytes = &bytes[here..];
                }
                State::Trailers => {
                    self.trailer(*byte)?;
                    bytes = rest;
                }
                state => {
                    self.state = state.next(*byte)?;
                    bytes = rest;
                }
            }
        }
        Ok(())
    }

    /// One more byte of the trailer section, which ends with an empty line.
    fn trailer(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.trailers.0 += 1;
        if self.trailers.0 > self.limits.bytes {
            return Err(ChunkFault("trailers are too large"));
        }
        self.line.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        match line.strip_suffix(b"\r\n") {
            None => Err(ChunkFault("a line of the trailers does not end with CRLF")),
            Some([]) => {
                self.state = State::Done;
                Ok(())
            }
            Some(line) => {
                self.trailers.1 += 1;
                if self.trailers.1 > self.limits.fields {
                    return Err(ChunkFault("too many trailers"));
                }
                check_trailer(line)
            }
        }
    }
}

/// A trailer is dropped, so it can tell the upstream nothing. One that would frame a message, or send it elsewhere, is
/// there for a program that reads it all the same (RFC 9110 §6.5.1).
fn check_trailer(line: &[u8]) -> Result<(), ChunkFault> {
    let (name, _) = field(line).map_err(|_| ChunkFault("a trailer is not a field"))?;
    let frames = ["content-length", "transfer-encoding", "host", "connection", "trailer", "upgrade"];
    if frames.iter().any(|frame| name.eq_ignore_ascii_case(frame.as_bytes())) {
        return Err(ChunkFault("a trailer that frames or routes"));
    }
    Ok(())
}

impl State {
    fn next(self, byte: u8) -> Result<Self, ChunkFault> {
        match (self, byte) {
            (Self::Size { digits, size }, byte) if byte.is_ascii_hexdigit() => {
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                if digits == MAX_DIGITS {
                    return Err(ChunkFault("a chunk size is too long"));
                }
                Ok(Self::Size { digits: digits + 1, size: size << 4 | digit })
            }
            (Self::Size { digits: 1.., size }, b'\r') => Ok(Self::SizeEnd(size)),
            (Self::Size { digits: 1.., size }, b';') => Ok(Self::Extension(Extension::NameBegin, 0, size)),
            (Self::Size { .. }, _) => Err(ChunkFault("a chunk size is not digits")),
            (Self::Extension(extension, _, size), b'\r') if extension.may_end() => Ok(Self::SizeEnd(size)),
            (Self::Extension(_, MAX_EXTENSIONS, _), _) => Err(ChunkFault("a chunk's extensions are too long")),
            (Self::Extension(extension, length, size), byte) => {
                Ok(Self::Extension(extension.next(byte)?, length + 1, size))
            }
            (Self::SizeEnd(0), b'\n') => Ok(Self::Trailers),
            (Self::SizeEnd(size), b'\n') => Ok(Self::Data(size)),
            (Self::DataEnd, b'\r') => Ok(Self::DataEndLf),
            (Self::DataEndLf, b'\n') => Ok(Self::Size { digits: 0, size: 0 }),
            _ => Err(ChunkFault("a chunk does not end where it should")),
        }
    }
}

impl Extension {
    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::QuotedEnd)
    }

    fn next(self, byte: u8) -> Result<Self, ChunkFault> {
        let token = super::framing::is_token(byte);
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        match (self, byte) {
            (Self::Name | Self::Value | Self::QuotedEnd, b';') => Ok(Self::NameBegin),
            (Self::Name, b'=') => Ok(Self::ValueBegin),
            (Self::NameBegin | Self::Name, _) if token => Ok(Self::Name),
            (Self::ValueBegin, b'"') | (Self::QuotedPair, _) if text => Ok(Self::Quoted),
            (Self::ValueBegin | Self::Value, _) if token => Ok(Self::Value),
            (Self::Quoted, b'"') => Ok(Self::QuotedEnd),
            (Self::Quoted, b'\\') => Ok(Self::QuotedPair),
            (Self::Quoted, _) if text => Ok(Self::Quoted),
            _ => Err(ChunkFault("a chunk extension is odd")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 200, line: 100, fields: 3 };

    /// Whether `body` is read to its end, however it is cut.
    fn read(body: &[u8]) -> Result<bool, ChunkFault> {
        let whole = |step: usize| {
            let mut chunks = Chunks::new(LIMITS);
            body.chunks(step).try_for_each(|part| chunks.read(part)).map(|()| chunks.is_done())
        };
        let answer = whole(body.len().max(1));
        for step in 1..8 {
            assert_eq!(whole(step), answer, "cut into {step}: {}", body.escape_ascii());
        }
        answer
    }

    #[test]
    fn a_sound_body_is_read_to_its_end() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n00\r\n\r\n",
            "005\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "5;a\r\nhello\r\n0;b=c\r\n\r\n",
            "5;a=b;c=\"d; \\\" e\"\r\nhello\r\n0\r\n\r\n",
            "0\r\nX: y\r\nExpires: now\r\n\r\n",
            "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(read(body.as_bytes()), Ok(true), "{body:?}");
        }
        assert_eq!(read(b"5\r\nhello\r\n0\r\n"), Ok(false));
        assert_eq!(read(b""), Ok(false));
    }

    #[test]
    fn what_two_servers_could_read_differently_is_refused() {
        for body in [
            "\r\nhello\r\n0\r\n\r\n",
            ";a\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5\t\r\nhello\r\n0\r\n\r\n",
            "5 ;a\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "0000000000000005\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "5;\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5;a=\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\n\"\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\\\u{1}\"\r\nhello\r\n0\r\n\r\n",
            "5;a\u{0}\r\nhello\r\n0\r\n\r\n",
            "5;a b\r\nhello\r\n0\r\n\r\n",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(read(format!("5;{}", "a".repeat(2000)).as_bytes()).is_err());
    }

    #[test]
    fn a_trailer_is_a_field_that_neither_frames_nor_routes() {
        for trailer in [
            "X\r\n",
            "X : y\r\n",
            " X: y\r\n",
            "X: y\n",
            "X: y\rz\r\n",
            "X: y\r\r\n",
            "X: \u{0}\r\n",
            "\n",
            "\rX: y\r\n",
            "Content-Length: 5\r\n",
            "transfer-encoding: chunked\r\n",
            "Host: evil.test\r\n",
            "Connection: X-User-Id\r\n",
        ] {
            assert!(read(format!("0\r\n{trailer}\r\n").as_bytes()).is_err(), "{trailer:?}");
        }
        assert!(read(format!("0\r\n{}\r\n", "X: y\r\n".repeat(4)).as_bytes()).is_err());
        assert!(read(format!("0\r\nX: {}\r\n\r\n", "y".repeat(200)).as_bytes()).is_err());
    }
}
