//! What is legal and weak about tokens that are used up, and about the store that counts their uses.

use super::compile::{Rule, StoreSettings};
use super::lint::{guard, routes};
use super::loaded::Loaded;
use super::warning::Warning;
use crate::authn::{BindingRule, OnLoss, ReplayMode};
use crate::decision::Guard;
use crate::issuer::IssuerId;
use crate::store::Servers;

/// More uses than this are no count any more: a thief finds some left.
const MANY_USES: u32 = 10;

/// Adds the weaknesses of `loaded`.
pub fn lint(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    for (rule, site) in routes(loaded) {
        if let Some(ReplayMode::Uses(uses)) = guard(rule).map(|guard| guard.replay)
            && uses > MANY_USES
        {
            let weakness = format!("lets a stolen token in up to {uses} times before anybody notices");
            warnings.push(Warning::new(&site.key("access").key("replay").key("uses"), weakness));
        }
    }
    for (index, site) in loaded.places.issuers.iter().enumerate() {
        let modes = Modes::of(IssuerId::new(index), loaded);
        warnings.extend(modes.weaknesses().map(|weakness| Warning::new(site, weakness)));
    }
    unreplicated(loaded, warnings);
}

/// How often the tokens of one issuer may be used, and on which route first.
struct Modes<'l>(Vec<(ReplayMode, &'l str)>);

impl<'l> Modes<'l> {
    fn of(issuer: IssuerId, loaded: &'l Loaded) -> Self {
        let mode = |rule: &'l Rule| {
            let guard = guard(rule).filter(|guard| guard.issuers.contains(&issuer))?;
            Some((guard.replay, &*rule.policy.name))
        };
        Self(loaded.rules.iter().filter_map(mode).collect())
    }

    fn first(&self, wanted: impl Fn(ReplayMode) -> bool) -> Option<(ReplayMode, &'l str)> {
        self.0.iter().copied().find(|(mode, _)| wanted(*mode))
    }

    /// A token spent on one route is not spent for a route that never asks; and all routes that ask share one count.
    fn weaknesses(&self) -> impl Iterator<Item = String> {
        let spent = self.first(|mode| mode != ReplayMode::None);
        let again = self.first(|mode| mode == ReplayMode::None);
        let free = spent.zip(again).map(|((mode, spent), (_, again))| {
            let opens = times(mode);
            format!("serves `{spent}`, where a token opens {opens}, and `{again}`, where the same token opens again")
        });
        let other = spent.and_then(|(one, _)| self.first(|mode| mode != ReplayMode::None && mode != one));
        let shared = spent.zip(other).map(|((mode, one), (other_mode, other))| {
            let (opens, other_opens) = (times(mode), times(other_mode));
            format!(
                "serves `{one}`, where a token opens {opens}, and `{other}`, where it opens {other_opens}: \
                 uses on both count together"
            )
        });
        [free, shared].into_iter().flatten()
    }
}

fn times(mode: ReplayMode) -> String {
    match mode {
        ReplayMode::Uses(uses) => format!("{uses} times"),
        ReplayMode::Once | ReplayMode::None => "once".to_owned(),
    }
}

/// Sentinels and clusters promote replicas by themselves: for a while there may be two primaries, and what the old one
/// alone has heard of is lost.
fn unreplicated(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    let StoreSettings::Redis(settings) = &loaded.store else { return };
    let promotes = !matches!(settings.servers, Servers::Single(_));
    let closed = loaded.rules.iter().find(|rule| guard(rule).is_some_and(is_closed));
    if let (true, 0, Some(rule), Some(root)) = (promotes, settings.replica_acks, closed, &loaded.places.root) {
        let weakness = format!(
            "is 0: while two primaries answer at once (a split brain), each can let the same token through `{}`; \
             a majority of the replicas keeps it from that",
            rule.policy.name
        );
        warnings.push(Warning::new(&root.key("store").key("redis").key("replica_acks"), weakness));
    }
}

fn is_closed(guard: &Guard) -> bool {
    let claims = guard.replay != ReplayMode::None || guard.binding == BindingRule::Dpop;
    claims && guard.on_loss == OnLoss::Closed
}
