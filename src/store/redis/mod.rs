//! The Redis store: one memory for all replicas.
//!
//! A claim is one round trip. Its answer is `Fresh` only if Redis said so in time, the epoch's record stood beside the
//! claim and speaks of the very server that this connection reached, and nothing makes the server's memory doubtful.
//! Everything else is `Unknown`. No command is ever sent twice on its own account: the second would find the claim of
//! the first.

mod adopted;
mod claim;
mod cluster;
mod dialer;
mod epoch;
mod fault;
mod fleet;
mod flight;
mod guard;
mod info;
mod keys;
mod lane;
mod line;
mod memory;
mod primary;
mod rates;
mod revocations;
mod script;
mod sentinel;
mod session;
mod settings;
mod slots;
mod subscription;

pub use revocations::RedisRevocations;
pub use settings::{ClientCertificate, RedisSettings, RedisUrl, Servers, SettingsError};

use super::recent::{Due, Recent, Returned};
use super::{ClaimAnswer, CountAnswer, Counting, IfUnknown, Nonce, NonceKey, Pace, Receipt, Store, StoreError};
use crate::clock::{Clock, Stopwatch, UnixTime};
use crate::observe::Observer;
use adopted::Adopted;
use async_trait::async_trait;
use claim::Claims;
use dialer::{Address, Dialer};
use epoch::{Knowledge, Settle};
use fault::Fault;
use fleet::Fleet;
use info::ServerInfo;
use keys::Keys;
use lane::Lane;
use memory::Memory;
use primary::Place;
use rates::RateScript;
use sentinel::Sentinels;
use session::Session;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;
/// Claims given back, or entered, in one write.
const BATCH: usize = 512;

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
    rates: RateScript,
    settle: Settle,
    memory: Memory,
    recent: Recent<oneshot::Sender<()>>,
    adopted: Adopted,
    fleet: Arc<Fleet>,
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
        let keys = match settings.servers {
            Servers::Cluster(_) => Keys::clustered(&settings.key_prefix),
            Servers::Single(_) | Servers::Sentinel { .. } => Keys::single(&settings.key_prefix),
        };
        let inner = Inner {
            dialer: Dialer::new(&settings)?,
            claims: Claims::new(),
            rates: RateScript::new(),
            settle: Settle::new(),
            memory: Memory::new(keys.groups()),
            recent: Recent::new(settings.recent_claims, settings.foreign_memory),
            adopted: Adopted::default(),
            fleet: Arc::new(fleet(&settings.servers)),
            keys,
            settings,
            clock,
            observer,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins to connect, and waits for that no longer than a request would. Later it connects again by itself.
    pub async fn connect(&self) -> Result<(), StoreError> {
        self.inner.fleet.start(&self.inner);
        let connected = async {
            for group in 0..self.inner.keys.groups() {
                self.inner.session(group).await?;
            }
            Ok(())
        };
        timeout(self.inner.settings.timeout, connected).await.unwrap_or(Err(StoreError::Timeout))
    }
}

