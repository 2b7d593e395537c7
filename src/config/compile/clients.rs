//! What a listener believes of its clients: their certificates, and the word of proxies in front of it.

use super::{Workbench, certificates};
use crate::clock::{Clock as _, SystemClock};
use crate::config::files;
use crate::config::schema::listeners::{
    CertificateHeader, ClientCertificateMode as WrittenMode, ClientCertificates as Written, Listener,
};
use crate::config::schema::value::FilePath;
use crate::config::site::Site;
use crate::proxy::{Network, TrustedProxies};
use crate::tls::{ClientCertificateMode, ClientCertificates, RevocationLists};
use std::sync::Arc;

/// The largest file of revoked certificates.
const MAX_CRL: usize = 16 << 20;

/// What the clients of a listener must show; `None` if nothing, and after a fault.
pub fn certificates(
    written: Option<&Written>,
    site: &Site,
    bench: &mut Workbench<'_>,
) -> Option<Arc<ClientCertificates>> {
    let written = written?;
    let mode = match written.mode? {
        WrittenMode::Optional => ClientCertificateMode::Optional,
        WrittenMode::Required => ClientCertificateMode::Required,
        WrittenMode::None => {
            unused(written, site, bench);
            return None;
        }
    };
    let Some(ca) = &written.ca else {
        let remedy = "write the PEM file with the authorities that issue the clients' certificates";
        bench.faults.push_missing(&site.key("ca"), "is missing", remedy);
        return None;
    };
    let authorities = certificates::stack(ca, &site.key("ca"), bench);
    let crl = written.crl.as_ref().and_then(|path| revocations(path, &site.key("crl"), bench));
    let authorities = authorities?;
    if let Some(authority) = crl.as_ref().and_then(|lists| lists.lacks(&authorities)) {
        let name = authority.issuer_name().entries().last().and_then(|entry| entry.data().to_string().ok());
        let weakness = format!(
            "lacks the list of `{}`, or `ca` its certificate: an authority that it has revoked is still believed",
            name.unwrap_or_default()
        );
        bench.warn(&site.key("crl"), weakness);
    }
    match ClientCertificates::new(mode, authorities, crl.as_ref()) {
        Ok(clients) => Some(Arc::new(clients)),
        Err(error) => {
            bench.faults.push(site, error.to_string(), "name PEM files with certificates and with their lists");
            None
        }
    }
}

/// Where nobody is asked, authorities have no use; a file named in vain is a slip.
fn unused(written: &Written, site: &Site, bench: &mut Workbench<'_>) {
    for (key, file) in [("ca", &written.ca), ("crl", &written.crl)] {
        if file.is_some() {
            let remedy = "remove it, or write `mode: optional` or `mode: required`";
            bench.faults.push(&site.key(key), "has no use: clients are not asked for a certificate", remedy);
        }
    }
}

/// The lists of revoked certificates; `None` after a fault.
fn revocations(path: &FilePath, site: &Site, bench: &mut Workbench<'_>) -> Option<RevocationLists> {
    let pem = bench.file(path.as_str(), MAX_CRL, site)?;
    let Some(lists) = RevocationLists::read(files::locate(path.as_str(), site), pem) else {
        let problem = format!("names {path}, which holds no readable list of revoked certificates");
        bench.faults.push(site, problem, "name a PEM file with a CRL of each authority");
        return None;
    };
    if lists.has_ended(SystemClock.now().as_seconds()) {
        bench.warn(site, "is out of date: client certificates are refused until it is renewed");
    }
    Some(lists)
}

/// The proxies that are believed, and whether they tell certificates; `None` after a fault.
pub fn proxies(listener: &Listener, site: &Site, bench: &mut Workbench<'_>) -> Option<(TrustedProxies, bool)> {
    let tells = matches!(listener.client_certificate_header, Some(CertificateHeader::ClientCert));
    let place = site.key("trusted_proxies");
    let Some(list) = &listener.trusted_proxies else {
        if tells {
            let remedy = "write the networks of the proxies, such as `[10.0.0.0/8]`: anybody can send the header";
            bench.faults.push_missing(&place, "is missing beside `client_certificate_header`", remedy);
        }
        if listener.proxy_protocol == Some(true) && listener.tls.is_some() {
            let remedy = "write the networks of the balancers, such as `[10.0.0.0/8]`: from anybody else it is refused";
            bench.faults.push_missing(&place, "is missing beside `proxy_protocol`", remedy);
            return None;
        }
        return (!tells).then(Default::default);
    };
    let mut networks = Vec::new();
    for (index, written) in list.iter() {
        let network = Network::parse(written.as_str());
        let place = place.index(index);
        match network {
            None => {
                let remedy = "write an address and a prefix that covers it, such as `10.0.0.0/8`";
                bench.faults.push(&place, "is no network", remedy);
            }
            Some(network) if network.is_everybody() => {
                let remedy = "write the networks of the proxies, such as `10.0.0.0/8`";
                bench.faults.push(&place, "believes everybody, who could then claim to be anybody", remedy);
            }
            Some(network) if network.is_wide() => {
                bench.warn(
                    &place,
                    "reaches beyond private networks: whoever has an address there can claim to be anybody",
                );
            }
            Some(_) => {}
        }
        networks.push(network);
    }
    Some((TrustedProxies::new(networks.into_iter().collect::<Option<_>>()?), tells))
}
