//! One primary, and the task that keeps us connected to it.
//!
//! The task begins with the first request, in the runtime of that request, and begins anew if that runtime ends. A
//! request waits for a connection only while the first attempt is under way, and never longer than its time-out; after
//! that it is told at once that there is none.

use super::Inner;
use super::dialer::Address;
use super::fault::OpenError;
use super::session::Session;
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

/// One primary.
pub(super) struct Primary {
    address: Address,
    session: RwLock<Option<Arc<Session>>>,
    phase: watch::Sender<Phase>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    nudge: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Shut(StoreError),
}

impl Primary {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            session: RwLock::new(None),
            phase: watch::Sender::new(Phase::Opening),
            keeper: Mutex::new(None),
            nudge: Notify::new(),
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.address
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

    /// Asks the task to give back what is due.
    pub(super) fn nudge(&self) {
        self.nudge.notify_one();
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
            log::warn!("redis at {}: {error}", self.address);
        }
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
        let mut opening = Opening(Some(Arc::new(Session::open(inner, &self.address).await?)));
        let session = opening.0.as_ref().ok_or(OpenError::Timeout)?;
        session.probe(inner).await?;
        // Before anybody claims again, so that a claim of ours that no request rests on stands in nobody's way.
        let _ = give_back(inner, session).await;
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
pub(super) fn give_back(inner: &Arc<Inner>, session: &Arc<Session>) -> JoinHandle<()> {
    let (inner, session) = (Arc::clone(inner), Arc::clone(session));
    tokio::spawn(async move { inner.give_back(&session).await })
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
                log::info!("redis at {}: connected", primary.address);
                inner.report();
                drop(inner);
                let error = attend(&store, &primary, &session).await;
                primary.phase.send_replace(Phase::Opening);
                primary.replace(None);
                log::warn!("redis at {}: connection lost: {error}", primary.address);
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
        let probe = tokio::select! {
            () = session.line().alarm() => true,
            _ = ticks.tick() => true,
            () = primary.nudge.notified() => false,
        };
        let Some(inner) = store.upgrade() else { return CLOSED };
        if session.line().is_closed() {
            return CLOSED;
        }
        if probe {
            match stall_while(&inner, session, session.probe(&inner)).await {
                None => return OpenError::Timeout,
                Some(Err(error)) => return error,
                Some(Ok(())) => {}
            }
        }
        if !session.line().is_stalled() {
            drop(give_back(&inner, session));
        }
        inner.report();
    }
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
