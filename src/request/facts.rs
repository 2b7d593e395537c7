//! One request as the decision sees it.

use super::PublicAddress;
use crate::clock::UnixTime;
use http::{HeaderMap, Method};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The identifier of one request: at most 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Takes `value` over if it has the permitted form.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let permitted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=64).contains(&value.len()) && value.bytes().all(permitted);
        fits.then(|| Self(value.into()))
    }

    /// An identifier of 128 random bits in hexadecimal.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the connection told about its client before the first byte of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportFacts {
    /// True when the request came over TLS on our own listener.
    pub encrypted: bool,
    /// The server name of the TLS handshake (RFC 6066 §3), lower-case.
    pub server_name: Option<Arc<str>>,
    /// SHA-256 of the client certificate's DER form, where one was presented *and* verified (RFC 8705 §3.1 `x5t#S256`).
    pub client_certificate: Option<[u8; 32]>,
    /// How clients reach the listener: scheme and port of the target URI.
    pub public: PublicAddress,
}

/// One request as plain data. `now` is part of it: the core never asks a clock.
#[derive(Clone, Debug)]
pub struct Facts<'r> {
    /// The moment at which the request is judged.
    pub now: UnixTime,
    /// The request method.
    pub method: &'r Method,
    /// The authority the client addressed (`Host`, `:authority`), as sent.
    pub authority: Option<&'r str>,
    /// The path as sent: every byte between the authority and `?`.
    pub path: &'r [u8],
    /// Everything behind `?`, as sent.
    pub query: Option<&'r str>,
    /// The header fields, as sent.
    pub headers: &'r HeaderMap,
    /// The client's address: the peer's, or what a trusted proxy says of it.
    pub client: IpAddr,
    /// What the connection told.
    pub transport: &'r TransportFacts,
}
