//! The shared memory of all replicas.
//!
//! The trait speaks of what the rooms mean, each call atomic, each with a third outcome: *unknown*. It is never a
//! generic get/set cache, because get-then-set is a race, and a race in a replay check is a second use of a one-time
//! token.

mod embedded;
mod ledger;
#[cfg(feature = "server")]
mod recent;
#[cfg(feature = "server")]
mod redis;
mod revocation;

#[cfg(feature = "server")]
pub use self::redis::{
    ClientCertificate, RedisRevocations, RedisSettings, RedisStore, RedisUrl, Servers, SettingsError,
};
pub use embedded::EmbeddedStore;
pub use ledger::Ledger;
pub use revocation::{
    Change, IssuerTag, KEPT_BEYOND, LineError, Mark, Page, Revocation, RevocationId, RevocationKey, RevocationKind,
    RevocationStore, Target, Watched,
};
#[cfg(feature = "server")]
pub use revocation::{RevocationFile, RevocationFileError};

use crate::clock::UnixTime;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// The name of one nonce in the store: 128 bits of SHA-256, so that no content of a token can shape a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NonceKey([u8; 16]);

impl NonceKey {
    /// The key of `identifier` within `space` (an issuer or a key thumbprint), for nonces of `kind`.
    ///
    /// Every part is preceded by its length, so that no two triples spell the same bytes.
    #[must_use]
    pub fn new(kind: &str, space: &str, identifier: &str) -> Self {
        let mut hasher = openssl::sha::Sha256::new();
        for part in [kind, space, identifier] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finish();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell two keys apart in a trace, too little to look one up.
        write!(f, "NonceKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// The largest number of uses that can be counted. Above it lies what marks a nonce as used up for good.
pub const MAX_USES: u32 = 999;

/// One nonce to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Its name.
    pub key: NonceKey,
    /// How often it may be claimed in all: 1 for a one-time token, at most [`MAX_USES`].
    pub uses: u32,
    /// The moment until which the claim must be remembered: margins included.
    pub keep_until: UnixTime,
}

/// The answer to a claim or a peek.
///
/// `epoch` is the moment since which the store has not forgotten: a token older than that may have been used without
/// the store knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// All nonces were free, and now are claimed (a peek: are free).
    Fresh {
        /// The beginning of the store's unbroken memory.
        epoch: UnixTime,
        /// What gives the claim back.
        receipt: Receipt,
    },
    /// At least one was used up; nothing was claimed.
    Replayed {
        /// The beginning of the store's unbroken memory.
        epoch: UnixTime,
        /// The place of one that was used up; of several that are seen at once, the last.
        spent: usize,
    },
    /// The store could not answer. Whether something was claimed is not known.
    Unknown(StoreError),
}

impl ClaimAnswer {
    /// Why the store could not answer, as a label.
    #[must_use]
    pub const fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Unknown(error) => Some(error.label()),
            Self::Fresh { .. } | Self::Replayed { .. } => None,
        }
    }
}

/// What gives a claim back: the nonces, and who claimed them under which epoch.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The claimed nonces.
    pub nonces: Vec<Nonce>,
    /// The tag of the claiming replica.
    pub owner: u16,
    /// The epoch under which the claim was made.
    pub epoch: UnixTime,
}

/// What becomes of a claim whose outcome the store could not tell in time.
///
/// The caller says so beforehand, because only it knows what it will do then, and a claim that is given back although
/// a request rests on it is a second use of a one-time token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUnknown {
    /// The request will be refused: if the claim was made after all, the store gives it back as soon as it can, so that
    /// a client that tries again is not told that its own token was used.
    GiveBack,
    /// The request will go on all the same (`on_loss: open` or `local`): the claim stays, if it was made.
    Keep,
}

/// Why a store could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreError {
    /// No answer within the time-out.
    #[error("no answer in time")]
    Timeout,
    /// No connection.
    #[error("not connected")]
    Connection,
    /// The store has no room and will not forget a live claim to make some.
    #[error("full")]
    Full,
    /// The store answered with an error, or with something that makes no sense.
    #[error("refused by the store")]
    Refused,
    /// The store answers, but is set up to forget live claims when its memory is full.
    #[error("set up to evict live claims")]
    Evicting,
    /// The store answers, but its clock and ours are too far apart for an expiry to mean the same.
    #[error("its clock and ours are too far apart")]
    Clock,
    /// The claim was made, but too few replicas of the store hold it.
    #[error("too few replicas hold the claim")]
    Unreplicated,
    /// Another process has taken over: it is the one to ask.
    #[error("handed over to another process")]
    HandedOver,
}

