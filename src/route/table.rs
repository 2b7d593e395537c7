//! The route table: host, then path, then method; the most specific match wins, and a tie does not load.
//!
//! The search goes through at most three host tables (exact name, `*.` wildcard, any host). The first table whose
//! paths match decides; a wrong method there is 405 and does not fall through, so that a guarded path can't be
//! reached through a laxer route by asking for an odd method.

use super::RouteId;
use crate::request::{CanonicalPath, Host};
use http::Method;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A path pattern: literals, `{name}` for one segment, `{*rest}` at the end for one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    source: String,
    /// The pattern with its parameters numbered, so that `/{a}` and `/{b}` are seen as the same place.
    shape: String,
    names: Vec<String>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("must begin with /")]
    NotAbsolute,
    /// A parameter does not fill its whole segment, has no name, or `{*rest}` is not last.
    #[error("a parameter is {{name}} filling one whole segment, or {{*rest}} at the end")]
    BadParameter,
    /// Two parameters share a name.
    #[error("two parameters are called {0}")]
    DuplicateParameter(String),
    /// A literal segment escapes what may stand plain: `/%40me` would be another path than `/@me`, and the same place.
    #[error("escapes a character that may stand plain, such as `%40` for `@`")]
    Escaped,
    /// A literal segment that no canonical path can equal.
    #[error("can never match, for the path {0}")]
    NotCanonical(#[from] crate::request::AmbiguousPath),
}

impl Pattern {
    /// Parses `source`.
    pub fn parse(source: &str) -> Result<Self, PatternError> {
        let inner = source.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let segments: Vec<&str> = inner.split('/').collect();
        let (mut shape, mut literal, mut names) = (String::new(), String::new(), Vec::new());
        for (index, segment) in segments.iter().enumerate() {
            shape.push('/');
            literal.push('/');
            match parameter(segment)? {
                None => {
                    shape.push_str(segment);
                    literal.push_str(segment);
                }
                Some((rest, name)) => {
                    if rest && index + 1 != segments.len() {
                        return Err(PatternError::BadParameter);
                    }
                    if names.iter().any(|known| known == name) {
                        return Err(PatternError::DuplicateParameter(name.to_owned()));
                    }
                    shape.push_str(if rest { "{*p" } else { "{p" });
                    shape.push_str(&index.to_string());
                    shape.push('}');
                    literal.push('x');
                    names.push(name.to_owned());
                }
            }
        }
        let canonical = CanonicalPath::parse(literal.as_bytes())?;
        if canonical.as_str() != literal {
            return Err(PatternError::NotCanonical(crate::request::AmbiguousPath::NeedlessEscape));
        }
        if canonical.plain() != literal {
            return Err(PatternError::Escaped);
        }
        Ok(Self { source: source.to_owned(), shape, names })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The names of its parameters, in order.
    #[must_use]
    pub fn parameters(&self) -> &[String] {
        &self.names
    }

    /// True when the pattern is one exact path.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.names.is_empty()
    }
}

/// `Some((is_rest, name))` for a parameter segment, `None` for a literal.
fn parameter(segment: &str) -> Result<Option<(bool, &str)>, PatternError> {
    if !segment.contains(['{', '}']) {
        return Ok(None);
    }
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(PatternError::BadParameter)?;
    let (rest, name) = inner.strip_prefix('*').map_or((false, inner), |name| (true, name));
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || !word || name.as_bytes()[0].is_ascii_digit() {
        return Err(PatternError::BadParameter);
    }
    Ok(Some((rest, name)))
}

/// What one route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Host names, or `*.name` for exactly one more label; empty: any host.
    pub hosts: Vec<String>,
    /// The path.
    pub path: Pattern,
    /// The methods; empty: any. GET includes HEAD.
    pub methods: Vec<Method>,
}

