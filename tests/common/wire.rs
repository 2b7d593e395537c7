//! HTTP/1.1 as bytes: enough of RFC 9112 to read whole messages without believing anybody's library.

use std::io::{self, BufRead, ErrorKind};

/// The head of a message: its first line and its fields, spelled as they came.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub raw: Vec<u8>,
    pub start: String,
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Reads up to the empty line. `None`: the peer closed before the first byte.
    pub fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n\r\n") {
            if stream.read_until(b'\n', &mut raw)? == 0 {
                return if raw.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
        let mut lines = raw[..raw.len() - 4].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let start = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let fields = lines.map(field).collect();
        Ok(Some(Self { raw, start, fields }))
    }

    /// The values of the field `name`, in any case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.values(name).any(|value| value.to_ascii_lowercase() == word.as_bytes())
    }

    /// Whether the sender closes after this message.
    pub fn closes(&self) -> bool {
        self.says("connection", "close")
    }

    /// The length of the body, if the head tells it.
    fn length(&self) -> io::Result<Option<usize>> {
        let Some(value) = self.values("content-length").next() else { return Ok(None) };
        let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        text.map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "Content-Length is no number"))
    }

    /// Reads the body that follows; `until_close` says whether a message without a length goes on to the end.
    pub fn body(&self, stream: &mut impl BufRead, until_close: bool) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.says("transfer-encoding", "chunked") {
            read_chunks(stream, &mut body)?;
        } else if let Some(length) = self.length()? {
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        } else if until_close {
            stream.read_to_end(&mut body)?;
        }
        Ok(body)
    }
}

fn field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
    (String::from_utf8_lossy(&line[..colon]).into_owned(), value.to_vec())
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end().split(';').next().unwrap_or_default(), 16);
        let size = size.map_err(|_| io::Error::new(ErrorKind::InvalidData, "a chunk without a size"))?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        let mut end = String::new();
        stream.read_line(&mut end)?;
        if size == 0 {
            while !end.trim_end().is_empty() {
                end.clear();
                stream.read_line(&mut end)?;
            }
            return Ok(());
        }
    }
}
