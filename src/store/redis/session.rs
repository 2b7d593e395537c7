//! A set of connections to one primary, and what is known of it.

use super::Inner;
use super::dialer::{Address, Login};
use super::epoch::{Knowledge, Record};
use super::fault::{Fault, OpenError};
use super::guard::Guard;
use super::info::{self, ServerInfo};
use super::lane::{self, Answers, Lane};
use super::line::{Driving, Line};
use crate::clock::{Stopwatch, UnixTime};
use crate::store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// Groups whose records are looked at with each probe, where not all are.
const PORTION: usize = 64;

/// Connections that have logged in to one primary.
pub(super) struct Session {
    lanes: Vec<Lane>,
    committing: Vec<Lane>,
    tasks: Vec<JoinHandle<()>>,
    turn: AtomicUsize,
    line: Arc<Line>,
    run: String,
    replication: Mutex<String>,
    evicted: AtomicU64,
    portion: AtomicUsize,
    unsettled: AtomicBool,
    guard: Arc<Guard>,
    address: Address,
}

/// Which groups' records a probe looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of them.
    All,
    /// Some, in turn; all of them if anything looks odd.
    Some,
    /// The one that is given, because a claim found its record odd.
    One,
}

impl Session {
    /// Connects and asks the server who it is. The epochs are not settled yet, and `guard` has not judged it: both does
    /// [`Self::probe`].
    pub(super) async fn open(inner: &Inner, address: &Address, guard: Arc<Guard>) -> Result<Self, OpenError> {
        let mut session = Self {
            lanes: Vec::new(),
            committing: Vec::new(),
            tasks: Vec::new(),
            turn: AtomicUsize::new(0),
            line: Arc::default(),
            run: String::new(),
            replication: Mutex::default(),
            evicted: AtomicU64::new(0),
            portion: AtomicUsize::new(0),
            unsettled: AtomicBool::new(false),
            guard,
            address: address.clone(),
        };
        let (replicas, settings) = (inner.settings.replica_acks, &inner.settings);
        for _ in 0..settings.connections {
            let connection = session.connect(inner, address).await?;
            session.lanes.push(Lane::Plain(connection));
            if replicas > 0 {
                let connection = session.connect(inner, address).await?;
                // A little less than the request has, so that it is told that the replicas were missing.
                let (lane, task) = lane::committing(connection, replicas, settings.timeout * 3 / 4);
                session.committing.push(lane);
                session.tasks.push(tokio::spawn(task));
            }
        }
        session.load_scripts(inner).await?;
        Ok(session)
    }

    /// One connection more, to the same server as the others.
    async fn connect(&mut self, inner: &Inner, address: &Address) -> Result<MultiplexedConnection, OpenError> {
        let (connection, driver) = inner.dialer.open(address, &inner.settings, Login::Store).await?;
        self.tasks.push(tokio::spawn(Driving::new(driver, &self.line)));
        let (facts, ..) = ask(&mut Lane::Plain(connection.clone()), inner, &[]).await?;
        if self.run.is_empty() {
            self.run = facts.run;
        } else if facts.run != self.run {
            return Err(OpenError::SeveralServers);
        }
        Ok(connection)
    }

    async fn load_scripts(&self, inner: &Inner) -> Result<(), OpenError> {
        let mut load = Pipeline::new();
        for script in inner.claims.scripts().into_iter().chain([inner.settle.script(), inner.rates.script()]) {
            load.add_command(script.load());
        }
        // A user without +script can't load; its scripts then go as text the first time.
        self.lane().send(load).await?;
        Ok(())
    }

    /// The next connection in turn.
    pub(super) fn lane(&self) -> Lane {
        self.turn(&self.lanes)
    }

    /// The next connection in turn for claims, and why nothing that is claimed on it counts, if so.
    pub(super) fn claim_lane(&self) -> (Lane, Option<StoreError>) {
        if self.committing.is_empty() {
            (self.turn(&self.lanes), None)
        } else if self.guard.is_alone() {
            // Without replicas to wait for, a claim is made all the same, and answered with that doubt: even if they come
            // before its answer does.
            (self.turn(&self.lanes), Some(StoreError::Unreplicated))
        } else {
            (self.turn(&self.committing), None)
        }
    }

    /// Why it is not yet said since when this primary has not forgotten, if so.
    pub(super) fn unsettled(&self) -> Option<StoreError> {
        self.is_unsettled().then(|| self.doubt().unwrap_or(StoreError::Unreplicated))
    }