/// Two routes that match the same request with the same precedence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Host, path and method of both are equal.
    #[error("the same host, path and method as another route")]
    Tie(RouteId),
    /// The paths can't stand in one table.
    #[error("the path conflicts with another route's")]
    Conflict,
    /// A host that is no host name.
    #[error("{0:?} is not a host name")]
    BadHost(String),
}

/// Collects routes and finds their ties.
#[derive(Debug, Default)]
pub struct RouteTableBuilder {
    hosts: HashMap<String, BTreeMap<String, Vec<Entry>>>,
    patterns: HashMap<RouteId, Arc<str>>,
}

#[derive(Clone, Debug)]
struct Entry {
    id: RouteId,
    methods: Vec<Method>,
    names: Vec<String>,
}

impl RouteTableBuilder {
    /// Adds a route. On an error the route is not added, and the others stand.
    pub fn add(&mut self, id: RouteId, rule: &Match) -> Result<(), TableError> {
        let methods = with_head(&rule.methods);
        let hosts = host_keys(&rule.hosts)?;
        for host in &hosts {
            let same_place = self.hosts.get(host).and_then(|paths| paths.get(&rule.path.shape));
            if let Some(other) = same_place.into_iter().flatten().find(|other| overlap(&other.methods, &methods)) {
                return Err(TableError::Tie(other.id));
            }
        }
        self.patterns.insert(id, rule.path.as_str().into());
        for host in hosts {
            let entry = Entry { id, methods: methods.clone(), names: rule.path.names.clone() };
            self.hosts.entry(host).or_default().entry(rule.path.shape.clone()).or_default().push(entry);
        }
        Ok(())
    }

    /// The finished table.
    pub fn build(self) -> Result<RouteTable, TableError> {
        let mut tables = HashMap::new();
        for (host, paths) in self.hosts {
            let mut router = matchit::Router::new();
            for (shape, entries) in paths {
                router.insert(shape, entries).map_err(|_| TableError::Conflict)?;
            }
            tables.insert(host, router);
        }
        Ok(RouteTable { tables, patterns: self.patterns })
    }
}

/// One key for each host; `*` stands for any.
fn host_keys(hosts: &[String]) -> Result<Vec<String>, TableError> {
    if hosts.is_empty() {
        return Ok(vec!["*".to_owned()]);
    }
    let key = |host: &String| {
        let (prefix, name) = host.strip_prefix("*.").map_or(("", host.as_str()), |name| ("*.", name));
        let name = Host::parse(name).ok_or_else(|| TableError::BadHost(host.clone()))?;
        Ok(format!("{prefix}{name}"))
    };
    hosts.iter().map(key).collect()
}

/// GET includes HEAD (RFC 9110 §9.3.2).
fn with_head(methods: &[Method]) -> Vec<Method> {
    let mut all = methods.to_vec();
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        all.push(Method::HEAD);
    }
    all
}

fn overlap(left: &[Method], right: &[Method]) -> bool {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => true,
        (false, false) => left.iter().any(|method| right.contains(method)),
        // A route for every method and one for some: the one for some is the more specific.
        _ => false,
    }
}

/// The finished table: an immutable index over all routes.
#[derive(Default)]
pub struct RouteTable {
    tables: HashMap<String, matchit::Router<Vec<Entry>>>,
    patterns: HashMap<RouteId, Arc<str>>,
}

impl std::fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteTable").field("hosts", &self.tables.len()).finish_non_exhaustive()
    }
}

/// The decoded path parameters of a request by name, in the order of the pattern.
pub type Parameters = Vec<(String, String)>;

/// The answer of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// The route, and the decoded path parameters by name.
    To(RouteId, Parameters),
    /// Host and path match, the method does not; these would.
    WrongMethod(Vec<Method>),
    /// Nothing matches.
    Nowhere,
    /// The path leads to two places: one as it is written, another once `%40` is read as `@`, as most backends do.
    Ambiguous,
}

