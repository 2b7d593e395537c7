//! What a TLS listener is told.

use super::{Certificate, ClientCertificates, OcspStaple};
use std::sync::Arc;

/// The lowest protocol version a listener speaks. Older ones than 1.2 do not exist here (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), with forward secrecy and AEAD ciphers only.
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// What a handshake gets whose server name no certificate covers. One that names no server at all gets the default
/// certificate either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnknownSni {
    /// A fatal alert.
    #[default]
    Reject,
    /// The first certificate.
    Default,
}

/// The TLS side of one listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificates, at least one; the first is the default.
    pub certificates: Vec<Arc<Certificate>>,
    /// The lowest protocol version.
    pub min_version: TlsVersion,
    /// What an unknown server name gets.
    pub unknown_sni: UnknownSni,
    /// What clients must show; `None`: they are not asked for a certificate.
    pub client_certificates: Option<Arc<ClientCertificates>>,
    /// What clients that ask are shown as a sign that a certificate is not revoked.
    pub ocsp_staple: Option<Arc<OcspStaple>>,
}
