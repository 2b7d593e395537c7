//! Tokens that are good but for one thing: somebody said that they no longer count.
//!
//! The list is held whole in this process and followed in the background ([`Follower`]); a request looks it up without
//! asking anybody. It is judged on every use of a token, after the verdict cache, so that a revocation takes effect at
//! once. What a lost store means is said by the age of the list: the time since it was last known to be in step.

mod follow;
mod index;
mod list;
pub mod logout;
pub mod logout_token;
#[cfg(test)]
mod pair;
pub mod presented;

pub use follow::{Followed, Follower};
pub use logout::{LogoutRefusal, log_out};
pub use logout_token::{LogoutError, LogoutToken};
pub use presented::{NotRevocable, revocation_of};

use super::replay::ReplayMode;
use super::token::Verified;
use crate::clock::UnixTime;
use crate::issuer::IssuerProfile;
use crate::jose::{Claims, Json};
use crate::store::{
    Change, IssuerTag, Revocation, RevocationId, RevocationKey, RevocationKind, RevocationStore, StoreError,
};
use index::{Index, Rule};
use list::{Delta, List, Seen};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A revocation is enforced this much longer than its date and the leeway say: clocks of replicas may differ.
const MARGIN: Duration = Duration::from_secs(60);
/// What stands for "never in step" among moments.
const NEVER: i64 = i64::MIN;

/// What a route does when the list may be out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationPolicy {
    /// Refuses with 503 once the list is older than `store.revocation_max_stale`.
    Required,
    /// Goes by the list as last known, however old. One that was never had is not known: until then it refuses too.
    LastKnown,
}

impl RevocationPolicy {
    /// What a route does if nothing is written: one that refuses to take a token twice will not take a revoked one
    /// either, cost what it may; for the others an outage of the store must not become one of the gateway.
    #[must_use]
    pub const fn default_with(replay: ReplayMode) -> Self {
        if matches!(replay, ReplayMode::None) { Self::LastKnown } else { Self::Required }
    }

    /// The policy's name in gateway.yaml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::LastKnown => "last_known",
        }
    }
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationRefusal {
    /// It was revoked.
    #[error("revoked by {} {id}", .kind.name())]
    Revoked {
        /// What the revocation names.
        kind: RevocationKind,
        /// Which one it is.
        id: RevocationId,
    },
    /// The list is too old to say, and the route insists.
    #[error("the list of revocations is too old to say")]
    Stale,
    /// The list could not be had yet, so that there is none to go by.
    #[error("the list of revocations could not be had yet")]
    NeverHad,
}

/// Why a revocation, or its taking back, was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// There is no place that would outlive this process, so nothing was done.
    #[error("there is no place to keep it")]
    NoPlace,
    /// The store did not answer. In this process it holds already; a shared store gets it once it answers again.
    #[error("it holds on this replica alone: {0}")]
    HereOnly(StoreError),
}

/// The revocations this replica knows of.
pub struct Revocations {
    list: Mutex<List>,
    index: Index,
    store: Option<Arc<dyn RevocationStore>>,
    /// When the list was last known to be in step with the store, in milliseconds.
    in_step: AtomicI64,
    max_stale: Duration,
}

impl Revocations {
    /// An empty list that is kept in `store`; too old once it was out of step with a shared store for `max_stale`.
    #[must_use]
    pub fn new(store: Arc<dyn RevocationStore>, max_stale: Duration) -> Self {
        Self { store: Some(store), max_stale, ..Self::unkept() }
    }

    /// A list for a gateway without a place to keep one: it is empty, and stays so.
    #[must_use]
    pub fn unkept() -> Self {
        let in_step = AtomicI64::new(NEVER);
        Self { list: Mutex::default(), index: Index::new(), store: None, in_step, max_stale: Duration::MAX }
    }

    /// Enters `revocation`. It holds here before the store is asked: whoever revokes a token wants it dead now.
    pub async fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<(), NotKept> {
        self.enter(Change::Revoked(revocation), now).await
    }

