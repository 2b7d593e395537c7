//! Addresses: two sockets can't listen on the same one.

use crate::config::fault::Faults;
use crate::config::gather::{Written, placed};
use crate::config::schema::value::Address;
use crate::config::site::Site;
use std::net::SocketAddr;

/// The address written at `site`; `None` after a fault.
pub fn parse(address: Option<&Address>, site: &Site, faults: &mut Faults) -> Option<SocketAddr> {
    let parsed = address?.as_str().parse().ok();
    if parsed.is_none() {
        let remedy = "write an IP address and a port, such as `127.0.0.1:8443` or `[::1]:8443`";
        faults.push(site, "is not an address to listen on", remedy);
    }
    parsed
}

/// Notes addresses that take each other's place.
pub fn check(written: &Written, faults: &mut Faults) {
    let mut taken: Vec<(SocketAddr, Site)> = Vec::new();
    for (address, site) in all(written) {
        let Some(address) = address.as_str().parse::<SocketAddr>().ok() else { continue };
        match taken.iter().find(|(other, _)| clash(address, *other)) {
            Some((_, other)) => {
                let problem = format!("takes the address of {other}");
                faults.push(&site, problem, "choose another port, or two addresses that do not cover each other");
            }
            None => taken.push((address, site)),
        }
    }
}

/// Every address the gateway listens on.
fn all(written: &Written) -> Vec<(Address, Site)> {
    let listeners = placed(written.gateway.listeners.clone(), &written.root.key("listeners"));
    let admin = written.root.key("admin");
    let listening = listeners.into_iter().map(|item| (item.value.address, item.site.key("address")));
    let operating = written.gateway.admin.iter().flat_map(|section| {
        [
            (section.address.clone(), admin.key("address")),
            (section.metrics_address.clone(), admin.key("metrics_address")),
        ]
    });
    listening.chain(operating).filter_map(|(address, site)| Some((address?, site))).collect()
}

/// Port 0 asks the system for a free one. An unspecified address covers all of its family, and `[::]` both.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let covers =
        |wide: SocketAddr, other: SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_clashes_with_what_covers_it() {
        let clash = |a: &str, b: &str| clash(a.parse().expect("address"), b.parse().expect("address"));
        assert!(clash("127.0.0.1:1", "127.0.0.1:1"));
        assert!(clash("0.0.0.0:1", "127.0.0.1:1"));
        assert!(clash("127.0.0.1:1", "[::]:1"));
        assert!(!clash("127.0.0.1:1", "127.0.0.2:1"));
        assert!(!clash("[::1]:1", "0.0.0.0:1"));
        assert!(!clash("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!clash("127.0.0.1:1", "127.0.0.1:2"));
    }
}
