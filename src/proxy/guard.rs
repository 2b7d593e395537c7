//! The guard of a request: the engine has no way to end one from outside.

use super::lifeline::{self, Lifeline};
use super::{Gateway, Shared, ingress, record, respond};
use crate::clock::Stopwatch;
use crate::decision::{Denial, Reason};
use crate::tls::Handshake;
use async_trait::async_trait;
use http::Method;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Gives each request its lifeline.
pub(super) struct Guard {
    proxy: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
}

impl Guard {
    pub(super) fn new(proxy: HttpProxy<Gateway>, shared: &Arc<Shared>) -> Self {
        Self { proxy: Arc::new(proxy), shared: Arc::clone(shared) }
    }

    /// Answers `CONNECT` over HTTP/2, which the engine would answer without an identifier and without a count.
    async fn refuse_connect(&self, session: &mut ServerSession) {
        let (request_id, watch) = (super::request_id::new(), Stopwatch::start());
        let now = self.shared.clock.now();
        let arrival = ingress::Arrival::of(session, &self.shared.listeners, now);
        let hsts = arrival.transport.encrypted && self.shared.generation.load().snapshot.pins_https(None);
        let to = respond::Addressee { request_id: request_id.as_str(), hsts, also: &[] };
        let denial = Denial::new(Reason::MethodNotAllowed);
        // A client that does not read the answer does without it.
        let _ = respond::refuse(session, &denial, to).await;
        let line = b"CONNECT * HTTP/2";
        record::faulty_head(&self.shared, &request_id, arrival.client, line, denial.reason, watch.elapsed()).await;
    }
}

/// Tells the watch of the connection's frames that the engine has handed this request on.
fn note_heard(session: &ServerSession) {
    let tls = session.digest().and_then(|digest| digest.ssl_digest.as_ref());
    if let Some(handshake) = tls.and_then(|tls| tls.extension.get::<Handshake>()) {
        handshake.heard.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl HttpServerApp for Guard {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() {
            note_heard(&session);
            if session.req_header().method == Method::CONNECT {
                self.refuse_connect(&mut session).await;
                return None;
            }
        }
        let lifeline = Arc::new(Lifeline::default());
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
