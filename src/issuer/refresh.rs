//! When to fetch the keys of one source again: its life as a state machine, without I/O and without a clock.
//!
//! Three rules carry the rest. A cooldown is taken *before* each fetch, whatever comes of it, so that no flood of
//! invented `kid`s and no empty answer turns the gateway against the issuer. The last good set lives through an outage
//! up to `max_stale`, and then denies. And one fetch is under way at a time.

use crate::clock::UnixTime;
use std::time::Duration;

/// How often the keys of a source are fetched, and how long they are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// The longest time between two fetches; also the usual one, where the answer names no `max-age`.
    pub refresh: Duration,
    /// How long a set is believed after the fetch that brought it.
    pub max_stale: Duration,
    /// The shortest time between the beginnings of two fetches.
    pub cooldown: Duration,
}

impl RefreshPolicy {
    /// The policy that satisfies both: no fetch more often, no set older than either permits.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            refresh: self.refresh.min(other.refresh),
            max_stale: self.max_stale.min(other.max_stale),
            cooldown: self.cooldown.max(other.cooldown),
        }
    }
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self { refresh: minutes(10), max_stale: minutes(24 * 60), cooldown: Duration::from_secs(30) }
    }
}

/// Chance, drawn by the caller: it spreads the fetches of many replicas that were started together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter(u16);

impl Jitter {
    /// All that chance may take.
    pub const MOST: Self = Self(u16::MAX);

    /// Chance from two random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// A random part of `whole`.
    fn of(self, whole: Duration) -> Duration {
        whole / (u32::from(u16::MAX) + 1) * u32::from(self.0)
    }

    /// `whole`, shorter by up to a fifth.
    fn shorten(self, whole: Duration) -> Duration {
        whole.saturating_sub(self.of(whole / 5))
    }
}

/// What identifies a set: equal for sets that verify the same tokens.
pub type Fingerprint = [u8; 32];

/// The last good set.
#[derive(Clone, Copy, Debug)]
struct Held {
    fingerprint: Fingerprint,
    fetched_at: UnixTime,
}

/// What a good set that has arrived means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Verdicts made before are void: the set changed, or the one before it had grown stale.
    pub new_generation: bool,
    /// The moment from which the set is too old.
    pub stale_at: UnixTime,
}

/// The state of one source.
#[derive(Clone, Debug)]
pub struct Refresh {
    policy: RefreshPolicy,
    held: Option<Held>,
    begun_at: Option<UnixTime>,
    under_way: bool,
    /// How many fetches were begun.
    begun: u64,
    failures: u32,
    /// When the next fetch is due by itself; `None` at once.
    due_at: Option<UnixTime>,
}

impl Refresh {
    /// A source without keys, whose first fetch is due at once.
    #[must_use]
    pub const fn new(policy: RefreshPolicy) -> Self {
        Self { policy, held: None, begun_at: None, under_way: false, begun: 0, failures: 0, due_at: None }
    }

    /// Takes up the set of an earlier process. Its age counts; the first fetch stays due at once. `None` when it is too
    /// old at `now`, or claims to come from the future, which would let it outlive its time.
    pub fn restore(&mut self, fingerprint: Fingerprint, fetched_at: UnixTime, now: UnixTime) -> Option<UnixTime> {
        let stale_at = fetched_at.plus(self.policy.max_stale);
        if fetched_at > now || now >= stale_at {
            return None;
        }
        self.held = Some(Held { fingerprint, fetched_at });
        Some(stale_at)
    }

