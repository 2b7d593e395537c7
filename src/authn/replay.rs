//! One-time tokens and one-time proofs: one atomic claim, made last, with an honest answer when the store can't say.

use super::{ProofOfPossession, ProofUse, Verified};
use crate::clock::UnixTime;
use crate::issuer::IssuerProfile;
use crate::jose::Json;
use crate::observe::{ClaimResult, Observer};
use crate::store::{ClaimAnswer, IfUnknown, Ledger, MAX_USES, Nonce, NonceKey, Receipt, Store, StoreError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The mode's name in metrics where only a proof is claimed.
const PROOF_MODE: &str = "proof";

/// A claim outlives its token by this, so that no clock within the permitted skew sees the token alive and the claim
/// gone.
pub const MARGIN: Duration = Duration::from_secs(60);

/// How often a token may be used on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplayMode {
    /// As often as it is valid; the store is neither read nor written.
    #[default]
    None,
    /// Once.
    Once,
    /// So many times in all, at most [`MAX_USES`]. Every claim counts, whichever route made it.
    Uses(u32),
}

impl ReplayMode {
    /// The mode's name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Once => "once",
            Self::Uses(_) => "uses",
        }
    }

    fn uses(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Once => 1,
            Self::Uses(uses) => uses.clamp(1, MAX_USES),
        }
    }
}

/// What a route does when the store can't answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnLoss {
    /// Refuses with 503: no token is ever accepted twice.
    #[default]
    Closed,
    /// Lets through, counted and audited each time.
    Open,
    /// Asks a bounded table in this process; replicas then can't see each other's claims.
    Local,
}

impl OnLoss {
    /// The policy's name in gateway.yaml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Local => "local",
        }
    }
}

/// Why a one-time token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRefusal {
    /// The token has no identifier, or no `iat`, so that one use can't be told from another.
    #[error("the token has no identifier or no iat")]
    Unidentified,
    /// It was used before.
    #[error("used before")]
    Replayed,
    /// The proof was used before (RFC 9449 §11.1).
    #[error("the proof was used before")]
    ProofReplayed,
    /// It is older than the store's memory.
    #[error("older than the store's memory")]
    Unprovable,
    /// The store can't answer, and the route is closed on its loss.
    #[error("the store can't answer: {0}")]
    StoreLost(StoreError),
}

/// The witness that the request's nonces were free and now are its own. Only [`ReplayGuard::claim`] makes one, and
/// [`NotReplayed::not_asked`] for routes that ask no such thing.
#[derive(Clone, Debug)]
pub struct NotReplayed {
    receipt: Option<Receipt>,
    unproven: Option<StoreError>,
}

impl NotReplayed {
    /// For a request that claims nothing: no replay protection on the route, and no proof.
    #[must_use]
    pub const fn not_asked() -> Self {
        Self { receipt: None, unproven: None }
    }

    /// What gives the claim back.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// True when something one-time was spent, in the store or without it.
    #[must_use]
    pub fn has_claimed(&self) -> bool {
        self.receipt.is_some() || self.unproven.is_some()
    }

    /// Why the claim rests on `open` or `local` instead of the store.
    #[must_use]
    pub fn unproven(&self) -> Option<StoreError> {
        self.unproven
    }
}

/// What must be claimed for one request: all of it, or nothing.
#[derive(Clone, Debug)]
pub struct Demand {
    /// A proof's before the token's.
    nonces: Vec<Nonce>,
    has_proof: bool,
    /// When the oldest of what is claimed was made.
    issued_at: UnixTime,
    /// When the newest was.
    newest: UnixTime,
    leeway: Duration,
    mode: &'static str,
}

impl Demand {
    /// What was used before, by its place among the nonces. A client whose proof was used makes another; one whose token
    /// was needs a new token, so where both were, it is told of the token.
    fn replayed(&self, spent: usize) -> ReplayRefusal {
        if self.has_proof && spent == 0 { ReplayRefusal::ProofReplayed } else { ReplayRefusal::Replayed }
    }
}

