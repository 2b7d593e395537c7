//! Where requests hand their records in.

use super::chain::ChainKey;
use super::head::{AuditStatus, Board};
use super::record::AuditRecord;
use super::settings::{AuditEvents, AuditSettings, AuditTerms, Overflow};
use super::writer::{Item, Writer};
use crate::clock::Clock;
use crate::telemetry::Metrics;
use arc_swap::ArcSwap;
use openssl::error::ErrorStack;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Records that may wait to be written: some 4 MiB.
const QUEUE: usize = 10_000;
/// How long a request waits for a place, when it is to wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the last records.
const FAREWELL: Duration = Duration::from_secs(5);

/// The audit log of the process.
pub struct Audit {
    terms: ArcSwap<AuditTerms>,
    key: Arc<ChainKey>,
    queue: mpsc::Sender<Item>,
    /// True since a request waited in vain, until a record finds a place: others need not wait in vain too.
    stalled: AtomicBool,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
}

/// Why there can be no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditSetupError {
    /// The cryptographic library refuses the key.
    #[error("the cryptographic library refuses the key")]
    Key(#[from] ErrorStack),
    /// The system gives no thread.
    #[error("can't start the writer: {0}")]
    Thread(#[from] io::Error),
}

impl Audit {
    /// Opens the log, and starts its writer. A file that can't be opened stops nothing: the writer tries it again.
    pub fn start(
        settings: AuditSettings,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, AuditSetupError> {
        let key = Arc::new(ChainKey::new(&settings.key)?);
        let (queue, waiting) = mpsc::channel(QUEUE);
        let board = Arc::new(Board::default());
        let terms = ArcSwap::from_pointee(settings.terms);
        let writer =
            Writer::new(settings, Arc::clone(&key), Arc::clone(&board), Arc::clone(metrics), Arc::clone(clock));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || runtime.block_on(writer.run(waiting)))?;
        Ok(Self { terms, key, queue, stalled: AtomicBool::new(false), board, metrics: Arc::clone(metrics) })
    }

    /// Whether a trace of the decision is wanted.
    #[must_use]
    pub fn wants_trace(&self) -> bool {
        self.terms.load().trace
    }

    /// Takes on what a reload changed.
    pub fn renew(&self, terms: AuditTerms) {
        self.terms.store(Arc::new(terms));
    }

    /// Hands a record in. Returns at once, or after a second at most.
    pub async fn record(&self, record: &AuditRecord<'_>) {
        let terms = **self.terms.load();
        if terms.events == AuditEvents::Denials && !record.is_notable() {
            return;
        }
        let item = Item::Record(record.members(terms, &self.key));
        let sent = match self.queue.try_send(item) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(item)) => {
                terms.overflow == Overflow::Block && !self.stalled.load(Ordering::Relaxed) && self.wait(item).await
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        };
        if sent {
            self.stalled.store(false, Ordering::Relaxed);
        } else {
            self.metrics.audit_dropped(1);
            self.board.drop_one();
        }
    }

    async fn wait(&self, item: Item) -> bool {
        let sent = self.queue.send_timeout(item, PATIENCE).await.is_ok();
        if !sent && !self.stalled.swap(true, Ordering::Relaxed) {
            log::error!("audit: the file takes no records; requests go on without");
        }
        sent
    }

    /// How far it is written, and what is wrong.
    #[must_use]
    pub fn status(&self) -> AuditStatus {
        self.board.show()
    }

    /// Has everything written that was handed in.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let close = async {
            if self.queue.send(Item::Close(done)).await.is_ok() {
                // An error means that the writer is gone, and with it everything there was to wait for.
                let _ = closed.await;
            }
        };
        if timeout(FAREWELL, close).await.is_err() {
            log::error!("audit: the last records could not be written in {FAREWELL:?}");
        }
    }
}
