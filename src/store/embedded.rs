//! The embedded store: one process, no network, forgets everything on restart and says so through its epoch.

use super::{ClaimAnswer, IfUnknown, Ledger, Nonce, Receipt, Store, StoreError};
use crate::clock::UnixTime;
use async_trait::async_trait;

/// A store inside this process.
#[derive(Debug)]
pub struct EmbeddedStore {
    ledger: Ledger,
    epoch: UnixTime,
}

impl EmbeddedStore {
    /// An empty store of at most `max_entries` claims, whose memory begins at `now`.
    #[must_use]
    pub fn new(max_entries: usize, now: UnixTime) -> Self {
        Self { ledger: Ledger::new(max_entries), epoch: now }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn claim(&self, nonces: &[Nonce], now: UnixTime, _: IfUnknown) -> ClaimAnswer {
        let epoch = self.epoch;
        match self.ledger.claim(nonces, now) {
            Ok(true) => ClaimAnswer::Fresh { epoch, receipt: Receipt { nonces: nonces.to_vec(), owner: 0, epoch } },
            Ok(false) => ClaimAnswer::Replayed { epoch },
            Err(error) => ClaimAnswer::Unknown(error),
        }
    }

    async fn release(&self, receipt: &Receipt) {
        self.ledger.release(&receipt.nonces);
    }

    async fn peek(&self, nonces: &[Nonce], now: UnixTime) -> ClaimAnswer {
        let epoch = self.epoch;
        if self.ledger.is_free(nonces, now) {
            ClaimAnswer::Fresh { epoch, receipt: Receipt::default() }
        } else {
            ClaimAnswer::Replayed { epoch }
        }
    }

    fn condition(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn epoch(&self) -> Option<UnixTime> {
        Some(self.epoch)
    }
}
