//! The embedded store: one process, no network, forgets everything on restart and says so through its epoch.

use super::{ClaimAnswer, IfUnknown, Ledger, Nonce, Receipt, Store, StoreError};
use crate::clock::UnixTime;
use crate::observe::{Observer, Silent};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A store inside this process.
pub struct EmbeddedStore {
    ledger: Ledger,
    /// In milliseconds since 1970.
    epoch: AtomicI64,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("epoch", &self.begins()).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// An empty store of at most `max_entries` claims, whose memory begins at `now`.
    #[must_use]
    pub fn new(max_entries: usize, now: UnixTime) -> Self {
        let epoch = AtomicI64::new(now.as_millis());
        Self { ledger: Ledger::new(max_entries), epoch, observer: Arc::new(Silent) }
    }

    /// Lets the memory begin at `now` instead: until then another process accepted claims.
    pub fn begin(&self, now: UnixTime) {
        self.epoch.fetch_max(now.as_millis(), Ordering::AcqRel);
    }

    fn begins(&self) -> UnixTime {
        UnixTime::from_millis(self.epoch.load(Ordering::Acquire))
    }

    /// The same store, which reports to `observer`.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn claim(&self, nonces: &[Nonce], now: UnixTime, _: IfUnknown) -> ClaimAnswer {
        let epoch = self.begins();
        match self.ledger.claim(nonces, now) {
            Ok(None) => ClaimAnswer::Fresh { epoch, receipt: Receipt { nonces: nonces.to_vec(), owner: 0, epoch } },
            Ok(Some(spent)) => ClaimAnswer::Replayed { epoch, spent },
            Err(error) => {
                self.observer.store_failed(error.label());
                ClaimAnswer::Unknown(error)
            }
        }
    }

    async fn release(&self, receipt: &Receipt) {
        self.ledger.release(&receipt.nonces);
        self.observer.claim_released("released");
    }

    async fn peek(&self, nonces: &[Nonce], now: UnixTime) -> ClaimAnswer {
        let epoch = self.begins();
        match self.ledger.spent(nonces, now) {
            None => ClaimAnswer::Fresh { epoch, receipt: Receipt::default() },
            Some(spent) => ClaimAnswer::Replayed { epoch, spent },
        }
    }

    fn condition(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn epoch(&self) -> Option<UnixTime> {
        Some(self.begins())
    }
}
