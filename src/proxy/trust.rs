//! Which peers are proxies of our own, whose word about their clients is believed.

use std::fmt;
use std::net::IpAddr;

/// The networks nobody outside can have an address of (RFC 6890).
const PRIVATE: [&str; 10] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
];

/// The networks in which our own proxies stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// A network: an address and the number of its leading bits that count (RFC 4632 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl TrustedProxies {
    /// The peers in any of `networks`.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// True when no peer is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when `peer` is a proxy of our own.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(peer.to_canonical()))
    }
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address. `None` where bits behind the prefix are set: such a text
    /// means something else than it does.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let prefix = match prefix {
            None => width(address),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        let network = Self { address, prefix };
        let exact = prefix <= width(address) && network.leading(address) == bits(address);
        exact.then_some(network)
    }

    /// True when every address of its kind is in it.
    #[must_use]
    pub fn is_everybody(self) -> bool {
        self.prefix == 0
    }

    /// True when it holds more public addresses than proxies of one owner have: over 256, or over one link with IPv6.
    #[must_use]
    pub fn is_wide(self) -> bool {
        let narrow = if self.address.is_ipv4() { 24 } else { 64 };
        let within = |private: Self| self.prefix >= private.prefix && private.contains(self.address);
        self.prefix < narrow && !PRIVATE.into_iter().filter_map(Self::parse).any(within)
    }

    fn contains(self, peer: IpAddr) -> bool {
        width(self.address) == width(peer) && self.leading(peer) == bits(self.address)
    }

    /// The bits of `address` that count.
    fn leading(self, address: IpAddr) -> u128 {
        let behind = u32::from(width(address).saturating_sub(self.prefix));
        bits(address).checked_shr(behind).and_then(|kept| kept.checked_shl(behind)).unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let contains = |network: &str, peer: &str| {
            TrustedProxies::new(vec![Network::parse(network).unwrap()]).contains(peer.parse().unwrap())
        };
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "::1", "127.0.0.1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
        ] {
            assert!(contains(network, inside) && !contains(network, outside), "{network}");
        }
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_network_is_wide_that_reaches_beyond_private_addresses() {
        let wide = |text: &str| Network::parse(text).unwrap().is_wide();
        for text in ["8.0.0.0/6", "203.0.112.0/23", "0.0.0.0/1", "8.0.0.0/5", "2001:db8::/32", "2000::/3"] {
            assert!(wide(text), "{text}");
        }
        for text in ["10.0.0.0/8", "172.16.0.0/12", "203.0.113.0/24", "198.51.100.7", "fc00::/7", "2001:db8::/64"] {
            assert!(!wide(text), "{text}");
        }
        assert!(Network::parse("0.0.0.0/0").unwrap().is_everybody() && Network::parse("::/0").unwrap().is_everybody());
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "host", "::/129", "::1/0"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        assert_eq!(Network::parse("10.0.0.0/8").map(|network| network.to_string()).as_deref(), Some("10.0.0.0/8"));
    }
}
