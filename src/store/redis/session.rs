//! A set of connections to one primary, and what is known of it.

use super::Inner;
use super::dialer::Address;
use super::epoch::Knowledge;
use super::fault::{Fault, OpenError};
use super::info::{self, ServerInfo};
use crate::clock::UnixTime;
use crate::store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The farthest our clock and the store's may be apart. A claim outlives its token by 60 s, which covers twice this.
const MAX_CLOCK_OFFSET: i64 = 30_000;
/// Above this share of its memory the store will soon refuse claims.
const MEMORY_WARNING: f64 = 0.8;

/// Connections that have logged in to one primary, whose epoch is settled.
pub(super) struct Session {
    lanes: Vec<MultiplexedConnection>,
    drivers: Vec<JoinHandle<()>>,
    turn: AtomicUsize,
    line: Arc<Line>,
    run: String,
    replication: Mutex<String>,
    evicting: AtomicBool,
    clock_offset: AtomicI64,
    crowded: AtomicBool,
}

/// The state of the connections, shared with the tasks that move their bytes.
#[derive(Debug, Default)]
pub(super) struct Line {
    closed: AtomicBool,
    stalled: AtomicBool,
    alarm: Notify,
}

impl Session {
    /// Connects and asks the server who it is. The epoch is not settled yet: [`Self::probe`] does that.
    pub(super) async fn open(inner: &Inner, address: &Address) -> Result<Self, OpenError> {
        let mut session = Self {
            lanes: Vec::new(),
            drivers: Vec::new(),
            turn: AtomicUsize::new(0),
            line: Arc::default(),
            run: String::new(),
            replication: Mutex::default(),
            evicting: AtomicBool::new(false),
            clock_offset: AtomicI64::new(0),
            crowded: AtomicBool::new(false),
        };
        for place in 0..inner.settings.connections {
            let (mut lane, driver) = inner.dialer.open(address, &inner.settings, false).await?;
            let closing = Closing(Arc::clone(&session.line));
            session.drivers.push(tokio::spawn(async move {
                driver.await;
                drop(closing);
            }));
            let (facts, _) = ask(&mut lane).await?;
            if place > 0 && facts.run != session.run {
                return Err(OpenError::SeveralServers);
            }
            session.run = facts.run;
            session.lanes.push(lane);
        }
        session.load_scripts(inner).await?;
        Ok(session)
    }

    async fn load_scripts(&self, inner: &Inner) -> Result<(), OpenError> {
        let mut load = Pipeline::new();
        for script in inner.claims.scripts().into_iter().chain([inner.settle.script()]) {
            load.add_command(script.load());
        }
        // A user without +script can't load; its scripts then go as text the first time.
        self.lane().send_packed_commands(&load, 0, load.len()).await.map_err(Fault::from)?;
        Ok(())
    }

