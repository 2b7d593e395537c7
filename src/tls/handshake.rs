//! The handshake: which certificate answers, and what the request later learns of its connection.

use super::client_certificates::ClientCertificates;
use super::presented::PresentedCertificate;
use super::{Certificate, CertificateTable, OcspStaple, TlsSettings, TlsVersion, UnknownSni};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use openssl::error::ErrorStack;
use openssl::ssl::{NameType, SslOptions, SslRef, SslVersion};
use pingora::listeners::tls::TlsSettings as EngineSettings;
use pingora::listeners::{ALPN, TlsAccept};
use pingora::tls::ext;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What a connection carries along after its handshake, for every request on it.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The position of the listener in the configuration.
    pub listener: usize,
    /// The server name the client asked for (RFC 6066 §3), lower-case, without a trailing dot.
    pub server_name: Option<Arc<str>>,
    /// The client's certificate, where the listener asks for one and it was verified.
    pub client_certificate: Option<Arc<PresentedCertificate>>,
    /// How many requests of the connection have reached the gateway.
    pub heard: Arc<AtomicUsize>,
}

/// How a handshake ended, as counted in `tollgate_tls_handshakes_total`.
pub type OnHandshake = Arc<dyn Fn(&str, HandshakeResult) + Send + Sync>;

/// The result of one handshake, as far as it can be seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeResult {
    /// It is complete.
    Done,
    /// No certificate covers the server name the client asked for.
    UnknownName,
    /// The certificate could not be used.
    Failed,
}

impl HandshakeResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Done, Self::UnknownName, Self::Failed];

    /// The value of the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::UnknownName => "unknown_name",
            Self::Failed => "failed",
        }
    }
}

/// What a listener shows its clients, and what it believes of theirs.
#[derive(Debug)]
pub struct Terms {
    certificates: CertificateTable,
    unknown_sni: UnknownSni,
    clients: Option<Arc<ClientCertificates>>,
    staple: Option<Arc<OcspStaple>>,
}

impl Terms {
    /// The terms of `settings`.
    #[must_use]
    pub fn new(settings: &TlsSettings) -> Self {
        Self {
            certificates: CertificateTable::new(settings.certificates.clone()),
            unknown_sni: settings.unknown_sni,
            clients: settings.client_certificates.clone(),
            staple: settings.ocsp_staple.clone(),
        }
    }

    /// What clients must show; `None`: they are not asked for a certificate.
    pub(super) fn clients(&self) -> Option<&ClientCertificates> {
        self.clients.as_deref()
    }

    /// The terms of `settings` for a listener that began with these. Whether clients are asked for a certificate can't
    /// change under it; whose certificates are believed, and which are revoked, can.
    #[must_use]
    pub fn renewed(&self, settings: &TlsSettings) -> Self {
        let mode = |clients: &Option<Arc<ClientCertificates>>| clients.as_ref().map(|clients| clients.mode());
        let mut terms = Self::new(settings);
        if mode(&terms.clients) != mode(&self.clients) {
            terms.clients.clone_from(&self.clients);
        }
        terms
    }
}

/// The terms of one listener, in a place where a reload can swap them under running connections.
pub type SharedTerms = Arc<ArcSwap<Terms>>;

/// Why a TLS listener could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the TLS library refuses the settings of the listener")]
pub struct TlsSetupError;

/// The engine's settings for the listener at position `listener`, and the place of its terms.
pub fn listener(
    listener: usize,
    settings: &TlsSettings,
    http2: bool,
    on_handshake: OnHandshake,
) -> Result<(EngineSettings, SharedTerms), TlsSetupError> {
    let terms: SharedTerms = Arc::new(ArcSwap::from_pointee(Terms::new(settings)));
    let chooser = Chooser { listener, terms: Arc::clone(&terms), on_handshake };
    let mut engine = EngineSettings::with_callbacks(Box::new(chooser)).map_err(|_| TlsSetupError)?;
    restrict(&mut engine, settings.min_version).map_err(|_| TlsSetupError)?;
    if let Some(clients) = &settings.client_certificates {
        clients.ask(&mut engine).map_err(|_| TlsSetupError)?;
    }
    engine.set_alpn(if http2 { ALPN::H2H1 } else { ALPN::H1 });
    Ok((engine, terms))
}