    /// Changes the policy; keys, cooldown and what is under way stay. The moment the held set grows stale may move.
    pub fn set_policy(&mut self, policy: RefreshPolicy) {
        self.policy = policy;
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> RefreshPolicy {
        self.policy
    }

    /// Begins a fetch if one may begin: it is due, or `wanted` by a token with an unknown key, and the cooldown is
    /// over. `true` obliges the caller to report [`Self::arrived`] or [`Self::failed`].
    pub fn begin(&mut self, now: UnixTime, wanted: bool) -> bool {
        let may = !self.under_way && self.next_at(now, wanted).is_some_and(|at| at <= now);
        if may {
            self.start(now);
        }
        may
    }

    /// Begins a fetch ordered by an operator, cooldown or not. Still one at a time, and it takes a cooldown too.
    pub fn begin_ordered(&mut self, now: UnixTime) -> bool {
        let may = !self.under_way;
        if may {
            self.start(now);
        }
        may
    }

    fn start(&mut self, now: UnixTime) {
        self.begun_at = Some(now);
        self.under_way = true;
        self.begun = self.begun.saturating_add(1);
    }

    /// When the next fetch may begin, seen from `now`; `None` while one is under way.
    #[must_use]
    pub fn next_at(&self, now: UnixTime, wanted: bool) -> Option<UnixTime> {
        if self.under_way {
            return None;
        }
        // Where the clock was set back, a moment that now lies too far ahead is taken for past.
        let ahead = |at: UnixTime, most: Duration| if at > now.plus(most) { now } else { at };
        let due_at = self.due_at.map_or(now, |at| ahead(at, self.policy.refresh));
        let cooled_at = self.begun_at.map_or(now, |at| ahead(at.plus(self.policy.cooldown), self.policy.cooldown));
        Some(if wanted { cooled_at } else { due_at.max(cooled_at) })
    }

    /// A good set arrived. `max_age` is what its answer said of its freshness (RFC 9111 §5.2.2.1).
    pub fn arrived(
        &mut self,
        now: UnixTime,
        fingerprint: Fingerprint,
        max_age: Option<Duration>,
        jitter: Jitter,
    ) -> Arrival {
        let same = |held: Held| held.fingerprint == fingerprint && now < held.fetched_at.plus(self.policy.max_stale);
        let new_generation = !self.held.is_some_and(same);
        self.held = Some(Held { fingerprint, fetched_at: now });
        self.under_way = false;
        self.failures = 0;
        let fresh_for = max_age.unwrap_or(self.policy.refresh).min(self.policy.refresh);
        // Early rather than late: the next set is there before this one's freshness ends.
        self.due_at = Some(now.plus(jitter.shorten(fresh_for)));
        Arrival { new_generation, stale_at: now.plus(self.policy.max_stale) }
    }

    /// The fetch brought nothing: what is held stays, and the next fetch waits longer each time, up to `refresh`.
    pub fn failed(&mut self, now: UnixTime, jitter: Jitter) {
        self.under_way = false;
        let longest = self.policy.refresh.max(self.policy.cooldown);
        let doubled = self.policy.cooldown.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.due_at = Some(now.plus(jitter.shorten(doubled)));
    }

    /// When the held set was fetched.
    #[must_use]
    pub fn fetched_at(&self) -> Option<UnixTime> {
        self.held.map(|held| held.fetched_at)
    }

    /// The moment from which the held set is too old.
    #[must_use]
    pub fn stale_at(&self) -> Option<UnixTime> {
        self.held.map(|held| held.fetched_at.plus(self.policy.max_stale))
    }

    /// How many fetches were begun, and whether the last of them is under way.
    #[must_use]
    pub const fn progress(&self) -> (u64, bool) {
        (self.begun, self.under_way)
    }

    /// How many fetches in a row brought nothing.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Jitter = Jitter(0);
    const A: Fingerprint = [1; 32];
    const B: Fingerprint = [2; 32];

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(1_000_000 + seconds)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn source() -> Refresh {
        Refresh::new(RefreshPolicy { refresh: seconds(600), max_stale: seconds(3600), cooldown: seconds(30) })
    }

    /// A source that fetched `A` at 0.
    fn fetched(max_age: Option<Duration>) -> Refresh {
        let mut source = source();
        assert!(source.begin(at(0), false));
        source.arrived(at(0), A, max_age, NONE);
        source
    }

    #[test]
    fn the_first_fetch_is_due_at_once_and_only_one_is_under_way() {
        let mut source = source();
        assert_eq!(source.next_at(at(0), false), Some(at(0)));
        assert!(source.begin(at(0), false));
        assert!(!source.begin(at(0), false));
        assert!(!source.begin(at(500), true));
        assert!(!source.begin_ordered(at(500)));
        assert_eq!(source.next_at(at(0), true), None);
    }

    #[test]
    fn an_unknown_kid_waits_for_the_cooldown_however_often_it_comes() {
        let mut source = fetched(None);
        for second in 0..30 {
            assert!(!source.begin(at(second), true), "{second}");
        }
        assert_eq!(source.next_at(at(3), true), Some(at(30)));
        assert!(source.begin(at(30), true));
    }

    #[test]
    fn the_cooldown_counts_from_the_beginning_and_whatever_the_result() {
        let mut source = source();
        assert!(source.begin(at(0), true));
        source.failed(at(10), NONE);
        assert!(!source.begin(at(29), true), "a failed fetch and an empty ring are no way around it");
        assert!(source.begin(at(30), true));
    }

    #[test]
    fn an_operator_needs_no_cooldown_but_takes_one() {
        let mut source = fetched(None);
        assert!(source.begin_ordered(at(1)));
        source.arrived(at(1), A, None, NONE);
        assert!(!source.begin(at(30), true));
        assert!(source.begin(at(31), true));
    }

    #[test]
    fn the_background_fetch_honours_max_age_within_bounds() {
        for (max_age, due) in [(None, 600), (Some(120), 120), (Some(86_400), 600), (Some(0), 30)] {
            let source = fetched(max_age.map(seconds));
            assert_eq!(source.next_at(at(0), false), Some(at(due)), "{max_age:?}");
        }
    }

    #[test]
    fn jitter_makes_a_fetch_earlier_by_at_most_a_fifth() {
        let mut source = source();
        assert!(source.begin(at(0), false));
        source.arrived(at(0), A, None, Jitter::MOST);
        let next = source.next_at(at(0), false).unwrap();
        assert!(at(480) <= next && next < at(481), "{next}");
        assert_eq!(Jitter::from_random([0x80, 0]).of(seconds(65_536)), seconds(32_768));
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_refresh() {
        let mut source = source();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(source.begin(now, false));
            source.failed(now, NONE);
            let next = source.next_at(now, false).unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600, 600]);
        assert!(source.begin(now, false));
        source.arrived(now, A, None, NONE);
        assert_eq!(source.failures(), 0);
    }

