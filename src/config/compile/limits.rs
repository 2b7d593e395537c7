//! `routes[].limits` and `in_flight`, joined with `defaults.limits` → the limit room's policy.

use super::server::positive;
use crate::config::fault::Faults;
use crate::config::gather::Placed;
use crate::config::schema::edge::{Failures, Limits as Written, Rate, RatePer};
use crate::config::schema::routes::Route;
use crate::config::schema::value::{Duration as Span, Size};
use crate::config::site::Site;
use crate::decision::Access;
use crate::limit::{InFlight, Limits, LockoutRule, Per, RateRule};
use std::time::Duration;

/// The limits of `route`; `None` after a fault.
pub fn compile(
    route: &Placed<Route>,
    defaults: Option<&Placed<Written>>,
    access: Option<&Access>,
    faults: &mut Faults,
) -> Option<Limits> {
    let own = route.site.key("limits");
    let written = route.value.limits.clone().unwrap_or_default();
    let base = defaults.map(|base| base.value.clone()).unwrap_or_default();
    let place = |key: &str| match defaults {
        Some(base) if !own.key(key).is_written() && base.site.key(key).is_written() => base.site.key(key),
        _ => own.key(key),
    };
    let rate = written.rate.or(base.rate).map(|rate| compile_rate(rate, &place("rate"), faults));
    let failures = written.failures.or(base.failures).map(|one| compile_failures(one, &place("failures"), faults));
    tighter(&written, &base, &own, faults);
    // A rule that is written and faulty must not come to mean no rule.
    let (mut rate, mut failures) =
        (rate.map_or(Some(None), |one| one.map(Some))?, failures.map_or(Some(None), |one| one.map(Some))?);
    if let Some(Access::Public) = access {
        public(rate, failures, &own, faults)?;
        rate = rate.filter(|rate| !counts_tokens(*rate));
        failures = None;
    }
    Some(Limits {
        rate,
        body: written.body.or(base.body).map(Size::bytes),
        failures,
        in_flight: route.value.in_flight.map(|most| InFlight::new(usize::try_from(most).unwrap_or(usize::MAX))),
    })
}

fn compile_rate(rate: Rate, site: &Site, faults: &mut Faults) -> Option<RateRule> {
    let period = span(rate.period, &site.key("period"), faults);
    let per = match rate.per? {
        RatePer::Client => Per::Client,
        RatePer::Subject => Per::Subject,
        RatePer::Token => Per::Token,
        RatePer::Route => Per::Route,
    };
    Some(RateRule { per, requests: rate.requests?, period: period? })
}

fn compile_failures(failures: Failures, site: &Site, faults: &mut Faults) -> Option<LockoutRule> {
    let period = span(failures.period, &site.key("period"), faults);
    let lock = span(failures.lock, &site.key("lock"), faults);
    Some(LockoutRule { count: failures.count?, period: period?, lock: lock? })
}

/// A mandatory time; that it is missing has been told already.
fn span(written: Option<Span>, site: &Site, faults: &mut Faults) -> Option<Duration> {
    written.and_then(|_| positive(written, Duration::ZERO, site, faults))
}

/// Where nobody shows a token, nothing can be counted by it. What `defaults` say of tokens is for the other routes.
fn public(rate: Option<RateRule>, failures: Option<LockoutRule>, own: &Site, faults: &mut Faults) -> Option<()> {
    let by_token = rate.filter(|rate| counts_tokens(*rate) && own.key("rate").is_written());
    if let Some(rate) = by_token {
        let problem = format!("counts by {}, and the route is public", rate.per.name());
        faults.push(&own.key("rate").key("per"), problem, "write `client` or `route`");
    }
    let failures = failures.filter(|_| own.key("failures").is_written());
    if failures.is_some() {
        let problem = "counts refused tokens, and the route is public";
        faults.push(&own.key("failures"), problem, "remove it, or write what a token must show in `access`");
    }
    (by_token.is_none() && failures.is_none()).then_some(())
}

fn counts_tokens(rate: RateRule) -> bool {
    matches!(rate.per, Per::Subject | Per::Token)
}

/// Notes what is looser than the default.
fn tighter(own: &Written, base: &Written, site: &Site, faults: &mut Faults) {
    let mut looser = |key: &str| {
        let problem = format!("is looser than `defaults.limits.{key}`");
        faults.push(&site.key(key), problem, "remove it, or write a tighter one of the same kind");
    };
    if own.body.zip(base.body).is_some_and(|(own, base)| own > base) {
        looser("body");
    }
    if own.rate.zip(base.rate).is_some_and(|(own, base)| !rate_is_tighter(own, base)) {
        looser("rate");
    }
    if own.failures.zip(base.failures).is_some_and(|(own, base)| !failures_are_tighter(own, base)) {
        looser("failures");
    }
}

fn rate_is_tighter(own: Rate, base: Rate) -> bool {
    let (Some(requests), Some(most)) = (own.requests, base.requests) else { return true };
    let (Some(period), Some(least)) = (own.period, base.period) else { return true };
    let slower = u128::from(requests) * least.get().as_millis() <= u128::from(most) * period.get().as_millis();
    own.per == base.per && requests <= most && slower
}

fn failures_are_tighter(own: Failures, base: Failures) -> bool {
    own.count <= base.count && own.period >= base.period && own.lock >= base.lock
}
