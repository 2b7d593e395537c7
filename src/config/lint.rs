//! What is legal and weak: read from the compiled configuration, so that it holds for what runs, not for what stands
//! in the file.

use super::compile::Rule;
use super::loaded::Loaded;
use super::possession;
use super::reach;
use super::site::Site;
use super::spending;
use super::warning::Warning;
use crate::authn::{BindingRule, OnLoss, ReplayMode, RevocationPolicy};
use crate::clock::{Clock as _, SystemClock};
use crate::decision::{Access, Guard, Mode};
use crate::identity::TokenHandling;
use crate::issuer::IssuerId;
use crate::proxy::ListenerKind;
use crate::request::Host;
use crate::route::Pattern;
use crate::tls::CertificateTable;

/// A certificate that ends within this many seconds is worth a warning.
const SOON: i64 = 14 * 24 * 3600;

/// The weaknesses of `loaded`, by file and line.
#[must_use]
pub fn lint(loaded: &Loaded) -> Vec<Warning> {
    let mut warnings = loaded.warnings.clone();
    for (rule, site) in routes(loaded) {
        one_route(rule, site, &mut warnings);
        weaker_siblings(rule, site, loaded, &mut warnings);
    }
    spending::lint(loaded, &mut warnings);
    possession::lint(loaded, &mut warnings);
    reach::lint(loaded, &mut warnings);
    unused(loaded, &mut warnings);
    certificates(loaded, &mut warnings);
    warnings.sort_by_key(Warning::place);
    warnings
}

pub(super) fn routes(loaded: &Loaded) -> impl Iterator<Item = (&Rule, &Site)> {
    loaded.rules.iter().zip(&loaded.places.routes)
}

pub(super) fn guard(rule: &Rule) -> Option<&Guard> {
    match &rule.policy.access {
        Access::Public => None,
        Access::Guarded(guard) => Some(guard),
    }
}

fn one_route(rule: &Rule, site: &Site, warnings: &mut Vec<Warning>) {
    let Some(guard) = guard(rule) else {
        if catch_all_prefix(rule).is_some() {
            warnings.push(Warning::new(&site.key("access"), "is public for every path below: a new one is public too"));
        }
        if rule.identity.token == TokenHandling::Keep {
            let weakness = "forwards what a client sends as a credential, unread";
            warnings.push(Warning::new(&site.key("identity").key("token"), weakness));
        }
        return;
    };
    if guard.mode == Mode::Report {
        let weakness = "refuses nobody: once `tollgate_would_deny_total` of this route stands still, write `enforce`";
        warnings.push(Warning::new(&site.key("access").key("mode"), weakness));
        if rule.identity.token == TokenHandling::Inner {
            let weakness = "has no effect in report mode, which tells the upstream nothing that it would have to prove";
            warnings.push(Warning::new(&site.key("identity").key("token"), weakness));
        }
    }
    if guard.scopes.names().is_empty() && guard.when.is_none() {
        let weakness = "lets in every token of its issuers: it asks neither `scopes` nor `when`";
        warnings.push(Warning::new(&site.key("access"), weakness));
    }
    if guard.replay != ReplayMode::None && guard.on_loss == OnLoss::Open {
        let weakness = "lets tokens be used again whenever the store can't answer";
        warnings.push(Warning::new(&site.key("access").key("on_loss"), weakness));
    }
    if guard.replay != ReplayMode::None && guard.revocation == RevocationPolicy::LastKnown {
        let weakness = "goes by a list of revocations that may be out of date, where no token is accepted in doubt";
        warnings.push(Warning::new(&site.key("access").key("revocation"), weakness));
    }
    if guard.replay != ReplayMode::None && rule.identity.token != TokenHandling::Drop {
        let weakness = "hands a one-time token on: the upstream can use it elsewhere";
        warnings.push(Warning::new(&site.key("identity").key("token"), weakness));
    }
}

/// What stands before `{*rest}`, if the path ends so.
fn catch_all_prefix(rule: &Rule) -> Option<&str> {
    rule.matches.path.as_str().split_once("{*").map(|(prefix, _)| prefix)
}

/// A guarded path beside a wider one that asks less: `/admin` is guarded, `/admin/` and `/Admin` are not.
fn weaker_siblings(rule: &Rule, site: &Site, loaded: &Loaded, warnings: &mut Vec<Warning>) {
    let Some(strict) = guard(rule) else { return };
    let own_prefix = catch_all_prefix(rule);
    let path = own_prefix.unwrap_or_else(|| rule.matches.path.as_str());
    let covering = loaded.rules.iter().filter_map(|other| {
        let reach = match catch_all_prefix(other) {
            Some(prefix) => (path.starts_with(prefix) && Some(prefix) != own_prefix).then_some(prefix.len()),
            None => (own_prefix.is_none() && is_wider(&other.matches.path, path)).then_some(usize::MAX),
        };
        Some((reach.filter(|_| hosts_meet(rule, other))?, other))
    });
    // The nearest one takes what the path itself leaves.
    let Some((_, other)) = covering.max_by_key(|(reach, _)| *reach) else { return };
    let left = match own_prefix {
        Some(prefix) => left_by(prefix, loaded),
        None => Some("every other spelling".to_owned()),
    };
    if let (Some(left), true) = (left, asks_less(other, strict)) {
        let (name, wide) = (&other.policy.name, other.matches.path.as_str());
        let weakness = format!("leaves {left} to route `{name}` ({wide}), which asks less");
        warnings.push(Warning::new(&site.key("match").key("path"), weakness));
    }
}

