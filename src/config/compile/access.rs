//! `routes[].access`, joined with `defaults.access` → the decision room's [`Access`].

use super::binding;
use super::issuers::form;
use super::names::Names;
use crate::authn::{OnLoss, ReplayMode, RevocationPolicy};
use crate::config::defaults::{Asked, Merged};
use crate::config::fault::Faults;
use crate::config::gather::{Placed, Written};
use crate::config::schema::issuers::Issuer;
use crate::config::schema::routes::{AccessRules, Mode as WrittenMode, OnLoss as WrittenLoss, Replay, Revocation};
use crate::config::schema::value::List;
use crate::config::site::Site;
use crate::decision::{Access, Condition, Guard, Mode, Scopes};
use crate::issuer::IssuerId;

/// Compiles what a route asks; `None` after a fault. `names_hosts`: whether the route serves certain hosts only.
pub fn compile(
    asked: &Asked,
    names_hosts: bool,
    written: &Written,
    names: &Names,
    faults: &mut Faults,
) -> Option<Access> {
    let (rules, conditions) = match asked {
        Asked::Public => return Some(Access::Public),
        Asked::Rules(rules, conditions) => (rules, conditions),
    };
    let issuers = issuers(rules, names, faults);
    let audiences = audiences(rules, issuers.as_deref(), names, faults);
    let scopes = scopes(rules, faults);
    let when = condition(conditions, faults);
    let rule = binding::rule(rules, names_hosts, faults);
    let dpop = binding::dpop(rules, names_hosts, faults);
    let step_up = binding::step_up(rules, faults);
    let store_wide = written.gateway.store.as_ref().and_then(|store| store.on_loss);
    let replay = replay_mode(rules.value.replay);
    Some(Access::Guarded(Guard {
        issuers: issuers?.into_iter().map(IssuerId::new).collect(),
        audiences: audiences?,
        scopes: scopes?,
        when,
        binding: rule?,
        dpop,
        step_up,
        replay,
        on_loss: on_loss(rules.value.on_loss.or(store_wide)),
        revocation: revocation(rules.value.revocation, replay),
        mode: mode(rules.value.mode),
    }))
}

fn issuers(rules: &Merged<AccessRules>, names: &Names, faults: &mut Faults) -> Option<Vec<usize>> {
    let site = rules.site("issuers");
    let Some(list) = &rules.value.issuers else {
        faults.push_missing(
            &site,
            "is missing",
            "write the issuers whose tokens are believed here, such as `issuers: [corp]`",
        );
        return None;
    };
    let mut found: Vec<usize> = Vec::new();
    let mut complete = true;
    for (index, name) in list.iter() {
        match names.issuer(name, &site.index(index), faults) {
            Some(issuer) if found.contains(&issuer) => {
                faults.push(&site.index(index), format!("names issuer `{name}` twice"), "remove one of the two");
            }
            Some(issuer) => found.push(issuer),
            None => complete = false,
        }
    }
    distinct(&found, names, &site, faults);
    complete.then_some(found)
}

/// Notes issuers of one route between which a token's `iss` and shape can't choose.
fn distinct(issuers: &[usize], names: &Names, site: &Site, faults: &mut Faults) {
    let of = |index: &usize| names.issuers.get(*index).map(|item| &item.value);
    let look = |issuer: &Issuer| Some((issuer.issuer.clone()?, form(issuer.token.as_ref()?).is_encrypted()));
    for (position, second) in issuers.iter().enumerate() {
        let Some(second) = of(second) else { continue };
        let earlier = issuers.iter().take(position).filter_map(of);
        let mut twins = earlier.filter(|first| look(first).is_some() && look(first) == look(second));
        if let (Some(first), Some(name)) = (twins.next().and_then(|first| first.name.as_ref()), &second.name) {
            let problem = format!("`{first}` and `{name}` share `iss` and shape: a token could be meant for either");
            faults.push(site, problem, "keep one of the two on this route");
        }
    }
}

