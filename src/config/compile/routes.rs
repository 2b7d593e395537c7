//! `routes` of all files → the route table, and each room's policy by route.

use super::names::Names;
use super::{access, edge, identity};
use crate::config::defaults;
use crate::config::fault::Faults;
use crate::config::gather::{Placed, Written};
use crate::config::schema::routes::{Match as WrittenMatch, Route};
use crate::config::schema::value::List;
use crate::config::site::Site;
use crate::decision::{RoutePolicy, UpstreamId};
use crate::identity::IdentityPlan;
use crate::request::Host;
use crate::route::{Match, Pattern, RouteId, RouteTable, RouteTableBuilder, TableError};
use http::Method;

/// One route, compiled.
#[derive(Debug)]
pub struct Rule {
    /// Which requests take it.
    pub matches: Match,
    /// What it asks, and where it leads.
    pub policy: RoutePolicy,
    /// What it tells the upstream.
    pub identity: IdentityPlan,
}

/// All routes, in the order of their ids.
#[derive(Debug)]
pub struct Rules {
    pub rules: Vec<Rule>,
}

impl Rules {
    /// The table that finds a request's route.
    pub fn table(&self) -> Option<RouteTable> {
        build(self.rules.iter().map(|rule| Some(&rule.matches)))
    }
}

/// Compiles the routes of all files; `None` after a fault.
pub fn compile(written: &Written, names: &Names, faults: &mut Faults) -> Option<Rules> {
    access::check_defaults(written, names, faults);
    identity::check_defaults(written, faults);
    if written.routes.is_empty() && written.gateway.include.is_none() {
        faults.push_missing(
            &written.root.key("routes"),
            "is missing",
            "write at least one route, with `name`, `match`, `upstream` and `access`",
        );
    }
    let matches: Vec<Option<Match>> = written.routes.iter().map(|route| compile_match(route, faults)).collect();
    refuse_ties(&matches, written, faults);
    let rest: Vec<_> = written
        .routes
        .iter()
        .zip(&matches)
        .map(|(route, rule)| compile_rest(route, rule.as_ref(), written, names, faults))
        .collect();
    let rules = matches.into_iter().zip(rest).map(|(matches, rest)| {
        let (policy, identity) = rest?;
        Some(Rule { matches: matches?, policy, identity })
    });
    Some(Rules { rules: rules.collect::<Option<_>>()? })
}

fn compile_rest(
    route: &Placed<Route>,
    rule: Option<&Match>,
    written: &Written,
    names: &Names,
    faults: &mut Faults,
) -> Option<(RoutePolicy, IdentityPlan)> {
    let base = defaults_of(written);
    let upstream = route.value.upstream.as_ref();
    let upstream = upstream.and_then(|name| names.upstream(name, &route.site.key("upstream"), faults));
    let asked = defaults::access(route, base.access.as_ref(), faults);
    let names_hosts = route.site.key("match").key("hosts").is_written();
    let access = asked.and_then(|asked| access::compile(&asked, names_hosts, written, names, faults));
    let merged = defaults::identity(route, base.identity.as_ref(), faults);
    let identity = identity::compile(&merged, &route.site.key("identity"), access.as_ref(), names, faults);
    let methods = rule.map(|rule| &*rule.methods);
    let edge = edge::compile(route, base.limits.as_ref(), access.as_ref(), methods, faults);
    let policy = RoutePolicy {
        name: route.value.name.as_ref()?.as_str().into(),
        access: access?,
        upstream: UpstreamId::new(upstream?),
        edge: edge?,
        tunnel_beyond_expiry: route.value.tunnel_beyond_expiry.unwrap_or(false),
    };
    Some((policy, identity?))
}

/// What `defaults` says, with its places.
struct Base {
    access: Option<Placed<crate::config::schema::routes::AccessRules>>,
    identity: Option<Placed<crate::config::schema::identity::Identity>>,
    limits: Option<Placed<crate::config::schema::edge::Limits>>,
}

fn defaults_of(written: &Written) -> Base {
    let site = written.root.key("defaults");
    let defaults = written.gateway.defaults.clone().unwrap_or_default();
    Base {
        access: defaults.access.map(|value| Placed { site: site.key("access"), value }),
        identity: defaults.identity.map(|value| Placed { site: site.key("identity"), value }),
        limits: defaults.limits.map(|value| Placed { site: site.key("limits"), value }),
    }
}

fn compile_match(route: &Placed<Route>, faults: &mut Faults) -> Option<Match> {
    let written = route.value.r#match.as_ref()?;
    let site = route.site.key("match");
    let hosts = hosts(written, &site.key("hosts"), faults);
    let path = path(written, &site.key("path"), faults);
    let methods = methods(written, &site.key("methods"), faults);
    Some(Match { hosts: hosts?, path: path?, methods: methods? })
}

