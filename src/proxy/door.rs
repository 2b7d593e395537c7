//! The door of a listener: counts its connections, and reads the heads of HTTP/1 requests itself.
//!
//! The engine reads a head leniently, repairs it, and has time-outs for single reads only. So each head is read here, as
//! it was sent, in one span of time, and judged over its bytes; what passes is handed to the engine to read again. What
//! does not pass gets an answer like every other refusal: with an identifier, a count, and a line in the log.

use super::arrivals::peer_of;
use super::frames::{Counters, Frames};
use super::places::Places;
use super::vouched::Vouched;
use super::watched::Watched;
use super::{Shared, record, request_id, respond};
use crate::clock::Stopwatch;
use crate::decision::{Denial, Reason};
use crate::request::chunks::Chunks;
use crate::request::framing::{self, Body, HeadFault, HeadLimits, MAX_FIELDS};
use crate::tls::Handshake;
use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use prometheus::IntGauge;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::time::timeout;

/// The longest request line. RFC 9112 §3 asks for 8000 bytes at least.
pub(super) const MAX_LINE: usize = 8 * 1024;
/// What is read at once of a head; most fit.
const READ: usize = 4096;
/// How long an answer to a faulty head may take to be sent, and how long and how much is read afterwards, so that the
/// answer is not lost in a reset.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 64 * 1024;
/// The engine's own time for reading a head, which is never waited for: the head is there.
const ENGINE_SECONDS: u64 = 60;

/// The door of one kind of listener, in front of `A`.
pub(super) struct Door<A> {
    app: Arc<A>,
    shared: Arc<Shared>,
    limits: HeadLimits,
    open: Vec<IntGauge>,
    counters: Counters,
    places: Arc<Places>,
    /// The listener, where it speaks in the clear; with TLS it is known, and a place taken, before the handshake.
    plain: Option<usize>,
}

/// What came of waiting for a head.
enum Head {
    /// It is there, sound, and this long.
    Whole(usize, Body),
    /// It, or what is there of it, is refused.
    Faulty(HeadFault),
    /// The client is gone, silent or too slow.
    Gone,
}

/// Why connections are cut that no request tells of, as counted in `tollgate_connections_cut_total`.
pub(super) const SLOW_HEAD: &str = "slow_head";
pub(super) const NO_PLACE: &str = "no_place";

/// How much of a head was looked at.
#[derive(Default)]
struct Seen {
    /// The bytes among which its end is not.
    bytes: usize,
    /// True once its first bytes were looked at.
    begun: bool,
}

impl<A> Door<A> {
    pub(super) fn new(app: A, shared: &Arc<Shared>, places: &Arc<Places>, plain: Option<usize>) -> Self {
        let names = shared.listeners.iter().map(|listener| &*listener.name);
        Self {
            app: Arc::new(app),
            limits: HeadLimits { bytes: shared.settings.max_header, line: MAX_LINE, fields: MAX_FIELDS },
            open: names.map(|name| shared.metrics.connections(name)).collect(),
            counters: Counters { slow: shared.metrics.cut(SLOW_HEAD), unheard: shared.metrics.unheard() },
            places: Arc::clone(places),
            plain,
            shared: Arc::clone(shared),
        }
    }

    fn vouched(&self, stream: &Stream) -> Option<Vouched> {
        Vouched::of(stream, &self.shared.clock, &self.shared.metrics)
    }

    /// Waits for the next head: for its first byte at most `patience`, for the rest the time of a header.
    async fn head(&self, stream: &mut Stream, buffer: &mut BytesMut, patience: Duration) -> Head {
        match timeout(patience, first_bytes(stream)).await {
            Ok(Ok(first)) if !first.is_empty() => *buffer = first,
            _ => return Head::Gone,
        }
        let mut seen = Seen::default();
        if let Some(head) = self.judge(buffer, &mut seen) {
            return head;
        }
        let rest = timeout(self.shared.settings.header_timeout, self.rest(stream, buffer, seen)).await;
        rest.unwrap_or_else(|_| {
            self.counters.slow.inc();
            Head::Gone
        })
    }

    async fn rest(&self, stream: &mut Stream, buffer: &mut BytesMut, mut seen: Seen) -> Head {
        loop {
            buffer.reserve(READ);
            match stream.read_buf(buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Head::Gone,
            }
            if let Some(head) = self.judge(buffer, &mut seen) {
                return head;
            }
        }
    }

    /// Judges what is there; `None` as long as more is to be waited for.
    fn judge(&self, buffer: &mut BytesMut, seen: &mut Seen) -> Option<Head> {
        // One empty line may stand before a request (RFC 9112 §2.2).
        if !seen.begun && buffer.len() >= 2 {
            seen.begun = true;
            if buffer.starts_with(b"\r\n") {
                buffer.advance(2);
            }
        }
        if let Some(end) = framing::end_of_head(buffer, seen.bytes) {
            let judged = framing::check(&buffer[..end], &self.limits);
            return Some(judged.map_or_else(Head::Faulty, |body| Head::Whole(end, body)));
        }
        seen.bytes = buffer.len();
        framing::check_partial(buffer, &self.limits).err().map(Head::Faulty)
    }