    #[test]
    fn a_generation_is_new_only_when_the_set_changed() {
        let mut source = source();
        let mut arrive = |second, set| {
            assert!(source.begin_ordered(at(second)));
            source.arrived(at(second), set, None, NONE).new_generation
        };
        assert!(arrive(0, A));
        assert!(!arrive(100, A));
        assert!(arrive(200, B));
        assert!(arrive(300, A));
    }

    #[test]
    fn a_set_that_had_grown_stale_comes_back_as_a_new_generation() {
        let mut source = fetched(None);
        assert!(source.begin_ordered(at(3599)));
        source.failed(at(3599), NONE);
        assert_eq!(source.stale_at(), Some(at(3600)), "an outage does not prolong a set's life");
        assert!(source.begin_ordered(at(3600)));
        let arrival = source.arrived(at(3600), A, None, NONE);
        assert_eq!(arrival, Arrival { new_generation: true, stale_at: at(7200) });
    }

    #[test]
    fn a_restored_set_keeps_its_age_and_is_fetched_again_at_once() {
        let mut source = source();
        assert_eq!(source.restore(A, at(-1000), at(0)), Some(at(2600)));
        assert!(source.begin(at(0), false));
        assert!(!source.arrived(at(0), A, None, NONE).new_generation);
    }

    #[test]
    fn a_restored_set_that_is_too_old_or_from_the_future_is_none() {
        let mut source = source();
        assert_eq!(source.restore(A, at(-3600), at(0)), None);
        assert_eq!(source.restore(A, at(1), at(0)), None);
        assert_eq!(source.fetched_at(), None);
    }

    #[test]
    fn a_clock_set_back_neither_stops_nor_hastens_the_fetches_for_long() {
        let mut source = fetched(None);
        assert!(source.begin(at(-100_000), true));
        source.arrived(at(-100_000), A, None, NONE);
        assert!(!source.begin(at(-99_971), true));
        assert!(source.begin(at(-99_970), true));
    }

    #[test]
    fn a_new_policy_moves_the_moment_of_staleness() {
        let mut source = fetched(None);
        source.set_policy(RefreshPolicy { max_stale: seconds(60), ..source.policy() });
        assert_eq!(source.stale_at(), Some(at(60)));
    }

    #[test]
    fn the_stricter_policy_satisfies_both() {
        let policy = |refresh, max_stale, cooldown| RefreshPolicy {
            refresh: seconds(refresh),
            max_stale: seconds(max_stale),
            cooldown: seconds(cooldown),
        };
        assert_eq!(policy(600, 100, 30).stricter(policy(300, 200, 60)), policy(300, 100, 60));
    }
}