/// What must be claimed for this token under `mode`; `None` where nothing must. A proof must be, whatever the mode.
pub fn demand(
    mode: ReplayMode,
    token: &Verified,
    possession: &ProofOfPossession,
    profile: &IssuerProfile,
) -> Result<Option<Demand>, ReplayRefusal> {
    let leeway = profile.contract.leeway;
    let token = (mode != ReplayMode::None).then(|| token_nonce(mode, token, profile)).transpose()?;
    let proof = possession.proof().map(proof_nonce);
    let has_proof = proof.is_some();
    let mode = if token.is_some() { mode.name() } else { PROOF_MODE };
    // The proof first: where a store can't claim both in one step, what is left of a claim that broke off is a proof,
    // and a client makes a new one for each request.
    let claimed = [proof, token].into_iter().flatten();
    let issued_at = claimed.clone().map(|(_, issued_at)| issued_at).min();
    let newest = claimed.clone().map(|(_, issued_at)| issued_at).max();
    let nonces = claimed.map(|(nonce, _)| nonce).collect();
    let dates = issued_at.zip(newest);
    Ok(dates.map(|(issued_at, newest)| Demand { nonces, has_proof, issued_at, newest, leeway, mode }))
}

/// The token's own nonce, and when it was issued.
fn token_nonce(
    mode: ReplayMode,
    token: &Verified,
    profile: &IssuerProfile,
) -> Result<(Nonce, UnixTime), ReplayRefusal> {
    let (claims, contract) = (token.claims(), &profile.contract);
    let identifier = claims.lookup(&contract.id_claim).and_then(Json::as_str).filter(|id| !id.is_empty());
    let parts = identifier.zip(claims.issued_at()).zip(claims.expires_at());
    let ((identifier, issued_at), expires_at) = parts.ok_or(ReplayRefusal::Unidentified)?;
    let nonce = Nonce {
        key: NonceKey::new("jti", &profile.issuer, identifier),
        uses: mode.uses(),
        keep_until: expires_at.plus(contract.leeway).plus(MARGIN),
    };
    Ok((nonce, issued_at))
}

/// The proof's nonce: good once, and remembered until no replica would take the proof for fresh.
fn proof_nonce(proof: &ProofUse) -> (Nonce, UnixTime) {
    (Nonce { key: proof.key, uses: 1, keep_until: proof.stale_at.plus(MARGIN) }, proof.issued_at)
}

/// Makes claims, and judges the store's answers by the route's policy.
pub struct ReplayGuard {
    store: Arc<dyn Store>,
    local: Ledger,
    /// Since when another process accepts claims that this one's store does not see.
    handed_over: OnceLock<UnixTime>,
}

