//! What every route comes to in the end, and the store, as text: the answer to "what does this file mean?".

use super::compile::{Rule, StoreSettings};
use super::loaded::Loaded;
use crate::authn::{BindingRule, ReplayMode, RevocationPolicy, StepUp};
use crate::decision::{Access, Guard, Mode};
use crate::identity::{Encoding, Format, HeaderRule, TokenHandling};
use crate::issuer::IssuerProfile;
use crate::store::{RedisSettings, RedisUrl, Servers};
use std::fmt;
use std::time::Duration;

/// The effective policy of each route, what is meant by `store`, and where traces go: lines of `what: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    routes: Vec<(String, Vec<String>)>,
    store: Vec<String>,
    traces: Option<String>,
}

impl Policies {
    /// Each route's name, and the lines of its policy.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.routes.iter().map(|(route, lines)| (route.as_str(), lines.as_slice()))
    }
}

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (route, lines) in &self.routes {
            writeln!(f, "route {route}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        writeln!(f, "store")?;
        self.store.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.traces.iter().try_for_each(|line| writeln!(f, "traces\n  {line}"))
    }
}

/// The effective policies of `loaded`, in the order of its routes.
#[must_use]
pub fn effective_policies(loaded: &Loaded) -> Policies {
    let describe = |rule: &Rule| (rule.policy.name.to_string(), lines(rule, loaded));
    Policies {
        routes: loaded.rules.iter().map(describe).collect(),
        store: store(&loaded.store),
        traces: loaded.traces.as_ref().map(|traces| {
            format!("sent to {} by OTLP over gRPC; another collector takes effect with the next start", traces.endpoint)
        }),
    }
}

fn lines(rule: &Rule, loaded: &Loaded) -> Vec<String> {
    let upstream = loaded.upstreams.get(rule.policy.upstream.index()).map_or("none", |upstream| &upstream.name);
    let mut lines = vec![format!("match: {}", matches(rule)), format!("upstream: {upstream}")];
    match &rule.policy.access {
        Access::Public => lines.push("access: public".to_owned()),
        Access::Guarded(guard) => lines.extend(guarded(guard, loaded)),
    }
    lines.extend(rule.identity.headers.iter().map(header));
    lines.push(format!("token: {}", token(rule.identity.token)));
    lines
}

fn matches(rule: &Rule) -> String {
    let hosts = if rule.matches.hosts.is_empty() { "any host".to_owned() } else { rule.matches.hosts.join(" ") };
    let methods: Vec<&str> = rule.matches.methods.iter().map(http::Method::as_str).collect();
    let methods = if methods.is_empty() { "any method".to_owned() } else { methods.join(" ") };
    format!("{hosts}, {}, {methods}", rule.matches.path.as_str())
}