impl RouteTable {
    /// Finds the route of a request.
    #[must_use]
    pub fn find(&self, host: &Host, path: &CanonicalPath, method: &Method) -> Routed {
        let found = self.look_up(host, path.as_str(), method);
        match path.plain() {
            Cow::Owned(plain) if self.look_up(host, &plain, method) != found => Routed::Ambiguous,
            _ => found,
        }
    }

    /// The path of `route` as it is written.
    #[must_use]
    pub fn pattern(&self, route: RouteId) -> Option<&Arc<str>> {
        self.patterns.get(&route)
    }

    fn look_up(&self, host: &Host, path: &str, method: &Method) -> Routed {
        let search = |table: &matchit::Router<Vec<Entry>>| find_in(table, path, method);
        let exact = self.tables.get(host.as_str()).and_then(search);
        // Most hosts are named in full: the text for the other tables is made when it is needed.
        let wildcard = || self.tables.get(&wildcard(host)?).and_then(search);
        exact.or_else(wildcard).or_else(|| self.tables.get("*").and_then(search)).unwrap_or(Routed::Nowhere)
    }

    /// True when some route names this host (a route for any host counts).
    #[must_use]
    pub fn knows_host(&self, host: &Host) -> bool {
        let wildcard = wildcard(host);
        [Some(host.as_str()), wildcard.as_deref(), Some("*")]
            .into_iter()
            .flatten()
            .any(|key| self.tables.contains_key(key))
    }
}

/// The key of the table for hosts with one label before the same parent.
fn wildcard(host: &Host) -> Option<String> {
    host.as_str().split_once('.').map(|(_, parent)| format!("*.{parent}"))
}