impl StoreError {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Connection,
        Self::Full,
        Self::Refused,
        Self::Evicting,
        Self::Clock,
        Self::Unreplicated,
        Self::HandedOver,
    ];

    /// The value of the label in `tollgate_store_errors_total{kind}`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Evicting => "evicting",
            Self::Clock => "clock",
            Self::Unreplicated => "unreplicated",
            Self::HandedOver => "handed_over",
        }
    }
}

/// A rate in the terms of the generic cell rate algorithm, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The time in which one more request becomes free.
    pub interval: i64,
    /// The time for which requests may come ahead.
    pub burst: i64,
}

/// Whether a request is counted, or only looked at (`explain`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It is counted, if it is let through.
    Count,
    /// Nothing is written.
    Look,
}

/// The answer to a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountAnswer {
    /// The counter of all replicas.
    Counted {
        /// When the counter will be empty again, in µs from now.
        busy: i64,
        /// How much too early the request came, in µs; zero or less: it may go on.
        over: i64,
    },
    /// This store counts nothing: it is not shared, and each process counts for itself.
    NotShared,
    /// The store could not answer. Whether the request was counted is not known.
    Unknown(StoreError),
}

impl CountAnswer {
    /// Why the store could not answer, as a label.
    #[must_use]
    pub const fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Unknown(error) => Some(error.label()),
            Self::Counted { .. } | Self::NotShared => None,
        }
    }
}

/// The shared memory, as the rooms use it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Claims all `nonces` in one atomic step: either every one was free and now is claimed, or nothing changed.
    ///
    /// A wrong `Fresh` is a second use of a one-time token. A store that is not sure answers `Unknown`; the caller then
    /// does what it announced with `if_unknown`.
    async fn claim(&self, nonces: &[Nonce], now: UnixTime, if_unknown: IfUnknown) -> ClaimAnswer;

    /// Gives a claim back, if it is still this one. Only for requests of which provably no byte reached an upstream.
    async fn release(&self, receipt: &Receipt);

    /// What a claim would answer now, without making it. For `explain` alone: acting on it would be a race.
    async fn peek(&self, nonces: &[Nonce], now: UnixTime) -> ClaimAnswer;

    /// Takes charge of claims that the caller made in a table of its own because the store could not answer
    /// (`on_loss: local`), and enters them when it answers again; until then this replica at least knows them.
    ///
    /// `Ok(None)`: it has. `Ok(Some(place))`: the store knows, or can't exclude, that the nonce at `place` was used after
    /// all. `Err`: it can't take more, or has no memory beside its own. The caller must refuse its request in both
    /// cases: a claim that is never entered is a second use at another replica.
    fn adopt(&self, nonces: &[Nonce], now: UnixTime) -> Result<Option<usize>, StoreError> {
        let _ = (nonces, now);
        Err(StoreError::Full)
    }

    /// Counts one request under `key` in one atomic step, by the store's own clock.
    ///
    /// A wrong answer lets a request too many through, or one too few; nothing rests on it but fairness.
    async fn count(&self, key: NonceKey, pace: Pace, how: Counting) -> CountAnswer {
        let _ = (key, pace, how);
        CountAnswer::NotShared
    }

    /// True when [`Self::count`] counts the requests of all replicas together.
    fn shares_counts(&self) -> bool {
        false
    }

    /// How far our clock is ahead of the store's, at least.
    ///
    /// An epoch is dated by the store. What was issued later than the store's own time, if it were claimed now, would not
    /// be older than an epoch that begins a moment later, and could be claimed again.
    fn ahead(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the store, all of it, answers at present and can be relied on: for status and metrics.
    fn condition(&self) -> Result<(), StoreError>;

    /// Whether a part of it does: a cluster that lost a shard goes on serving by the others. For readiness.
    fn serves_some(&self) -> bool {
        self.condition().is_ok()
    }

    /// The beginning of the store's unbroken memory, once known.
    fn epoch(&self) -> Option<UnixTime>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_triples_share_a_key() {
        assert_ne!(NonceKey::new("jti", "ab", "c"), NonceKey::new("jti", "a", "bc"));
        assert_ne!(NonceKey::new("jti", "a", "b"), NonceKey::new("proof", "a", "b"));
        assert_eq!(NonceKey::new("jti", "a", "b"), NonceKey::new("jti", "a", "b"));
    }
}
