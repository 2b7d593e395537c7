//! `admin` → the admin room's settings.

use super::{Workbench, addresses, certificates};
use crate::admin::AdminSettings;
use crate::config::gather::Written;
use crate::config::schema::admin::AdminTls;
use crate::config::schema::listeners::Certificate;
use crate::config::schema::value::{FilePath, SecretRef};
use crate::config::site::Site;
use crate::secret::Secret;
use crate::tls::{ClientCertificateMode, ClientCertificates, TlsSettings, TlsVersion, UnknownSni};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Where the admin API listens if nothing is written.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The shortest admin token, in bytes: what 256 random bits need at least.
const MIN_TOKEN: usize = 32;

/// Compiles `admin`.
pub fn compile(written: &Written, bench: &mut Workbench<'_>) -> Option<AdminSettings> {
    let site = written.root.key("admin");
    let Some(admin) = &written.gateway.admin else {
        return Some(AdminSettings { address: DEFAULT_ADDRESS, tls: None, metrics_address: None, token: None });
    };
    let address = addresses::parse(admin.address.as_ref(), &site.key("address"), bench.faults);
    if admin.tls.is_none() && address.is_some_and(|address| !address.ip().is_loopback()) {
        let remedy = "write `tls`, or a loopback address such as `127.0.0.1:9901` and `metrics_address` for scrapers";
        bench.faults.push(&site.key("address"), "is reachable from outside, without TLS", remedy);
    }
    let token = admin.token.as_ref().and_then(|token| admin_token(token, &site.key("token"), bench));
    let metrics_address = addresses::parse(admin.metrics_address.as_ref(), &site.key("metrics_address"), bench.faults);
    let tls = match &admin.tls {
        Some(tls) => Some(admin_tls(tls, &site.key("tls"), bench)?),
        None => None,
    };
    Some(AdminSettings { address: address?, tls, metrics_address, token })
}

/// The TLS of the API; `None` after a fault.
fn admin_tls(written: &AdminTls, site: &Site, bench: &mut Workbench<'_>) -> Option<TlsSettings> {
    let AdminTls { chain, key, client_ca } = written;
    let pair = Certificate { chain: chain.clone(), key: key.clone() };
    let certificate = certificates::certificate(&pair, site, bench);
    let clients = match client_ca {
        Some(path) => Some(operators(path, &site.key("client_ca"), bench)?),
        None => None,
    };
    Some(TlsSettings {
        certificates: vec![certificate?],
        min_version: TlsVersion::V1_2,
        // Operators often come by an address or through a forwarded port.
        unknown_sni: UnknownSni::Default,
        client_certificates: clients,
        ocsp_staple: None,
    })
}

fn operators(path: &FilePath, site: &Site, bench: &mut Workbench<'_>) -> Option<Arc<ClientCertificates>> {
    let authorities = certificates::stack(path, site, bench)?;
    match ClientCertificates::new(ClientCertificateMode::Required, authorities, None) {
        Ok(clients) => Some(Arc::new(clients)),
        Err(error) => {
            bench.faults.push(site, error.to_string(), "name a PEM file with certificates of authorities");
            None
        }
    }
}

fn admin_token(reference: &SecretRef, site: &Site, bench: &mut Workbench<'_>) -> Option<Secret<String>> {
    let bytes = bench.secret_line(reference, site)?;
    let long_enough = bytes.expose().len() >= MIN_TOKEN;
    if !long_enough {
        let problem = format!("names `{reference}`, which is shorter than {MIN_TOKEN} bytes");
        bench.faults.push(site, problem, "put a random token there, such as that of `openssl rand -hex 32`");
    }
    // What a client sends in a header (RFC 6750 §2.1) could never equal anything else.
    let sendable = bytes.expose().iter().all(u8::is_ascii_graphic);
    if !sendable {
        let problem = format!("names `{reference}`, which holds more than visible ASCII");
        bench.faults.push(site, problem, "put a random token there, such as that of `openssl rand -hex 32`");
    }
    let text = String::from_utf8(bytes.expose().clone()).ok()?;
    (long_enough && sendable).then(|| Secret::new(text))
}
