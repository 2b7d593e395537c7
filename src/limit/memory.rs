//! What a process remembers of its clients: rates and lock-outs, and the store's counters where replicas share them.

use super::{ClientNetwork, Keyer, LimitKey, Lockout, LockoutRule, RateRule, RateVerdict, Rates};
use crate::clock::UnixTime;
use crate::observe::Observer;
use crate::store::{CountAnswer, Counting, NonceKey, Store};
use std::net::IpAddr;
use std::time::Duration;

/// The counters of one process. They outlive a reload, which changes rules and not clients.
#[derive(Debug)]
pub struct LimitMemory {
    keyer: Keyer,
    rates: Rates,
    lockout: Lockout,
}

/// Whose requests one counter counts.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'c> {
    /// The route's name: routes don't share counters, and its counters survive a reload.
    pub route: &'c str,
    /// The issuer of the subject; empty where the counter is not of a subject.
    pub issuer: &'c str,
    /// The client, the subject, the token; empty for the route itself.
    pub what: &'c str,
}

impl LimitMemory {
    /// At most `capacity` counters of each kind.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { keyer: Keyer::default(), rates: Rates::new(capacity), lockout: Lockout::new(capacity) }
    }

    /// Counts one request in this process alone, or looks.
    #[must_use]
    pub fn count(&self, counted: &Counted<'_>, rule: &RateRule, now: UnixTime, how: Counting) -> RateVerdict {
        let key = self.key(counted, rule);
        match how {
            Counting::Count => self.rates.count(key, rule, now),
            Counting::Look => self.rates.peek(key, rule, now),
        }
    }

    /// Takes back one request that [`Self::count`] has counted.
    pub fn uncount(&self, counted: &Counted<'_>, rule: &RateRule) {
        self.rates.uncount(self.key(counted, rule), rule);
    }

    fn key(&self, counted: &Counted<'_>, rule: &RateRule) -> LimitKey {
        self.keyer.key(0, (rule.per, counted.route, counted.issuer, counted.what))
    }

    /// Counts one request with all replicas. A store that can't answer, or is not shared, leaves it to this process: a
    /// limit that is exact for each replica is better than none, and better than refusing everybody.
    pub async fn count_with(
        &self,
        store: &dyn Store,
        counted: &Counted<'_>,
        rule: &RateRule,
        now: UnixTime,
        how: Counting,
        observer: &dyn Observer,
    ) -> RateVerdict {
        if !store.shares_counts() {
            return self.count(counted, rule, now, how);
        }
        let identifier = format!("{}:{}{}", counted.issuer.len(), counted.issuer, counted.what);
        let kind = format!("rate {}", rule.per.name());
        let key = NonceKey::new(&kind, counted.route, &identifier);
        observer.store_asked("count");
        let answer = store.count(key, rule.pace(), how).await;
        observer.store_replied(answer.failure());
        match answer {
            CountAnswer::Counted { busy, over } => RateVerdict::new(rule, busy, over),
            CountAnswer::NotShared | CountAnswer::Unknown(_) => self.count(counted, rule, now, how),
        }
    }

    /// How long `client` must wait because it is locked out; `None` when it is not.
    #[must_use]
    pub fn locked_out(&self, client: IpAddr, rule: &LockoutRule, now: UnixTime) -> Option<Duration> {
        self.lockout.wait(self.suspect(client, rule), now)
    }

    /// Counts one refused token of `client`.
    pub fn failed(&self, client: IpAddr, rule: &LockoutRule, now: UnixTime) {
        self.lockout.failed(self.suspect(client, rule), rule, now);
    }

    /// Routes with the same rule share their lock-outs: whoever guesses would only go on at the next one.
    fn suspect(&self, client: IpAddr, rule: &LockoutRule) -> LimitKey {
        self.keyer.key(1, (rule, ClientNetwork::from(client)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Per;

    const RULE: RateRule = RateRule { per: Per::Subject, requests: 1, period: Duration::from_secs(60) };
    const NOW: UnixTime = UnixTime::from_seconds(1000);

    #[test]
    fn counters_are_told_apart_by_every_part_of_their_name() {
        let memory = LimitMemory::new(1000);
        let mut seen = 0;
        for (route, issuer, what) in
            [("a", "i", "x"), ("b", "i", "x"), ("a", "j", "x"), ("a", "i", "y"), ("a", "ix", "")]
        {
            let counted = Counted { route, issuer, what };
            assert!(memory.count(&counted, &RULE, NOW, Counting::Count).allowed, "{counted:?}");
            assert!(!memory.count(&counted, &RULE, NOW, Counting::Count).allowed, "{counted:?}");
            seen += 1;
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn a_lock_out_holds_on_every_route_with_the_same_rule() {
        let memory = LimitMemory::new(1000);
        let rule = LockoutRule { count: 1, period: Duration::from_secs(60), lock: Duration::from_secs(300) };
        let other = LockoutRule { count: 2, ..rule };
        let client = IpAddr::from([192, 0, 2, 1]);
        memory.failed(client, &rule, NOW);
        assert_eq!(memory.locked_out(client, &rule, NOW), Some(rule.lock));
        assert_eq!(memory.locked_out(client, &other, NOW), None);
        assert_eq!(memory.locked_out(IpAddr::from([192, 0, 2, 2]), &rule, NOW), None);
    }
}