fn guarded(guard: &Guard, loaded: &Loaded) -> Vec<String> {
    let profiles: Vec<&IssuerProfile> =
        guard.issuers.iter().filter_map(|id| loaded.issuers.profile(*id)).map(AsRef::as_ref).collect();
    let fetched =
        |profile: &IssuerProfile| loaded.remote_keys.iter().find(|(follower, _)| follower.name == profile.name);
    let source = |profile: &IssuerProfile| fetched(profile).map(|(_, keys)| keys.source().shown());
    let mut lines: Vec<String> = match guard.mode {
        Mode::Enforce => Vec::new(),
        Mode::Report => vec!["mode: report, nobody is refused and nobody is told to the upstream".to_owned()],
    };
    lines.extend(profiles.iter().map(|profile| format!("believes: {}", believed(profile, source(profile).as_deref()))));
    let audiences = if guard.audiences.is_empty() {
        let mut all: Vec<&str> = profiles.iter().flat_map(|profile| &profile.audiences).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all.join(" ")
    } else {
        guard.audiences.join(" ")
    };
    lines.push(format!("audiences: one of {audiences}"));
    lines.push(format!("scopes: {}", guard.scopes.text().map_or("none asked", |text| text)));
    if let Some(condition) = &guard.when {
        lines.push(format!("when: {}", condition.source().split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    lines.push(format!("binding: {}", binding(guard)));
    lines.extend(guard.step_up.as_ref().map(|asked| format!("step-up: {}", step_up(asked))));
    lines.push(match guard.replay {
        ReplayMode::None => "replay: none, a token may be used again".to_owned(),
        ReplayMode::Once => format!("replay: once, {} when the store can't answer", guard.on_loss.name()),
        ReplayMode::Uses(uses) => {
            format!("replay: {uses} uses on all routes together, {} when the store can't answer", guard.on_loss.name())
        }
    });
    lines.push(match guard.revocation {
        RevocationPolicy::Required => "revocation: required, closed when the list is out of date".to_owned(),
        RevocationPolicy::LastKnown => "revocation: last_known, however old the list is".to_owned(),
    });
    lines
}

fn binding(guard: &Guard) -> String {
    let tokens = match guard.binding {
        BindingRule::IfBound => "a bound token must prove its key, an unbound one passes",
        BindingRule::Required => "bound tokens only",
        BindingRule::Dpop => "tokens bound to a DPoP key only",
        BindingRule::Mtls => "tokens bound to a client certificate only",
    };
    let proofs = match &guard.dpop {
        None => "no proof can be checked, for the route serves any host".to_owned(),
        Some(_) if guard.binding == BindingRule::Mtls => return tokens.to_owned(),
        Some(policy) => {
            let nonce = if policy.wants_nonce() { ", with a nonce" } else { "" };
            format!("proofs by {}, at most {} old{nonce}", policy.algorithms_text(), span(policy.max_age()))
        }
    };
    format!("{tokens}; {proofs}")
}

fn step_up(asked: &StepUp) -> String {
    let mut parts: Vec<String> = asked.acr_text().map(|values| format!("acr one of {values}")).into_iter().collect();
    parts.extend(asked.max_age().map(|age| format!("at most {} ago", span(age))));
    parts.extend(Some(asked.methods().join(" ")).filter(|all| !all.is_empty()).map(|all| format!("by {all}")));
    parts.join("; ")
}

fn believed(profile: &IssuerProfile, source: Option<&str>) -> String {
    let contract = &profile.contract;
    let mut parts = vec![format!("{} (iss {})", profile.name, profile.issuer), contract.form.name().to_owned()];
    parts.extend(source.map(|url| format!("keys from {url}")));
    parts.extend(names(&contract.signing_algorithms, "signed with"));
    parts.extend(names(&contract.key_algorithms, "key by"));
    parts.extend(names(&contract.content_encryptions, "content by"));
    parts.push(match contract.max_lifetime {
        Some(lifetime) => format!("lives at most {}", span(lifetime)),
        None => "lives as long as it says".to_owned(),
    });
    parts.push(format!("leeway {}", span(contract.leeway)));
    if !contract.required_claims.is_empty() {
        parts.push(format!("needs {}", contract.required_claims.join(" ")));
    }
    parts.join("; ")
}

fn names<T: fmt::Display>(items: &[T], label: &str) -> Option<String> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then(|| format!("{label} {}", items.join(" ")))
}

fn header(rule: &HeaderRule) -> String {
    let format = match rule.format {
        Format::Comma => "comma",
        Format::Json => "json",
        Format::Repeat => "repeat",
    };
    let encoding = match rule.encoding {
        Encoding::Reject => "refused unless plain",
        Encoding::Percent => "percent",
        Encoding::Base64Url => "base64url",
    };
    format!("header {}: from {}; {format}; {encoding}", rule.name, rule.claim)
}

fn token(handling: TokenHandling) -> &'static str {
    match handling {
        TokenHandling::Drop => "dropped",
        TokenHandling::Keep => "kept as sent",
        TokenHandling::Inner => "the JWS out of the JWE",
    }
}

fn store(settings: &StoreSettings) -> Vec<String> {
    match settings {
        StoreSettings::Embedded { max_entries } => {
            vec![format!("embedded: up to {max_entries} claims in this process, gone when it stops")]
        }
        StoreSettings::Redis(settings) => redis(settings),
    }
}

fn redis(settings: &RedisSettings) -> Vec<String> {
    let urls = |urls: &[RedisUrl]| urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let servers = match &settings.servers {
        Servers::Single(url) => url.to_string(),
        Servers::Cluster(nodes) => format!("the cluster of {}", urls(nodes)),
        Servers::Sentinel { urls: sentinels, service } => {
            format!("the primary of {service}, as {} say", urls(sentinels))
        }
    };
    let acks = match settings.replica_acks {
        0 => "a claim counts once the primary has it".to_owned(),
        1 => "a claim counts once a replica holds it too".to_owned(),
        acks => format!("a claim counts once {acks} replicas hold it too"),
    };
    vec![
        format!("redis: {servers}; keys begin with {}", settings.key_prefix),
        format!("an answer may take {}; connections to each server: {}", span(settings.timeout), settings.connections),
        format!("replica_acks: {}, {acks}", settings.replica_acks),
    ]
}

/// A duration as gateway.yaml writes it.
pub(super) fn span(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let fitting = units.iter().find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit));
    match fitting {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_as_they_are_written() {
        for (millis, text) in
            [(0, "0s"), (100, "100ms"), (1500, "1500ms"), (30_000, "30s"), (900_000, "15m"), (7_200_000, "2h")]
        {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
