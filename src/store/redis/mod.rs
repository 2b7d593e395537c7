//! The Redis store: one memory for all replicas.
//!
//! A claim is one round trip. Its answer is `Fresh` only if Redis said so in time, the epoch's record stood beside the
//! claim and speaks of the very server that this connection reached, and nothing makes the server's memory doubtful.
//! Everything else is `Unknown`. No command is ever sent twice on its own account: the second would find the claim of
//! the first.

mod claim;
mod dialer;
mod epoch;
mod fault;
mod flight;
mod info;
mod keys;
mod memory;
mod primary;
mod revocations;
mod script;
mod session;
mod settings;
mod subscription;

pub use revocations::RedisRevocations;
pub use settings::{ClientCertificate, RedisSettings, RedisUrl, Servers, SettingsError};

use super::recent::{Due, Recent, Returned};
use super::{ClaimAnswer, IfUnknown, Nonce, Receipt, Store, StoreError};
use crate::clock::{Clock, Stopwatch, UnixTime};
use crate::observe::Observer;
use async_trait::async_trait;
use claim::Claims;
use dialer::{Address, Dialer};
use epoch::{Settle, Settled};
use fault::Fault;
use keys::Keys;
use memory::Memory;
use primary::Primary;
use session::Session;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

const DEFAULT_PORT: u16 = 6379;
/// Claims given back in one write.
const RETURN_BATCH: usize = 128;

/// A store in Redis, shared by all replicas that use the same servers and key prefix.
///
/// It connects with the first request, or with [`RedisStore::connect`], and its tasks live in the runtime of that call.
pub struct RedisStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    settings: RedisSettings,
    dialer: Dialer,
    keys: Keys,
    claims: Claims,
    settle: Settle,
    memory: Memory,
    recent: Recent<oneshot::Sender<()>>,
    primary: Arc<Primary>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