fn fleet(servers: &Servers) -> Fleet {
    let at = |url: &RedisUrl, port| Address { host: url.host.clone(), port: url.port.unwrap_or(port) };
    match servers {
        Servers::Single(url) => Fleet::single(Place::Fixed(at(url, DEFAULT_PORT))),
        Servers::Cluster(urls) => Fleet::cluster(urls.iter().map(|url| at(url, DEFAULT_PORT)).collect()),
        Servers::Sentinel { urls, service } => {
            let addresses = urls.iter().map(|url| at(url, DEFAULT_SENTINEL_PORT)).collect();
            Fleet::single(Place::Named(Arc::new(Sentinels::new(service, addresses))))
        }
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
        let mut tasks = Vec::new();
        for primary in self.inner.fleet.primaries() {
            let groups = primary.groups();
            let is_here = |nonce: &Nonce| groups.binary_search(&self.inner.keys.group(&nonce.key)).is_ok();
            if let Some(session) = primary.current().filter(|_| receipt.nonces.iter().any(is_here)) {
                tasks.push(primary::give_back(&self.inner, &session, groups));
            }
        }
        let all = async {
            for task in tasks {
                // A task that ends early has told the table so.
                let _ = task.await;
            }
        };
        let _ = timeout(self.inner.settings.timeout, all).await;
    }

    async fn peek(&self, nonces: &[Nonce], now: UnixTime) -> ClaimAnswer {
        let watch = Stopwatch::start();
        let look = timeout(self.inner.settings.timeout, self.inner.peek(nonces, now)).await;
        let answer = look.unwrap_or(Err(StoreError::Timeout)).unwrap_or_else(ClaimAnswer::Unknown);
        self.inner.observe("peek", watch, &answer);
        answer
    }

    async fn count(&self, key: NonceKey, pace: Pace, how: Counting) -> CountAnswer {
        self.inner.count(key, pace, how).await
    }

    fn shares_counts(&self) -> bool {
        true
    }

    fn adopt(&self, nonces: &[Nonce], now: UnixTime) -> Result<Option<usize>, StoreError> {
        if let Some(spent) = self.inner.recent.adopt(nonces, now) {
            return Ok(Some(spent));
        }
        self.inner.adopted.add(nonces)?;
        self.inner.fleet.nudge();
        Ok(None)
    }

    fn condition(&self) -> Result<(), StoreError> {
        self.inner.fleet.condition()
    }

    fn serves_some(&self) -> bool {
        self.inner.fleet.serves_some()
    }

    fn epoch(&self) -> Option<UnixTime> {
        self.inner.memory.latest()
    }
}

impl Inner {
    /// How long the store may be silent before its connection is given up.
    fn patience(&self) -> Duration {
        (self.settings.timeout * 5).max(Duration::from_secs(1))
    }

    /// The connections to the primary of a group; while they are being made for the first time, waits for them.
    async fn session(self: &Arc<Self>, group: u16) -> Result<Arc<Session>, StoreError> {
        let primary = match self.fleet.primary(group) {
            Some(primary) => primary,
            None => self.fleet.locate(self, group).await?,
        };
        match primary.ready() {
            Some(session) => Ok(session),
            None => primary.session(self).await,
        }
    }

    /// The connections to the primary of a group, if they are there and the server is not late.
    fn ready(&self, group: u16) -> Result<Arc<Session>, StoreError> {
        let session = self.fleet.primary(group).and_then(|primary| primary.current()).ok_or(StoreError::Connection)?;
        if session.line().is_stalled() { Err(StoreError::Timeout) } else { Ok(session) }
    }

    /// Waits until there are connections for all of `nonces`, before any of them is claimed.
    async fn reach(self: &Arc<Self>, nonces: &[Nonce], watch: Stopwatch) -> Result<(), StoreError> {
        let groups = || nonces.iter().map(|nonce| self.keys.group(&nonce.key));
        if groups().all(|group| self.ready(group).is_ok()) {
            return Ok(());
        }
        let all = async {
            for group in groups() {
                self.session(group).await?;
            }
            Ok(())
        };
        let rest = self.settings.timeout.saturating_sub(watch.elapsed());
        timeout(rest, all).await.unwrap_or(Err(StoreError::Timeout))
    }

    /// A request was not answered in time: until the server has answered a probe, nobody else waits for it.
    fn is_late(&self, nonces: &[Nonce]) {
        for nonce in nonces {
            let primary = self.fleet.primary(self.keys.group(&nonce.key));
            if let Some(session) = primary.and_then(|primary| primary.current()) {
                session.line().stall(true);
            }
        }
    }

    /// Settles the epochs of `groups` for the server that `facts` speaks of.
    async fn settle(
        &self,
        lane: &mut Lane,
        groups: &[u16],
        facts: &ServerInfo,
        knowledge: Knowledge<'_>,
    ) -> Result<(), Fault> {
        let settled = self.settle.run(lane, &self.keys, &self.memory, groups, facts, knowledge).await?;
        let moved: Vec<_> = settled.iter().filter(|settled| settled.moved.is_some()).collect();
        if let Some((latest, reason)) = moved.last().and_then(|last| Some((last.epoch, last.moved.as_deref()?))) {
            log::warn!("redis: the memory of {} groups begins anew at {latest} ({reason})", moved.len());
        }
        if let Some(epoch) = self.memory.latest() {
            self.observer.store_epoch(epoch);
        }
        Ok(())
    }

