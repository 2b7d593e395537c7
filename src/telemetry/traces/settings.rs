//! Where traces are sent.

use crate::request::Authority;
use http::Uri;
use std::fmt;

/// Where collectors listen for OTLP over gRPC.
const PORT: u16 = 4317;
/// Where they listen for OTLP over HTTP, which is not spoken here.
const HTTP_PORT: u16 = 4318;

/// `telemetry.otlp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesSettings {
    /// The collector.
    pub endpoint: CollectorUrl,
    /// The PEM of the authorities that may vouch for it; `None`: the system's.
    pub ca: Option<Vec<u8>>,
}

/// A collector that speaks OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl {
    /// True for TLS.
    pub tls: bool,
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Why a text is no [`CollectorUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectorUrlError {
    /// It is no URL of a host and a port.
    #[error("is not the URL of a collector")]
    Malformed,
    /// It names the port or a path of the other transport.
    #[error("is where OTLP is spoken over HTTP; this gateway speaks it over gRPC")]
    OverHttp,
}

impl CollectorUrl {
    /// Reads `http://HOST:PORT` or `https://HOST:PORT`; without a port it is 4317.
    pub fn parse(url: &str) -> Result<Self, CollectorUrlError> {
        let uri: Uri = url.parse().map_err(|_| CollectorUrlError::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(CollectorUrlError::Malformed),
        };
        let authority = uri.authority().and_then(|authority| Authority::parse(authority.as_str()));
        let authority = authority.ok_or(CollectorUrlError::Malformed)?;
        let port = authority.port.unwrap_or(PORT);
        if port == HTTP_PORT || uri.path() == "/v1/traces" {
            return Err(CollectorUrlError::OverHttp);
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") || url.contains('#') {
            return Err(CollectorUrlError::Malformed);
        }
        Ok(Self { tls, host: authority.host.as_str().trim_matches(['[', ']']).to_owned(), port })
    }

    /// Host and port, as they stand in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_scheme_a_host_and_a_port() {
        for (url, shown) in [
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317"),
            ("http://collector.example/", "http://collector.example:4317"),
            ("https://[::1]:443", "https://[::1]:443"),
        ] {
            assert_eq!(CollectorUrl::parse(url).unwrap().to_string(), shown);
        }
        for url in
            ["", "127.0.0.1:4317", "grpc://a:4317", "http://", "http://u:p@a:4317", "http://a:4317/x", "http://a?b"]
        {
            assert_eq!(CollectorUrl::parse(url), Err(CollectorUrlError::Malformed), "{url}");
        }
        for url in ["http://127.0.0.1:4318", "https://a:443/v1/traces"] {
            assert_eq!(CollectorUrl::parse(url), Err(CollectorUrlError::OverHttp), "{url}");
        }
    }
}
