//! A connection before its handshake: whose it is, whether there is a place for it, and whether it has anything to say.

use super::places::Places;
use super::{ListenerKind, ListenerSettings};
use crate::request::proxy_protocol::{self, Announced, V1_LONGEST, V2_FIXED};
use crate::telemetry::Metrics;
use crate::tls::HandshakeResult;
use async_trait::async_trait;
use pingora::listeners::PreTlsProcess;
use pingora::protocols::l4::socket::SocketAddr as EngineAddress;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{GetSocketDigest as _, SocketDigest};
use pingora::{Error, ErrorType, Result};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a connection that was turned away counts as in `tollgate_tls_handshakes_total{result}`.
pub(super) const REFUSED: &str = "refused";
/// The header of a TLS record (RFC 8446 §5.1).
const RECORD_HEADER: usize = 5;
/// The largest record with a client's first message.
const LARGEST_RECORD: usize = 16 * 1024;
/// The content type of a handshake record.
const HANDSHAKE: u8 = 22;

/// Receives the connections of all TLS listeners.
pub(super) struct Arrivals {
    listeners: Vec<ListenerSettings>,
    places: Arc<Places>,
    /// How long a client may take for its PROXY header and its first message.
    patience: Duration,
    metrics: Arc<Metrics>,
}

impl Arrivals {
    pub(super) fn new(
        listeners: &[ListenerSettings],
        places: Arc<Places>,
        patience: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        let with_tls = listeners.iter().filter(|listener| matches!(listener.kind, ListenerKind::Tls(_)));
        Self { listeners: with_tls.cloned().collect(), places, patience, metrics }
    }

    /// The listener whose address `local` is, as seen by one accepted socket.
    fn listener(&self, local: SocketAddr) -> Option<&ListenerSettings> {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let exact = self.listeners.iter().find(|listener| listener.address == local);
        exact.or_else(|| {
            let covers = |listener: &&ListenerSettings| {
                listener.address.ip().is_unspecified() && listener.address.port() == local.port()
            };
            self.listeners.iter().find(covers)
        })
    }

    async fn receive(&self, stream: &mut Stream) -> io::Result<()> {
        let (peer, local) = ends(stream);
        let listener = self.listener(local).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut client = peer.ip().to_canonical();
        if listener.proxy_protocol {
            if !listener.trusted_proxies.contains(client) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if let Announced::Client(announced) = announced(stream).await? {
                client = announced.ip();
                name_peer(stream, announced);
            }
        }
        let counted = (!listener.trusted_proxies.contains(client)).then_some(client);
        let place = self.places.take(counted).ok_or(io::ErrorKind::QuotaExceeded)?;
        let metrics = Arc::clone(&self.metrics);
        let late = move || metrics.handshake("none", HandshakeResult::Failed.label());
        let handshake = self.places.handshakes.begin(stream.as_raw_fd(), self.patience, late);
        stream.tracer = Some(place.into_tracer(Some(handshake)));
        await_first_message(stream).await
    }
}

#[async_trait]
impl PreTlsProcess for Arrivals {
    async fn process(&self, stream: &mut Stream) -> Result<()> {
        let received = tokio::time::timeout(self.patience, self.receive(stream)).await;
        let fault = match received {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(fault)) => fault.kind(),
            Err(_) => io::ErrorKind::TimedOut,
        };
        // Whoever leaves by itself was not refused.
        if !matches!(fault, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
            self.metrics.handshake("none", REFUSED);
        }
        Err(Error::explain(ErrorType::AcceptError, "refused before the handshake").into_down())
    }
}

/// The peer's address and ours.
fn ends(stream: &Stream) -> (SocketAddr, SocketAddr) {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let digest = stream.get_socket_digest();
    let inet = |address: Option<&EngineAddress>| address.and_then(EngineAddress::as_inet).copied().unwrap_or(unknown);
    digest.map_or((unknown, unknown), |digest| (inet(digest.peer_addr()), inet(digest.local_addr())))
}

/// From here on the engine takes `client` for the peer.
fn name_peer(stream: &mut Stream, client: SocketAddr) {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // The cell is new, so nobody can have set it.
    let _ = digest.peer_addr.set(Some(EngineAddress::Inet(client)));
    stream.set_socket_digest(digest);
}

/// Reads the PROXY header, and not a byte more: what follows belongs to TLS.
async fn announced(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Announced> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    // No header is shorter than the fixed part of version 2 but `PROXY UNKNOWN`, which is one byte shorter.
    let mut begin = [0; V2_FIXED - 1];
    stream.read_exact(&mut begin).await?;
    if !begin.starts_with(&proxy_protocol::V2_SIGNATURE) {
        return line(stream, &begin).await;
    }
    let mut fixed = [0; V2_FIXED];
    fixed[..V2_FIXED - 1].copy_from_slice(&begin);
    fixed[V2_FIXED - 1] = stream.read_u8().await?;
    let mut rest = vec![0; proxy_protocol::v2_length(&fixed).ok_or_else(invalid)?];
    stream.read_exact(&mut rest).await?;
    proxy_protocol::parse_v2(&fixed, &rest).ok_or_else(invalid)
}

async fn line(stream: &mut (impl AsyncRead + Unpin), begin: &[u8]) -> io::Result<Announced> {
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_LONGEST || !line.starts_with(b"PROXY ") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    proxy_protocol::parse_v1(&line).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Waits for the client's first message, so that whoever keeps silent is not kept for the engine's own minute. What was
/// read is put back: judging it is the TLS library's affair.
async fn await_first_message(stream: &mut Stream) -> io::Result<()> {
    let mut record = vec![0; RECORD_HEADER];
    stream.read_exact(&mut record).await?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    if record[0] == HANDSHAKE && length <= LARGEST_RECORD {
        record.resize(RECORD_HEADER + length, 0);
        stream.read_exact(&mut record[RECORD_HEADER..]).await?;
    }
    stream.rewind(&record);
    Ok(())
}

/// The address of the peer of a connection in the clear.
pub(super) fn peer_of(digest: Option<&SocketDigest>) -> Option<IpAddr> {
    Some(digest?.peer_addr()?.as_inet()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (io::Result<Announced>, Vec<u8>) {
        let mut stream = bytes;
        let announced = announced(&mut stream).await;
        (announced, stream.to_vec())
    }

    #[tokio::test]
    async fn a_header_is_read_to_its_last_byte_and_no_further() {
        for header in
            [&b"PROXY UNKNOWN\r\n"[..], b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x01x"]
        {
            let (announced, rest) = read(&[header, b"\x16\x03"].concat()).await;
            assert!(announced.is_ok(), "{}", header.escape_ascii());
            assert_eq!(rest, b"\x16\x03", "{}", header.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_is_no_header_ends_the_connection() {
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaa"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY",
            &endless,
            b"PROXY TCP4 x y 1 2\r\n",
        ] {
            assert!(read(bytes).await.0.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