fn find_in(table: &matchit::Router<Vec<Entry>>, path: &str, method: &Method) -> Option<Routed> {
    let found = table.at(path).ok()?;
    let exact = found.value.iter().find(|entry| entry.methods.contains(method));
    let Some(entry) = exact.or_else(|| found.value.iter().find(|entry| entry.methods.is_empty())) else {
        let mut allow: Vec<Method> = found.value.iter().flat_map(|entry| entry.methods.iter().cloned()).collect();
        allow.sort_by(|left, right| left.as_str().cmp(right.as_str()));
        allow.dedup();
        return Some(Routed::WrongMethod(allow));
    };
    let values = found.params.iter().map(|(_, value)| crate::request::path::decode(value));
    Some(Routed::To(entry.id, entry.names.iter().cloned().zip(values).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(hosts: &[&str], path: &str, methods: &[Method]) -> Match {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Match { hosts, path: Pattern::parse(path).unwrap(), methods: methods.to_vec() }
    }

    fn table(rules: &[Match]) -> RouteTable {
        let mut builder = RouteTableBuilder::default();
        for (index, rule) in rules.iter().enumerate() {
            builder.add(RouteId::new(index), rule).unwrap();
        }
        builder.build().unwrap()
    }

    fn find(table: &RouteTable, host: &str, path: &str, method: &Method) -> Option<usize> {
        let host = Host::parse(host).unwrap();
        match table.find(&host, &CanonicalPath::parse(path.as_bytes()).unwrap(), method) {
            Routed::To(id, _) => Some(id.index()),
            _ => None,
        }
    }

    #[test]
    fn the_most_specific_match_wins_host_before_path_before_method() {
        let table = table(&[
            rule(&[], "/{*rest}", &[]),
            rule(&["*.example.com"], "/{*rest}", &[]),
            rule(&["api.example.com"], "/orders/{id}", &[]),
            rule(&["api.example.com"], "/orders/special", &[]),
            rule(&["api.example.com"], "/orders/{order}", &[Method::POST]),
        ]);
        assert_eq!(find(&table, "other.org", "/orders/1", &Method::GET), Some(0));
        assert_eq!(find(&table, "www.example.com", "/orders/1", &Method::GET), Some(1));
        assert_eq!(find(&table, "api.example.com", "/orders/1", &Method::GET), Some(2));
        assert_eq!(find(&table, "api.example.com", "/orders/special", &Method::GET), Some(3));
        assert_eq!(find(&table, "api.example.com", "/orders/1", &Method::POST), Some(4));
        assert_eq!(find(&table, "a.b.example.com", "/orders/1", &Method::GET), Some(0));
    }

    #[test]
    fn a_wrong_method_is_not_a_way_round_the_guarded_route() {
        let table = table(&[rule(&[], "/{*rest}", &[]), rule(&["a.test"], "/admin", &[Method::GET])]);
        let host = Host::parse("a.test").unwrap();
        let path = CanonicalPath::parse(b"/admin").unwrap();
        let wrong = table.find(&host, &path, &Method::DELETE);
        assert_eq!(wrong, Routed::WrongMethod(vec![Method::GET, Method::HEAD]));
        assert_eq!(find(&table, "a.test", "/admin", &Method::HEAD), Some(1));
    }

    #[test]
    fn a_tie_is_refused_under_whatever_parameter_names() {
        let mut builder = RouteTableBuilder::default();
        builder.add(RouteId::new(0), &rule(&["a.test"], "/x/{id}", &[Method::GET])).unwrap();
        let tie = builder.add(RouteId::new(1), &rule(&["A.test."], "/x/{name}", &[Method::HEAD]));
        assert_eq!(tie, Err(TableError::Tie(RouteId::new(0))));
        assert_eq!(builder.add(RouteId::new(2), &rule(&["a.test"], "/x/{name}", &[Method::PUT])), Ok(()));
    }

    #[test]
    fn a_path_that_leads_elsewhere_once_it_is_decoded_leads_nowhere() {
        let table = table(&[
            rule(&[], "/users/{id}", &[]),
            rule(&[], "/users/@me", &[]),
            rule(&[], "/v1/{*rest}", &[]),
            rule(&[], "/v1/orders:purge", &[Method::POST]),
            rule(&["a.test"], "/x:y", &[]),
        ]);
        let find = |path: &str, method: &Method| {
            table.find(&Host::parse("a.test").unwrap(), &CanonicalPath::parse(path.as_bytes()).unwrap(), method)
        };
        for path in ["/users/%40me", "/v1/orders%3Apurge", "/v1/orders%3apurge", "/x%3Ay"] {
            assert_eq!(find(path, &Method::POST), Routed::Ambiguous, "{path}");
        }
        assert_eq!(find("/v1/orders%3Apurge", &Method::GET), Routed::Ambiguous, "an odd method is no way round it");
        let to = |route: usize, name: &str, value: &str| {
            Routed::To(RouteId::new(route), vec![(name.to_owned(), value.to_owned())])
        };
        assert_eq!(find("/users/alice%40example.com", &Method::GET), to(0, "id", "alice@example.com"));
        assert_eq!(find("/users/alice@example.com", &Method::GET), to(0, "id", "alice@example.com"));
        assert_eq!(find("/v1/a%3Ab/%2A", &Method::GET), to(2, "rest", "a:b/*"));
        assert_eq!(find("/nowhere/%40", &Method::GET), Routed::Nowhere);
    }

    #[test]
    fn parameters_are_decoded_for_conditions() {
        let table = table(&[rule(&[], "/files/{*rest}", &[])]);
        let path = CanonicalPath::parse("/files/a/caf%C3%A9".as_bytes()).unwrap();
        let found = table.find(&Host::parse("h").unwrap(), &path, &Method::GET);
        assert_eq!(found, Routed::To(RouteId::new(0), vec![("rest".into(), "a/café".into())]));
    }

    #[test]
    fn patterns_that_could_never_match_or_mislead_are_refused() {
        for bad in [
            "",
            "a",
            "/{}",
            "/{a",
            "/a}b",
            "/x{a}",
            "/{*rest}/b",
            "/{a}/{a}",
            "//",
            "/..",
            "/%61",
            "/a;b",
            "/%c3%a9",
            "/users/%40me",
            "/v1/orders%3Apurge",
            "/{1a}",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
