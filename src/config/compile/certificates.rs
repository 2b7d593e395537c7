//! Certificates and authorities out of PEM files.

use super::Workbench;
use crate::config::schema::listeners::Certificate as Written;
use crate::config::schema::value::FilePath;
use crate::config::site::Site;
use crate::tls::Certificate;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use std::sync::Arc;

/// The largest PEM file read: a bundle of all public authorities has 250 KiB.
pub const MAX_PEM: usize = 1 << 20;

/// The certificate written at `site`, its key proven to belong to it; `None` after a fault.
pub fn certificate(written: &Written, site: &Site, bench: &mut Workbench<'_>) -> Option<Arc<Certificate>> {
    let chain = written.chain.as_ref().and_then(|chain| stack(chain, &site.key("chain"), bench));
    let key = private_key(written, &site.key("key"), bench);
    match Certificate::new(chain?, key?) {
        Ok(certificate) => Some(Arc::new(certificate)),
        Err(error) => {
            let remedy = "write the chain of one certificate, the server's own first, and the key that belongs to it";
            bench.faults.push(site, format!("can't be used: {error}"), remedy);
            None
        }
    }
}

/// A chain and the key of its first certificate, whatever names stand in it: what a client shows; `None` after a fault.
pub fn pair(written: &Written, site: &Site, bench: &mut Workbench<'_>) -> Option<(Vec<X509>, PKey<Private>)> {
    let chain = written.chain.as_ref().and_then(|chain| stack(chain, &site.key("chain"), bench));
    let key = private_key(written, &site.key("key"), bench);
    let (chain, key) = (chain?, key?);
    let belongs = chain.first().and_then(|own| own.public_key().ok()).is_some_and(|public| public.public_eq(&key));
    if !belongs {
        let remedy = "write the chain of one certificate, the gateway's own first, and the key that belongs to it";
        bench.faults.push(site, "can't be used: the key belongs to another certificate", remedy);
        return None;
    }
    Some((chain, key))
}

/// The certificates of a PEM file, at least one; `None` after a fault at `site`.
pub fn stack(path: &FilePath, site: &Site, bench: &mut Workbench<'_>) -> Option<Vec<X509>> {
    let pem = bench.file(path.as_str(), MAX_PEM, site)?;
    let certificates = X509::stack_from_pem(&pem).unwrap_or_default();
    if certificates.is_empty() {
        let problem = format!("names {path}, which holds no readable certificate");
        bench.faults.push(site, problem, "name a PEM file with one certificate or more");
        return None;
    }
    Some(certificates)
}

fn private_key(written: &Written, site: &Site, bench: &mut Workbench<'_>) -> Option<PKey<Private>> {
    let reference = written.key.as_ref()?;
    let pem = bench.secret(reference, site)?;
    // Without a callback of our own, OpenSSL would ask the terminal for the passphrase of an encrypted key.
    let key = PKey::private_key_from_pem_callback(pem.expose(), |_| Ok(0)).ok();
    if key.is_none() {
        let problem = format!("names `{reference}`, which holds no readable private key");
        bench.faults.push(site, problem, "put a private key in PEM there, not encrypted");
    }
    key
}
