//! Which network addresses keys may be fetched from: the guard against server-side request forgery.
//!
//! An issuer's metadata names the next address to ask, and DNS answers change. Without a guard a lying issuer could
//! make the gateway talk to its own host, to the cloud's metadata service or to a neighbour. The rule is asked about
//! the *resolved* addresses, and those alone are connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// The public Internet.
    Public,
    /// A network of one's own, or the link: RFC 1918, 4193, 6598 and 3927.
    Private,
    /// This very host (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Loopback,
    /// Nowhere a key server can be: unspecified, multicast, reserved, documentation, cloud metadata.
    Never,
}

/// Where a source may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressRule {
    /// Loopback: only where the operator configured a loopback URL.
    pub loopback: bool,
    /// Private and link-local addresses: only where the operator allowed them.
    pub private: bool,
}

impl AddressRule {
    /// True when the address may be connected to.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        match class(address) {
            AddressClass::Public => true,
            AddressClass::Private => self.private,
            AddressClass::Loopback => self.loopback,
            AddressClass::Never => false,
        }
    }
}

/// Where the great clouds answer any process of a machine with its credentials. The link-local one is here too, so
/// that allowing private addresses does not open it.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, GCP and most others
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's wire server
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), // AWS
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), // GCP
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // OpenStack
];

/// Networks that are not the public Internet, each with its class (IANA special-purpose registries, RFC 6890). The
/// first that holds an address counts.
const V4: [(Ipv4Addr, u32, AddressClass); 15] = {
    use AddressClass::{Loopback, Never, Private};
    [
        (Ipv4Addr::new(127, 0, 0, 0), 8, Loopback),
        (Ipv4Addr::new(10, 0, 0, 0), 8, Private),
        (Ipv4Addr::new(172, 16, 0, 0), 12, Private),
        (Ipv4Addr::new(192, 168, 0, 0), 16, Private),
        (Ipv4Addr::new(100, 64, 0, 0), 10, Private), // carriers' NAT, and many overlay networks
        (Ipv4Addr::new(169, 254, 0, 0), 16, Private), // link-local
        (Ipv4Addr::UNSPECIFIED, 8, Never),           // "this network": Linux takes 0.0.0.0 for itself
        (Ipv4Addr::new(192, 0, 0, 0), 24, Never),    // protocol assignments; Oracle's metadata
        (Ipv4Addr::new(192, 0, 2, 0), 24, Never),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24, Never),  // 6to4 relays
        (Ipv4Addr::new(198, 18, 0, 0), 15, Never),   // benchmarks
        (Ipv4Addr::new(198, 51, 100, 0), 24, Never), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24, Never),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4, Never),     // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4, Never),     // reserved, broadcast
    ]
};

/// The class of an address. A v6 address that carries a v4 one is as good as what it carries, and no better.
#[must_use]
pub fn class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

fn class_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) {
        return AddressClass::Never;
    }
    let holds = |(network, bits, _): &&(Ipv4Addr, u32, AddressClass)| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= *bits
    };
    V4.iter().find(holds).map_or(AddressClass::Public, |(_, _, class)| *class)
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&address) {
        return AddressClass::Never;
    }
    if address == Ipv6Addr::LOCALHOST {
        return AddressClass::Loopback;
    }
    if let Some(v4) = embedded_v4(address) {
        return class_v4(v4);
    }
    match address.segments() {
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 => AddressClass::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressClass::Never, // documentation
        [0x2001, second, ..] if second < 0x0200 => AddressClass::Never,        // Teredo and other assignments
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Never, // nothing else is assigned: unspecified, multicast, site-local, discard
    }
}

/// The v4 address inside: mapped (RFC 4291 §2.5.5.2), translated (RFC 2765, RFC 6052, RFC 8215) or 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(text: &str) -> AddressClass {
        class(text.parse().unwrap())
    }

    #[test]
    fn the_public_internet_is_open() {
        for text in ["1.1.1.1", "9.255.255.255", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2001:4860::8844"] {
            assert_eq!(class_of(text), AddressClass::Public, "{text}");
        }
    }

    #[test]
    fn private_networks_and_the_link_are_private() {
        for text in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1"] {
            assert_eq!(class_of(text), AddressClass::Private, "{text}");
        }
        for text in ["fc00::1", "fd12::1", "fe80::1", "febf::1"] {
            assert_eq!(class_of(text), AddressClass::Private, "{text}");
        }
    }

    #[test]
    fn metadata_services_stay_closed_even_where_private_is_allowed() {
        let everything = AddressRule { loopback: true, private: true };
        for text in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"] {
            assert!(!everything.admits(text.parse().unwrap()), "{text}");
        }
        for text in
            ["fd00:ec2::254", "fe80::a9fe:a9fe", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"]
        {
            assert!(!everything.admits(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_v4_address_in_v6_clothes_is_still_what_it_is() {
        for (text, class) in [
            ("::ffff:127.0.0.1", AddressClass::Loopback),
            ("::ffff:10.0.0.1", AddressClass::Private),
            ("::ffff:0:10.0.0.1", AddressClass::Private),
            ("64:ff9b::7f00:1", AddressClass::Loopback),
            ("2002:c0a8:101::1", AddressClass::Private),
            ("::ffff:1.1.1.1", AddressClass::Public),
            ("::127.0.0.1", AddressClass::Never),
            ("64:ff9b:1::7f00:1", AddressClass::Never),
        ] {
            assert_eq!(class_of(text), class, "{text}");
        }
    }

    #[test]
    fn nowhere_is_never_allowed() {
        for text in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1"] {
            assert_eq!(class_of(text), AddressClass::Never, "{text}");
        }
        for text in ["::", "ff02::1", "2001::1", "2001:db8::1", "3fff::1", "fec0::1", "100::1", "4000::1"] {
            assert_eq!(class_of(text), AddressClass::Never, "{text}");
        }
    }

    #[test]
    fn loopback_and_private_each_need_their_leave() {
        let (loopback, private) = ("127.8.8.8".parse().unwrap(), "10.1.1.1".parse().unwrap());
        for (rule, admits) in [
            (AddressRule { loopback: false, private: false }, (false, false)),
            (AddressRule { loopback: true, private: false }, (true, false)),
            (AddressRule { loopback: false, private: true }, (false, true)),
        ] {
            assert_eq!((rule.admits(loopback), rule.admits(private)), admits);
        }
        assert!(AddressRule { loopback: true, private: false }.admits("::1".parse().unwrap()));
    }
}
