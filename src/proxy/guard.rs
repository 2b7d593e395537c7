//! The doorkeeper of a connection: counts it, and gives each header section a deadline.
//!
//! The engine's own time-outs are per read, so that a client could send one byte a minute for ever.

use super::Gateway;
use super::lifeline::{self, Lifeline};
use crate::telemetry::Metrics;
use crate::tls::Handshake;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use prometheus::IntGauge;
use std::sync::Arc;
use std::time::Duration;

/// The mark a connection carries from one request to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reused;

/// Gives each header section its deadline.
pub(super) struct Guard {
    proxy: Arc<HttpProxy<Gateway>>,
    /// For the first request of a connection, counted from the end of the handshake.
    header_timeout: Duration,
    /// For each later one, counted from the end of the request before.
    reuse_timeout: Duration,
}

impl Guard {
    pub(super) fn new(proxy: HttpProxy<Gateway>, header_timeout: Duration, idle_timeout: Duration) -> Self {
        let reuse_timeout = idle_timeout.saturating_add(header_timeout);
        Self { proxy: Arc::new(proxy), header_timeout, reuse_timeout }
    }

    /// The deadline for the next header section of `session`, once more marked as it was.
    fn deadline(&self, session: &mut ServerSession) -> Duration {
        let mark = session.take_connection_user_context();
        let reused = mark.as_ref().is_some_and(|mark| mark.is::<Reused>());
        session.set_connection_user_context(mark);
        if reused { self.reuse_timeout } else { self.header_timeout }
    }
}

#[async_trait]
impl HttpServerApp for Guard {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let lifeline = Arc::new(Lifeline::default());
        // HTTP/2 reads header sections by itself. The first thing a request does is to lift this limit.
        if !session.is_http2() {
            lifeline.limit(self.deadline(&mut session));
        }
        // A request that is ended closes its connection, or resets its stream.
        lifeline::guard(&lifeline, self.proxy.process_new_http(session, shutdown)).await.flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        HttpServerApp::server_options(self.proxy.as_ref())
    }

    /// The engine would close the connections that lie idle, under requests that are already on their way. They end by
    /// themselves: each answer says that it is the last.
    async fn http_cleanup(&self) {}
}

/// Counts the open connections of each listener.
pub(super) struct Door {
    guard: Arc<Guard>,
    open: Vec<IntGauge>,
}

impl Door {
    /// A door for listeners of these names, by their position in the configuration.
    pub(super) fn new<'n>(guard: Guard, listeners: impl Iterator<Item = &'n str>, metrics: &Metrics) -> Self {
        Self { guard: Arc::new(guard), open: listeners.map(|name| metrics.connections(name)).collect() }
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let tls = stream.get_ssl_digest();
        let listener = tls.and_then(|tls| tls.extension.get::<Handshake>().map(|handshake| handshake.listener));
        let _open = listener.and_then(|listener| self.open.get(listener)).map(Open::new);
        self.guard.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.guard.cleanup().await;
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
