//! The target URI of a request (RFC 9110 §7.1) in one normal form, so that what a client signed and what arrived can be
//! compared as they mean, not as they are spelled.

use super::path::{escape_value, is_unreserved};
use super::{Authority, CanonicalPath, Host};
use std::fmt::{self, Write as _};

/// The scheme of an `http` or `https` URI (RFC 9110 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriScheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl UriScheme {
    /// The scheme as a URI spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port a URI of this scheme means when it names none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.as_str()))
    }
}

/// The scheme and port by which clients reach a listener; behind a balancer that is not how it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicAddress {
    /// The scheme clients write.
    pub scheme: UriScheme,
    /// The port clients connect to.
    pub port: u16,
}

impl Default for PublicAddress {
    /// HTTPS on its own port.
    fn default() -> Self {
        Self { scheme: UriScheme::Https, port: UriScheme::Https.default_port() }
    }
}

/// A target URI without query and fragment, after the syntax-based and scheme-based normalization of RFC 3986 §6.2.2
/// and §6.2.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetUri {
    address: PublicAddress,
    host: Host,
    path: String,
}

impl TargetUri {
    /// The target of a request for `path` on `host` that came through a listener known to clients as `address`.
    ///
    /// The port a client wrote into its `Host` field plays no part: behind a balancer it may be anything.
    #[must_use]
    pub fn of(address: PublicAddress, host: &Host, path: &CanonicalPath) -> Self {
        Self { address, host: host.clone(), path: path.as_str().to_owned() }
    }

    /// Reads a URI; its query and fragment are left aside. `None` for anything but an absolute `http` or `https` URI.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = UriScheme::from_name(scheme)?;
        let (rest, _) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = Authority::parse(authority)?;
        let port = authority.port.unwrap_or(scheme.default_port());
        let path = remove_dot_segments(&normalize_escapes(path)?);
        Some(Self { address: PublicAddress { scheme, port }, host: authority.host, path })
    }
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PublicAddress { scheme, port } = self.address;
        write!(f, "{}://{}", scheme.as_str(), self.host)?;
        if port != scheme.default_port() {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// Escapes in upper case, and none where none is needed (RFC 3986 §6.2.2.1, §6.2.2.2). `None` for a broken escape or a
/// byte that no URI holds.
fn normalize_escapes(path: &str) -> Option<String> {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%' {
            let value = escape_value(tail).ok()?;
            rest = tail.get(2..)?;
            if is_unreserved(value) {
                normal.push(char::from(value));
            } else {
                // Writing to a String can't fail.
                let _ = write!(normal, "%{value:02X}");
            }
        } else if byte.is_ascii_graphic() {
            normal.push(char::from(*byte));
        } else {
            return None;
        }
    }
    Some(normal)
}

/// RFC 3986 §5.2.4, with §6.2.3: an empty path is `/`.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut directory = true;
    for segment in path.split('/').skip(1) {
        directory = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in kept {
        normal.extend(["/", segment]);
    }
    if directory {
        normal.push('/');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16, host: &str, path: &str) -> TargetUri {
        let address = PublicAddress { scheme: UriScheme::Https, port };
        TargetUri::of(address, &Host::parse(host).unwrap(), &CanonicalPath::parse(path.as_bytes()).unwrap())
    }

    #[test]
    fn equivalent_spellings_are_one_uri() {
        let wanted = target(443, "api.example.com", "/orders/a%2Bb");
        for spelling in [
            "https://api.example.com/orders/a%2Bb",
            "HTTPS://API.Example.COM:443/orders/a%2bb",
            "https://api.example.com./orders/%61%2Bb",
            "https://api.example.com/x/../orders/./a%2Bb",
            "https://api.example.com/orders/a%2Bb?query=1",
            "https://api.example.com/orders/a%2Bb#fragment?x",
        ] {
            assert_eq!(TargetUri::parse(spelling).as_ref(), Some(&wanted), "{spelling}");
        }
    }

    #[test]
    fn different_places_stay_different() {
        let wanted = target(8443, "api.example.com", "/orders");
        for other in [
            "https://api.example.com/orders",
            "http://api.example.com:8443/orders",
            "https://api.example.com:8444/orders",
            "https://api.example.org:8443/orders",
            "https://api.example.com:8443/orders/",
            "https://api.example.com:8443/Orders",
            "https://api.example.com:8443/orders/..",
            "https://api.example.com:8443",
        ] {
            assert_ne!(TargetUri::parse(other), Some(wanted.clone()), "{other}");
        }
        assert_eq!(TargetUri::parse("https://api.example.com:8443/orders"), Some(wanted));
    }

    #[test]
    fn an_empty_path_is_the_root() {
        let root = target(443, "a.test", "/");
        for spelling in
            ["https://a.test", "https://a.test/", "https://a.test?x", "https://a.test/.", "https://a.test/a/.."]
        {
            assert_eq!(TargetUri::parse(spelling).as_ref(), Some(&root), "{spelling}");
        }
        assert_eq!(root.to_string(), "https://a.test/");
    }

    #[test]
    fn what_is_no_target_uri_is_refused() {
        for other in [
            "",
            "/orders",
            "a.test/orders",
            "ftp://a.test/",
            "https:/a.test/",
            "https:///orders",
            "https://user@a.test/",
            "https://a.test/%zz",
            "https://a.test/%4",
            "https://a.test/a b",
            "https://a.test/é",
            "https://a.test:0/",
        ] {
            assert_eq!(TargetUri::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_uri_reads_as_clients_write_it() {
        assert_eq!(target(8443, "A.test", "/x%2by").to_string(), "https://a.test:8443/x%2By");
    }
}
