//! The collector, asked over gRPC: one unary call of `TraceService/Export` at a time, on a connection that is kept.

use super::otlp;
use super::settings::{CollectorUrl, TracesSettings};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode};
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// How long one call may take, from the connection to its last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The same as gRPC tells it to the server.
const PATIENCE_TOLD: &str = "10S";
/// The largest answer that is read: an honest one has a few bytes.
const MOST_ANSWER: usize = 64 << 10;

/// The names of gRPC's statuses, by their number.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Those after which the same call may succeed (OTLP, "Failures").
const PASSING: [&str; 6] = ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"];

/// Why spans were not taken. It never repeats what the other side said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExportError {
    /// There is no connection.
    #[error("can't be connected to: {0}")]
    Connect(io::ErrorKind),
    /// The handshake failed, or its certificate is not believed.
    #[error("TLS fails: its certificate is not believed, or it speaks no HTTP/2")]
    Tls,
    /// The connection broke, or made no sense.
    #[error("the connection broke")]
    Broken,
    /// It took too long.
    #[error("no answer within {PATIENCE:?}")]
    Slow,
    /// It is no gRPC service.
    #[error("answers with HTTP status {0}")]
    Http(StatusCode),
    /// It refuses.
    #[error("answers with gRPC status {0}")]
    Status(&'static str),
}

impl ExportError {
    /// True where the same call may succeed later.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::Connect(_) | Self::Tls | Self::Broken | Self::Slow => true,
            Self::Http(status) => status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
            Self::Status(name) => PASSING.contains(&name),
        }
    }
}

impl From<h2::Error> for ExportError {
    fn from(_: h2::Error) -> Self {
        Self::Broken
    }
}

/// Why a collector can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum TracesSetupError {
    /// The TLS library refuses the authorities.
    #[error("the TLS library refuses the authorities")]
    Tls(#[from] ErrorStack),
    /// There are none.
    #[error("there is no certificate in `telemetry.otlp.ca`")]
    NoAuthority,
}

/// A connection to a collector, or the way to one.
pub(super) struct Collector {
    url: CollectorUrl,
    tls: Option<SslConnector>,
    connection: Option<SendRequest<Bytes>>,
}

impl Collector {
    pub(super) fn new(settings: TracesSettings) -> Result<Self, TracesSetupError> {
        let tls = settings.endpoint.tls.then(|| connector(settings.ca.as_deref())).transpose()?;
        Ok(Self { url: settings.endpoint, tls, connection: None })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &CollectorUrl {
        &self.url
    }

    /// Exports one `ExportTraceServiceRequest`; answers how many of its spans were not taken.
    pub(super) async fn export(&mut self, message: &[u8]) -> Result<u64, ExportError> {
        let exported = timeout(PATIENCE, self.call(framed(message))).await.unwrap_or(Err(ExportError::Slow));
        if exported.is_err() {
            self.connection = None;
        }
        exported
    }

    async fn call(&mut self, body: Bytes) -> Result<u64, ExportError> {
        let mut connection = self.connected().await?;
        let request = self.request().ok_or(ExportError::Broken)?;
        let (response, mut stream) = connection.send_request(request, false)?;
        stream.send_data(body, true)?;
        self.connection = Some(connection);
        let (head, mut body) = response.await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(ExportError::Http(head.status));
        }
        let mut answer = BytesMut::new();
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            if answer.len() + part.len() > MOST_ANSWER {
                return Err(ExportError::Broken);
            }
            answer.extend_from_slice(&part);
        }
        // An answer without a body has its status among the headers.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        judge(&trailers)?;
        // Five bytes stand before the message: whether it is compressed, and its length.
        Ok(answer.get(5..).map_or(0, otlp::rejected))
    }

    /// The connection there is, or a new one where its other end has closed it.
    async fn connected(&mut self) -> Result<SendRequest<Bytes>, ExportError> {
        if let Some(kept) = self.connection.take()
            && let Ok(ready) = kept.ready().await
        {
            return Ok(ready);
        }
        let socket = TcpStream::connect((self.url.host.as_str(), self.url.port)).await;
        let socket = socket.map_err(|error| ExportError::Connect(error.kind()))?;
        match &self.tls {
            None => open(socket).await,
            Some(connector) => open(handshake(connector, &self.url.host, socket).await?).await,
        }
    }

    fn request(&self) -> Option<Request<()>> {
        let (scheme, authority) = (if self.url.tls { "https" } else { "http" }, self.url.authority());
        Request::builder()
            .method(Method::POST)
            .uri(format!("{scheme}://{authority}{METHOD}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", PATIENCE_TOLD)
            .header("user-agent", concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .body(())
            .ok()
    }
}

/// The message as gRPC frames it: not compressed, its length, itself.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(message.len() + 5);
    framed.push(0);
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    framed.into()
}

