//! One primary, and the task that keeps us connected to it.
//!
//! The task begins with the first request, in the runtime of that request, and begins anew if that runtime ends. A
//! request waits for a connection only while the first attempt is under way, and never longer than its time-out; after
//! that it is told at once that there is none.

use super::Inner;
use super::dialer::Address;
use super::fault::OpenError;
use super::guard::Guard;
use super::sentinel::Sentinels;
use super::session::{Scope, Session};
use crate::clock::Stopwatch;
use crate::store::StoreError;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How often an idle connection is asked whether all is well.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where a primary is found.
pub(super) enum Place {
    /// Always there.
    Fixed(Address),
    /// Where the Sentinels say.
    Named(Arc<Sentinels>),
}

/// One primary.
pub(super) struct Primary {
    place: Place,
    address: RwLock<Option<Address>>,
    groups: RwLock<Arc<[u16]>>,
    session: RwLock<Option<Arc<Session>>>,
    phase: watch::Sender<Phase>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    nudge: Notify,
    guard: Arc<Guard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Shut(StoreError),
}

impl Primary {
    /// The primary at `place`, which answers for `groups`.
    pub(super) fn new(place: Place, groups: Vec<u16>) -> Self {
        Self {
            place,
            address: RwLock::new(None),
            groups: RwLock::new(groups.into()),
            session: RwLock::new(None),
            phase: watch::Sender::new(Phase::Opening),
            keeper: Mutex::new(None),
            nudge: Notify::new(),
            guard: Arc::default(),
        }
    }

    /// The connections, if there are any just now.
    pub(super) fn current(&self) -> Option<Arc<Session>> {
        let session = self.session.read().unwrap_or_else(PoisonError::into_inner).clone();
        session.filter(|session| !session.line().is_closed())
    }

    /// The connections, if they are there and the server is not late.
    pub(super) fn ready(&self) -> Option<Arc<Session>> {
        self.current().filter(|session| !session.line().is_stalled())
    }

    /// The connections; while the first attempt is under way, waits for it.
    pub(super) async fn session(self: &Arc<Self>, inner: &Arc<Inner>) -> Result<Arc<Session>, StoreError> {
        if let Some(session) = self.current() {
            return if session.line().is_stalled() { Err(StoreError::Timeout) } else { Ok(session) };
        }
        self.start(inner);
        let mut phase = self.phase.subscribe();
        loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Shut(error) => return Err(error),
                Phase::Open => {
                    if let Some(session) = self.current() {
                        return Ok(session);
                    }
                }
                Phase::Opening => {}
            }
            phase.changed().await.map_err(|_| StoreError::Connection)?;
        }
    }

    /// Begins to connect, unless that is under way.
    pub(super) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.as_ref().is_none_or(JoinHandle::is_finished) {
            self.phase.send_replace(Phase::Opening);
            *keeper = Some(tokio::spawn(keep(Arc::downgrade(inner), Arc::clone(self))));
        }
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        if let Some(keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            keeper.abort();
        }
        self.replace(None);
    }

    /// Whether this is the primary at `address`.
    pub(super) fn is_at(&self, address: &Address) -> bool {
        matches!(&self.place, Place::Fixed(own) if own == address)
    }

    /// From now on it answers for `groups`. Those that are new to it have their epochs settled.
    pub(super) fn answer_for(&self, groups: Vec<u16>) {
        let mut place = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        let grown = groups.iter().any(|group| place.binary_search(group).is_err());
        *place = groups.into();
        drop(place);
        if let Some(session) = self.current().filter(|_| grown) {
            session.line().doubt();
        }
    }

    /// The groups it answers for.
    pub(super) fn groups(&self) -> Arc<[u16]> {
        Arc::clone(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The connections and where they lead, if the server is not late.
    pub(super) fn ready_at(&self) -> Option<(Address, Arc<Session>)> {
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner).clone();
        address.zip(self.ready())
    }

    /// Asks the task to give back what is due.
    pub(super) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// How far our clock is ahead of its, at least.
    pub(super) fn ahead(&self) -> Duration {
        self.guard.ahead()
    }

    /// Why there is no connection, or why what comes over it can't be relied on.
    pub(super) fn condition(&self) -> Result<(), StoreError> {
        let Some(session) = self.current() else {
            return Err(match *self.phase.borrow() {
                Phase::Shut(error) => error,
                Phase::Opening | Phase::Open => StoreError::Connection,
            });
        };
        if session.line().is_stalled() {
            return Err(StoreError::Timeout);
        }
        session.doubt().map_or(Ok(()), Err)
    }

    fn replace(&self, session: Option<Arc<Session>>) {
        let mut place = self.session.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, session);
        drop(place);
        if let Some(old) = old {
            old.close();
        }
    }

    fn shut(&self, error: OpenError) {
        let shut = Phase::Shut(error.as_store_error());
        if self.phase.send_replace(shut) != shut {
            log::warn!("redis{}: {error}", self.whereabouts());
        }
    }

    fn whereabouts(&self) -> String {
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default()
    }

    async fn locate(&self, inner: &Arc<Inner>) -> Result<Address, OpenError> {
        match &self.place {
            Place::Fixed(address) => Ok(address.clone()),
            Place::Named(sentinels) => sentinels.locate(inner).await,
        }
    }

    /// Whether the Sentinels name another primary by now. They notice a failover before the old primary does.
    async fn has_moved(&self, inner: &Arc<Inner>) -> bool {
        if matches!(self.place, Place::Fixed(_)) {
            return false;
        }
        let named = timeout(inner.patience(), self.locate(inner)).await;
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        matches!(named, Ok(Ok(named)) if address.as_ref() != Some(&named))
    }

    /// Connects. Requests wait for it no longer than their time-out.
    async fn connect(&self, inner: &Arc<Inner>) -> Result<Arc<Session>, OpenError> {
        let mut attempt = pin!(timeout(inner.patience(), self.attempt(inner)));
        let first = tokio::select! {
            result = &mut attempt => Some(result),
            () = sleep(inner.settings.timeout) => None,
        };
        let result = if let Some(result) = first {
            result
        } else {
            self.shut(OpenError::Timeout);
            attempt.await
        };
        result.unwrap_or(Err(OpenError::Timeout))
    }

    async fn attempt(&self, inner: &Arc<Inner>) -> Result<Arc<Session>, OpenError> {
        let watch = Stopwatch::start();
        let address = self.locate(inner).await?;
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = Some(address.clone());
        let mut opening = Opening(Some(Arc::new(Session::open(inner, &address, Arc::clone(&self.guard)).await?)));
        let session = opening.0.as_ref().ok_or(OpenError::Timeout)?;
        session.probe(inner, &self.groups(), Scope::All).await?;
        inner.observer.store_answered("connect", watch.elapsed());
        // Before anybody claims again, so that a claim of ours that no request rests on stands in nobody's way.
        // Then the claims that were made without the store, so that nobody makes them again.
        let _ = give_back(inner, session, self.groups()).await;
        opening.0.take().ok_or(OpenError::Timeout)
    }
}

