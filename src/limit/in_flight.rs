//! How many requests of one route may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A cap on requests under way.
#[derive(Clone, Debug)]
pub struct InFlight {
    under_way: Arc<AtomicUsize>,
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

    /// A place, if one is free.
    #[must_use]
    pub fn enter(&self) -> Option<InFlightGuard> {
        let enter = |under_way: usize| (under_way < self.at_most).then_some(under_way + 1);
        let entered = self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter);
        entered.is_ok().then(|| InFlightGuard(Arc::clone(&self.under_way)))
    }

    /// True when no place is free at this moment.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.under_way.load(Ordering::Acquire) >= self.at_most
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
}