/// `/users/{id}` is wider than `/users/me`.
fn is_wider(wide: &Pattern, path: &str) -> bool {
    let is_parameter = |segment: &str| segment.starts_with('{');
    let (mut ours, mut theirs) = (path.split('/'), wide.as_str().split('/'));
    let mut wider = false;
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return wider,
            (Some(own), Some(other)) if is_parameter(other) => wider |= !is_parameter(own),
            (Some(own), Some(other)) if own == other => {}
            _ => return false,
        }
    }
}

/// `/admin/{*rest}` takes one segment or more: `/admin` and `/admin/` are other places, unless a route names them.
fn left_by(prefix: &str, loaded: &Loaded) -> Option<String> {
    let bare = prefix.strip_suffix('/').filter(|bare| !bare.is_empty())?;
    let named = |path: &&str| loaded.rules.iter().any(|rule| rule.matches.path.as_str() == *path);
    let left: Vec<String> = [bare, prefix].iter().filter(|path| !named(path)).map(|path| format!("`{path}`")).collect();
    (!left.is_empty()).then(|| left.join(" and "))
}

fn hosts_meet(a: &Rule, b: &Rule) -> bool {
    let covers = |wide: &str, host: &str| {
        let zone = wide.strip_prefix("*.").zip(host.split_once('.'));
        wide == host || zone.is_some_and(|(zone, (_, parent))| zone == parent)
    };
    let (a, b) = (&a.matches.hosts, &b.matches.hosts);
    a.is_empty() || b.is_empty() || a.iter().any(|one| b.iter().any(|other| covers(one, other) || covers(other, one)))
}

fn asks_less(rule: &Rule, strict: &Guard) -> bool {
    let Some(lax) = guard(rule) else { return true };
    let reused = strict.replay != ReplayMode::None && lax.replay == ReplayMode::None;
    let unbound = strict.binding != BindingRule::IfBound && lax.binding != strict.binding;
    let weaker = strict.step_up.is_some() && lax.step_up != strict.step_up;
    let unasked = strict.scopes.names().iter().any(|scope| !lax.scopes.names().contains(scope));
    let stranger = lax.issuers.iter().any(|issuer| !strict.issuers.contains(issuer));
    let unasked = unasked || (lax.mode == Mode::Report && strict.mode == Mode::Enforce);
    reused || unbound || weaker || unasked || stranger
}

fn unused(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    for (index, site) in loaded.places.issuers.iter().enumerate() {
        let id = IssuerId::new(index);
        if !loaded.rules.iter().any(|rule| guard(rule).is_some_and(|guard| guard.issuers.contains(&id))) {
            warnings.push(Warning::new(site, "is believed on no route"));
        }
    }
    for (index, site) in loaded.places.upstreams.iter().enumerate() {
        if !loaded.rules.iter().any(|rule| rule.policy.upstream.index() == index) {
            warnings.push(Warning::new(site, "is the upstream of no route"));
        }
    }
}

/// Certificates that end, and hosts of routes that no certificate covers.
fn certificates(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    let Some(root) = &loaded.places.root else { return };
    let now = SystemClock.now().as_seconds();
    let mut all = Vec::new();
    for (index, listener) in loaded.listeners.iter().enumerate() {
        let ListenerKind::Tls(tls) = &listener.kind else { continue };
        let site = root.key("listeners").index(index).key("tls").key("certificates");
        for (position, certificate) in tls.certificates.iter().enumerate() {
            let weakness = match certificate.expires_at() {
                Some(end) if end <= now => "has expired",
                Some(end) if end - now < SOON => "expires within 14 days",
                _ => continue,
            };
            warnings.push(Warning::new(&site.index(position), weakness));
        }
        all.extend(tls.certificates.iter().cloned());
    }
    let table = CertificateTable::new(all);
    for (rule, site) in routes(loaded) {
        for (position, host) in rule.matches.hosts.iter().enumerate() {
            let asked = host.replacen('*', "any", 1);
            // An address is not asked for by name: whichever certificate answers is the default one.
            let named =
                Host::parse(&asked).is_some() && asked.parse::<std::net::IpAddr>().is_err() && !asked.starts_with('[');
            if named && table.find(&asked).is_none() {
                let weakness = format!("`{host}` stands in no certificate of the listeners: browsers will refuse it");
                warnings.push(Warning::new(&site.key("match").key("hosts").index(position), weakness));
            }
        }
    }
}
