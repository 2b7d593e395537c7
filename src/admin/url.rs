//! An address as a client writes it, cut into parts and otherwise left alone.
//!
//! A library would tidy the path up, and so hide the very tricks that `explain` is asked about.

use crate::request::{Authority, PublicAddress, UriScheme};

/// The parts of `scheme://authority/path?query`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'u> {
    pub https: bool,
    pub authority: &'u str,
    pub path: &'u str,
    pub query: Option<&'u str>,
}

impl<'u> Url<'u> {
    pub(super) fn parse(text: &'u str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        // A fragment stays in the browser (RFC 3986 §3.5).
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = if path.is_empty() { "/" } else { path };
        (!authority.is_empty()).then_some(Self { https, authority, path, query })
    }

    /// How the client reaches the listener, by what it wrote.
    pub(super) fn public_address(&self) -> PublicAddress {
        let scheme = if self.https { UriScheme::Https } else { UriScheme::Http };
        let port = Authority::parse(self.authority).and_then(|authority| authority.port);
        PublicAddress { scheme, port: port.unwrap_or(scheme.default_port()) }
    }

    /// The name a handshake would carry: none for an address (RFC 6066 §3).
    pub(super) fn server_name(&self) -> Option<&str> {
        if !self.https || self.authority.starts_with('[') {
            return None;
        }
        let host = self.authority.split(':').next()?;
        host.parse::<std::net::IpAddr>().is_err().then_some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_cut_and_not_tidied() {
        let url = Url::parse("https://api.test:8443/a/%2e%2e//b?x=1?2#f").unwrap();
        assert_eq!(url, Url { https: true, authority: "api.test:8443", path: "/a/%2e%2e//b", query: Some("x=1?2") });
        assert_eq!(url.server_name(), Some("api.test"));
        assert_eq!(url.public_address(), PublicAddress { scheme: UriScheme::Https, port: 8443 });
        assert_eq!(Url::parse("https://api.test").unwrap().path, "/");
        assert_eq!(Url::parse("https://api.test?x").unwrap().query, Some("x"));
    }

    #[test]
    fn an_address_is_no_server_name() {
        for text in ["https://127.0.0.1:8443/", "https://[::1]/", "http://api.test/"] {
            assert_eq!(Url::parse(text).unwrap().server_name(), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in ["", "api.test/a", "ftp://api.test/", "https:///a"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }
}
