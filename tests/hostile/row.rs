//! One hostile request, and what must become of it.

/// What must become of a request.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Answered with this status; the upstream hears nothing of it.
    Refused(u16),
    /// The same, and the connection ends: where the next request begins is in doubt.
    Cut(u16),
    /// Refused in the middle: whatever the client is told, the upstream hears no whole request.
    Unheard,
    /// The upstream hears exactly this one request, and nothing after it.
    Forwarded(Heard),
}

/// What the upstream hears.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub method: &'static str,
    pub target: &'static str,
    pub body: &'static [u8],
    /// Headers, in any spelling, that it must not hear.
    pub absent: &'static [&'static str],
    /// Headers that it hears once, with this value.
    pub present: &'static [(&'static str, &'static str)],
}

/// A request as bytes.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub expect: Expect,
}

pub fn row(name: &'static str, bytes: impl Into<Vec<u8>>, expect: Expect) -> Row {
    Row { name, bytes: bytes.into(), expect }
}

/// `POST /public/x` with these further lines, each with its end, and a body.
pub fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /public/x HTTP/1.1\r\nHost: api.example.test\r\n{fields}\r\n{body}").into_bytes()
}

/// `GET TARGET` with these further lines, each with its end.
pub fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: api.example.test\r\n{fields}\r\n").into_bytes()
}

/// One POST with `body` was heard.
pub fn posted(body: &'static [u8]) -> Expect {
    Expect::Forwarded(Heard { method: "POST", target: "/public/x", body, ..Heard::default() })
}

/// One GET of `target` was heard.
pub fn got(target: &'static str) -> Expect {
    Expect::Forwarded(Heard { method: "GET", target, ..Heard::default() })
}

/// One GET of `/public/x` was heard, without `absent`, and with `present`.
pub fn got_without(absent: &'static [&'static str], present: &'static [(&'static str, &'static str)]) -> Expect {
    Expect::Forwarded(Heard { method: "GET", target: "/public/x", absent, present, ..Heard::default() })
}
