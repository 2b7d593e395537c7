//! What a client is told of its rate: `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10
//! writes them.

use super::{RateRule, RateVerdict};
use std::time::Duration;

/// One rule, and how one request stood under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateReport {
    /// The rule.
    pub rule: RateRule,
    /// How the request stood.
    pub verdict: RateVerdict,
}

impl RateReport {
    /// The headers by name. The policy is called by whose requests it counts; `w`, `t` are whole seconds, rounded up.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 2] {
        let (name, quota, window) = (self.rule.per.name(), self.rule.requests, seconds(self.rule.period));
        let (remaining, reset) = (self.verdict.remaining, seconds(self.verdict.reset_after));
        [
            ("RateLimit-Policy", format!("\"{name}\";q={quota};w={window}")),
            ("RateLimit", format!("\"{name}\";r={remaining};t={reset}")),
        ]
    }
}

fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Per;

    #[test]
    fn the_headers_read_as_the_draft_writes_them() {
        let rule = RateRule { per: Per::Subject, requests: 100, period: Duration::from_secs(60) };
        let report = RateReport { rule, verdict: RateVerdict::new(&rule, 1_200_000, 0) };
        let [policy, limit] = report.headers();
        assert_eq!(policy, ("RateLimit-Policy", r#""subject";q=100;w=60"#.to_owned()));
        assert_eq!(limit, ("RateLimit", r#""subject";r=98;t=2"#.to_owned()));
    }
}
