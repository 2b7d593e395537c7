//! The names of things in Redis.

use super::settings::MAX_KEY;
use crate::store::NonceKey;

/// How keys are spelled: `PREFIX:` and 16 raw bytes for a claim.
///
/// A claim's key is at most 30 bytes: its string then costs 32 bytes of Redis' memory, and one byte more would cost 40.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    record: Vec<u8>,
    owners: Vec<u8>,
}

/// The key of one claim.
#[derive(Clone, Copy)]
pub(super) struct ClaimKey {
    bytes: [u8; MAX_KEY],
    len: usize,
}

impl ClaimKey {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        let of = |name: &str| format!("{prefix}:{name}");
        Self { prefix: of(""), record: of("epoch").into_bytes(), owners: of("owners").into_bytes() }
    }

    /// The key of a claim.
    pub(super) fn claim(&self, nonce: &NonceKey) -> ClaimKey {
        let mut bytes = [0; MAX_KEY];
        let (head, len) = (self.prefix.len(), self.prefix.len() + 16);
        bytes[..head].copy_from_slice(self.prefix.as_bytes());
        bytes[head..len].copy_from_slice(nonce.as_bytes());
        ClaimKey { bytes, len }
    }

    /// The key of the epoch's record.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// The key of the counter that hands out owner tags.
    pub(super) fn owners(&self) -> &[u8] {
        &self.owners
    }
}
