//! The trait through which the pure rooms report counts and timings. `telemetry` implements it; tests use [`Silent`].

use crate::clock::UnixTime;
use std::time::Duration;

/// The result of one replay claim, as counted in `tollgate_replay_claims_total{result}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimResult {
    /// Nobody had presented this token before.
    Fresh,
    /// Somebody had.
    Replayed,
    /// The store could not answer.
    Unknown,
    /// The store could not answer, and the replica's own bounded table did.
    Local,
}

impl ClaimResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Fresh, Self::Replayed, Self::Unknown, Self::Local];

    /// The value of the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Replayed => "replayed",
            Self::Unknown => "unknown",
            Self::Local => "local",
        }
    }
}

/// How one fetch of an issuer's keys ended, as counted in `tollgate_issuer_fetch_total{result}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchResult {
    /// A set other than the one held.
    Changed,
    /// The set held already.
    Unchanged,
    /// The address, the redirect or the scheme is not allowed: nothing was asked there.
    Forbidden,
    /// No answer: name resolution, connection or TLS failed.
    Unreachable,
    /// No whole answer in time.
    TimedOut,
    /// An answer with a status other than 200.
    BadStatus,
    /// An answer larger than is read.
    TooLarge,
    /// An answer that is no metadata or no key set, or one with a private key, or the metadata of another issuer.
    Invalid,
}

impl FetchResult {
    /// Every result.
    pub const ALL: [Self; 8] = [
        Self::Changed,
        Self::Unchanged,
        Self::Forbidden,
        Self::Unreachable,
        Self::TimedOut,
        Self::BadStatus,
        Self::TooLarge,
        Self::Invalid,
    ];

    /// The value of the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Forbidden => "forbidden",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::BadStatus => "bad_status",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
        }
    }

    /// True when keys arrived.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Changed | Self::Unchanged)
    }
}

/// What the pure rooms tell the outside about their work. Every method returns at once and never fails.
pub trait Observer: Send + Sync {
    /// One cryptographic opening of a token took `took`; `algorithm` is from the closed list of `jose::alg`.
    fn verified(&self, algorithm: &'static str, took: Duration);
    /// One replay claim was answered. `mode` is the route's replay mode (`once`, `uses`, `proof`).
    fn claimed(&self, mode: &'static str, result: ClaimResult);
    /// The verdict cache was asked: `hit`, `miss` or `bypass`.
    fn verdict_cache(&self, result: &'static str);

    /// A request for `route` was refused by a limit: `client`, `subject`, `token`, `route` for a rate, `lockout`.
    fn rate_limited(&self, route: &str, kind: &'static str) {
        let _ = (route, kind);
    }

    /// The store answered `operation` (`claim`, `release`, `peek`, `probe`, `connect`) after `took`.
    fn store_answered(&self, operation: &'static str, took: Duration) {
        let _ = (operation, took);
    }
    /// The request at hand asks the store for `operation` (`claim`, `peek`, `count`, `release`), and waits.
    fn store_asked(&self, operation: &'static str) {
        let _ = operation;
    }
    /// It waits no more. `failure` is the label of a `StoreError`, where the store could not answer.
    fn store_replied(&self, failure: Option<&'static str>) {
        let _ = failure;
    }
    /// The store could not answer; `kind` is the label of a `StoreError`.
    fn store_failed(&self, kind: &'static str) {
        let _ = kind;
    }
    /// Whether the store at present can't answer, or answers what can't be relied on.
    fn store_degraded(&self, degraded: bool) {
        let _ = degraded;
    }
    /// The store's unbroken memory begins at `epoch`.
    fn store_epoch(&self, epoch: UnixTime) {
        let _ = epoch;
    }
    /// How many milliseconds our clock is ahead of the store's.
    fn store_clock_offset(&self, millis: i64) {
        let _ = millis;
    }
    /// How many keys the store has evicted since it started.
    fn store_evicted_keys(&self, total: u64) {
        let _ = total;
    }
    /// A claim was to be given back: `released`, `kept` (it is not ours any more), `lost` (no answer) or `refused`.
    fn claim_released(&self, result: &'static str) {
        let _ = result;
    }
    /// A claim made without the store turned out to have been made by another replica too.
    fn local_claim_conflict(&self) {}

    /// A fetch of the keys of `issuer` (its configured name) ended. Issuers that share a source are told one by one.
    fn issuer_fetch(&self, issuer: &str, result: FetchResult) {
        let _ = (issuer, result);
    }
}

/// Two observers, of which each is told everything.
#[derive(Clone, Copy)]
pub struct Both<'o>(pub &'o dyn Observer, pub &'o dyn Observer);

macro_rules! tell_both {
    ($($name:ident($($argument:ident: $type:ty),*);)+) => {
        impl Observer for Both<'_> {
            $(fn $name(&self, $($argument: $type),*) {
                self.0.$name($($argument),*);
                self.1.$name($($argument),*);
            })+
        }
    };
}

tell_both! {
    verified(algorithm: &'static str, took: Duration);
    claimed(mode: &'static str, result: ClaimResult);
    verdict_cache(result: &'static str);
    rate_limited(route: &str, kind: &'static str);
    store_answered(operation: &'static str, took: Duration);
    store_asked(operation: &'static str);
    store_replied(failure: Option<&'static str>);
    store_failed(kind: &'static str);
    store_degraded(degraded: bool);
    store_epoch(epoch: UnixTime);
    store_clock_offset(millis: i64);
    store_evicted_keys(total: u64);
    claim_released(result: &'static str);
    local_claim_conflict();
    issuer_fetch(issuer: &str, result: FetchResult);
}

/// An observer that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn verified(&self, _: &'static str, _: Duration) {}
    fn claimed(&self, _: &'static str, _: ClaimResult) {}
    fn verdict_cache(&self, _: &'static str) {}
}