    /// The epoch beside a claim: the record's, if it speaks of this server and is no older than we know; else a new
    /// one.
    async fn epoch_beside(&self, session: &Session, group: u16, record: Option<&[u8]>) -> Result<UnixTime, Fault> {
        match record.and_then(epoch::Record::parse) {
            Some(record) if record.run == session.run() && self.memory.accepts(group, record.epoch) => Ok(record.epoch),
            _ => {
                session.line().doubt();
                session.settle(self, group).await
            }
        }
    }

    /// Looks, and writes nothing: a memory whose epoch would have to be settled first can't vouch for anything yet.
    async fn peek(self: &Arc<Self>, nonces: &[Nonce], now: UnixTime) -> Result<ClaimAnswer, StoreError> {
        let (mut epoch, mut doubt, mut before) = (UnixTime::default(), None, 0);
        let mut spent = self.recent.spent(nonces, now);
        for part in nonces.chunk_by(|one, next| self.keys.group(&one.key) == self.keys.group(&next.key)) {
            let Some(group) = part.first().map(|nonce| self.keys.group(&nonce.key)) else { continue };
            let session = self.session(group).await?;
            let look = async {
                let answers = session.lane().send(claim::look(&self.keys, group, part)).await?;
                let looked = claim::looked(part, answers)?;
                let record = looked.record.as_deref().and_then(epoch::Record::parse);
                let sound = record.filter(|it| it.run == session.run() && self.memory.accepts(group, it.epoch));
                Ok((looked.spent.map(|place| before + place), sound.map(|record| record.epoch)))
            };
            let (seen, beside) = look.await.map_err(|fault: Fault| fault.error)?;
            let unsettled = beside.is_none().then_some(StoreError::Refused);
            doubt = doubt.or_else(|| session.doubt()).or(unsettled);
            (spent, epoch) = (spent.max(seen), epoch.max(beside.unwrap_or_default()));
            before += part.len();
        }
        Ok(match (spent, doubt) {
            (Some(spent), _) => ClaimAnswer::Replayed { epoch, spent },
            (None, Some(doubt)) => ClaimAnswer::Unknown(doubt),
            (None, None) => ClaimAnswer::Fresh { epoch, receipt: Receipt::default() },
        })
    }

    /// Gives back what is due in `groups`. Every claim taken is settled, whatever happens to the connection.
    async fn give_back(&self, session: &Session, groups: &[u16]) {
        loop {
            let dues = self.recent.take_due(BATCH, |key| groups.binary_search(&self.keys.group(key)).is_ok());
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
            if close_if_broken(session, &answers) {
                return;
            }
        }
    }

    /// Enters the claims of `groups` that were made without the store. What was entered twice does no harm.
    async fn enter_adopted(&self, session: &Session, groups: &[u16]) {
        loop {
            let nonces = self.adopted.take(BATCH, |key| groups.binary_search(&self.keys.group(key)).is_ok());
            if nonces.is_empty() {
                return;
            }
            let now = session.dated(self.clock.now());
            let answers = self.claims.enter(&mut session.lane(), &self.keys, &nonces, self.memory.owner(), now).await;
            let mut failed = Vec::new();
            for (nonce, answer) in nonces.iter().zip(&answers) {
                match answer {
                    Ok(false) => {}
                    Ok(true) => self.observer.local_claim_conflict(),
                    Err(_) => failed.push(*nonce),
                }
            }
            self.adopted.back(failed);
            if close_if_broken(session, &answers) {
                return;
            }
        }
    }

    fn report(&self) {
        self.observer.store_degraded(self.fleet.condition().is_err());
    }

    fn observe(&self, operation: &'static str, watch: Stopwatch, answer: &ClaimAnswer) {
        match answer {
            ClaimAnswer::Unknown(error) => self.observer.store_failed(error.label()),
            _ => self.observer.store_answered(operation, watch.elapsed()),
        }
    }
}

/// Whether some command failed: then there is no use in going on. A broken connection is closed.
fn close_if_broken<T>(session: &Session, answers: &[Result<T, Fault>]) -> bool {
    if answers.iter().any(|answer| matches!(answer, Err(fault) if fault.broken)) {
        session.close();
    }
    answers.iter().any(Result::is_err)
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.inner.fleet.stop();
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("servers", &self.inner.settings.servers).finish_non_exhaustive()
    }
}