    /// The next connection in turn.
    pub(super) fn lane(&self) -> MultiplexedConnection {
        let turn = if self.lanes.len() == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) };
        self.lanes[turn % self.lanes.len()].clone()
    }

    /// The process of the primary at the other end.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Asks the server who it is now, settles the epoch, and takes note of its clock and its policy.
    pub(super) async fn probe(&self, inner: &Inner) -> Result<(), OpenError> {
        let mut lane = self.lane();
        let before = inner.clock.now();
        let (facts, store_time) = ask(&mut lane).await?;
        let after = inner.clock.now();
        if !facts.primary || facts.run != self.run {
            return Err(OpenError::NotPrimary);
        }
        let known = self.replication();
        let knowledge = Knowledge {
            seen: inner.memory.epoch().unwrap_or_default(),
            wall: after,
            replication: (!facts.promoted && !known.is_empty()).then_some(known.as_str()),
            owner_epoch: inner.memory.owner_epoch(),
        };
        let settled =
            inner.settle.run(&mut lane, inner.keys.record(), Some(inner.keys.owners()), &facts, knowledge).await?;
        self.replication.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&facts.replication);
        inner.learn(&settled);
        self.guard(inner, &facts, before.as_millis().midpoint(after.as_millis()) - store_time.as_millis());
        Ok(())
    }

    /// Settles the epoch because a claim found no record of this server.
    pub(super) async fn settle(&self, inner: &Inner) -> Result<UnixTime, Fault> {
        self.probe(inner).await.map_err(|error| Fault {
            error: error.as_store_error(),
            maybe_done: true,
            broken: matches!(error, OpenError::Dial(_) | OpenError::NotPrimary),
        })?;
        inner.memory.epoch().ok_or(Fault::NONSENSE)
    }

    /// The latest moment at which the store's clock may stand when ours shows `now`. A claim that is dated by it lives
    /// no shorter than it must, whichever of the two is ahead.
    pub(super) fn dated(&self, now: UnixTime) -> UnixTime {
        let ahead = self.clock_offset.load(Ordering::Relaxed).max(0);
        UnixTime::from_millis(now.as_millis().saturating_sub(ahead))
    }

    /// Why a fresh claim proves nothing, if so.
    pub(super) fn doubt(&self) -> Option<StoreError> {
        if self.evicting.load(Ordering::Relaxed) {
            Some(StoreError::Evicting)
        } else if self.clock_offset.load(Ordering::Relaxed).abs() > MAX_CLOCK_OFFSET {
            Some(StoreError::Clock)
        } else {
            None
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Cuts the connections: whoever waits for an answer is told that it is lost.
    pub(super) fn close(&self) {
        self.line.close();
        for driver in &self.drivers {
            driver.abort();
        }
    }

    fn replication(&self) -> String {
        self.replication.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn guard(&self, inner: &Inner, facts: &ServerInfo, offset: i64) {
        inner.observer.store_clock_offset(offset);
        inner.observer.store_evicted_keys(facts.evicted_keys);
        if self.evicting.swap(facts.evicting, Ordering::Relaxed) != facts.evicting && facts.evicting {
            log::error!("redis: maxmemory-policy is not noeviction: live claims can be lost, so nothing is certain");
        }
        let apart = offset.abs() > MAX_CLOCK_OFFSET;
        if apart && self.clock_offset.load(Ordering::Relaxed).abs() <= MAX_CLOCK_OFFSET {
            log::error!("redis: our clock and the store's are {offset} ms apart, so expiry is not certain");
        }
        self.clock_offset.store(offset, Ordering::Relaxed);
        let (used, most) = facts.memory;
        #[expect(clippy::cast_precision_loss, reason = "a share of memory in per cent needs no 53 bits")]
        let crowded = most > 0 && used as f64 > most as f64 * MEMORY_WARNING;
        if !self.crowded.swap(crowded, Ordering::Relaxed) && crowded {
            log::warn!("redis: {used} of {most} bytes in use; when they are all used, claims are refused");
        }
    }
}

/// Closes the line when it is dropped: when the driver ends, and when its runtime does.
struct Closing(Arc<Line>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

impl Line {
    /// Whether a connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the server is late with an answer.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// The server is late with an answer (or not any more).
    pub(super) fn stall(&self, stalled: bool) {
        if self.stalled.swap(stalled, Ordering::AcqRel) != stalled && stalled {
            self.alarm.notify_one();
        }
    }

    /// Waits until something is wrong.
    pub(super) async fn alarm(&self) {
        self.alarm.notified().await;
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.alarm.notify_one();
    }
}

/// Who the server is, and its time.
async fn ask(lane: &mut MultiplexedConnection) -> Result<(ServerInfo, UnixTime), OpenError> {
    let mut commands = Pipeline::with_capacity(2);
    commands.cmd("INFO");
    commands.cmd("TIME");
    let replies = lane.send_packed_commands(&commands, 0, 2).await.map_err(Fault::from)?;
    let [text, time] = <[Value; 2]>::try_from(replies).map_err(|_| OpenError::NoFacts)?;
    if let Value::ServerError(error) = &text {
        return Err(refusal(error));
    }
    let text = redis::from_redis_value::<String>(text).map_err(|_| OpenError::NoFacts)?;
    ServerInfo::parse(&text).zip(info::time(&time)).ok_or(OpenError::NoFacts)
}

fn refusal(error: &redis::ServerError) -> OpenError {
    match error.code() {
        "NOAUTH" => OpenError::Login,
        "NOPERM" => OpenError::NoFacts,
        _ => Fault::from(error).into(),
    }
}
