//! The TLS side of the listeners: which certificate answers which server name, and on what terms.

pub mod certificate;
pub mod client_certificates;
pub mod handshake;
pub mod presented;
pub mod settings;
pub mod staple;

pub use certificate::{Certificate, CertificateError, CertificateTable};
pub use client_certificates::{ClientCertificateMode, ClientCertificates, ClientCertificatesError, RevocationLists};
pub use handshake::{Handshake, HandshakeResult, OnHandshake, SharedTerms, Terms, TlsSetupError};
pub use presented::PresentedCertificate;
pub use settings::{TlsSettings, TlsVersion, UnknownSni};
pub use staple::{OcspStaple, StapleFault};