fn hosts(written: &WrittenMatch, site: &Site, faults: &mut Faults) -> Option<Vec<String>> {
    // A list of which every item was refused must not come to mean every host.
    if site.is_written() && written.hosts.as_ref().is_none_or(List::is_empty) {
        return None;
    }
    let mut seen: Vec<String> = Vec::new();
    for (index, host) in written.hosts.iter().flat_map(List::iter) {
        let place = site.index(index);
        let (wildcard, name) = host.as_str().strip_prefix("*.").map_or(("", host.as_str()), |name| ("*.", name));
        match Host::parse(name).map(|name| format!("{wildcard}{name}")) {
            None => faults.push(&place, "is not a host name", "write a name such as `api.example.com`, without port"),
            Some(host) if seen.contains(&host) => faults.push(&place, "is listed twice", "remove one of the two"),
            Some(host) => seen.push(host),
        }
    }
    Some(seen)
}

fn path(written: &WrittenMatch, site: &Site, faults: &mut Faults) -> Option<Pattern> {
    match Pattern::parse(written.path.as_ref()?.as_str()) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let remedy = "write literal segments, `{name}` for one segment, `{*rest}` at the end for one or more";
            faults.push(site, error.to_string(), remedy);
            None
        }
    }
}

fn methods(written: &WrittenMatch, site: &Site, faults: &mut Faults) -> Option<Vec<Method>> {
    if site.is_written() && written.methods.as_ref().is_none_or(List::is_empty) {
        return None;
    }
    let mut methods: Vec<Method> = Vec::new();
    for (index, name) in written.methods.iter().flat_map(List::iter) {
        let place = site.index(index);
        let name = name.as_str();
        match Method::from_bytes(name.as_bytes()) {
            // An upstream that answers TRACE shows the client what only the upstream is told.
            Ok(Method::CONNECT | Method::TRACE) => faults.push(&place, "can't be forwarded", "remove it"),
            // Methods are case-sensitive (RFC 9110 §9.1): `get` would match no request.
            Ok(_) if name.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                faults.push(&place, "has small letters", format!("write `{}`", name.to_ascii_uppercase()));
            }
            Ok(method) if methods.contains(&method) => faults.push(&place, "is listed twice", "remove one of the two"),
            Ok(method) => methods.push(method),
            Err(_) => faults.push(&place, "is not a method", "write one such as `GET`"),
        }
    }
    Some(methods)
}

/// Notes routes that match the same request with the same precedence, and paths that can't stand in one table.
fn refuse_ties(matches: &[Option<Match>], written: &Written, faults: &mut Faults) {
    let mut builder = RouteTableBuilder::default();
    for (index, (rule, route)) in matches.iter().zip(&written.routes).enumerate() {
        let Some(rule) = rule else { continue };
        let site = route.site.key("match");
        match builder.add(RouteId::new(index), rule) {
            Ok(()) => {}
            Err(TableError::Tie(other)) => {
                let name = written.routes.get(other.index()).map(|other| other.site.to_string()).unwrap_or_default();
                let problem = format!("matches the same host, path and method as {name}");
                faults.push(&site, problem, "make one of the two more specific");
            }
            Err(TableError::BadHost(_)) => {
                faults.push(&site.key("hosts"), "holds no host name", "write a name such as `api.example.com`");
            }
            Err(TableError::Conflict) => conflict(&site, faults),
        }
    }
    if builder.build().is_err() {
        // The table does not say which path did not fit in: the first route without which it can be built.
        let culprit = first_conflict(matches);
        if let Some(route) = culprit.and_then(|index| written.routes.get(index)) {
            conflict(&route.site.key("match"), faults);
        }
    }
}

fn conflict(site: &Site, faults: &mut Faults) {
    let problem = "has a path that can't stand beside those of the other routes";
    faults.push(&site.key("path"), problem, "use parameters in the same places as they do");
}

/// The first route up to which the table can't be built any more.
fn first_conflict(matches: &[Option<Match>]) -> Option<usize> {
    let (mut sound, mut broken) = (0, matches.len());
    while sound + 1 < broken {
        let middle = sound + (broken - sound) / 2;
        let some = matches.get(..middle).unwrap_or_default();
        if build(some.iter().map(Option::as_ref)).is_some() { sound = middle } else { broken = middle }
    }
    broken.checked_sub(1)
}

fn build<'m>(matches: impl Iterator<Item = Option<&'m Match>>) -> Option<RouteTable> {
    let mut builder = RouteTableBuilder::default();
    for (index, rule) in matches.enumerate() {
        // A tie is reported where it is found; it leaves the table without that route.
        let _ = rule.map(|rule| builder.add(RouteId::new(index), rule));
    }
    builder.build().ok()
}
