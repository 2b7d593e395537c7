//! How many requests of one route may be under way at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A cap on requests under way.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Set when it is first asked for: until then it can be that of the cap before.
    under_way: Arc<OnceLock<Arc<AtomicUsize>>>,
    at_most: usize,
}

/// One request under way; its place is free again when this is dropped.
#[derive(Debug)]
pub struct InFlightGuard(Arc<AtomicUsize>);

impl InFlight {
    /// A cap of `at_most` requests.
    #[must_use]
    pub fn new(at_most: usize) -> Self {
        Self { under_way: Arc::default(), at_most }
    }

    /// Counts on where `before` counts, whose requests are still under way. Without effect once a place was taken here.
    pub fn succeed(&self, before: &Self) {
        // Whoever was first has set it.
        let _ = self.under_way.set(Arc::clone(before.counter()));
    }

    fn counter(&self) -> &Arc<AtomicUsize> {
        self.under_way.get_or_init(Arc::default)
    }

    /// A place, if one is free.
    #[must_use]
    pub fn enter(&self) -> Option<InFlightGuard> {
        let enter = |under_way: usize| (under_way < self.at_most).then_some(under_way + 1);
        let entered = self.counter().fetch_update(Ordering::AcqRel, Ordering::Acquire, enter);
        entered.is_ok().then(|| InFlightGuard(Arc::clone(self.counter())))
    }

    /// True when no place is free at this moment.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.counter().load(Ordering::Acquire) >= self.at_most
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_cap_and_places_come_back() {
        let cap = InFlight::new(2);
        let (first, second) = (cap.enter(), cap.enter());
        assert!(first.is_some() && second.is_some() && cap.enter().is_none() && cap.is_full());
        drop(first);
        assert!(!cap.is_full());
        assert!(cap.enter().is_some());
    }

    #[test]
    fn a_successor_counts_what_is_under_way_and_gives_its_places_back() {
        let before = InFlight::new(2);
        let held = before.enter();
        let after = InFlight::new(1);
        after.succeed(&before);
        assert!(after.enter().is_none() && after.is_full());
        drop(held);
        let (one, other) = (after.enter(), before.enter());
        assert!(one.is_some() && other.is_some() && before.is_full());
    }
}
