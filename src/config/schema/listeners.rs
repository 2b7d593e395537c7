//! `listeners`: where clients connect.

use super::value::{Address, FilePath, List, Name, Network, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// A socket that clients connect to. It either terminates TLS or redirects to a listener that does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The listener's name.
    #[schemars(required)]
    pub name: Option<Name>,
    /// The address to listen on.
    #[schemars(required)]
    pub address: Option<Address>,
    /// TLS on this listener.
    pub tls: Option<ListenerTls>,
    /// Whether HTTP/2 is offered (ALPN). Default: true.
    pub http2: Option<bool>,
    /// How clients reach this listener, where a balancer stands in front. Default: as listened.
    pub public: Option<PublicAddress>,
    /// Whether a trusted proxy tells the client's certificate in `Client-Cert` (RFC 9440). Default: none.
    pub client_certificate_header: Option<CertificateHeader>,
    /// Whether connections begin with a PROXY header, version 1 or 2. From anybody but `trusted_proxies` they are then
    /// refused. Default: false.
    pub proxy_protocol: Option<bool>,
    /// The networks of the proxies in front of this listener whose word about their clients is believed:
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded`, `X-Request-Id`, PROXY headers.
    #[schemars(length(min = 1))]
    pub trusted_proxies: Option<List<Network>>,
    /// The listener with TLS to which every request for the host of a route is redirected (308).
    pub redirect_to: Option<Name>,
}

/// TLS of a listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// The certificates, chosen by the name a client asks for (SNI) from their own subject alternative names. The first
    /// is the default.
    #[schemars(required, length(min = 1))]
    pub certificates: Option<List<Certificate>>,
    /// The lowest TLS version spoken. Default: 1.2.
    pub min_version: Option<TlsVersion>,
    /// What happens to a client that asks for a name no certificate has. Default: reject.
    pub unknown_sni: Option<UnknownSni>,
    /// Whether clients are asked for a certificate. Default: they are not.
    pub client_certificates: Option<ClientCertificates>,
    /// The file with an OCSP response in DER that is stapled to handshakes, read again when it changes. Default: none.
    pub ocsp_staple: Option<FilePath>,
}

/// Whether clients are asked for a certificate, and whose are believed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Whether clients are asked for a certificate.
    #[schemars(required)]
    pub mode: Option<ClientCertificateMode>,
    /// The PEM file with the authorities that issue the clients' certificates. Mandatory unless the mode is none.
    pub ca: Option<FilePath>,
    /// The PEM file with the authorities' lists of revoked certificates, all current.
    pub crl: Option<FilePath>,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificateMode {
    /// They are not.
    None,
    /// They are, and may come without.
    Optional,
    /// They are, and the handshake fails without.
    Required,
}

/// The header in which a proxy tells the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CertificateHeader {
    /// There is none.
    #[serde(rename = "none")]
    None,
    /// `Client-Cert` (RFC 9440).
    #[serde(rename = "Client-Cert")]
    ClientCert,
}

/// A certificate chain and its private key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The PEM file with the certificate and its intermediates.
    #[schemars(required, extend("examples" = ["certs/edge.pem"]))]
    pub chain: Option<FilePath>,
    /// The private key, PEM.
    #[schemars(required, extend("examples" = ["file:certs/edge.key"]))]
    pub key: Option<SecretRef>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

/// What happens to a client that asks for a name no certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSni {
    /// The handshake fails.
    Reject,
    /// The first certificate answers.
    Default,
}

/// How clients reach a listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicAddress {
    /// The scheme in the URLs clients use.
    pub scheme: Option<Scheme>,
    /// The port in the URLs clients use.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
}

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}
