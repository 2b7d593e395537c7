//! Rates by the generic cell rate algorithm (GCRA): one number a counter, exact, no windows to burst at the edges of.

use super::LimitKey;
use super::table::Table;
use crate::clock::UnixTime;
use crate::store::Pace;
use std::time::Duration;

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// Those of one client address (IPv6: /64).
    Client,
    /// Those of one subject of one issuer.
    Subject,
    /// Those under one token.
    Token,
    /// All of the route.
    Route,
}

impl Per {
    /// Every way to count.
    pub const ALL: [Self; 4] = [Self::Client, Self::Subject, Self::Token, Self::Route];

    /// The name in gateway.yaml, and the label of `tollgate_rate_limited_total{kind}`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Subject => "subject",
            Self::Token => "token",
            Self::Route => "route",
        }
    }

    /// True where a shared store counts for all replicas. Clients are counted in each process alone: they are unproven,
    /// and would fill the store with their addresses.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        !matches!(self, Self::Client)
    }
}

/// `requests` in any `period`, all at once if they come so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRule {
    /// Whose requests are counted together.
    pub per: Per,
    /// How many are free to come at once; at least 1.
    pub requests: u32,
    /// The time in which as many become free again.
    pub period: Duration,
}

impl RateRule {
    /// The rule in the terms of the algorithm: the time in which one more request becomes free, at least 1 µs, and the
    /// time for which requests may come ahead.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let (period, requests) = (i64::try_from(self.period.as_micros()), i64::from(self.requests.max(1)));
        let interval = (period.unwrap_or(i64::MAX / 4) / requests).max(1);
        // Not the period itself: where it can't be divided, one request too many would fit in.
        Pace { interval, burst: interval.saturating_mul(requests) }
    }
}

/// The answer for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateVerdict {
    /// True when the request may go on.
    pub allowed: bool,
    /// How many more could come right now.
    pub remaining: u32,
    /// When all are free again.
    pub reset_after: Duration,
    /// When the next one is free; zero when it is now.
    pub retry_after: Duration,
}

impl RateVerdict {
    /// The verdict under `rule` when its counter will be empty in `busy` µs, and the request came `over` µs too early.
    #[must_use]
    pub fn new(rule: &RateRule, busy: i64, over: i64) -> Self {
        let pace = rule.pace();
        let free = pace.burst.saturating_sub(busy).max(0) / pace.interval;
        Self {
            allowed: over <= 0,
            remaining: u32::try_from(free).unwrap_or(u32::MAX),
            reset_after: micros(busy),
            retry_after: micros(over),
        }
    }
}

/// The counters of this process.
#[derive(Debug)]
pub struct Rates(Table<i64>);

impl Rates {
    /// At most `capacity` counters; a full table forgets the ones that are nearest to being free.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Table::new(capacity))
    }

    /// Counts one request at `now`.
    #[must_use]
    pub fn count(&self, key: LimitKey, rule: &RateRule, now: UnixTime) -> RateVerdict {
        self.0.update(
            key,
            |state| {
                let (next, verdict) = admit(state, rule, now);
                (Some(next), verdict)
            },
            |state| *state,
        )
    }

    /// Takes back one request that [`Self::count`] has counted.
    pub fn uncount(&self, key: LimitKey, rule: &RateRule) {
        self.0.update(key, |state| (state.map(|state| state - rule.pace().interval), ()), |state| *state);
    }

    /// What [`Self::count`] would answer, without counting.
    #[must_use]
    pub fn peek(&self, key: LimitKey, rule: &RateRule, now: UnixTime) -> RateVerdict {
        self.0.update(key, |state| (state, admit(state, rule, now).1), |state| *state)
    }
}

/// GCRA: `state` is the theoretical arrival time in µs, the moment when the counter will be empty again.
fn admit(state: Option<i64>, rule: &RateRule, now: UnixTime) -> (i64, RateVerdict) {
    let (pace, now) = (rule.pace(), now.as_millis().saturating_mul(1000));
    let arrival = state.unwrap_or(now).max(now);
    let next = arrival.saturating_add(pace.interval);
    let over = next.saturating_sub(now).saturating_sub(pace.burst);
    let kept = if over <= 0 { next } else { arrival };
    (kept, RateVerdict::new(rule, kept.saturating_sub(now), over))
}

fn micros(value: i64) -> Duration {
    Duration::from_micros(u64::try_from(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: RateRule = RateRule { per: Per::Client, requests: 3, period: Duration::from_secs(3) };

    fn at(millis: i64) -> UnixTime {
        UnixTime::from_millis(1_000_000 + millis)
    }

    fn allowed(rates: &Rates, key: u64, millis: i64) -> bool {
        rates.count(LimitKey(key), &RULE, at(millis)).allowed
    }

    #[test]
    fn a_burst_up_to_the_rate_then_one_an_interval() {
        let rates = Rates::new(100);
        let burst: Vec<bool> = (0..5).map(|_| allowed(&rates, 1, 0)).collect();
        assert_eq!(burst, [true, true, true, false, false]);
        assert!(!allowed(&rates, 1, 999));
        assert!(allowed(&rates, 1, 1000));
        assert!(!allowed(&rates, 1, 1001));
        assert!(allowed(&rates, 2, 0), "another key has its own counter");
    }

    #[test]
    fn no_period_ever_sees_more_than_twice_less_one_of_the_rate() {
        let rates = Rates::new(100);
        let let_through = (0..60).filter(|step| allowed(&rates, 1, step * 100)).count();
        assert_eq!(let_through, 3 + 5, "three at once, then one a second for six seconds");
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_is_not_counted() {
        let rates = Rates::new(100);
        for _ in 0..3 {
            assert!(allowed(&rates, 1, 0));
        }
        for _ in 0..10 {
            let verdict = rates.count(LimitKey(1), &RULE, at(0));
            assert_eq!(verdict.retry_after, Duration::from_secs(1));
            assert_eq!(verdict.reset_after, Duration::from_secs(3));
        }
        assert!(allowed(&rates, 1, 1000));
    }

    #[test]
    fn what_is_taken_back_is_free_again() {
        let rates = Rates::new(100);
        for _ in 0..10 {
            assert!(allowed(&rates, 1, 0));
            rates.uncount(LimitKey(1), &RULE);
        }
        assert_eq!(rates.peek(LimitKey(1), &RULE, at(0)).remaining, 2);
        rates.uncount(LimitKey(2), &RULE);
        assert_eq!(rates.0.len(), 1, "what was never counted is not taken back");
    }

    #[test]
    fn a_peek_counts_nothing() {
        let rates = Rates::new(100);
        for _ in 0..10 {
            assert_eq!(rates.peek(LimitKey(1), &RULE, at(0)).remaining, 2);
        }
        assert!(allowed(&rates, 1, 0));
    }

    #[test]
    fn high_rates_are_exact_too() {
        let rates = Rates::new(100);
        let rule = RateRule { per: Per::Route, requests: 7000, period: Duration::from_secs(1) };
        let let_through = (0..8000).filter(|_| rates.count(LimitKey(1), &rule, at(0)).allowed).count();
        assert_eq!(let_through, 7000);
    }

    #[test]
    fn the_table_stays_bounded_under_a_flood_of_keys() {
        let rates = Rates::new(160);
        for key in 0..10_000 {
            allowed(&rates, key, 0);
        }
        assert!(rates.0.len() <= 160);
    }
}
