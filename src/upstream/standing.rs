//! Whether a target may be sent requests: what real requests and health checks say of it.

use crate::clock::Stopwatch;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many requests in a row must fail before a target is left out.
const FAILURES: u32 = 3;
/// For how long it is left out at first; then one request is let through as a trial, and each that fails doubles it.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest time between two trials.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// The standing of one target.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// False as long as there is nothing against it: the one thing most requests look at.
    suspect: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// Requests that failed in a row.
    failures: u32,
    rest: Option<Rest>,
    /// Health checks in a row that disagree with `sick`.
    contradictions: u32,
    /// What the health checks say.
    sick: bool,
}

/// A time without requests.
#[derive(Debug)]
struct Rest {
    since: Stopwatch,
    length: Duration,
    /// True while a request is under way to see whether the target is back.
    trial: bool,
}

/// What a target's standing has turned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It gets no requests for this long, after this many failures.
    Rests(Duration, u32),
    /// A request was answered again.
    Recovered,
    /// The health checks call it sick.
    Sick,
    /// The health checks call it well.
    Well,
}

impl Standing {
    /// True when a request may be sent to it.
    pub(super) fn is_available(&self) -> bool {
        if !self.suspect.load(Ordering::Acquire) {
            return true;
        }
        let record = self.record();
        !record.sick && record.rest.as_ref().is_none_or(Rest::is_over)
    }

    /// True when the request that asks may be sent to it. After a rest one request at a time may, as a trial.
    pub(super) fn admit(&self) -> bool {
        if !self.suspect.load(Ordering::Acquire) {
            return true;
        }
        let mut record = self.record();
        let sick = record.sick;
        match &mut record.rest {
            _ if sick => false,
            None => true,
            Some(rest) if rest.is_over() => {
                rest.since = Stopwatch::start();
                rest.trial = true;
                true
            }
            Some(_) => false,
        }
    }

    /// Notes that a request was answered.
    pub(super) fn answered(&self) -> Option<Turn> {
        if !self.suspect.load(Ordering::Acquire) {
            return None;
        }
        let mut record = self.record();
        record.failures = 0;
        let rested = record.rest.take().is_some();
        self.note(&record);
        rested.then_some(Turn::Recovered)
    }

    /// Notes that a request failed.
    pub(super) fn failed(&self) -> Option<Turn> {
        let mut record = self.record();
        record.failures = record.failures.saturating_add(1);
        let failures = record.failures;
        let length = match &record.rest {
            None if failures >= FAILURES => FIRST_REST,
            Some(rest) if rest.trial => rest.length.saturating_mul(2).min(LONGEST_REST),
            // It is too early, or the request was sent before the rest began.
            None | Some(_) => {
                self.note(&record);
                return None;
            }
        };
        record.rest = Some(Rest { since: Stopwatch::start(), length, trial: false });
        self.note(&record);
        Some(Turn::Rests(length, failures))
    }

    /// Notes the answer to a health check: it counts once `limit` of its kind have come in a row.
    pub(super) fn checked(&self, well: bool, limit: u32) -> Option<Turn> {
        let mut record = self.record();
        if well != record.sick {
            record.contradictions = 0;
            return None;
        }
        record.contradictions += 1;
        if record.contradictions < limit {
            return None;
        }
        record.contradictions = 0;
        record.sick = !well;
        self.note(&record);
        Some(if well { Turn::Well } else { Turn::Sick })
    }

    fn note(&self, record: &Record) {
        let suspect = record.sick || record.failures > 0 || record.rest.is_some();
        self.suspect.store(suspect, Ordering::Release);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rest {
    fn is_over(&self) -> bool {
        self.since.elapsed() >= self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resting(length: Duration) -> Standing {
        let standing = Standing::default();
        standing.record().rest = Some(Rest { since: Stopwatch::start(), length, trial: false });
        standing.suspect.store(true, Ordering::Release);
        standing
    }

    #[test]
    fn failures_in_a_row_earn_a_rest_and_an_answer_in_between_forgives() {
        let standing = Standing::default();
        assert_eq!([standing.failed(), standing.failed()], [None, None]);
        assert_eq!(standing.answered(), None);
        assert_eq!([standing.failed(), standing.failed()], [None, None]);
        assert_eq!(standing.failed(), Some(Turn::Rests(FIRST_REST, 3)));
        assert!(!standing.is_available() && !standing.admit());
        assert_eq!(standing.failed(), None, "a request that was sent before the rest");
        assert_eq!(standing.answered(), Some(Turn::Recovered));
        assert!(standing.admit());
    }

    #[test]
    fn after_a_rest_a_failed_trial_doubles_it() {
        let standing = resting(Duration::ZERO);
        assert!(standing.is_available() && standing.admit());
        assert_eq!(standing.failed(), Some(Turn::Rests(Duration::ZERO, 1)));
        let standing = resting(LONGEST_REST);
        assert!(!standing.admit());
        standing.record().rest.as_mut().unwrap().trial = true;
        assert_eq!(standing.failed(), Some(Turn::Rests(LONGEST_REST, 1)));
    }

    #[test]
    fn health_checks_count_in_a_row() {
        let standing = Standing::default();
        assert_eq!([standing.checked(false, 2), standing.checked(true, 1), standing.checked(false, 2)], [None; 3]);
        assert_eq!(standing.checked(false, 2), Some(Turn::Sick));
        assert!(!standing.is_available());
        assert_eq!(standing.answered(), None, "a request from before says nothing of its health");
        assert!(!standing.is_available());
        assert_eq!(standing.checked(true, 1), Some(Turn::Well));
        assert!(standing.is_available());
    }
}
