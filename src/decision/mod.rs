//! 7. Yes or no. [`decide`] is the only decision: the proxy, `explain`, the tests and the benches ask the same one.

pub mod authorize;
pub mod challenge;
pub mod denial;
pub mod edge;
pub mod permit;
pub mod policy;
pub mod preflight;
pub mod redirect;
pub mod snapshot;
pub mod trace;

mod cause;
mod course;
mod visible;

pub use authorize::{Condition, ConditionError};
pub use challenge::Challenge;
pub use denial::{ChallengeKind, Denial, Reason};
pub use edge::Edge;
pub use permit::{Credentials, Permit, Report};
pub use policy::{Access, Endpoint, Endpoints, Guard, Mode, RoutePolicy, Scopes, UpstreamId};
pub use preflight::{Preflight, preflight};
pub use redirect::redirect;
pub use snapshot::Snapshot;
pub use trace::{Stage, StageResult, Trace};
pub use visible::Request;

use crate::authn::{ProofKeys, ProofOfPossession, ReplayGuard, Revocations, VerdictCache, Verified, Workshop};
use crate::limit::LimitMemory;
use crate::observe::Observer;
use crate::request::{CanonicalPath, Facts, Host};
use crate::route::Parameters;
use course::Course;
use std::sync::Arc;

/// What outlives a request, and a reload.
pub struct Recollection {
    /// The nonces that were claimed.
    pub replay: ReplayGuard,
    /// The tokens that were opened.
    pub verdicts: VerdictCache,
    /// The tokens that were revoked.
    pub revocations: Arc<Revocations>,
    /// The keys by which clients proved possession.
    pub proof_keys: ProofKeys,
    /// How often clients came, and who is locked out.
    pub limits: LimitMemory,
    /// Who does the cryptography that takes long.
    pub workshop: Arc<dyn Workshop>,
}

/// The memory a decision may use.
#[derive(Clone, Copy)]
pub enum Memory<'m> {
    /// A real request: nonces are claimed, verdicts are remembered.
    Live(&'m Recollection),
    /// `explain` in a running gateway: looks, and leaves no trace.
    Peek(&'m Recollection),
    /// `explain` without a gateway: stages that need memory are not visible.
    Absent,
}

/// Decides over one request.
///
/// The order is the policy: what is cheap and needs no secret comes first, what can fail comes before what spends, and
/// the one-time claim comes last, so that a refused request has spent nothing.
pub async fn decide(
    snapshot: &Snapshot,
    memory: Memory<'_>,
    facts: &Facts<'_>,
    observer: &dyn Observer,
    trace: &mut Trace,
) -> Result<Permit, Denial> {
    let mut course = Course::new(snapshot, memory, facts, observer, trace);
    match walk(&mut course).await {
        Ok(permit) => Ok(permit),
        Err(reason) => {
            course.note_failure(reason);
            Err(course.denial(reason))
        }
    }
}

async fn walk(course: &mut Course<'_>) -> Result<Permit, Reason> {
    let path = course.path()?; // one form, or matcher and backend read two paths
    let host = course.host()?; // a connection for one name must not fetch from another
    let (policy, parameters) = course.route(&host, &path)?;
    course.admit(policy).await?; // whoever floods or guesses is not worth looking at a token for
    course.body(policy)?; // nor is what can't be forwarded anyway
    let Access::Guarded(guard) = &policy.access else {
        let endpoint = course.endpoint(policy, None)?;
        let place = course.enter(policy)?;
        let permit = Permit::public(course.routed(), policy.edge.forwarded(path), endpoint);
        return Ok(permit.within(place, course.rate()));
    };
    if guard.mode == Mode::Report {
        let found = would_pass(course, policy, guard, (&host, &path, &parameters)).await;
        let report = course.report(found)?; // limits and outages refuse here too
        let endpoint = course.endpoint(policy, None)?;
        let place = course.enter(policy)?;
        let way = (course.routed(), policy.edge.forwarded(path), endpoint);
        let permit = Permit::reported(way, report, course.token_handling());
        return Ok(permit.with_dpop_nonce(course.dpop_nonce(guard)).within(place, course.rate()));
    }
    let (token, possession) = proven(course, policy, guard, (&host, &path, &parameters)).await?;
    let identity = course.identity(&token)?; // what can't be told to the upstream must not cost the nonce
    let endpoint = course.endpoint(policy, token.claims().subject())?; // nor may a dead upstream
    let place = course.enter(policy)?; // nor may a full house
    let fresh = course.claim(guard, &token, &possession).await?; // last: whoever is refused above has spent nothing
    let path = policy.edge.forwarded(path);
    let permit = Permit::guarded((course.routed(), path, endpoint), (token, possession, fresh), identity);
    Ok(permit.with_dpop_nonce(course.dpop_nonce(guard)).within(place, course.rate()))
}

/// Who it is, and whether they may.
async fn proven(
    course: &mut Course<'_>,
    policy: &RoutePolicy,
    guard: &Guard,
    (host, path, parameters): Target<'_>,
) -> Result<(Verified, ProofOfPossession), Reason> {
    let credential = course.credential()?; // exactly one: two could be read differently behind us
    course.rate_by_token(policy, &credential)?; // needs no crypto, so it comes before
    let opened = course.open(guard, &credential).await?; // shape and header before crypto, crypto before claims
    let token = course.judge(opened)?; // times and audience, on every use
    let possession = course.binding(guard, &credential, &token, host, path).await?; // a bound token without its key is stolen
    course.revocation(guard, &token)?; // on every use, or a cached verdict would outlive the log-out
    course.authorize(guard, &token, host, path, parameters)?;
    course.step_up(guard, &token)?; // after scopes: no user logs in again for what stays forbidden
    course.rate_by_caller(policy, &credential, &token).await?; // only what is proven may fill the shared store
    Ok((token, possession))
}

/// The same for a route that only reports: all of it is asked, nothing of it is spent, and nothing of it is kept.
async fn would_pass(
    course: &mut Course<'_>,
    policy: &RoutePolicy,
    guard: &Guard,
    target: Target<'_>,
) -> Result<(), Reason> {
    let (token, possession) = proven(course, policy, guard, target).await?;
    course.identity(&token)?;
    course.peek(guard, &token, &possession).await
}

/// Where a request goes: the host, the path, and the path's parameters.
type Target<'p> = (&'p Host, &'p CanonicalPath, &'p Parameters);
