//! Lock-outs: whoever shows too many bad tokens is not listened to for a while.

use super::LimitKey;
use super::table::Table;
use crate::clock::UnixTime;
use std::time::Duration;

/// What a refusal by a lock-out is called in `tollgate_rate_limited_total{kind}`.
pub const LOCKOUT: &str = "lockout";

/// `count` refused tokens within `period` lock a client out for `lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockoutRule {
    /// How many refusals it takes; at least 1.
    pub count: u32,
    /// Within which time.
    pub period: Duration,
    /// For how long.
    pub lock: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: UnixTime,
    count: u32,
    locked_until: Option<UnixTime>,
}

/// The refusals counted in this process.
#[derive(Debug)]
pub struct Lockout(Table<Failures>);

impl Lockout {
    /// At most `capacity` clients are remembered; a full table forgets the oldest of a sample.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Table::new(capacity))
    }

    /// The time a locked client must wait; `None` when it is not locked out.
    #[must_use]
    pub fn wait(&self, key: LimitKey, now: UnixTime) -> Option<Duration> {
        let locked = |state: &Failures| state.locked_until.filter(|until| now < *until).map(|until| until.since(now));
        self.0.update(key, |state| (state, state.as_ref().and_then(locked)), weight)
    }

    /// Counts one refused token at `now`.
    pub fn failed(&self, key: LimitKey, rule: &LockoutRule, now: UnixTime) {
        self.0.update(
            key,
            |state| {
                let fresh = Failures { since: now, count: 0, locked_until: None };
                let mut state = state.filter(|state| now < state.since.plus(rule.period)).unwrap_or(fresh);
                state.count = state.count.saturating_add(1);
                if state.count >= rule.count {
                    state = Failures { since: now, count: 0, locked_until: Some(now.plus(rule.lock)) };
                }
                (Some(state), ())
            },
            weight,
        );
    }
}

/// A locked client matters longer than one that is merely counted.
fn weight(state: &Failures) -> i64 {
    state.locked_until.unwrap_or(state.since).as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: LockoutRule = LockoutRule { count: 3, period: Duration::from_secs(60), lock: Duration::from_secs(300) };

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    #[test]
    fn enough_failures_within_the_period_lock_out_for_the_declared_time() {
        let lockout = Lockout::new(100);
        let key = LimitKey(1);
        for second in [0, 1] {
            lockout.failed(key, &RULE, at(second));
            assert_eq!(lockout.wait(key, at(second)), None);
        }
        lockout.failed(key, &RULE, at(2));
        assert_eq!(lockout.wait(key, at(2)), Some(Duration::from_secs(300)));
        assert_eq!(lockout.wait(key, at(302)), None);
        assert_eq!(lockout.wait(LimitKey(2), at(2)), None);
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let lockout = Lockout::new(100);
        for second in [0, 61, 122, 183] {
            lockout.failed(LimitKey(1), &RULE, at(second));
            assert_eq!(lockout.wait(LimitKey(1), at(second)), None);
        }
    }

    #[test]
    fn a_flood_of_clients_stays_bounded() {
        let lockout = Lockout::new(32);
        for key in 0..1000 {
            lockout.failed(LimitKey(key), &RULE, at(0));
        }
        assert!(lockout.0.len() <= 32);
    }
}
