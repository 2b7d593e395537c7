//! Dev keys and a certificate for the quickstart, under `.tollgate/`.

use super::write_private;
use crate::jose::{self, ContentEncryption};
use anyhow::Context as _;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The files of one dev set-up.
pub(super) struct DevKit {
    directory: PathBuf,
}

impl DevKit {
    /// The files under `directory`; those that are missing are made, those that are there are kept.
    pub(super) fn prepare(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
        let kit = Self { directory: directory.to_owned() };
        if !kit.signing_key().exists() {
            kit.write_signing_key()?;
        }
        if !kit.decryption_key().exists() {
            let key = generate("RSA-OAEP-256")?;
            write_private(&kit.decryption_key(), &pretty(&json!({ "keys": [key] }))?)?;
        }
        if !kit.admin_token().exists() {
            write_private(
                &kit.admin_token(),
                &format!("{}{}\n", super::token::random_id()?, super::token::random_id()?),
            )?;
        }
        if !kit.certificate().exists() {
            kit.write_certificate()?;
        }
        Ok(kit)
    }

    /// The issuer's private key.
    pub(super) fn signing_key(&self) -> PathBuf {
        self.directory.join("issuer.jwk")
    }

    /// The gateway's decryption key.
    pub(super) fn decryption_key(&self) -> PathBuf {
        self.directory.join("decrypt.jwks.json")
    }

    /// The gateway's certificate: its own root, so clients trust this file.
    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.join("edge.pem")
    }

    /// The admin token.
    pub(super) fn admin_token(&self) -> PathBuf {
        self.directory.join("admin.token")
    }

    fn write_signing_key(&self) -> anyhow::Result<()> {
        let key = generate("ES256")?;
        let public = jose::sign::public_jwk(&key).map_err(|error| anyhow::anyhow!("{error}"))?;
        write_private(&self.signing_key(), &pretty(&key)?)?;
        std::fs::write(self.directory.join("issuer.jwks.json"), pretty(&json!({ "keys": [public] }))?)?;
        Ok(())
    }

    fn write_certificate(&self) -> anyhow::Result<()> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let certificate = self_signed(&key)?;
        let pem = String::from_utf8(key.private_key_to_pem_pkcs8()?)?;
        write_private(&self.directory.join("edge.key"), &pem)?;
        std::fs::write(self.certificate(), certificate.to_pem()?)?;
        Ok(())
    }
}

fn generate(alg: &str) -> anyhow::Result<Value> {
    jose::sign::generate(alg, ContentEncryption::A256GCM).map_err(|error| anyhow::anyhow!("{error}"))
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// A certificate for localhost, good for 90 days.
fn self_signed(key: &PKey<Private>) -> anyhow::Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "tollgate dev")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(90)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    // Its own root: a browser or curl that is shown this file trusts exactly this one certificate.
    builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().key_cert_sign().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .ip("127.0.0.1")
        .ip("::1")
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}