impl ReplayGuard {
    /// A guard on `store`, with a table of at most `local_entries` for routes that are `local` on its loss.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, local_entries: usize) -> Self {
        Self { store, local: Ledger::new(local_entries), handed_over: OnceLock::new() }
    }

    /// The store behind the guard.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Leaves everything issued after `at` to another process, whose memory begins no earlier than that.
    ///
    /// It refuses what is older, and this one what is newer, so that nothing is accepted by both. `on_loss` does not
    /// matter: this is no loss.
    pub fn leave_to_successor(&self, at: UnixTime) {
        let _ = self.handed_over.set(at);
    }

    /// Claims what `demand` names, in one atomic step.
    pub async fn claim(
        &self,
        demand: &Demand,
        on_loss: OnLoss,
        now: UnixTime,
        observer: &dyn Observer,
    ) -> Result<NotReplayed, ReplayRefusal> {
        if self.handed_over.get().is_some_and(|at| demand.newest > at.plus(demand.leeway)) {
            return Err(ReplayRefusal::StoreLost(StoreError::HandedOver));
        }
        if self.is_too_new(demand, now) {
            observer
                .claimed(demand.mode, if on_loss == OnLoss::Local { ClaimResult::Local } else { ClaimResult::Unknown });
            return self.without_store(demand, on_loss, now, StoreError::Clock);
        }
        let if_unknown = if on_loss == OnLoss::Closed { IfUnknown::GiveBack } else { IfUnknown::Keep };
        let answer = self.store.claim(&demand.nonces, now, if_unknown).await;
        let result = match &answer {
            ClaimAnswer::Fresh { .. } => ClaimResult::Fresh,
            ClaimAnswer::Replayed { .. } => ClaimResult::Replayed,
            ClaimAnswer::Unknown(_) if on_loss == OnLoss::Local => ClaimResult::Local,
            ClaimAnswer::Unknown(_) => ClaimResult::Unknown,
        };
        observer.claimed(demand.mode, result);
        match answer {
            ClaimAnswer::Unknown(error) => self.without_store(demand, on_loss, now, error),
            known => judge(demand, known),
        }
    }

    /// Whether something was issued later than the store's clock can account for. If the store lost its memory a moment
    /// after such a claim, the token would be younger than the memory that has forgotten it.
    fn is_too_new(&self, demand: &Demand, now: UnixTime) -> bool {
        demand.newest > now.minus(self.store.ahead()).plus(demand.leeway)
    }

    /// What [`Self::claim`] would answer now, without claiming anything.
    pub async fn peek(&self, demand: &Demand, on_loss: OnLoss, now: UnixTime) -> Result<(), ReplayRefusal> {
        let answer = match self.store.peek(&demand.nonces, now).await {
            ClaimAnswer::Fresh { .. } if self.is_too_new(demand, now) => ClaimAnswer::Unknown(StoreError::Clock),
            answer => answer,
        };
        match answer {
            ClaimAnswer::Unknown(error) if on_loss == OnLoss::Closed => Err(ReplayRefusal::StoreLost(error)),
            ClaimAnswer::Unknown(_) if on_loss == OnLoss::Open => Ok(()),
            ClaimAnswer::Unknown(_) => match self.local.spent(&demand.nonces, now) {
                Some(spent) => Err(demand.replayed(spent)),
                None => Ok(()),
            },
            known => judge(demand, known).map(|_| ()),
        }
    }

    fn without_store(
        &self,
        demand: &Demand,
        on_loss: OnLoss,
        now: UnixTime,
        error: StoreError,
    ) -> Result<NotReplayed, ReplayRefusal> {
        let unproven = NotReplayed { receipt: None, unproven: Some(error) };
        match on_loss {
            OnLoss::Closed => Err(ReplayRefusal::StoreLost(error)),
            OnLoss::Open => Ok(unproven),
            OnLoss::Local => match self.local.claim(&demand.nonces, now) {
                Ok(None) => self.hand_over(demand, now).map(|()| unproven),
                Ok(Some(spent)) => Err(demand.replayed(spent)),
                Err(full) => Err(ReplayRefusal::StoreLost(full)),
            },
        }
    }

    /// Leaves a claim that was made here to the store, which enters it when it answers again.
    fn hand_over(&self, demand: &Demand, now: UnixTime) -> Result<(), ReplayRefusal> {
        match self.store.adopt(&demand.nonces, now) {
            Ok(None) => Ok(()),
            Ok(Some(spent)) => Err(demand.replayed(spent)),
            Err(full) => {
                self.local.release(&demand.nonces);
                Err(ReplayRefusal::StoreLost(full))
            }
        }
    }
}

/// A token or proof older than the store's memory may have been used without the store knowing, so a free nonce proves
/// nothing.
fn judge(demand: &Demand, answer: ClaimAnswer) -> Result<NotReplayed, ReplayRefusal> {
    match answer {
        ClaimAnswer::Fresh { epoch, .. } if demand.issued_at <= epoch.plus(demand.leeway) => {
            Err(ReplayRefusal::Unprovable)
        }
        ClaimAnswer::Fresh { receipt, .. } => Ok(NotReplayed { receipt: Some(receipt), unproven: None }),
        ClaimAnswer::Replayed { spent, .. } => Err(demand.replayed(spent)),
        ClaimAnswer::Unknown(error) => Err(ReplayRefusal::StoreLost(error)),
    }
}
