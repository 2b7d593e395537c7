//! From the end of a request to the collector: a bounded queue, batches, and an end to patience.

use super::collector::{Collector, ExportError, TracesSetupError};
use super::otlp;
use super::settings::TracesSettings;
use super::span::{Span, Value};
use crate::telemetry::Metrics;
use openssl::rand::rand_bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Requests whose spans may wait: some 5 MiB.
const QUEUE: usize = 4096;
/// Spans that are enough for a batch.
const BATCH: usize = 512;
/// How long spans wait for others to go with.
const GATHERING: Duration = Duration::from_secs(1);
/// How often a batch is tried, and how long after the first failure; twice as long after each further one.
const ATTEMPTS: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Where requests hand in their spans. Nothing here ever waits.
pub struct Traces {
    queue: mpsc::Sender<Vec<Span>>,
    closing: watch::Sender<bool>,
    store: &'static str,
    metrics: Arc<Metrics>,
}

/// The one task that sends them.
pub struct Exporter {
    queue: mpsc::Receiver<Vec<Span>>,
    closing: watch::Receiver<bool>,
    batch: Vec<Span>,
    resource: Vec<(&'static str, Value)>,
    collector: Collector,
    metrics: Arc<Metrics>,
    /// True since a batch was lost, until one is taken: it is told of once.
    down: bool,
    /// True since the collector took a part of a batch only.
    picky: bool,
}

impl Traces {
    /// Both ends of the queue. `store` is what keeps the claims (`redis`, `embedded`), for the spans of its calls.
    pub fn new(
        settings: TracesSettings,
        store: &'static str,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Exporter), TracesSetupError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (told, closing) = watch::channel(false);
        let exporter = Exporter {
            queue,
            closing,
            batch: Vec::with_capacity(BATCH),
            resource: resource()?,
            collector: Collector::new(settings)?,
            metrics: Arc::clone(metrics),
            down: false,
            picky: false,
        };
        Ok((Self { queue: sender, closing: told, store, metrics: Arc::clone(metrics) }, exporter))
    }

    /// What keeps the claims.
    #[must_use]
    pub fn store(&self) -> &'static str {
        self.store
    }

    /// Hands in the spans of one request. Where there is no room they are dropped, and counted.
    pub fn hand_in(&self, spans: Vec<Span>) {
        let count = spans.len();
        if self.queue.try_send(spans).is_err() {
            self.metrics.spans("dropped", count);
        }
    }

    /// Has everything sent that was handed in, for `within` at most.
    pub async fn close(&self, within: Duration) {
        self.closing.send_replace(true);
        // The exporter's end of the channel goes when it has nothing left.
        if timeout(within, self.closing.closed()).await.is_err() {
            log::warn!("traces: the last spans could not be sent in {within:?}");
        }
    }
}

/// What describes this process.
fn resource() -> Result<Vec<(&'static str, Value)>, TracesSetupError> {
    let mut instance = [0; 16];
    rand_bytes(&mut instance)?;
    let instance: Arc<str> = format!("{:032x}", u128::from_be_bytes(instance)).into();
    Ok(vec![
        ("service.name", "tollgate".into()),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        ("service.instance.id", instance.into()),
    ])
}

impl Exporter {
    /// Sends what is handed in, until the process ends.
    pub async fn run(mut self) {
        log::info!("traces: spans go to {}", self.collector.url());
        while self.gather().await {
            self.deliver().await;
        }
        self.deliver().await;
        while self.take_rest() {
            // Whoever is not there now will not be in what time is left.
            if self.down {
                self.lose();
            } else {
                self.deliver().await;
            }
        }
    }

    /// Fills a batch; false when the process is about to end.
    async fn gather(&mut self) -> bool {
        let Self { queue, batch, closing, .. } = self;
        let fill = async {
            let Some(first) = queue.recv().await else { return };
            batch.extend(first);
            let more = async {
                while batch.len() < BATCH
                    && let Some(spans) = queue.recv().await
                {
                    batch.extend(spans);
                }
            };
            // However few there are by then, they go.
            let _ = timeout(GATHERING, more).await;
        };
        tokio::select! {
            biased;
            () = told(closing) => false,
            () = fill => true,
        }
    }