/// A session that is closed unless it is taken out.
struct Opening(Option<Arc<Session>>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.close();
        }
    }
}

/// Gives back what is due, in a task of its own: what was begun must end, though nobody waits for it.
pub(super) fn give_back(inner: &Arc<Inner>, session: &Arc<Session>, groups: Arc<[u16]>) -> JoinHandle<()> {
    let (inner, session) = (Arc::clone(inner), Arc::clone(session));
    tokio::spawn(async move {
        inner.give_back(&session, &groups).await;
        inner.enter_adopted(&session, &groups).await;
    })
}

/// Keeps `primary` connected for as long as the store lives.
async fn keep(store: Weak<Inner>, primary: Arc<Primary>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(inner) = store.upgrade() else { return };
        let connected = primary.connect(&inner).await;
        match connected {
            Ok(session) => {
                pause = FIRST_PAUSE;
                primary.replace(Some(Arc::clone(&session)));
                primary.phase.send_replace(Phase::Open);
                log::info!("redis{}: connected", primary.whereabouts());
                inner.report();
                drop(inner);
                let error = attend(&store, &primary, &session).await;
                primary.phase.send_replace(Phase::Opening);
                primary.replace(None);
                log::warn!("redis{}: connection lost: {error}", primary.whereabouts());
            }
            Err(error) => {
                primary.shut(error);
                inner.report();
                drop(inner);
                sleep(jittered(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Watches over a connection until it is lost.
async fn attend(store: &Weak<Inner>, primary: &Primary, session: &Arc<Session>) -> OpenError {
    const CLOSED: OpenError = OpenError::Dial(std::io::ErrorKind::ConnectionReset);
    let mut ticks = interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let nudged = tokio::select! {
            () = session.line().alarm() => false,
            _ = ticks.tick() => false,
            () = primary.nudge.notified() => true,
        };
        let Some(inner) = store.upgrade() else { return CLOSED };
        if session.line().is_closed() {
            return CLOSED;
        }
        if !nudged && let Err(error) = look_after(&inner, primary, session).await {
            return error;
        }
        if !session.line().is_stalled() {
            drop(give_back(&inner, session, primary.groups()));
        }
        inner.report();
    }
}

async fn look_after(inner: &Arc<Inner>, primary: &Primary, session: &Arc<Session>) -> Result<(), OpenError> {
    let scope = if session.line().take_doubt() { Scope::All } else { Scope::Some };
    let groups = primary.groups();
    stall_while(inner, session, session.probe(inner, &groups, scope)).await.unwrap_or(Err(OpenError::Timeout))?;
    if primary.has_moved(inner).await { Err(OpenError::NotPrimary) } else { Ok(()) }
}

/// Waits for an answer; requests are told that the store is late as soon as it is. `None`: it is too late.
async fn stall_while<T>(inner: &Inner, session: &Session, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let result = if let Ok(result) = timeout(inner.settings.timeout, &mut answer).await {
        Some(result)
    } else {
        session.line().stall(true);
        inner.report();
        timeout(inner.patience(), answer).await.ok()
    };
    if result.is_some() {
        session.line().stall(false);
    }
    result
}

/// Between half of `pause` and all of it, so that replicas don't come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    let share = openssl::rand::rand_bytes(&mut byte).map_or(255, |()| u32::from(byte[0]));
    pause / 2 + pause * share / 510
}
