//! The listener in the clear: it sends clients to HTTPS, and serves nothing.

use super::ingress::{self, Arrival};
use super::respond::{self, Addressee};
use super::{Shared, audit, healthz, request_id};
use crate::clock::Stopwatch;
use crate::decision::{Denial, redirect};
use crate::telemetry::{AccessLine, Outcome};
use async_trait::async_trait;
use http::StatusCode;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A listener that redirects.
pub(super) struct Redirector {
    shared: Arc<Shared>,
    /// The public port of the listener on HTTPS.
    port: u16,
}

impl Redirector {
    pub(super) fn new(shared: Arc<Shared>, port: u16) -> Self {
        Self { shared, port }
    }

    fn locate(&self, session: &ServerSession, arrival: &Arrival) -> Result<String, Denial> {
        ingress::check_framing(session, self.shared.settings.max_header)?;
        let facts = arrival.facts(session.req_header(), self.shared.clock.now())?;
        let generation = self.shared.generation.load();
        redirect(&generation.snapshot, &facts, self.port)
    }

    /// Answers one request, and records it.
    async fn answer(&self, session: &mut ServerSession) {
        let (watch, time, request_id) = (Stopwatch::start(), self.shared.clock.now(), request_id::new());
        let arrival = Arrival::of(session, &self.shared.listeners, time);
        let to = Addressee { request_id: request_id.as_str(), hsts: false, also: &[] };
        if healthz::is_asked(session.req_header())
            && ingress::check_framing(session, self.shared.settings.max_header).is_ok()
        {
            let status = healthz::status(self.shared.draining.load(Ordering::Acquire));
            if respond::acknowledge(session, status, to).await.is_err() {
                session.set_keepalive(None);
            }
            return;
        }
        let located = self.locate(session, &arrival);
        let written = match &located {
            Ok(location) => respond::redirect(session, location, to).await,
            Err(denial) => respond::refuse(session, denial, to).await,
        };
        if written.is_err() {
            session.set_keepalive(None);
        }
        if let Err(denial) = &located {
            let request = session.req_header();
            let asked = (request.method.as_str(), request.uri.path());
            let id = (time, request_id.as_str());
            audit::refused_unasked(&self.shared, id, asked, arrival.client, denial.reason).await;
        }
        self.record(
            session,
            &located,
            &AccessLine {
                time,
                request_id: request_id.as_str(),
                trace: None,
                client: arrival.client,
                method: session.req_header().method.as_str(),
                path: session.req_header().uri.path(),
                route: "none",
                issuer: "none",
                status: session.response_written().map_or(0, |response| response.status.as_u16()),
                outcome: located.as_ref().err().map_or(Outcome::Public, |denial| Outcome::refused(denial.reason)),
                reason: located.as_ref().err().map(|denial| denial.reason.label()),
                upstream: None,
                duration: watch.elapsed(),
            },
        );
    }

    fn record(&self, session: &ServerSession, located: &Result<String, Denial>, line: &AccessLine<'_>) {
        let metrics = &self.shared.metrics;
        let generation = self.shared.generation.load();
        let meter = generation.meter(None);
        meter.count(line.outcome);
        if let Err(Denial { reason, .. }) = located {
            metrics.denied(reason.label(), "none", "none");
        }
        let status = session.response_written().map_or(StatusCode::BAD_REQUEST, |response| response.status);
        meter.answered(Some(status), line.duration);
        line.write();
    }
}

#[async_trait]
impl HttpServerApp for Redirector {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // The head is there, and sound: it came through the door.
        if !matches!(session.read_request().await, Ok(true)) {
            return None;
        }
        keep_alive(
            &mut session,
            self.shared.settings.idle_timeout.as_secs(),
            self.shared.draining.load(Ordering::Acquire),
        );
        self.answer(&mut session).await;
        let persistent = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, persistent))
    }
}

/// Sets how long the connection may lie idle. Only where the engine has not turned reuse off: setting a time would
/// turn it on again, after a faulty framing too. Left alone it would be kept for ever.
pub(super) fn keep_alive(session: &mut ServerSession, seconds: u64, ending: bool) {
    if ending {
        session.set_keepalive(None);
    } else if session.get_keepalive().is_some() {
        session.set_keepalive(Some(seconds.max(1)));
    }
}
