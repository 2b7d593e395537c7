//! What a URL's host says of its place, before and after its name was resolved.

use crate::issuer::address::{AddressClass, AddressRule, class};
use reqwest::Url;
use std::net::IpAddr;

/// The place a URL's host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This very host, by address or by name.
    Loopback,
    /// An address.
    Address(IpAddr),
    /// A name that must be resolved.
    Name,
}

impl Place {
    /// `Url` has brought every spelling of an address (hexadecimal, octal, one number) into its one form already.
    pub(super) fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse::<IpAddr>() {
            Ok(address) if class(address) == AddressClass::Loopback => Self::Loopback,
            Ok(address) => Self::Address(address),
            Err(_) if is_localhost(host) => Self::Loopback,
            Err(_) => Self::Name,
        }
    }
}

/// Whether `address`, to which `name` resolved, may be connected to. A name of this host never leads elsewhere,
/// whatever a resolver says: plain http is spoken to it.
pub(super) fn admits(rule: AddressRule, name: &str, address: IpAddr) -> bool {
    rule.admits(address) && (!is_localhost(name) || class(address) == AddressClass::Loopback)
}

/// Whether a name stands for this very host (RFC 6761 §6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_this_host_leads_nowhere_else() {
        let rule = AddressRule { loopback: true, private: true };
        for name in ["localhost", "LOCALHOST.", "idp.localhost"] {
            assert!(admits(rule, name, "127.0.0.1".parse().unwrap()), "{name}");
            assert!(!admits(rule, name, "10.0.0.1".parse().unwrap()), "{name}");
            assert!(!admits(rule, name, "1.1.1.1".parse().unwrap()), "{name}");
        }
        assert!(admits(rule, "notlocalhost", "1.1.1.1".parse().unwrap()));
    }
}
