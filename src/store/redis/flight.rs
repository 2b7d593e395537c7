//! One claim on its way: what it may do, how long its request waits, and what happens when nobody waits any more.

use super::epoch::NO_OWNER;
use super::session::Session;
use super::{ClaimAnswer, IfUnknown, Inner, Nonce, Receipt, StoreError};
use crate::clock::{Stopwatch, UnixTime};
use crate::store::recent::{Admission, Landing};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::timeout;

type Work = Pin<Box<dyn Future<Output = ClaimAnswer> + Send>>;

/// A claim that the table of recent claims has let pass.
///
/// However its request ends (answered, late, or gone with its client), the claim itself is followed to its end: only
/// its answer says whether there is something to give back.
struct Flight<'a> {
    inner: &'a Arc<Inner>,
    nonces: &'a [Nonce],
    if_unknown: IfUnknown,
    now: UnixTime,
    stage: Stage,
}

enum Stage {
    Waiting,
    Sent(Work),
    Landed,
}

impl Inner {
    /// Claims `nonces`, within the time-out.
    pub(super) async fn claim(
        self: &Arc<Self>,
        nonces: &[Nonce],
        now: UnixTime,
        if_unknown: IfUnknown,
        watch: Stopwatch,
    ) -> ClaimAnswer {
        if let Some(answer) = self.admit(nonces, now, if_unknown, watch).await {
            return answer;
        }
        let flight = Flight { inner: self, nonces, if_unknown, now, stage: Stage::Waiting };
        flight.answer(watch).await
    }

    /// What is known without asking the store; `None`: ask it.
    async fn admit(
        &self,
        nonces: &[Nonce],
        now: UnixTime,
        if_unknown: IfUnknown,
        watch: Stopwatch,
    ) -> Option<ClaimAnswer> {
        loop {
            match self.recent.begin(nonces, if_unknown, now) {
                Admission::Granted => return None,
                Admission::Replayed => {
                    return Some(ClaimAnswer::Replayed { epoch: self.memory.epoch().unwrap_or_default() });
                }
                Admission::Unsettled => return Some(ClaimAnswer::Unknown(StoreError::Timeout)),
                Admission::Busy(key) => {
                    let (waiter, landed) = oneshot::channel();
                    let rest = self.settings.timeout.saturating_sub(watch.elapsed());
                    if self.recent.wait(&key, waiter) && timeout(rest, landed).await.is_err() {
                        self.recent.gave_up(nonces, if_unknown);
                        return Some(ClaimAnswer::Unknown(StoreError::Timeout));
                    }
                }
            }
        }
    }

    /// Sends the claim, and lands it.
    async fn fly(
        self: Arc<Self>,
        session: Arc<Session>,
        nonces: Vec<Nonce>,
        now: UnixTime,
        if_unknown: IfUnknown,
    ) -> ClaimAnswer {
        let (owner, before) = (self.memory.owner(), self.memory.epoch().unwrap_or_default());
        let lost = Landing::Lost { owner: (owner != NO_OWNER).then_some(owner), epoch: before };
        let mut lane = session.lane();
        let claimed = self.claims.claim(&mut lane, &self.keys, &nonces, owner, session.dated(now)).await;
        let settled = match claimed {
            Ok(claimed) => match self.epoch_beside(&session, claimed.record.as_deref()).await {
                Ok(epoch) => Ok((claimed.spent, epoch)),
                Err(_) if claimed.spent.is_some() => Ok((claimed.spent, before)),
                Err(fault) => Err((fault, lost)),
            },
            Err(fault) => Err((fault, if fault.maybe_done { lost } else { Landing::NotMade })),
        };
        let (answer, landing) = match settled {
            Ok((Some(place), epoch)) => (ClaimAnswer::Replayed { epoch }, Landing::Replayed(place)),
            Ok((None, epoch)) => {
                let doubt = session.doubt();
                let receipt = Receipt { nonces: nonces.clone(), owner, epoch };
                let fresh = ClaimAnswer::Fresh { epoch, receipt };
                (doubt.map_or(fresh, ClaimAnswer::Unknown), Landing::Fresh { owner, epoch, answered: doubt.is_none() })
            }
            Err((fault, landing)) => {
                if fault.broken {
                    session.close();
                }
                (ClaimAnswer::Unknown(fault.error), landing)
            }
        };
        if self.recent.land(&nonces, landing, if_unknown, now) {
            self.primary.nudge();
        }
        answer
    }
}

impl Flight<'_> {
    async fn answer(mut self, watch: Stopwatch) -> ClaimAnswer {
        let limit = self.inner.settings.timeout;
        let session = if let Some(session) = self.inner.primary.ready() {
            Ok(session)
        } else {
            let rest = limit.saturating_sub(watch.elapsed());
            let waiting = timeout(rest, self.inner.primary.session(self.inner)).await;
            waiting.unwrap_or(Err(StoreError::Timeout))
        };
        let session = match session {
            Ok(session) => session,
            Err(error) => return ClaimAnswer::Unknown(error),
        };
        let inner = Arc::clone(self.inner);
        let work = inner.fly(Arc::clone(&session), self.nonces.to_vec(), self.now, self.if_unknown);
        self.stage = Stage::Sent(Box::pin(work));
        let Stage::Sent(work) = &mut self.stage else { return ClaimAnswer::Unknown(StoreError::Refused) };
        if let Ok(answer) = timeout(limit.saturating_sub(watch.elapsed()), work).await {
            self.stage = Stage::Landed;
            return answer;
        }
        session.line().stall(true);
        ClaimAnswer::Unknown(StoreError::Timeout)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let land = |landing| self.inner.recent.land(self.nonces, landing, self.if_unknown, self.now);
        match std::mem::replace(&mut self.stage, Stage::Landed) {
            Stage::Landed => {}
            Stage::Waiting => {
                land(Landing::NotMade);
            }
            Stage::Sent(work) => {
                self.inner.recent.overdue(self.nonces, self.if_unknown);
                match tokio::runtime::Handle::try_current() {
                    Ok(runtime) => {
                        runtime.spawn(work);
                    }
                    Err(_) => {
                        land(Landing::Lost { owner: None, epoch: UnixTime::default() });
                    }
                }
            }
        }
    }
}
