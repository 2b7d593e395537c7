//! The authority a client addressed, in canonical form (RFC 9110 §7.2, RFC 3986 §3.2).

use std::fmt;
use std::sync::Arc;

/// A host name or address, lower-case, without a trailing dot; IPv6 in brackets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The host in canonical form, or `None` if `raw` is not a host: a registered name of letters, digits, `-`, `_`
    /// and `.`, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        if let Some(inner) = raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: std::net::Ipv6Addr = inner.parse().ok()?;
            return Some(Self(format!("[{address}]").into()));
        }
        let name = registered_name(raw)?;
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        Some(Self(if is_lower { name.into() } else { name.to_ascii_lowercase().into() }))
    }

    /// The host as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when `raw` is this host, in whatever spelling.
    #[must_use]
    pub fn is(&self, raw: &str) -> bool {
        raw == &*self.0 || Self::parse(raw).as_ref() == Some(self)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `raw` without a trailing dot, where it is a registered name, or an IPv4 address.
fn registered_name(raw: &str) -> Option<&str> {
    let name = raw.strip_suffix('.').unwrap_or(raw);
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
    (name.len() <= 253 && name.bytes().all(permitted) && labels_fit).then_some(name)
}

/// Host and optional port, as the client sent them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host in canonical form.
    pub host: Host,
    /// The port, where one was written.
    pub port: Option<u16>,
}

impl Authority {
    /// Parses `host[:port]`. User information, an empty host or an odd port give `None`.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let (host, port) = split(raw)?;
        Some(Self { host: Host::parse(host)?, port })
    }

    /// True when [`Self::parse`] would find an authority in `raw`.
    #[must_use]
    pub fn is_sound(raw: &str) -> bool {
        split(raw).is_some_and(|(host, _)| registered_name(host).is_some() || Host::parse(host).is_some())
    }
}

/// The host, which may be none, and the port, which is one where there is a colon for it.
fn split(raw: &str) -> Option<(&str, Option<u16>)> {
    let behind_brackets = raw.rfind(']').map_or(0, |end| end + 1);
    match raw[behind_brackets..].find(':') {
        Some(colon) => {
            let at = behind_brackets + colon;
            Some((&raw[..at], Some(parse_port(&raw[at + 1..])?)))
        }
        None => Some((raw, None)),
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|port| *port != 0)
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_one_host() {
        for (raw, canonical) in [
            ("API.Example.com", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("api.example.com.:8443", "api.example.com:8443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[0:0::1]:443", "[::1]:443"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(Authority::parse(raw).map(|a| a.to_string()).as_deref(), Some(canonical));
            assert!(Authority::is_sound(raw), "{raw}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for raw in [
            "",
            ".",
            "a..b",
            "user@host",
            "host:",
            "host:0",
            "host:+1",
            "host:65536",
            "ho st",
            "[::1",
            "::1",
            "a/b",
            "[::1]x",
            "é",
        ] {
            assert_eq!(Authority::parse(raw), None, "{raw}");
            assert!(!Authority::is_sound(raw), "{raw}");
        }
    }
}
