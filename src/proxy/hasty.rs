//! A stream whose first bytes have a deadline.
//!
//! The engine waits for the preface of HTTP/2 (RFC 9113 §3.4) as long as it takes; what it hands us has no place for a
//! time-out there. So the time is kept under it, in the stream itself.

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora::tls::ssl::SslRef;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The bytes of the preface of HTTP/2.
pub(super) const PREFACE: usize = 24;

/// A stream that ends unless its first bytes come in time.
#[derive(Debug)]
pub(super) struct Hasty {
    stream: Stream,
    /// The bytes that are still to come, and the end of the time for them.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Hasty {
    /// `stream`, of which the first `bytes` must come within `time`.
    pub(super) fn new(stream: Stream, bytes: usize, time: Duration) -> Self {
        Self { stream, awaited: Some((bytes, Box::pin(tokio::time::sleep(time)))) }
    }
}

impl AsyncRead for Hasty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Some((_, end)) = &mut self.awaited
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        self.awaited =
            self.awaited.take().filter(|(missing, _)| *missing > read).map(|(missing, end)| (missing - read, end));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hasty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Hasty {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Hasty {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Hasty {
    fn get_ssl(&self) -> Option<&SslRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Hasty {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Hasty {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Hasty {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

impl Peek for Hasty {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_stream_that_keeps_silent_ends() {
        let (_client, server) = tokio::io::duplex(64);
        let mut hasty = Hasty::new(Box::new(server), PREFACE, Duration::from_millis(1));
        assert_eq!(hasty.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_stream_whose_first_bytes_came_may_take_its_time() {
        tokio::time::pause();
        let (mut client, server) = tokio::io::duplex(64);
        let mut hasty = Hasty::new(Box::new(server), 4, Duration::from_secs(1));
        client.write_all(b"abcd").await.unwrap();
        let mut bytes = [0; 4];
        hasty.read_exact(&mut bytes).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        client.write_all(b"e").await.unwrap();
        assert_eq!(hasty.read_u8().await.unwrap(), b'e');
    }
}