/// The audiences of a route are a subset of its issuers', and leave each of them a token that can pass.
fn audiences(
    rules: &Merged<AccessRules>,
    issuers: Option<&[usize]>,
    names: &Names,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let Some(list) = &rules.value.audiences else { return Some(Vec::new()) };
    let site = rules.site("audiences");
    let chosen: Vec<&Issuer> =
        issuers?.iter().filter_map(|index| names.issuers.get(*index)).map(|item| &item.value).collect();
    let knows = |issuer: &Issuer, audience: &str| {
        issuer.audiences.as_ref().is_none_or(|list| list.items().any(|known| known.as_str() == audience))
    };
    for (index, audience) in
        list.iter().filter(|(_, audience)| !chosen.iter().any(|issuer| knows(issuer, audience.as_str())))
    {
        let problem = format!("`{audience}` is no audience of the route's issuers");
        faults.push(&site.index(index), problem, "write one out of their `audiences`, or add it there");
    }
    for issuer in chosen.iter().filter(|issuer| !list.items().any(|audience| knows(issuer, audience.as_str()))) {
        if let Some(name) = &issuer.name {
            let problem = format!("leaves no audience of issuer `{name}`, so that none of its tokens can pass");
            faults.push(&site, problem, "add one of its `audiences`, or take the issuer out");
        }
    }
    Some(list.items().map(ToString::to_string).collect())
}

fn scopes(rules: &Merged<AccessRules>, faults: &mut Faults) -> Option<Scopes> {
    let Some(list) = &rules.value.scopes else { return Some(Scopes::default()) };
    let site = rules.site("scopes");
    let mut sound = true;
    for (index, scope) in list.iter() {
        // RFC 6749 §3.3: what a challenge can repeat between quotes.
        if !scope.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            let remedy = "write one scope an item, without spaces, quotes and backslashes";
            faults.push(&site.index(index), "is not a scope", remedy);
            sound = false;
        }
    }
    sound.then(|| Scopes::all_of(list.items().map(ToString::to_string).collect()))
}

/// The condition that all of `conditions` make together; `None` if there are none, and after a fault.
fn condition(conditions: &[Placed<String>], faults: &mut Faults) -> Option<Condition> {
    let mut compiled = Vec::new();
    for condition in conditions {
        match Condition::compile(&condition.value) {
            Ok(sound) => compiled.push(sound),
            Err(error) => {
                faults.push(&condition.site, error.to_string(), "write a CEL expression over claims, request and path");
            }
        }
    }
    match conditions {
        _ if compiled.len() < conditions.len() => None,
        [] | [_] => compiled.pop(),
        [own, ..] => {
            // The line breaks keep a comment at the end of one from swallowing the rest.
            let parts: Vec<String> = conditions.iter().map(|condition| format!("({}\n)", condition.value)).collect();
            match Condition::compile(&parts.join(" && ")) {
                Ok(joined) => Some(joined),
                Err(error) => {
                    let problem = format!("together with `defaults.access.when` {error}");
                    faults.push(&own.site, problem, "shorten one of the two");
                    None
                }
            }
        }
    }
}

/// One use, counted, is one use: both spellings mean the same.
fn replay_mode(written: Option<Replay>) -> ReplayMode {
    match written.and_then(Replay::uses) {
        None => ReplayMode::None,
        Some(1) => ReplayMode::Once,
        Some(uses) => ReplayMode::Uses(uses),
    }
}

fn on_loss(written: Option<WrittenLoss>) -> OnLoss {
    match written {
        None | Some(WrittenLoss::Closed) => OnLoss::Closed,
        Some(WrittenLoss::Local) => OnLoss::Local,
        Some(WrittenLoss::Open) => OnLoss::Open,
    }
}

fn mode(written: Option<WrittenMode>) -> Mode {
    match written {
        None | Some(WrittenMode::Enforce) => Mode::Enforce,
        Some(WrittenMode::Report) => Mode::Report,
    }
}

fn revocation(written: Option<Revocation>, replay: ReplayMode) -> RevocationPolicy {
    match written {
        None => RevocationPolicy::default_with(replay),
        Some(Revocation::Required) => RevocationPolicy::Required,
        Some(Revocation::LastKnown) => RevocationPolicy::LastKnown,
    }
}

/// References that stand in `defaults.access`, whether or not a route inherits them.
pub fn check_defaults(written: &Written, names: &Names, faults: &mut Faults) {
    let access = written.gateway.defaults.as_ref().and_then(|defaults| defaults.access.as_ref());
    let site = written.root.key("defaults").key("access");
    for (index, name) in access.and_then(|rules| rules.issuers.as_ref()).into_iter().flat_map(List::iter) {
        names.issuer(name, &site.key("issuers").index(index), faults);
    }
    if let Some(when) = access.and_then(|rules| rules.when.as_ref()) {
        condition(&[Placed { site: site.key("when"), value: when.clone() }], faults);
    }
}
