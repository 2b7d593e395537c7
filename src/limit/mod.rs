//! 3. How often: rates, lock-outs, and how many at once.
//!
//! What strangers can cause lives in bounded tables of this process that forget when they are full, so that nobody can
//! fill the shared store before showing a token.

pub mod in_flight;
pub mod lockout;
pub mod memory;
pub mod rate;
pub mod report;
mod table;

pub use in_flight::{InFlight, InFlightGuard};
pub use lockout::{LOCKOUT, Lockout, LockoutRule};
pub use memory::{Counted, LimitMemory};
pub use rate::{Per, RateRule, RateVerdict, Rates};
pub use report::RateReport;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one route limits.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How often requests may come.
    pub rate: Option<RateRule>,
    /// The largest request body, in bytes.
    pub body: Option<u64>,
    /// How many refused tokens lock a client out.
    pub failures: Option<LockoutRule>,
    /// How many requests may be under way at once.
    pub in_flight: Option<InFlight>,
}

/// The part of an address by which clients are told apart: IPv4 whole, IPv6 by /64, the smallest block a site is given
/// (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// One address.
    V4(Ipv4Addr),
    /// The upper 64 bits.
    V6(u64),
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(upper) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*upper) << 64)),
        }
    }
}

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        let upper = |address: Ipv6Addr| u64::try_from(address.to_bits() >> 64).unwrap_or_default();
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| Self::V6(upper(address)), Self::V4),
        }
    }
}

/// What is counted, folded to 64 bits under a secret of this process.
///
/// Two keys that fold alike share a counter: a nuisance at the odds of 2⁻⁶⁴, and nothing an outsider can aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitKey(u64);

/// Makes keys. One process has one.
#[derive(Clone, Debug, Default)]
pub struct Keyer(std::hash::RandomState);

impl Keyer {
    /// The key of `what` within `scope`: the number of a rule or a route, so that rules don't share counters.
    #[must_use]
    pub fn key(&self, scope: u64, what: impl Hash) -> LimitKey {
        use std::hash::BuildHasher as _;
        let mut hasher = self.0.build_hasher();
        scope.hash(&mut hasher);
        what.hash(&mut hasher);
        LimitKey(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_address_or_site() {
        let network = |text: &str| ClientNetwork::from(text.parse::<IpAddr>().unwrap());
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!(network("2001:db8::ffff").to_string(), "2001:db8::/64");
    }
}
