//! One certificate of a listener: a chain and its private key, proven to belong together when they are read.

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509Ref};
use pingora::utils::tls::CertKey;
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
    /// Neither a DNS name nor an address stands in the certificate, so no client could accept it.
    #[error("the certificate has no name in its subjectAltName")]
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
        if names.is_empty() && !has_address(&leaf) {
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

    /// The chain with its key as the engine wants it, to show upstreams who the gateway is.
    #[must_use]
    pub fn to_pair(&self) -> CertKey {
        let chain = std::iter::once(&self.leaf).chain(&self.intermediates).cloned();
        CertKey::new(chain.collect(), self.key.clone())
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

/// True for a certificate of an address, which only a client that names no server can ask for.
fn has_address(leaf: &X509Ref) -> bool {
    leaf.subject_alt_names().is_some_and(|names| names.iter().any(|name| name.ipaddress().is_some()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::rsa::Rsa;
    use openssl::x509::extension::SubjectAlternativeName;
    use openssl::x509::{X509Builder, X509NameBuilder};

    fn key() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    fn leaf(key: &PKey<Private>, common_name: &str, names: &[&str]) -> X509 {
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", common_name).unwrap();
        let subject = subject.build();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(&subject).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(1_700_000_000).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(1_800_000_000).unwrap()).unwrap();
        if !names.is_empty() {
            let mut alternatives = SubjectAlternativeName::new();
            for name in names {
                alternatives.dns(name);
            }
            let extension = alternatives.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(extension).unwrap();
        }
        builder.sign(key, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    fn certificate(names: &[&str]) -> Arc<Certificate> {
        let key = key();
        Arc::new(Certificate::new(vec![leaf(&key, "cn.test", names)], key).unwrap())
    }

    #[test]
    fn a_key_must_be_that_of_its_certificate() {
        let (own, foreign) = (key(), key());
        let leaf = leaf(&own, "a.test", &["a.test"]);
        assert_eq!(Certificate::new(vec![leaf.clone()], foreign).unwrap_err(), CertificateError::KeyMismatch);
        assert_eq!(Certificate::new(vec![], own.clone()).unwrap_err(), CertificateError::Empty);
        let made = Certificate::new(vec![leaf], own).unwrap();
        assert_eq!(made.expires_at(), Some(1_800_000_000));
        assert_eq!(format!("{made:?}"), r#"Certificate { names: ["a.test"], .. }"#);
    }

    #[test]
    fn a_weak_key_is_refused() {
        let weak = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
        let made = Certificate::new(vec![leaf(&weak, "a.test", &["a.test"])], weak);
        assert_eq!(made.unwrap_err(), CertificateError::WeakKey);
    }

    #[test]
    fn the_common_name_counts_only_where_there_is_no_other() {
        assert_eq!(certificate(&[]).names(), ["cn.test"]);
        assert_eq!(certificate(&["A.test"]).names(), ["a.test"]);
    }

    #[test]
    fn an_exact_name_beats_a_wildcard_which_covers_one_label() {
        let table = CertificateTable::new(vec![certificate(&["*.test"]), certificate(&["a.test"])]);
        let found = |name| table.find(name).map(|found| found.names()[0].clone());
        assert_eq!(found("a.test").as_deref(), Some("a.test"));
        assert_eq!(found("A.TEST.").as_deref(), Some("a.test"));
        assert_eq!(found("b.test").as_deref(), Some("*.test"));
        assert_eq!(found("c.b.test"), None);
        assert_eq!(found("test"), None);
        assert_eq!(table.default_certificate().unwrap().names(), ["*.test"]);
    }
}
