//! An HTTP answer as the client saw it.

use std::io::{self, BufRead, ErrorKind};

use serde_json::Value;

use super::wire::Head;

/// A status, the fields and the body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the other side said that it closes the connection.
    pub closes: bool,
}

impl Answer {
    /// Reads one answer; one to a `HEAD` request has no body. Interim answers (1xx) are passed over.
    pub fn read(stream: &mut impl BufRead, to_head: bool) -> io::Result<Self> {
        loop {
            let head = Head::read(stream)?.ok_or(ErrorKind::UnexpectedEof)?;
            let status = head.start.split(' ').nth(1).and_then(|code| code.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, head.start.clone()))?;
            if status < 200 {
                continue;
            }
            let bodiless = to_head || status == 204 || status == 304;
            let body = if bodiless { Vec::new() } else { head.body(stream, true)? };
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = head.fields.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            return Ok(Self { status, headers, body, closes: head.closes() });
        }
    }

    /// The values of `name`, in any case.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault} in {}", self.text()))
    }
}