impl RedisStore {
    /// A store by `settings`. It does not connect yet, and may be made outside a runtime.
    pub fn new(
        settings: RedisSettings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let Servers::Single(url) = &settings.servers else { return Err(SettingsError::NoServer) };
        let address = Address { host: url.host.clone(), port: url.port.unwrap_or(DEFAULT_PORT) };
        let inner = Inner {
            dialer: Dialer::new(&settings)?,
            keys: Keys::new(&settings.key_prefix),
            claims: Claims::new(),
            settle: Settle::new(),
            memory: Memory::new(),
            recent: Recent::new(settings.recent_claims, settings.foreign_memory),
            primary: Arc::new(Primary::new(address)),
            settings,
            clock,
            observer,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Connects, and waits for that no longer than a request would. Later it connects again by itself.
    pub async fn connect(&self) -> Result<(), StoreError> {
        let session = self.inner.primary.session(&self.inner);
        timeout(self.inner.settings.timeout, session).await.unwrap_or(Err(StoreError::Timeout)).map(|_| ())
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn claim(&self, nonces: &[Nonce], now: UnixTime, if_unknown: IfUnknown) -> ClaimAnswer {
        let watch = Stopwatch::start();
        let answer = self.inner.claim(nonces, now, if_unknown, watch).await;
        self.inner.observe("claim", watch, &answer);
        answer
    }

    async fn release(&self, receipt: &Receipt) {
        for nonce in &receipt.nonces {
            self.inner.recent.give_up(Due { nonce: *nonce, owner: receipt.owner, epoch: receipt.epoch });
        }
        if let Some(session) = self.inner.primary.current() {
            let task = primary::give_back(&self.inner, &session);
            let _ = timeout(self.inner.settings.timeout, task).await;
        }
    }

    async fn peek(&self, nonces: &[Nonce], now: UnixTime) -> ClaimAnswer {
        let watch = Stopwatch::start();
        let look = timeout(self.inner.settings.timeout, self.inner.peek(nonces, now)).await;
        let answer = look.unwrap_or(Err(StoreError::Timeout)).unwrap_or_else(ClaimAnswer::Unknown);
        self.inner.observe("peek", watch, &answer);
        answer
    }

    fn condition(&self) -> Result<(), StoreError> {
        self.inner.primary.condition()
    }

    fn epoch(&self) -> Option<UnixTime> {
        self.inner.memory.epoch()
    }
}

impl Inner {
    /// How long the store may be silent before its connection is given up.
    fn patience(&self) -> Duration {
        (self.settings.timeout * 5).max(Duration::from_secs(1))
    }

    fn learn(&self, settled: &Settled) {
        if let Some(reason) = &settled.moved {
            log::warn!("redis: the store's memory begins anew at {} ({reason})", settled.epoch);
        }
        self.memory.learn(settled);
        self.observer.store_epoch(settled.epoch);
    }

    /// The epoch beside a claim: the record's, if it speaks of this server and is no older than we know; else a new
    /// one.
    async fn epoch_beside(&self, session: &Session, record: Option<&[u8]>) -> Result<UnixTime, Fault> {
        match record.and_then(epoch::Record::parse) {
            Some(record) if record.run == session.run() && self.memory.accepts(record.epoch) => Ok(record.epoch),
            _ => session.settle(self).await,
        }
    }

    async fn peek(self: &Arc<Self>, nonces: &[Nonce], now: UnixTime) -> Result<ClaimAnswer, StoreError> {
        let session = self.primary.session(self).await?;
        let known_spent = !self.recent.is_free(nonces, now);
        let commands = claim::look(&self.keys, nonces);
        let replies = session.lane().send_packed_commands(&commands, 0, nonces.len() + 1).await;
        let looked = replies.map_err(Fault::from).and_then(|replies| claim::looked(nonces, replies));
        let looked = looked.map_err(|fault| fault.error)?;
        let epoch = self.epoch_beside(&session, looked.record.as_deref()).await.map_err(|fault| fault.error)?;
        Ok(match (known_spent || looked.spent.is_some(), session.doubt()) {
            (true, _) => ClaimAnswer::Replayed { epoch },
            (false, Some(doubt)) => ClaimAnswer::Unknown(doubt),
            (false, None) => ClaimAnswer::Fresh { epoch, receipt: Receipt::default() },
        })
    }

    /// Gives back what is due. Every claim taken is settled, whatever happens to the connection.
    async fn give_back(&self, session: &Session) {
        loop {
            let dues = self.recent.take_due(RETURN_BATCH, |_| true);
            if dues.is_empty() {
                return;
            }
            let watch = Stopwatch::start();
            let answers = if session.line().is_closed() {
                vec![Err(Fault { error: StoreError::Connection, maybe_done: false, broken: false }); dues.len()]
            } else {
                self.claims.release(&mut session.lane(), &self.keys, &dues).await
            };
            self.observer.store_answered("release", watch.elapsed());
            for (due, answer) in dues.iter().zip(&answers) {
                let (returned, result) = match answer {
                    Ok(true) => (Returned::Settled, "released"),
                    Ok(false) => (Returned::Settled, "kept"),
                    Err(fault) if fault.maybe_done => (Returned::Lost, "lost"),
                    Err(_) => (Returned::NotSent, "refused"),
                };
                self.recent.returned(*due, returned);
                self.observer.claim_released(result);
            }
            if answers.iter().any(Result::is_err) {
                return;
            }
        }
    }

    fn report(&self) {
        self.observer.store_degraded(self.primary.condition().is_err());
    }

    fn observe(&self, operation: &'static str, watch: Stopwatch, answer: &ClaimAnswer) {
        match answer {
            ClaimAnswer::Unknown(error) => self.observer.store_failed(error.label()),
            _ => self.observer.store_answered(operation, watch.elapsed()),
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.inner.primary.stop();
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("servers", &self.inner.settings.servers).finish_non_exhaustive()
    }
}