    /// Answers a faulty head and ends the connection.
    async fn refuse(&self, mut stream: Stream, head: &[u8], fault: HeadFault, watch: Stopwatch) {
        let (request_id, denial) = (request_id::new(), Denial::new(fault.into()));
        let hsts = stream.get_ssl_digest().is_some() && self.shared.generation.load().snapshot.pins_https(None);
        let to = respond::Addressee { request_id: request_id.as_str(), hsts, also: &[] };
        let client = peer_of(stream.get_socket_digest().as_deref()).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let answer = respond::bytes(&denial, to);
        // Whoever does not read the answer does without it.
        let _ = timeout(FAREWELL, farewell(&mut stream, &answer)).await;
        record::faulty_head(&self.shared, &request_id, client, head, denial.reason, watch.elapsed()).await;
    }
}

impl<A: HttpServerApp + Send + Sync + 'static> Door<A> {
    /// Serves HTTP/1 on `stream`, request by request.
    async fn serve(&self, mut stream: Stream, shutdown: &ShutdownWatch) {
        let mut settings: Option<HttpPersistentSettings> = None;
        let vouched = self.vouched(&stream);
        loop {
            let patience = match settings {
                None => self.shared.settings.header_timeout,
                Some(_) => self.shared.settings.idle_timeout,
            };
            let mut buffer = BytesMut::new();
            let (end, body) = match self.head(&mut stream, &mut buffer, patience).await {
                Head::Whole(end, body) => (end, body),
                Head::Faulty(fault) => return self.refuse(stream, &buffer, fault, Stopwatch::start()).await,
                Head::Gone => return,
            };
            if vouched.as_ref().is_some_and(Vouched::is_over) {
                return;
            }
            if body == Body::Chunked {
                let mut chunks = Chunks::new(self.limits);
                if chunks.read(&buffer[end..]).is_err() {
                    let fault = HeadFault::Malformed("a faulty chunk");
                    return self.refuse(stream, &buffer[..end], fault, Stopwatch::start()).await;
                }
                stream = Box::new(Watched::new(stream, chunks));
            }
            let mut session = ServerSession::new_http1(stream);
            match settings.take() {
                Some(settings) => settings.apply_to_session(&mut session),
                None => session.set_keepalive(Some(ENGINE_SECONDS)),
            }
            session.set_pipelined_prefix(buffer);
            let Some(reused) = self.app.process_new_http(session, shutdown).await else { return };
            (stream, settings) = reused.consume();
            if body == Body::Chunked {
                let Some((bare, chunks)) = Watched::<Chunks>::relieve(stream) else { return };
                if !chunks.is_done() {
                    return;
                }
                stream = bare;
            }
            if settings.is_none() {
                return;
            }
        }
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Door<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.places.handshakes.complete(stream.id());
        let place = self.plain.map(|_| self.places.take(peer_of(stream.get_socket_digest().as_deref())));
        if matches!(place, Some(None)) {
            self.shared.metrics.cut(NO_PLACE).inc();
            return None;
        }
        let tls = stream.get_ssl_digest();
        let handshake = tls.as_ref().and_then(|tls| tls.extension.get::<Handshake>());
        // The position of the listener in the configuration.
        let listener = handshake.map(|handshake| handshake.listener).or(self.plain);
        let _open = listener.and_then(|listener| self.open.get(listener)).map(Open::new);
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            let heard = handshake.map(|handshake| Arc::clone(&handshake.heard)).unwrap_or_default();
            let frames = Frames::new(self.shared.settings.header_timeout, heard, &self.counters);
            let watch = (frames, self.vouched(&stream));
            return ServerApp::process_new(&self.app, Box::new(Watched::new(stream, watch)), shutdown).await;
        }
        Box::pin(self.serve(stream, shutdown)).await;
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

/// What comes first, when it comes: a connection that lies idle holds no buffer for it.
async fn first_bytes(stream: &mut Stream) -> io::Result<BytesMut> {
    poll_fn(|cx| {
        let mut buffer = BytesMut::with_capacity(READ);
        let read = ready!(pin!(stream.read_buf(&mut buffer)).poll(cx));
        Poll::Ready(read.map(|_| buffer))
    })
    .await
}

/// Sends the last answer, and reads on for a moment.
async fn farewell(stream: &mut Stream, answer: &[u8]) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.flush().await?;
    AsyncWriteExt::shutdown(stream).await?;
    let (mut rest, mut read) = ([0; 1024], 0);
    while read < FAREWELL_BYTES {
        match stream.read(&mut rest).await? {
            0 => break,
            more => read += more,
        }
    }
    Ok(())
}

impl From<HeadFault> for Reason {
    fn from(fault: HeadFault) -> Self {
        match fault {
            HeadFault::TooLarge => Self::HeaderTooLarge,
            HeadFault::TargetTooLong => Self::TargetTooLong,
            HeadFault::AmbiguousTarget => Self::AmbiguousPath,
            HeadFault::Method => Self::MethodNotAllowed,
            HeadFault::Malformed(_) => Self::BadFraming,
        }
    }
}

/// One open connection.
struct Open<'g>(&'g IntGauge);

impl<'g> Open<'g> {
    fn new(gauge: &'g IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