    /// The next batch of what waits; false when nothing does.
    fn take_rest(&mut self) -> bool {
        while self.batch.len() < BATCH
            && let Ok(spans) = self.queue.try_recv()
        {
            self.batch.extend(spans);
        }
        !self.batch.is_empty()
    }

    /// Sends the batch, in several attempts where it is worth while.
    async fn deliver(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let message = otlp::request(&self.resource, self.batch.iter());
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            match self.collector.export(&message).await {
                Ok(rejected) => return self.delivered(rejected),
                Err(error) if !error.may_pass() || attempt == ATTEMPTS || *self.closing.borrow() => {
                    self.note_loss(error);
                    return self.lose();
                }
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = told(&mut self.closing) => {}
            }
            pause *= 2;
        }
    }

    fn delivered(&mut self, rejected: u64) {
        let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(self.batch.len());
        self.metrics.spans("exported", self.batch.len() - rejected);
        self.metrics.spans("rejected", rejected);
        self.batch.clear();
        if std::mem::take(&mut self.down) {
            log::info!("traces: {} takes spans again", self.collector.url());
        }
        if rejected > 0 && !self.picky {
            log::warn!("traces: {} does not take all spans", self.collector.url());
        }
        self.picky = rejected > 0;
    }

    fn note_loss(&mut self, error: ExportError) {
        if !std::mem::replace(&mut self.down, true) {
            log::warn!("traces: spans are lost: {} {error}", self.collector.url());
        }
    }

    fn lose(&mut self) {
        self.metrics.spans("failed", self.batch.len());
        self.batch.clear();
    }
}

/// Waits until the process is about to end.
async fn told(closing: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could hand anything in.
    let _ = closing.wait_for(|told| *told).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traces::{CollectorUrl, SpanId, Times, TraceContext, TraceId};

    fn spans(count: usize) -> Vec<Span> {
        let context = TraceContext::begin(TraceId::from_random(1), SpanId::from_random(2));
        vec![Span::new(context, None, "work", Times { start: 1, end: 2 }); count]
    }

    /// An exporter for an address at which nobody listens.
    async fn dead() -> (Traces, Exporter, Arc<Metrics>) {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let metrics = Arc::new(Metrics::new().unwrap());
        let endpoint = CollectorUrl { tls: false, host: "127.0.0.1".to_owned(), port };
        let (traces, exporter) = Traces::new(TracesSettings { endpoint, ca: None }, "embedded", &metrics).unwrap();
        (traces, exporter, metrics)
    }

    fn counted(metrics: &Metrics, result: &str) -> String {
        let text = String::from_utf8(metrics.render()).unwrap();
        let start = format!("tollgate_trace_spans_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
    }

    #[tokio::test]
    async fn what_finds_no_room_is_dropped_and_counted() {
        let (traces, exporter, metrics) = dead().await;
        for _ in 0..QUEUE + 3 {
            traces.hand_in(spans(2));
        }
        assert_eq!(counted(&metrics, "dropped"), "6");
        drop(exporter);
        traces.hand_in(spans(1));
        assert_eq!(counted(&metrics, "dropped"), "7");
    }

    #[tokio::test]
    async fn at_the_end_a_dead_collector_is_asked_once() {
        let (traces, exporter, metrics) = dead().await;
        for _ in 0..1000 {
            traces.hand_in(spans(2));
        }
        let running = tokio::spawn(exporter.run());
        traces.close(Duration::from_secs(60)).await;
        running.await.unwrap();
        assert_eq!((counted(&metrics, "failed").as_str(), counted(&metrics, "dropped").as_str()), ("2000", "0"));
    }

    #[tokio::test]
    async fn a_process_does_not_wait_for_a_collector_that_is_silent() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let port = silent.local_addr().unwrap().port();
        let endpoint = CollectorUrl { tls: false, host: "127.0.0.1".to_owned(), port };
        let (traces, exporter) = Traces::new(TracesSettings { endpoint, ca: None }, "embedded", &metrics).unwrap();
        traces.hand_in(spans(1));
        let running = tokio::spawn(exporter.run());
        traces.close(Duration::from_millis(50)).await;
        assert!(!running.is_finished(), "it still waits, and nobody waits for it");
        running.abort();
    }
}
