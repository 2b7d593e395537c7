//! Waiting for a condition, and the time of day.

#![expect(clippy::disallowed_methods, reason = "a deadline and a token's `iat` need the real clock")]

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a condition may take to come true; generous, because it only costs when a test fails.
const DEADLINE: Duration = Duration::from_secs(30);
const BETWEEN_PROBES: Duration = Duration::from_millis(5);

/// Asks `probe` until it answers `Some`; panics with `what` when it does not within 30 seconds.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        thread::sleep(BETWEEN_PROBES);
    }
}

/// Seconds since the Unix epoch, as in `iat` and `exp`.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a clock before the year 292277026596")
}
