//! `listeners` → the proxy's and the tls room's settings.

use super::names::Names;
use super::{Workbench, addresses, certificates, clients};
use crate::config::gather::{Placed, Written};
use crate::config::schema::listeners::{
    Listener, ListenerTls, Scheme as WrittenScheme, TlsVersion as WrittenVersion, UnknownSni as WrittenSni,
};
use crate::config::schema::value::Name;
use crate::config::site::Site;
use crate::proxy::{ListenerKind, ListenerSettings, PublicAddress, Scheme};
use crate::tls::{OcspStaple, TlsSettings, TlsVersion, UnknownSni};
use std::net::SocketAddr;
use std::sync::Arc;

/// The largest OCSP response that is read. One is sent with every handshake.
const MAX_STAPLE: usize = 16 * 1024;

/// Compiles `listeners`; `None` after a fault.
pub fn compile(_: &Written, names: &Names, bench: &mut Workbench<'_>) -> Option<Vec<ListenerSettings>> {
    // All of them are compiled before the first failure counts: every fault is wanted.
    let compiled: Vec<_> = names.listeners.iter().map(|listener| compile_one(listener, names, bench)).collect();
    compiled.into_iter().collect()
}

fn compile_one(listener: &Placed<Listener>, names: &Names, bench: &mut Workbench<'_>) -> Option<ListenerSettings> {
    let (site, value) = (&listener.site, &listener.value);
    let address = addresses::parse(value.address.as_ref(), &site.key("address"), bench.faults);
    let kind = match (&value.tls, &value.redirect_to) {
        (Some(tls), redirect_to) => {
            if redirect_to.is_some() {
                bench.faults.push(&site.key("redirect_to"), "stands beside `tls`", "keep one of the two");
            }
            tls_settings(tls, &site.key("tls"), bench).map(ListenerKind::Tls)
        }
        (None, Some(target)) => redirect(listener, target, names, bench),
        (None, None) => {
            if !site.key("tls").is_written() && !site.key("redirect_to").is_written() {
                let remedy = "write `tls:` with `certificates`, or `redirect_to:` and the name of a listener with TLS";
                bench.faults.push(site, "would take tokens in clear text", remedy);
            }
            None
        }
    };
    let proxies = clients::proxies(value, site, bench);
    let public = public_address(value, address?, site, bench);
    let (trusted_proxies, client_certificate_header) = proxies?;
    Some(ListenerSettings {
        name: value.name.as_ref()?.as_str().into(),
        address: address?,
        http2: value.http2.unwrap_or(true) && value.tls.is_some(),
        public,
        trusted_proxies,
        client_certificate_header,
        proxy_protocol: value.proxy_protocol.unwrap_or(false),
        kind: kind?,
    })
}

fn tls_settings(tls: &ListenerTls, site: &Site, bench: &mut Workbench<'_>) -> Option<TlsSettings> {
    let clients = clients::certificates(tls.client_certificates.as_ref(), &site.key("client_certificates"), bench);
    let staple = site.key("ocsp_staple");
    let response = tls.ocsp_staple.as_ref().map(|path| bench.file(path.as_str(), MAX_STAPLE, &staple));
    let site = site.key("certificates");
    let listed = tls.certificates.as_ref()?;
    let read: Vec<_> =
        listed.iter().map(|(index, one)| certificates::certificate(one, &site.index(index), bench)).collect();
    let certificates: Vec<_> = read.into_iter().collect::<Option<_>>()?;
    let ocsp_staple = match response {
        None => None,
        Some(response) => Some(Arc::new(OcspStaple::new(response?, &certificates))),
    };
    if let Some(fault) = ocsp_staple.as_ref().and_then(|staple| staple.fault()) {
        bench.warn(&staple, format!("is not stapled: {fault}"));
    }
    Some(TlsSettings {
        certificates,
        min_version: match tls.min_version {
            None | Some(WrittenVersion::Tls12) => TlsVersion::V1_2,
            Some(WrittenVersion::Tls13) => TlsVersion::V1_3,
        },
        unknown_sni: match tls.unknown_sni {
            None | Some(WrittenSni::Reject) => UnknownSni::Reject,
            Some(WrittenSni::Default) => UnknownSni::Default,
        },
        client_certificates: clients,
        ocsp_staple,
    })
}

fn redirect(
    listener: &Placed<Listener>,
    target: &Name,
    names: &Names,
    bench: &mut Workbench<'_>,
) -> Option<ListenerKind> {
    let site = &listener.site;
    for key in ["http2", "public", "client_certificate_header", "proxy_protocol", "trusted_proxies"] {
        if site.key(key).is_written() {
            bench.faults.push(&site.key(key), "has no meaning on a listener that redirects", "remove it");
        }
    }
    let place = site.key("redirect_to");
    let found = names.listeners.get(names.listener(target, &place, bench.faults)?)?;
    if found.value.tls.is_none() && !found.site.key("tls").is_written() {
        let problem = format!("names listener `{target}`, which has no TLS");
        bench.faults.push(&place, problem, "name a listener with `tls`");
        return None;
    }
    let address: SocketAddr = found.value.address.as_ref()?.as_str().parse().ok()?;
    let port = found.value.public.as_ref().and_then(|public| public.port).unwrap_or(address.port());
    Some(ListenerKind::Redirect { to: port })
}

fn public_address(listener: &Listener, address: SocketAddr, site: &Site, bench: &mut Workbench<'_>) -> PublicAddress {
    let as_listened = if listener.tls.is_some() { Scheme::Https } else { Scheme::Http };
    let written = listener.public.as_ref();
    let scheme = match written.and_then(|public| public.scheme) {
        None => as_listened,
        Some(WrittenScheme::Http) => Scheme::Http,
        Some(WrittenScheme::Https) => Scheme::Https,
    };
    if scheme != as_listened {
        bench.warn(&site.key("public").key("scheme"), "clients send their tokens in clear text as far as the balancer");
    }
    PublicAddress { scheme, port: written.and_then(|public| public.port).unwrap_or(address.port()) }
}
