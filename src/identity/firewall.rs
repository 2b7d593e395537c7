//! The header firewall: which request headers never reach an upstream as the client sent them.
//!
//! Backends fold header names in their own ways: CGI and WSGI turn `-` into `_`, some servers drop what they don't
//! like, and some compare without case. So names are compared in a folded form, in which every byte that is no letter
//! or digit is a `-`; `X_User.Id` is `x-user-id` here.

use std::borrow::Cow;
use std::collections::HashSet;

/// Headers that would let a client rewrite the method or the path behind our back, by whichever convention the
/// backend's framework follows.
const OVERRIDES: [&str; 5] =
    ["x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"];

/// Headers that carry credentials, or claim who the client is; dropped unless a route keeps the token.
const CREDENTIALS: [&str; 5] = ["authorization", "proxy-authorization", "dpop", "client-cert", "client-cert-chain"];

/// CGI hands `Proxy` to a program as `HTTP_PROXY`, which its HTTP client takes for the proxy to use (CVE-2016-5385).
const HTTPOXY: &str = "proxy";

/// Headers by which proxies tell where a request came from. Ours go in their place: what was believed of them is in
/// ours.
const FORWARDING: [&str; 5] = ["forwarded", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-request-id"];
/// Every header that begins so speaks of the way a request took.
const FORWARDING_PREFIX: &str = "x-forwarded";
/// Headers a server acts on by itself. In their own spelling they are the engine's affair; in any other
/// (`Content_Length`) they are a trick.
const STRUCTURAL: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Folded names. Most names of a real request have a length that none of these has, and are told apart by that.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: HashSet<String>,
    /// One bit for each length that occurs; lengths from 63 on share the last one.
    lengths: u64,
}

impl Names {
    /// Adds `name`, in whatever spelling.
    pub fn add(&mut self, name: &str) {
        let name = fold(name).into_owned();
        self.lengths |= length_bit(&name);
        self.names.insert(name);
    }

    /// True when `folded` is one of them.
    #[must_use]
    pub fn contains(&self, folded: &str) -> bool {
        self.lengths & length_bit(folded) != 0 && self.names.contains(folded)
    }

    /// True when there is a name of the length of `name`: folding a name keeps its length.
    #[must_use]
    pub fn may_contain(&self, name: &str) -> bool {
        self.lengths & length_bit(name) != 0
    }
}

fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

/// The set of names to strip, the same for every route: a header that is an identity on one route is a forgery on all
/// others.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    names: Names,
    prefixes: Vec<String>,
}

impl Firewall {
    /// A firewall for the declared identity `headers` and the extra `patterns` (`X-Legacy-*` strips by prefix).
    #[must_use]
    pub fn new<'a>(headers: impl IntoIterator<Item = &'a str>, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut firewall = Self::default();
        for name in OVERRIDES.into_iter().chain(["x-real-ip", HTTPOXY]).chain(headers) {
            firewall.names.add(name);
        }
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(prefix) => firewall.prefixes.push(fold(prefix).into_owned()),
                None => firewall.names.add(pattern),
            }
        }
        firewall
    }

    /// True when a client's header of this name must not be forwarded.
    #[must_use]
    pub fn strips(&self, name: &str) -> bool {
        self.strips_folded(&fold(name))
    }

    fn strips_folded(&self, folded: &str) -> bool {
        self.names.contains(folded) || self.prefixes.iter().any(|prefix| folded.starts_with(prefix.as_str()))
    }

    /// True when a client's header of this name, which is no credential, may reach an upstream.
    ///
    /// A name with `_` never does: CGI, WSGI and their like can't tell it from the one with `-`, so that it could stand
    /// in for a header that somebody judges.
    #[must_use]
    pub fn passes(&self, name: &str) -> bool {
        let folded = fold(name);
        let forwarding = folded.starts_with(FORWARDING_PREFIX) || FORWARDING.contains(&&*folded);
        let disguised = folded != name && STRUCTURAL.contains(&&*folded);
        !name.contains('_') && !forwarding && !disguised && !self.strips_folded(&folded)
    }

    /// True when the header carries a credential, in any spelling.
    #[must_use]
    pub fn is_credential(name: &str) -> bool {
        CREDENTIALS.contains(&&*fold(name))
    }
}

/// The form in which names are compared. Nearly every name of a real request has it already, and costs no copy.
#[must_use]
pub fn fold(name: &str) -> Cow<'_, str> {
    let is_folded = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.bytes().all(is_folded) {
        return Cow::Borrowed(name);
    }
    let fold_byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
    Cow::Owned(name.bytes().map(fold_byte).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_declared_header_is_stripped() {
        let firewall = Firewall::new(["X-User-Id"], ["X-Legacy-*"]);
        for name in [
            "X-User-Id",
            "x-user-id",
            "X_User_Id",
            "X-USER_ID",
            "x.user.id",
            "X~User'Id",
            "x-legacy-anything",
            "X_LEGACY_role",
        ] {
            assert!(firewall.strips(name), "{name}");
        }
        for name in ["X-User", "X-User-Id2", "Accept", "X-Request-Id", "Proxy-Status"] {
            assert!(!firewall.strips(name), "{name}");
        }
    }

    #[test]
    fn names_are_told_apart_whatever_their_length() {
        let mut names = Names::default();
        assert!(!names.contains("") && !names.may_contain(""));
        let long = ["x".repeat(63), "X".repeat(64), "x".repeat(200)];
        for name in &long {
            names.add(name);
        }
        names.add("X_Tenant");
        assert!(long.iter().all(|name| names.may_contain(name) && names.contains(&fold(name))));
        assert!(names.contains("x-tenant") && !names.contains("x-tenans") && !names.contains("x-tenant-"));
        assert!(!names.contains(&"x".repeat(65)) && !names.may_contain("x-tenan"));
    }

    #[test]
    fn overrides_of_method_and_path_are_stripped_everywhere() {
        let firewall = Firewall::new([], []);
        for name in ["X-HTTP-Method-Override", "x_http_method", "X-Original-URL", "X-Rewrite-Url", "X-Real-IP", "Proxy"]
        {
            assert!(firewall.strips(name), "{name}");
        }
    }

    #[test]
    fn a_name_with_an_underscore_never_passes() {
        let firewall = Firewall::new([], []);
        for name in ["x_tenant", "x-ten_ant", "_", "content_type"] {
            assert!(!firewall.passes(name), "{name}");
        }
        for name in ["x-tenant", "content-type", "x.tenant"] {
            assert!(firewall.passes(name), "{name}");
        }
    }

    #[test]
    fn credentials_are_known_in_every_spelling() {
        assert!(Firewall::is_credential("Authorization") && Firewall::is_credential("proxy_authorization"));
        assert!(Firewall::is_credential("DPoP") && Firewall::is_credential("client_cert"));
        assert!(!Firewall::is_credential("cookie"));
    }
}
