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
use crate::tls::{ClientCertificateMode, ClientCertificates};
use openssl::asn1::Asn1Time;
use openssl::x509::X509Crl;
use std::path::PathBuf;
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
    match ClientCertificates::new(mode, authorities?, crl.as_deref()) {
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

/// Where the lists of revoked certificates stand; `None` after a fault.
fn revocations(path: &FilePath, site: &Site, bench: &mut Workbench<'_>) -> Option<PathBuf> {
    let pem = bench.file(path.as_str(), MAX_CRL, site)?;
    let Ok(list) = X509Crl::from_pem(&pem) else {
        let problem = format!("names {path}, which holds no readable list of revoked certificates");
        bench.faults.push(site, problem, "name a PEM file with a CRL of each authority");
        return None;
    };
    let now = Asn1Time::from_unix(SystemClock.now().as_seconds()).ok();
    let ended = now.zip(list.next_update()).is_some_and(|(now, end)| *end < now);
    if ended {
        bench.warn(site, "is out of date: every client certificate is refused until it is renewed");
    }
    Some(files::locate(path.as_str(), site))
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
        if network.is_none() {
            let remedy = "write an address and a prefix that covers it, such as `10.0.0.0/8`";
            bench.faults.push(&place.index(index), "is no network", remedy);
        }
        networks.push(network);
    }
    Some((TrustedProxies::new(networks.into_iter().collect::<Option<_>>()?), tells))
}
