//! The PROXY protocol, versions 1 and 2: how a balancer that passes bytes says whose they are, before the first of them
//! (HAProxy's proxy-protocol.txt §2). Text in, address out; who is believed is decided elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How a version 2 header begins.
pub const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The length of the fixed part of a version 2 header.
pub const V2_FIXED: usize = 16;
/// The longest line of version 1, its end included.
pub const V1_LONGEST: usize = 107;
/// The most that may stand behind the fixed part of version 2: addresses, and whatever a balancer adds to them.
pub const V2_LONGEST: usize = 2048;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The connection is made for this client.
    Client(SocketAddr),
    /// The balancer speaks for itself (a health check), or does not know.
    Nobody,
}

/// Reads a line of version 1 without its CRLF; `None` for everything that is not exactly one.
#[must_use]
pub fn parse_v1(line: &[u8]) -> Option<Announced> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(Announced::Nobody);
    }
    let [family, source, target, source_port, target_port] =
        <[&str; 5]>::try_from(line.split(' ').collect::<Vec<_>>()).ok()?;
    let (source, target): (IpAddr, IpAddr) = (source.parse().ok()?, target.parse().ok()?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    let port = |digits: &str| -> Option<u16> {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        plain.then(|| digits.parse().ok()).flatten()
    };
    port(target_port)?;
    let client = SocketAddr::new(source.to_canonical(), port(source_port)?);
    fits.then_some(Announced::Client(client))
}

/// The number of bytes behind the fixed part of a version 2 header; `None` when it is none, or announces too many.
#[must_use]
pub fn v2_length(fixed: &[u8; V2_FIXED]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    (fixed.starts_with(&V2_SIGNATURE) && length <= V2_LONGEST).then_some(length)
}

/// Reads a version 2 header: its fixed part, and the bytes behind it.
#[must_use]
pub fn parse_v2(fixed: &[u8; V2_FIXED], rest: &[u8]) -> Option<Announced> {
    if v2_length(fixed)? != rest.len() {
        return None;
    }
    match (fixed[12], fixed[13]) {
        (0x20, _) | (0x21, 0x00) => Some(Announced::Nobody),
        (0x21, 0x11) => {
            let source: [u8; 4] = rest.get(..4)?.try_into().ok()?;
            Some(Announced::Client(SocketAddr::new(Ipv4Addr::from(source).into(), port_at(rest, 8)?)))
        }
        (0x21, 0x21) => {
            let source: [u8; 16] = rest.get(..16)?.try_into().ok()?;
            let source = IpAddr::from(Ipv6Addr::from(source)).to_canonical();
            Some(Announced::Client(SocketAddr::new(source, port_at(rest, 32)?)))
        }
        // Datagrams and sockets of the machine do not carry TLS over TCP.
        _ => None,
    }
}

/// The source port at `at`; both ports must be there.
fn port_at(rest: &[u8], at: usize) -> Option<u16> {
    let ports: [u8; 4] = rest.get(at..at + 4)?.try_into().ok()?;
    Some(u16::from_be_bytes([ports[0], ports[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Announced {
        Announced::Client(text.parse().unwrap())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Option<Announced> {
        let mut fixed = [0; V2_FIXED];
        fixed[..12].copy_from_slice(&V2_SIGNATURE);
        (fixed[12], fixed[13]) = (command, family);
        fixed[14..].copy_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
        parse_v2(&fixed, rest)
    }

    #[test]
    fn a_line_of_version_1_names_the_client() {
        assert_eq!(parse_v1(b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443"), Some(client("192.0.2.1:56324")));
        assert_eq!(parse_v1(b"PROXY TCP6 2001:db8::1 ::1 1 443"), Some(client("[2001:db8::1]:1")));
        assert_eq!(parse_v1(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 443"), Some(client("192.0.2.1:1")));
        assert_eq!(parse_v1(b"PROXY UNKNOWN"), Some(Announced::Nobody));
        assert_eq!(parse_v1(b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535"), Some(Announced::Nobody));
    }

    #[test]
    fn what_is_no_line_of_version_1_is_refused() {
        for line in [
            "",
            "PROXY",
            "PROXY ",
            "proxy TCP4 192.0.2.1 10.0.0.1 1 2",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3",
            "PROXY TCP4  192.0.2.1 10.0.0.1 1 2",
            "PROXY TCP4 2001:db8::1 ::1 1 2",
            "PROXY TCP6 192.0.2.1 10.0.0.1 1 2",
            "PROXY TCP4 192.0.2.256 10.0.0.1 1 2",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2",
            "PROXY TCP4 192.0.2.1 10.0.0.1 01 2",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +1 2",
            "PROXY UDP4 192.0.2.1 10.0.0.1 1 2",
            "PROXY UNKNOWNX",
        ] {
            assert_eq!(parse_v1(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn version_2_names_the_client_and_may_add_what_it_likes() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 1, 187];
        assert_eq!(v2(0x21, 0x11, &four), Some(client("192.0.2.1:56324")));
        assert_eq!(v2(0x21, 0x11, &[&four[..], &[4, 0, 1, 0]].concat()), Some(client("192.0.2.1:56324")));
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[32..34].copy_from_slice(&[0, 7]);
        assert_eq!(v2(0x21, 0x21, &six), Some(client("[2001:db8::]:7")));
        assert_eq!(v2(0x20, 0x11, &four), Some(Announced::Nobody));
        assert_eq!(v2(0x21, 0x00, &[]), Some(Announced::Nobody));
    }

    #[test]
    fn what_is_no_header_of_version_2_is_refused() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 1, 187];
        for (command, family, rest) in [
            (0x11, 0x11, &four[..]),
            (0x22, 0x11, &four),
            (0x21, 0x12, &four),
            (0x21, 0x31, &four),
            (0x21, 0x11, &four[..11]),
            (0x21, 0x21, &four),
        ] {
            assert_eq!(v2(command, family, rest), None, "{command:x} {family:x}");
        }
        assert_eq!(v2(0x21, 0x11, &[0; V2_LONGEST + 1]), None);
        assert_eq!(v2_length(&[0; V2_FIXED]), None);
    }
}
