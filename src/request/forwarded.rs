//! What proxies say of the way a request took: `X-Forwarded-For` and its kin, and RFC 7239 `Forwarded`.
//!
//! Every proxy adds to the right end of what it was sent. So one reads from the right, as long as the speaker is
//! believed; what stands further left anybody may have written.

use super::{Authority, UriScheme};
use http::{HeaderMap, header};
use std::net::IpAddr;

/// What is believed of a request's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The client.
    pub client: IpAddr,
    /// The scheme the client used, where a trusted proxy says so.
    pub scheme: Option<UriScheme>,
    /// The authority the client asked for, where a trusted proxy says so.
    pub authority: Option<Authority>,
}

/// What is believed when `peer` sent `headers`, and `trusts` says whose word counts.
///
/// Where both kinds of header stand, and name different clients, one of them was written by the client itself and
/// passed on by a proxy that does not know it. Which one can't be told: then the peer is all that is known.
#[must_use]
pub fn believe(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> Told {
    let silent = Told { client: peer, scheme: None, authority: None };
    if !trusts(peer) {
        return silent;
    }
    let listed = headers.contains_key("x-forwarded-for").then(|| nearest(listed_hops(headers), peer, &trusts));
    let stated = headers.contains_key(header::FORWARDED).then(|| nearest(stated_hops(headers), peer, &trusts));
    let client = match (listed, stated) {
        (Some(listed), Some(stated)) if listed != stated => return silent,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => peer,
    };
    Told { client, scheme: told_scheme(headers), authority: told_authority(headers) }
}

/// The right-most hop that is not trusted; where the chain ends or becomes unreadable, the last one that is.
fn nearest(hops: Vec<Option<IpAddr>>, peer: IpAddr, trusts: &impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut known = peer;
    for hop in hops.into_iter().rev() {
        match hop {
            Some(hop) if trusts(hop) => known = hop,
            Some(hop) => return hop,
            None => return known,
        }
    }
    known
}

/// The hops of `X-Forwarded-For`, left to right; `None` for one that is no address.
fn listed_hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let fields = headers.get_all("x-forwarded-for").iter();
    fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(|hop| node(text(hop)?)).collect()
}

/// The hops of `Forwarded`, left to right.
fn stated_hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let fields = headers.get_all(header::FORWARDED).iter();
    let elements = fields.flat_map(|field| text(field.as_bytes()).map_or_else(|| vec![""], |text| split(text, b',')));
    elements.map(|element| parameter(element, "for").and_then(|value| node(&value))).collect()
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(str::trim)
}

/// The one address in `X-Forwarded-Proto`, else `proto` of the last element of `Forwarded`.
fn told_scheme(headers: &HeaderMap) -> Option<UriScheme> {
    let value = single(headers, "x-forwarded-proto").or_else(|| last_parameter(headers, "proto"))?;
    [UriScheme::Http, UriScheme::Https].into_iter().find(|scheme| value.eq_ignore_ascii_case(scheme.as_str()))
}

fn told_authority(headers: &HeaderMap) -> Option<Authority> {
    let value = single(headers, "x-forwarded-host").or_else(|| last_parameter(headers, "host"))?;
    Authority::parse(&value)
}

/// The value of a header that stands once and lists nothing.
fn single(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut fields = headers.get_all(name).iter();
    let value = text(fields.next()?.as_bytes())?;
    (fields.next().is_none() && !value.contains(',')).then(|| value.to_owned())
}

fn last_parameter(headers: &HeaderMap, name: &str) -> Option<String> {
    let last = headers.get_all(header::FORWARDED).iter().next_back()?;
    parameter(split(text(last.as_bytes())?, b',').last()?, name)
}

/// The value of `name` in one element, which holds it once, without its quotes (RFC 7239 §4).
fn parameter(element: &str, name: &str) -> Option<String> {
    let pairs = split(element, b';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    match value.strip_prefix('"') {
        // An address has nothing to escape.
        Some(quoted) => quoted.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\'])).map(str::to_owned),
        None => Some(value.to_owned()),
    }
}

/// Splits at `separator` outside of quoted strings.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// An address, with or without a port; IPv6 with a port stands in brackets (RFC 7239 §6).
fn node(text: &str) -> Option<IpAddr> {
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(inner)?
        }
        None => match text.split_once(':') {
            Some((address, port)) if address.contains('.') && !port.contains(':') => {
                is_port(port).then_some(address)?
            }
            _ => text,
        },
    };
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const PROXY: &str = "10.0.0.1";

    fn told(peer: &str, fields: &[(&str, &str)]) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let ours = |peer: IpAddr| peer.to_string().starts_with("10.") || peer.to_string() == "2001:db8::a";
        believe(&headers, peer.parse().unwrap(), ours)
    }

    fn client(fields: &[(&str, &str)]) -> String {
        told(PROXY, fields).client.to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let lies = [("x-forwarded-for", "192.0.2.9"), ("x-forwarded-proto", "http"), ("forwarded", "for=192.0.2.9")];
        let told = told("203.0.113.1", &lies);
        assert_eq!(told.client.to_string(), "203.0.113.1");
        assert_eq!((told.scheme, told.authority), (None, None));
    }

    #[test]
    fn the_client_is_the_right_most_hop_that_is_not_ours() {
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "1.1.1.1, 192.0.2.1, 10.9.9.9")]), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "10.0.0.7, 10.0.0.8")]), "10.0.0.7");
        assert_eq!(client(&[("x-forwarded-for", "2001:db8::b, 2001:db8::a")]), "2001:db8::b");
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1:1234")]), "192.0.2.1");
        assert_eq!(client(&[]), PROXY);
    }

    #[test]
    fn an_unreadable_hop_ends_the_chain_at_the_last_one_known() {
        for list in
            ["192.0.2.1, unknown", "192.0.2.1, ", "192.0.2.1, 999.1.1.1", "192.0.2.1, \"10.0.0.2\"", "x, 192.0.2.1:"]
        {
            assert_eq!(client(&[("x-forwarded-for", list)]), PROXY, "{list}");
        }
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1, unknown, 10.0.0.2")]), "10.0.0.2");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            ("for=1.1.1.1, for=192.0.2.1;by=10.0.0.2", "192.0.2.1"),
            ("for=1.1.1.1, by=\"a,b;for=9.9.9.9\";for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("for=_hidden", PROXY),
            ("for=unknown", PROXY),
            ("proto=https", PROXY),
            ("for=192.0.2.1;for=192.0.2.2", PROXY),
        ] {
            assert_eq!(client(&[("forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn two_stories_are_no_story() {
        assert_eq!(client(&[("forwarded", "for=192.0.2.9"), ("x-forwarded-for", "192.0.2.1")]), PROXY);
        assert_eq!(client(&[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
    }

    #[test]
    fn scheme_and_host_are_taken_where_they_are_one_and_sound() {
        let told = |fields: &[(&str, &str)]| {
            let told = told(PROXY, fields);
            (told.scheme, told.authority.map(|authority| authority.to_string()))
        };
        let both = [("x-forwarded-proto", "HTTP"), ("x-forwarded-host", "Api.test:8443")];
        assert_eq!(told(&both), (Some(UriScheme::Http), Some("api.test:8443".into())));
        assert_eq!(
            told(&[("forwarded", "for=192.0.2.1;proto=https;host=\"api.test\"")]),
            (Some(UriScheme::Https), Some("api.test".into()))
        );
        for fields in [
            [("x-forwarded-proto", "https, http"), ("x-forwarded-host", "a b")],
            [("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a, b")],
        ] {
            assert_eq!(told(&fields), (None, None));
        }
    }
}
