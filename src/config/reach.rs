//! What is legal and reaches further than its author may think: routes are served on every listener, an included file
//! can name any upstream, and a list of revocations can be one that nothing is put on.

use super::compile::StoreSettings;
use super::lint::{guard, routes};
use super::loaded::Loaded;
use super::site::Site;
use super::warning::Warning;
use crate::authn::RevocationPolicy;
use crate::proxy::{ListenerKind, ListenerSettings};
use crate::tls::ClientCertificateMode;
use std::net::IpAddr;

/// Adds the weaknesses of `loaded`.
pub fn lint(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    laxer_listeners(loaded, warnings);
    empty_lists(loaded, warnings);
    included_files(loaded, warnings);
}

/// No route belongs to a listener: what one of them keeps strangers from, they reach through the other.
fn laxer_listeners(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    let Some(root) = &loaded.places.root else { return };
    let Some(strict) = loaded.listeners.iter().find(|listener| demands_certificates(listener) == Some(true)) else {
        return;
    };
    for (index, listener) in loaded.listeners.iter().enumerate() {
        if demands_certificates(listener) == Some(false) {
            let site = root.key("listeners").index(index).key("tls");
            let weakness = format!("serves the routes of `{}` too, and to clients without a certificate", strict.name);
            warnings.push(Warning::new(&site, weakness));
        }
    }
}

/// Whether a listener serves only clients with a certificate; `None` where it serves nobody.
fn demands_certificates(listener: &ListenerSettings) -> Option<bool> {
    match &listener.kind {
        ListenerKind::Tls(tls) => {
            let asked = tls.client_certificates.as_ref();
            Some(asked.is_some_and(|clients| clients.mode() == ClientCertificateMode::Required))
        }
        ListenerKind::Redirect { .. } => None,
    }
}

/// A route that insists on a list to which nothing can be added.
fn empty_lists(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    if !matches!(loaded.store, StoreSettings::Embedded { .. }) || loaded.revocations.file.is_some() {
        return;
    }
    for (rule, site) in routes(loaded) {
        let place = site.key("access").key("revocation");
        let insists = guard(rule).is_some_and(|guard| guard.revocation == RevocationPolicy::Required);
        if insists && place.is_written() {
            let weakness = "is met by an empty list: without `store.revocations_file` nothing can be revoked";
            warnings.push(Warning::new(&place, weakness));
        }
    }
}

/// What a team's own file can do to others.
fn included_files(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    for (upstream, site) in loaded.upstreams.iter().zip(&loaded.places.upstreams).filter(|(_, site)| is_included(site))
    {
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            if is_of_this_machine(&endpoint.host) {
                let weakness = "leads to this machine or its own link, from an included file: what listens there may \
                                believe whoever reaches it";
                warnings.push(Warning::new(&site.key("endpoints").index(index), weakness));
            }
        }
    }
}

fn is_included(site: &Site) -> bool {
    site.document().order() > 0
}

/// Loopback, link-local (the address of cloud metadata services with it), or unspecified.
fn is_of_this_machine(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known() {
        for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "169.254.169.254", "fe80::1", "0.0.0.0"]
        {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in ["10.0.0.1", "192.0.2.1", "orders.internal", "2001:db8::1"] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }
}
