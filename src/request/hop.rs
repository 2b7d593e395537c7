//! Which header fields are about one connection, and go no further (RFC 9110 §7.6.1).

use http::{HeaderMap, HeaderName, header};

const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// True when `name` is about one connection: by its nature, or because `Connection` of the same `headers` names it.
#[must_use]
pub fn ends_here(headers: &HeaderMap, name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str()) || is_nominated(headers, name)
}

fn is_nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    let is_name = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes());
    headers.get_all(header::CONNECTION).iter().any(|value| value.as_bytes().split(|byte| *byte == b',').any(is_name))
}