/// Whether the call succeeded, by its trailers.
fn judge(trailers: &HeaderMap) -> Result<(), ExportError> {
    let status = trailers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse::<usize>().ok());
    match status {
        Some(0) => Ok(()),
        Some(number) => Err(ExportError::Status(STATUSES.get(number).copied().unwrap_or("UNKNOWN"))),
        None => Err(ExportError::Broken),
    }
}

/// Begins HTTP/2 on a connection.
async fn open<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
) -> Result<SendRequest<Bytes>, ExportError> {
    let (client, connection) = h2::client::Builder::new().enable_push(false).handshake(stream).await?;
    // It ends with the last handle, or when the other end closes it; the next call finds out.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client.ready().await?)
}

async fn handshake(
    connector: &SslConnector,
    host: &str,
    socket: TcpStream,
) -> Result<SslStream<TcpStream>, ExportError> {
    let ssl = connector.configure().and_then(|ssl| ssl.into_ssl(host)).map_err(|_| ExportError::Tls)?;
    let mut stream = SslStream::new(ssl, socket).map_err(|_| ExportError::Tls)?;
    Pin::new(&mut stream).connect().await.map_err(|_| ExportError::Tls)?;
    let spoken = stream.ssl().selected_alpn_protocol();
    if spoken == Some(b"h2") { Ok(stream) } else { Err(ExportError::Tls) }
}

fn connector(ca: Option<&[u8]>) -> Result<SslConnector, TracesSetupError> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_alpn_protos(b"\x02h2")?;
    match ca {
        Some(pem) => {
            // A store of its own, so that the system's authorities are not trusted beside it.
            let mut store = X509StoreBuilder::new()?;
            let authorities = X509::stack_from_pem(pem)?;
            if authorities.is_empty() {
                return Err(TracesSetupError::NoAuthority);
            }
            for authority in authorities {
                store.add_cert(authority)?;
            }
            builder.set_cert_store(store.build());
        }
        None => {
            // An OpenSSL that was built in does not know where the system keeps them.
            if let Some(file) = openssl_probe::probe().cert_file {
                builder.set_ca_file(file)?;
            }
        }
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_call_succeeded_when_its_trailers_say_so() {
        let judge = |status: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(status));
            judge(&trailers)
        };
        assert_eq!(judge("0"), Ok(()));
        assert_eq!(judge("12"), Err(ExportError::Status("UNIMPLEMENTED")));
        assert_eq!(judge("99"), Err(ExportError::Status("UNKNOWN")));
        assert_eq!(judge("x"), Err(ExportError::Broken));
        assert_eq!(super::judge(&HeaderMap::new()), Err(ExportError::Broken));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        assert!(ExportError::Connect(io::ErrorKind::ConnectionRefused).may_pass());
        assert!(ExportError::Status("UNAVAILABLE").may_pass());
        assert!(ExportError::Http(StatusCode::BAD_GATEWAY).may_pass());
        assert!(!ExportError::Status("UNIMPLEMENTED").may_pass());
        assert!(!ExportError::Status("UNAUTHENTICATED").may_pass());
        assert!(!ExportError::Http(StatusCode::NOT_FOUND).may_pass());
    }
}