    /// Takes the revocation of this id back; `None` where there is none that holds.
    pub async fn take_back(&self, id: RevocationId, now: UnixTime) -> Option<Result<(), NotKept>> {
        let expires_at = self.get(id)?.expires_at;
        Some(self.enter(Change::TakenBack { id, expires_at }, now).await)
    }

    async fn enter(&self, change: Change, now: UnixTime) -> Result<(), NotKept> {
        let store = self.store.as_ref().ok_or(NotKept::NoPlace)?;
        self.learn(&[change], now);
        store.append(&[change]).await.map_err(NotKept::HereOnly)
    }

    /// Reads what a store holds that nobody else adds to. One that is shared is read by its [`Follower`].
    pub async fn load(&self, now: UnixTime) -> Result<(), StoreError> {
        let Some(store) = self.store.as_ref().filter(|store| !store.is_shared()) else { return Ok(()) };
        let mut next = None;
        loop {
            let page = store.page(next.as_deref()).await?;
            self.learn(&page.changes, now);
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Who keeps the list in step with a store that others add to; `None` where nobody else does.
    #[must_use]
    pub fn follower(self: &Arc<Self>) -> Option<Follower> {
        let store = self.store.as_ref().filter(|store| store.is_shared())?;
        Some(Follower::new(Arc::clone(self), Arc::clone(store)))
    }

    /// Judges a verified token. Looks, and leaves no trace.
    pub fn judge(
        &self,
        token: &Verified,
        profile: &IssuerProfile,
        policy: RevocationPolicy,
        now: UnixTime,
    ) -> Result<(), RevocationRefusal> {
        if let Some((kind, id)) = self.find(token.claims(), profile, now) {
            return Err(RevocationRefusal::Revoked { kind, id });
        }
        match self.age(now) {
            None => Err(RevocationRefusal::NeverHad),
            Some(age) if policy == RevocationPolicy::Required && age > self.max_stale => Err(RevocationRefusal::Stale),
            Some(_) => Ok(()),
        }
    }

    /// The revocation that concerns these claims.
    fn find(&self, claims: &Claims, profile: &IssuerProfile, now: UnixTime) -> Option<(RevocationKind, RevocationId)> {
        let mut kinds = RevocationKind::ALL.into_iter().filter(|kind| !self.index.is_empty(*kind)).peekable();
        // Where nothing is revoked nothing is hashed.
        kinds.peek()?;
        let issuer = IssuerTag::new(&profile.issuer);
        let beyond = profile.contract.leeway.saturating_add(MARGIN);
        // Without `iat` nobody can say that the token is younger than the revocation.
        let older_than = |moment: UnixTime| claims.issued_at().is_none_or(|issued_at| issued_at < moment);
        let applies = |rule: &Rule| rule.issued_before.is_none_or(older_than) && now < rule.expires_at.plus(beyond);
        kinds.find_map(|kind| {
            let mut values = named(kind, claims, &profile.contract.id_claim).into_iter().flatten();
            let id = values.find_map(|value| self.index.find(RevocationKey::new(kind, issuer, value), applies))?;
            Some((kind, id))
        })
    }

    /// Adds records somebody else made.
    pub fn learn(&self, changes: &[Change], now: UnixTime) {
        let mut list = self.lock();
        let Delta { added, mut removed } = list.merge(changes, now);
        removed.extend(list.purge(now));
        self.index.change(&added, &removed);
    }

    /// Drops what is over.
    pub fn purge(&self, now: UnixTime) {
        self.learn(&[], now);
    }

    /// The records that a store lacks in which all of `seen` were seen.
    fn missing_from(&self, seen: &Seen, now: UnixTime) -> Vec<Change> {
        self.lock().missing_from(seen, now)
    }

    /// True when there is a record of any kind, a tombstone included.
    fn has_records(&self) -> bool {
        self.lock().changes().next().is_some()
    }

    /// Notes that the list holds everything the store held at `moment`.
    fn in_step_at(&self, moment: UnixTime) {
        self.in_step.store(moment.as_millis(), Ordering::Relaxed);
    }

    /// How long ago the list was last known to be in step; `None`: never yet. A list that nobody else adds to is always
    /// in step.
    #[must_use]
    pub fn age(&self, now: UnixTime) -> Option<Duration> {
        if !self.store.as_ref().is_some_and(|store| store.is_shared()) {
            return Some(Duration::ZERO);
        }
        match self.in_step.load(Ordering::Relaxed) {
            NEVER => None,
            millis => Some(now.since(UnixTime::from_millis(millis))),
        }
    }

    /// True when there is a place to keep revocations.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.store.is_some()
    }

    /// True when the list may lack what the store has had for longer than is permitted.
    #[must_use]
    pub fn is_stale(&self, now: UnixTime) -> bool {
        self.age(now).is_none_or(|age| age > self.max_stale)
    }

    /// The revocation of this id, if it holds.
    #[must_use]
    pub fn get(&self, id: RevocationId) -> Option<Revocation> {
        self.lock().get(id)
    }

    /// At most `limit` revocations of which `wanted` is true, in the order of their ids, from behind `after`.
    #[must_use]
    pub fn page(
        &self,
        after: Option<RevocationId>,
        limit: usize,
        wanted: impl Fn(&Revocation) -> bool,
    ) -> Vec<Revocation> {
        self.lock().after(after).filter(wanted).take(limit).collect()
    }

    /// How many revocations hold.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().revoked()
    }

