//! A certification authority for tests, and the certificates it issues.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509CrlBuilder, X509Extension, X509Name, X509NameBuilder, X509RevokedBuilder};

/// A self-signed authority with a P-256 key.
#[derive(Clone)]
pub struct Authority {
    pub certificate: X509,
    key: PKey<Private>,
}

/// Where a certificate and its key were written, as PEM.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = new_key();
        let subject = common_name(name);
        let mut builder = begin(&subject, &subject, &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    /// An authority that this one vouches for.
    pub fn subordinate(&self, name: &str) -> Self {
        let key = new_key();
        let mut builder = begin(&common_name(name), self.certificate.subject_name(), &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    /// A server certificate for `names`: host names, wildcards or IP addresses. The first is also its subject.
    pub fn issue(&self, names: &[&str]) -> (X509, PKey<Private>) {
        self.issue_until(names, &Asn1Time::days_from_now(1).unwrap())
    }

    /// The same, which ends at a moment.
    pub fn issue_until(&self, names: &[&str], end: &Asn1Time) -> (X509, PKey<Private>) {
        let key = new_key();
        let mut builder = begin(&common_name(names[0]), self.certificate.subject_name(), &key);
        builder.set_not_after(end).unwrap();
        let mut alternatives = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<std::net::IpAddr>().is_ok() {
                alternatives.ip(name)
            } else {
                alternatives.dns(name)
            };
        }
        let alternatives = alternatives.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
        builder.append_extension(alternatives).unwrap();
        builder.append_extension(BasicConstraints::new().critical().build().unwrap()).unwrap();
        builder.append_extension(ExtendedKeyUsage::new().server_auth().client_auth().build().unwrap()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        (builder.build(), key)
    }

    /// Issues a certificate and writes it as `STEM.pem` and `STEM.key` into `directory`.
    pub fn write(&self, directory: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
        let (certificate, key) = self.issue(names);
        let files = CertificateFiles {
            chain: directory.join(format!("{stem}.pem")),
            key: directory.join(format!("{stem}.key")),
        };
        fs::write(&files.chain, certificate.to_pem().unwrap()).unwrap();
        fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        files
    }

    /// A list, good for a day, that revokes these certificates, as PEM.
    pub fn revocations(&self, revoked: &[&X509]) -> Vec<u8> {
        let mut builder = X509CrlBuilder::new().unwrap();
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        builder.set_last_update(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_next_update(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        // A key identifier, which nobody compares because the authority's certificate has none; and number 1.
        builder.append_extension(extension("2.5.29.35", &[0x30, 3, 0x80, 1, 1])).unwrap();
        builder.append_extension(extension("2.5.29.20", &[2, 1, 1])).unwrap();
        for certificate in revoked {
            let mut entry = X509RevokedBuilder::new().unwrap();
            entry.set_serial_number(certificate.serial_number()).unwrap();
            entry.set_revocation_date(&Asn1Time::days_from_now(0).unwrap()).unwrap();
            builder.add_revoked(entry.build()).unwrap();
        }
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        builder.build().unwrap().to_pem().unwrap()
    }

    /// The authority's own certificate, for a client to trust.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}

fn extension(oid: &str, der: &[u8]) -> X509Extension {
    let (oid, der) = (Asn1Object::from_str(oid).unwrap(), Asn1OctetString::new_from_bytes(der).unwrap());
    X509Extension::new_from_der(&oid, false, &der).unwrap()
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn common_name(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

/// Version, serial number, a day of validity, subject, issuer and key.
fn begin(subject: &X509Name, issuer: &openssl::x509::X509NameRef, key: &PKey<Private>) -> X509Builder {
    let mut serial = BigNum::new().unwrap();
    serial.rand(127, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
}
