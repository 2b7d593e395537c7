//! A stream that is watched while it is read. What the engine does with a stream has no place for rules of ours, so they
//! are kept under it, in the stream itself.

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora::tls::ssl::SslRef;
use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A rule of reading. An error ends the stream.
pub(super) trait Watch: Debug + Send + Sync + Unpin + 'static {
    /// The stream is about to be read.
    fn before(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// These bytes were read.
    fn after(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A rule that does not hold everywhere.
impl<W: Watch> Watch for Option<W> {
    fn before(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |watch| watch.before(context))
    }

    fn after(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |watch| watch.after(bytes))
    }
}

/// Both rules.
impl<A: Watch, B: Watch> Watch for (A, B) {
    fn before(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.0.before(context).and_then(|()| self.1.before(context))
    }

    fn after(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.after(bytes).and_then(|()| self.1.after(bytes))
    }
}

/// A stream under `W`.
#[derive(Debug)]
pub(super) struct Watched<W> {
    stream: Stream,
    watch: W,
}

impl<W: Watch> Watched<W> {
    pub(super) fn new(stream: Stream, watch: W) -> Self {
        Self { stream, watch }
    }

    /// The stream alone, and its watch; `None` for a stream that is under another one, or under none.
    pub(super) fn relieve(stream: Stream) -> Option<(Stream, W)> {
        let watched = stream.into_any().downcast::<Self>().ok()?;
        Some((watched.stream, watched.watch))
    }
}

impl<W: Watch> AsyncRead for Watched<W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.watch.before(cx)?;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.watch.after(&buffer.filled()[before..]))
    }
}

impl<W: Watch> AsyncWrite for Watched<W> {
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
impl<W: Watch> Shutdown for Watched<W> {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl<W: Watch> UniqueID for Watched<W> {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl<W: Watch> Ssl for Watched<W> {
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

impl<W: Watch> GetTimingDigest for Watched<W> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl<W: Watch> GetProxyDigest for Watched<W> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl<W: Watch> GetSocketDigest for Watched<W> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

impl<W: Watch> Peek for Watched<W> {}