/// The key exchange that stays secret even should somebody break X25519 with a quantum computer later (RFC 9794's hybrid
/// of ML-KEM-768 and X25519).
const HYBRID_GROUP: &str = "X25519MLKEM768";
/// The others, as Mozilla's intermediate profile has them.
const GROUPS: &str = "X25519:P-256:P-384";

/// Narrows the engine's base, which is Mozilla's intermediate profile: TLS 1.2 and 1.3, forward secrecy, AEAD.
fn restrict(engine: &mut EngineSettings, min_version: TlsVersion) -> Result<(), ErrorStack> {
    engine.set_min_proto_version(Some(match min_version {
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    }))?;
    // Renegotiation lets a client make the server work without end, and nobody needs it.
    engine.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION);
    // All ciphers are good; clients that put ChaCha20 first have no hardware for AES, and get it.
    engine.set_options(SslOptions::CIPHER_SERVER_PREFERENCE | SslOptions::PRIORITIZE_CHACHA);
    // An OpenSSL before 3.5 does not know the first of them.
    engine.set_groups_list(&format!("{HYBRID_GROUP}:{GROUPS}")).or_else(|_| engine.set_groups_list(GROUPS))?;
    // Whether there is anything to show is said by the choice of the certificate.
    engine.set_status_callback(|ssl| Ok(ssl.ocsp_status().is_some()))?;
    // Without a context a resumption attempt becomes fatal as soon as client certificates are asked.
    engine.set_session_id_context(b"tollgate")
}

/// Answers the library's question for a certificate.
struct Chooser {
    listener: usize,
    terms: SharedTerms,
    on_handshake: OnHandshake,
}

impl Terms {
    /// The certificate for `server_name`. A client that names no server gets the default one: it can't know better,
    /// and names the host it wants in its request.
    fn choose(&self, server_name: Option<&str>) -> Option<Arc<Certificate>> {
        let table = &self.certificates;
        let known = server_name.and_then(|name| table.find(name));
        let fallback = server_name.is_none() || self.unknown_sni == UnknownSni::Default;
        known.or_else(|| table.default_certificate().filter(|_| fallback)).cloned()
    }
}

#[async_trait]
impl TlsAccept for Chooser {
    /// Leaving the handshake without a certificate ends it with a fatal alert.
    async fn certificate_callback(&self, ssl: &mut SslRef) {
        let terms = self.terms.load_full();
        let Some(certificate) = terms.choose(ssl.servername(NameType::HOST_NAME)) else {
            (self.on_handshake)("none", HandshakeResult::UnknownName);
            return;
        };
        let believed = terms.clients.as_ref().map_or(Ok(()), |clients| clients.believe(ssl));
        let staple = terms.staple.as_ref().and_then(|staple| staple.of(&certificate));
        let shown = believed.and_then(|()| present(ssl, &certificate));
        let stapled = shown.and_then(|()| staple.map_or(Ok(()), |staple| ssl.set_ocsp_status(staple)));
        if stapled.is_err() {
            (self.on_handshake)("none", HandshakeResult::Failed);
        }
    }

    async fn handshake_complete_callback(&self, ssl: &SslRef) -> Option<Arc<dyn Any + Send + Sync>> {
        (self.on_handshake)(ssl.version_str(), HandshakeResult::Done);
        let canonical = |name: &str| Arc::from(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
        let server_name = ssl.servername(NameType::HOST_NAME).map(canonical);
        let asked = self.terms.load().clients.is_some();
        let presented = asked.then(|| PresentedCertificate::of(ssl, &self.terms)).flatten();
        let client_certificate = presented.map(Arc::new);
        let heard = Arc::default();
        Some(Arc::new(Handshake { listener: self.listener, server_name, client_certificate, heard }))
    }
}

fn present(ssl: &mut SslRef, certificate: &Certificate) -> Result<(), ErrorStack> {
    ext::ssl_use_certificate(ssl, certificate.leaf())?;
    ext::ssl_use_private_key(ssl, certificate.key())?;
    certificate.intermediates().iter().try_for_each(|link| ext::ssl_add_chain_cert(ssl, link))
}
