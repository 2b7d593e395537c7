//! One certificate of a listener: a chain and its private key, proven to belong together when they are read.

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509Ref};
use std::fmt;
use std::sync::Arc;

/// A certificate chain with the private key of its first certificate.
#[derive(Clone)]
pub struct Certificate {
    leaf: X509,
    intermediates: Vec<X509>,
    key: PKey<Private>,
    names: Vec<String>,
}

/// Why a chain and a key are no certificate of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The chain holds no certificate.
    #[error("the chain holds no certificate")]
    Empty,
    /// The private key belongs to another certificate.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
    /// No DNS name stands in the certificate, so no handshake could ask for it.
    #[error("the certificate has no DNS name in its subjectAltName")]
    Nameless,
    /// The certificate's key is too weak for TLS to accept.
    #[error("the certificate's key is too weak: RSA needs 2048 bits or more")]
    WeakKey,
}

impl Certificate {
    /// Joins `chain`, the server's own certificate first (RFC 8446 §4.4.2), with its private `key`.
    pub fn new(chain: Vec<X509>, key: PKey<Private>) -> Result<Self, CertificateError> {
        let mut chain = chain.into_iter();
        let leaf = chain.next().ok_or(CertificateError::Empty)?;
        let public = leaf.public_key().map_err(|_| CertificateError::KeyMismatch)?;
        if !public.public_eq(&key) {
            return Err(CertificateError::KeyMismatch);
        }
        if public.rsa().is_ok_and(|rsa| rsa.size() < 256) {
            return Err(CertificateError::WeakKey);
        }
        let names = dns_names(&leaf);
        if names.is_empty() {
            return Err(CertificateError::Nameless);
        }
        Ok(Self { leaf, intermediates: chain.collect(), key, names })
    }

    /// The server's own certificate.
    #[must_use]
    pub fn leaf(&self) -> &X509 {
        &self.leaf
    }

    /// The certificates that lead from the leaf towards the root.
    #[must_use]
    pub fn intermediates(&self) -> &[X509] {
        &self.intermediates
    }

    /// The private key. Its only reader is the handshake.
    #[must_use]
    pub(super) fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// The DNS names the certificate is good for, lower-case; `*.` stands for one label (RFC 6125 §6.4.3).
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The moment after which clients refuse the certificate, in seconds since the Unix epoch.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        let epoch = Asn1Time::from_unix(0).ok()?;
        let span = epoch.diff(self.leaf.not_after()).ok()?;
        Some(i64::from(span.days) * 86_400 + i64::from(span.secs))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The DNS entries of the subjectAltName; a certificate of the old kind is known by its common name.
fn dns_names(leaf: &X509Ref) -> Vec<String> {
    if let Some(alternatives) = leaf.subject_alt_names() {
        return alternatives.iter().filter_map(|name| name.dnsname()).map(canonical).collect();
    }
    let common = leaf.subject_name().entries_by_nid(Nid::COMMONNAME).next();
    common.and_then(|entry| entry.data().to_string().ok()).map(|name| canonical(&name)).into_iter().collect()
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The names of a listener's certificates: which certificate answers which server name.
#[derive(Debug, Default)]
pub struct CertificateTable {
    certificates: Vec<Arc<Certificate>>,
}

impl CertificateTable {
    /// A table of `certificates`; the first is the default.
    #[must_use]
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Self {
        Self { certificates }
    }

    /// The certificate for `server_name`: one that names it exactly, else one whose wildcard covers it.
    #[must_use]
    pub fn find(&self, server_name: &str) -> Option<&Arc<Certificate>> {
        let wanted = canonical(server_name);
        let parent = wanted.split_once('.').map(|(_, parent)| parent);
        let exact = |certificate: &&Arc<Certificate>| certificate.names.contains(&wanted);
        let wildcard = |certificate: &&Arc<Certificate>| {
            let covers = |name: &String| name.strip_prefix("*.").is_some_and(|base| Some(base) == parent);
            certificate.names.iter().any(covers)
        };
        self.certificates.iter().find(exact).or_else(|| self.certificates.iter().find(wildcard))
    }

    /// The certificate for a handshake that names no server, or one we do not know.
    #[must_use]
    pub fn default_certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificates.first()
    }

    /// Every certificate, the default first.
    #[must_use]
    pub fn all(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }
}
