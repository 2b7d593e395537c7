//! One claim on its way: what it may do, how long its request waits, and what happens when nobody waits any more.

use super::epoch::NO_OWNER;
use super::fault::Fault;
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
                Admission::Replayed(spent) => {
                    return Some(ClaimAnswer::Replayed { epoch: self.memory.latest().unwrap_or_default(), spent });
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

    /// Makes the claim and lands it: in one step where all nonces are of one group, else group by group in the order
    /// of the nonces. Then a claim that fails on the way gives back the groups before it.
    async fn fly(self: Arc<Self>, nonces: Vec<Nonce>, now: UnixTime, if_unknown: IfUnknown) -> ClaimAnswer {
        let mut made: Vec<Made> = Vec::new();
        let parts: Vec<&[Nonce]> =
            nonces.chunk_by(|one, next| self.keys.group(&one.key) == self.keys.group(&next.key)).collect();
        let (mut failed, mut before) = (None, 0);
        for part in &parts {
            // Nobody waits for the rest of a claim that is given back as soon as it is made.
            if !made.is_empty() && self.recent.is_given_up(&nonces) {
                failed = Some(Failed { answer: ClaimAnswer::Unknown(StoreError::Timeout), landing: Landing::NotMade });
                break;
            }
            match self.claim_part(part, now).await {
                Ok(claim) => made.push(claim),
                Err(failure) => {
                    failed = Some(failure.behind(before));
                    break;
                }
            }
            before += part.len();
        }
        let (answer, last) = match failed {
            None => (whole(&nonces, &made), None),
            Some(Failed { answer, landing }) => (answer, Some(landing)),
        };
        let answered = matches!(answer, ClaimAnswer::Fresh { .. });
        // A request that is refused as replayed rests on nothing, whatever its route does on loss.
        let made_before = if matches!(answer, ClaimAnswer::Replayed { .. }) { IfUnknown::GiveBack } else { if_unknown };
        let mut due = false;
        for (place, part) in parts.iter().enumerate() {
            let (landing, if_unknown) = match (made.get(place), last) {
                (Some(Made { owner, epoch, .. }), _) => {
                    (Landing::Fresh { owner: *owner, epoch: *epoch, answered }, made_before)
                }
                (None, Some(last)) if place == made.len() => (last, if_unknown),
                (None, _) => (Landing::NotMade, if_unknown),
            };
            due |= self.recent.land(part, landing, if_unknown, now);
        }
        if due {
            self.fleet.nudge();
        }
        answer
    }

    /// Claims the nonces of one group.
    async fn claim_part(self: &Arc<Self>, part: &[Nonce], now: UnixTime) -> Result<Made, Failed> {
        let failed = |error, landing| Failed { answer: ClaimAnswer::Unknown(error), landing };
        let Some(group) = part.first().map(|nonce| self.keys.group(&nonce.key)) else {
            return Err(failed(StoreError::Refused, Landing::NotMade));
        };
        let session = self.ready(group).map_err(|error| failed(error, Landing::NotMade))?;
        if session.is_unsettled() {
            return Err(failed(StoreError::Unreplicated, Landing::NotMade));
        }
        let (owner, before) = (self.memory.owner(), self.memory.epoch(group).unwrap_or_default());
        let lost = Landing::Lost { owner: (owner != NO_OWNER).then_some(owner), epoch: before };
        let broken = |fault: Fault| {
            if fault.broken {
                session.close();
                self.fleet.look_again();
            }
            failed(fault.error, if fault.maybe_done { lost } else { Landing::NotMade })
        };
        let (mut lane, alone) = session.claim_lane();
        let claimed =
            self.claims.claim(&mut lane, &self.keys, part, owner, session.dated(now)).await.map_err(broken)?;
        let epoch = self.epoch_beside(&session, group, claimed.record.as_deref()).await;
        if let Some(place) = claimed.spent {
            let answer = ClaimAnswer::Replayed { epoch: epoch.unwrap_or(before), spent: place };
            return Err(Failed { answer, landing: Landing::Replayed(place) });
        }
        let epoch = epoch.map_err(|fault| broken(Fault { maybe_done: true, ..fault }))?;
        let unreplicated = (!claimed.committed).then_some(StoreError::Unreplicated);
        Ok(Made { owner, epoch, doubt: session.doubt().or(alone).or(unreplicated) })
    }
}

/// What was claimed in one group, and why it proves nothing, if so.
struct Made {
    owner: u16,
    epoch: UnixTime,
    doubt: Option<StoreError>,
}

/// What became of the group that ended a claim, and what its request is told.
struct Failed {
    answer: ClaimAnswer,
    landing: Landing,
}

impl Failed {
    /// The same, of a group that stands behind `before` other nonces: the request counts from the first of all.
    fn behind(mut self, before: usize) -> Self {
        if let ClaimAnswer::Replayed { spent, .. } = &mut self.answer {
            *spent += before;
        }
        self
    }
}

/// The answer to a claim of which every part was made.
fn whole(nonces: &[Nonce], made: &[Made]) -> ClaimAnswer {
    if let Some(doubt) = made.iter().find_map(|made| made.doubt) {
        return ClaimAnswer::Unknown(doubt);
    }
    let epoch = made.iter().map(|made| made.epoch).max().unwrap_or_default();
    let owner = made.first().map_or(NO_OWNER, |made| made.owner);
    ClaimAnswer::Fresh { epoch, receipt: Receipt { nonces: nonces.to_vec(), owner, epoch } }
}

impl Flight<'_> {
    async fn answer(mut self, watch: Stopwatch) -> ClaimAnswer {
        if let Err(error) = self.inner.reach(self.nonces, watch).await {
            return ClaimAnswer::Unknown(error);
        }
        let work = Arc::clone(self.inner).fly(self.nonces.to_vec(), self.now, self.if_unknown);
        self.stage = Stage::Sent(Box::pin(work));
        let Stage::Sent(work) = &mut self.stage else { return ClaimAnswer::Unknown(StoreError::Refused) };
        let rest = self.inner.settings.timeout.saturating_sub(watch.elapsed());
        if let Ok(answer) = timeout(rest, work).await {
            self.stage = Stage::Landed;
            return answer;
        }
        self.inner.is_late(self.nonces);
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