    /// True when nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No call under the lock can panic half way, so a poisoned lock is sound.
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What a token says of itself where a revocation of `kind` looks.
fn named<'c>(kind: RevocationKind, claims: &'c Claims, id_claim: &str) -> [Option<&'c str>; 2] {
    match kind {
        RevocationKind::Token => [claims.lookup(id_claim).and_then(Json::as_str), None],
        RevocationKind::Session => [claims.text("sid"), None],
        // Who the client is stands in one of two claims, or in both.
        RevocationKind::Client => [claims.text("client_id"), claims.text("azp")],
        RevocationKind::Subject => [claims.subject(), None],
        RevocationKind::Issuer => [Some(""), None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::{AcceptedTypes, Form, KeyRing, TokenContract};
    use crate::store::{KEPT_BEYOND, Target};

    const ISSUER: &str = "https://i";
    const EXPIRY: i64 = 1_000;

    pub(super) fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    pub(super) use crate::authn::workshop::tests::block_on;

    pub(super) fn revocation(id: u128) -> Revocation {
        named_revocation(id, Target::Token(&id.to_string()))
    }

    fn named_revocation(id: u128, target: Target<'_>) -> Revocation {
        Revocation::new(RevocationId::from_bits(id), ISSUER, target, at(EXPIRY), at(0))
    }

    fn profile(iss: &str) -> IssuerProfile {
        let contract = TokenContract {
            form: Form::Signed,
            signing_algorithms: Vec::new(),
            key_algorithms: Vec::new(),
            content_encryptions: Vec::new(),
            types: AcceptedTypes::default(),
            scope_claim: "scope".into(),
            id_claim: "jti".into(),
            max_lifetime: None,
            leeway: Duration::from_secs(10),
            max_size: 8192,
            required_claims: Vec::new(),
        };
        IssuerProfile {
            name: "i".into(),
            issuer: iss.into(),
            audiences: Vec::new(),
            contract,
            keys: KeyRing::default(),
        }
    }

    fn with(target: Target<'_>) -> Revocations {
        let list = Revocations::unkept();
        list.learn(&[Change::Revoked(named_revocation(1, target))], at(0));
        list
    }

    fn hits(list: &Revocations, claims: &str) -> bool {
        let claims = Claims::parse(claims.as_bytes()).unwrap();
        list.find(&claims, &profile(ISSUER), at(10)).is_some()
    }

    #[test]
    fn each_kind_finds_its_tokens_and_no_others() {
        let token = with(Target::Token("x"));
        assert!(hits(&token, r#"{"jti":"x"}"#));
        for other in [r#"{"jti":"y"}"#, r#"{"sid":"x"}"#, r#"{"sub":"x"}"#, r#"{"client_id":"x"}"#, "{}"] {
            assert!(!hits(&token, other), "{other}");
        }
        let session = with(Target::Session("x"));
        assert!(hits(&session, r#"{"sid":"x"}"#) && !hits(&session, r#"{"jti":"x"}"#));
        let client = with(Target::Client("x"));
        assert!(hits(&client, r#"{"client_id":"x"}"#) && hits(&client, r#"{"client_id":"y","azp":"x"}"#));
        assert!(!hits(&client, r#"{"client_id":"y"}"#));
    }

    #[test]
    fn tokens_issued_before_a_moment_are_those_with_an_earlier_iat_or_none() {
        let subject = with(Target::Subject { subject: "x", issued_before: at(5) });
        assert!(hits(&subject, r#"{"sub":"x","iat":4.9}"#) && hits(&subject, r#"{"sub":"x"}"#));
        assert!(!hits(&subject, r#"{"sub":"x","iat":5}"#) && !hits(&subject, r#"{"sub":"y","iat":1}"#));
        let issuer = with(Target::Issuer { issued_before: at(5) });
        assert!(hits(&issuer, r#"{"iat":4}"#) && hits(&issuer, "{}") && !hits(&issuer, r#"{"iat":5}"#));
    }

    #[test]
    fn another_issuers_tokens_are_not_meant() {
        let list = with(Target::Issuer { issued_before: at(5) });
        let claims = Claims::parse(b"{}").unwrap();
        assert!(list.find(&claims, &profile("https://j"), at(10)).is_none());
    }

    #[test]
    fn a_revocation_holds_until_the_last_token_it_concerns_can_be_accepted_no_more() {
        let list = with(Target::Token("x"));
        let claims = Claims::parse(br#"{"jti":"x"}"#).unwrap();
        let profile = profile(ISSUER);
        let end = at(EXPIRY).plus(profile.contract.leeway).plus(MARGIN);
        assert!(list.find(&claims, &profile, end.minus(Duration::from_millis(1))).is_some());
        assert!(list.find(&claims, &profile, end).is_none());
        list.purge(at(EXPIRY).plus(KEPT_BEYOND));
        assert!(list.is_empty());
    }

    #[test]
    fn what_is_taken_back_holds_no_more_unless_something_else_does() {
        let list = with(Target::Token("x"));
        list.learn(&[Change::Revoked(named_revocation(2, Target::Token("x")))], at(0));
        let back = |id| Change::TakenBack { id: RevocationId::from_bits(id), expires_at: at(EXPIRY) };
        list.learn(&[back(1)], at(1));
        assert!(hits(&list, r#"{"jti":"x"}"#));
        list.learn(&[back(2)], at(1));
        assert!(!hits(&list, r#"{"jti":"x"}"#));
    }

    #[test]
    fn the_identifier_stands_where_the_issuer_says() {
        let list = with(Target::Token("x"));
        let mut profile = profile(ISSUER);
        profile.contract.id_claim = "/meta/uti".into();
        let claims = Claims::parse(br#"{"meta":{"uti":"x"}}"#).unwrap();
        assert!(list.find(&claims, &profile, at(10)).is_some());
    }

    #[test]
    fn without_a_place_to_keep_them_nothing_is_revoked() {
        let list = Arc::new(Revocations::unkept());
        assert_eq!(block_on(list.revoke(revocation(1), at(0))), Err(NotKept::NoPlace));
        assert!(list.is_empty() && !list.is_stale(at(0)) && list.follower().is_none());
    }

    #[test]
    fn pages_follow_the_ids() {
        let list = Revocations::unkept();
        let all: Vec<_> = (1..=5).map(revocation).collect();
        list.learn(&all.iter().copied().map(Change::Revoked).collect::<Vec<_>>(), at(0));
        assert_eq!(list.page(None, 2, |_| true), all[..2]);
        assert_eq!(list.page(Some(all[1].id), 9, |one| one.id != all[3].id), [all[2], all[4]]);
        assert_eq!(list.get(all[4].id), Some(all[4]));
    }
}