    fn is_unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }

    fn turn(&self, lanes: &[Lane]) -> Lane {
        let turn = if lanes.len() == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) };
        lanes[turn % lanes.len()].clone()
    }

    /// The process of the primary at the other end.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Asks the server who it is now, settles the epochs of `groups`, and takes note of its clock and its policy.
    /// `false`: some can't be settled yet, because too few replicas follow this primary, or its clock and ours are apart.
    pub(super) async fn probe(&self, inner: &Inner, groups: &[u16], scope: Scope) -> Result<bool, OpenError> {
        let (mut lane, known) = (self.lane(), self.replication());
        let some = scope == Scope::Some && !self.is_unsettled();
        let looked_at = if some { self.portion(groups) } else { groups.to_vec() };
        let (before, watch) = (inner.clock.now(), Stopwatch::start());
        let (facts, store_time, mut odd) = ask(&mut lane, inner, &looked_at).await?;
        inner.observer.store_answered("probe", watch.elapsed());
        let wall = inner.clock.now();
        self.guard.note_ahead(before.since(store_time));
        if !facts.primary || facts.run != self.run {
            return Err(OpenError::NotPrimary);
        }
        self.note(inner, &facts, before.as_millis().midpoint(wall.as_millis()).saturating_sub(store_time.as_millis()));
        let moved = facts.replication != known || facts.evicted_keys != self.evicted.load(Ordering::Relaxed);
        if looked_at.len() < groups.len() && (moved || !odd.is_empty()) {
            odd = ask(&mut lane, inner, groups).await?.2;
        }
        // The replicas that a claim must wait for may still follow another primary, which then goes on making claims that
        // count. What it makes is over when they have come over to this one: only then does the epoch begin. And what one
        // of two clocks that are apart says would stand in everybody's record.
        if !odd.is_empty() && (facts.replicas < inner.settings.replica_acks || self.guard.is_apart()) {
            self.unsettled.store(true, Ordering::Release);
            return Ok(false);
        }
        let replication = (!facts.promoted && !known.is_empty()).then_some(known.as_str());
        inner.settle(&mut lane, &odd, &facts, Knowledge { wall, replication }).await?;
        // What one group was settled for is still news to the others: the next probe looks at them all.
        if scope != Scope::One {
            self.unsettled.store(false, Ordering::Release);
            self.replication.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&facts.replication);
            self.evicted.store(facts.evicted_keys, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Settles the epoch of one group because a claim found no record of this server in it.
    pub(super) async fn settle(&self, inner: &Inner, group: u16) -> Result<UnixTime, Fault> {
        if !self.probe(inner, &[group], Scope::One).await.map_err(OpenError::as_fault)? {
            let error = self.doubt().unwrap_or(StoreError::Unreplicated);
            return Err(Fault { error, maybe_done: true, broken: false });
        }
        inner.memory.epoch(group).ok_or(Fault::NONSENSE)
    }

    /// The latest moment at which the store's clock may stand when ours shows `now`.
    pub(super) fn dated(&self, now: UnixTime) -> UnixTime {
        self.guard.dated(now)
    }

    /// Why a fresh claim proves nothing, if so.
    pub(super) fn doubt(&self) -> Option<StoreError> {
        self.guard.doubt()
    }

    /// The state of the connections.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Cuts the connections: whoever waits for an answer is told that it is lost.
    pub(super) fn close(&self) {
        self.line.close();
        for task in &self.tasks {
            task.abort();
        }
    }

    fn replication(&self) -> String {
        self.replication.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn portion(&self, groups: &[u16]) -> Vec<u16> {
        let start = self.portion.fetch_add(PORTION, Ordering::Relaxed);
        let length = groups.len().max(1);
        groups.iter().cycle().skip(start % length).take(PORTION.min(groups.len())).copied().collect()
    }

    fn note(&self, inner: &Inner, facts: &ServerInfo, offset: i64) {
        inner.observer.store_clock_offset(offset);
        inner.observer.store_evicted_keys(facts.evicted_keys);
        for change in self.guard.judge(facts, offset, inner.settings.replica_acks) {
            change.tell(&self.address);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

/// Who the server is, its time, and which of `groups` have no record of its memory.
async fn ask(lane: &mut Lane, inner: &Inner, groups: &[u16]) -> Result<(ServerInfo, UnixTime, Vec<u16>), OpenError> {
    let mut commands = Pipeline::with_capacity(groups.len() + 2);
    commands.cmd("INFO");
    commands.cmd("TIME");
    for group in groups {
        commands.cmd("GET").arg(inner.keys.record(*group));
    }
    let Answers { values, .. } = lane.send(commands).await?;
    if let Some(error) =
        values.iter().find_map(|value| if let Value::ServerError(error) = value { Some(error) } else { None })
    {
        return Err(refusal(error));
    }
    let mut values = values.into_iter();
    let text = redis::from_redis_value::<String>(values.next().unwrap_or_default()).map_err(|_| OpenError::NoFacts)?;
    let time = info::time(&values.next().unwrap_or_default());
    let (facts, time) = ServerInfo::parse(&text).zip(time).ok_or(OpenError::NoFacts)?;
    let odd = groups.iter().zip(values).filter(|(group, record)| !is_settled(inner, **group, record, &facts));
    let odd = odd.map(|(group, _)| *group).collect();
    Ok((facts, time, odd))
}

fn is_settled(inner: &Inner, group: u16, record: &Value, facts: &ServerInfo) -> bool {
    let Value::BulkString(bytes) = record else { return false };
    let Some(record) = Record::parse(bytes).filter(|record| record.is_of(facts)) else { return false };
    let tagged = inner.keys.owners(group).is_none() || inner.memory.owner_epoch() == Some(record.epoch);
    tagged && inner.memory.accepts(group, record.epoch)
}

fn refusal(error: &redis::ServerError) -> OpenError {
    match error.code() {
        "NOAUTH" => OpenError::Login,
        "NOPERM" => OpenError::NoFacts,
        _ => Fault::from(error).into(),
    }
}
