//! `defaults`: what a route says, joined with what every route starts from.
//!
//! What a route writes stands as written, and must be at least as strict as the default; what it leaves out is the
//! default's. Only conditions are joined, for no one can tell which of two expressions is the stricter: both must hold.

use super::fault::Faults;
use super::gather::Placed;
use super::schema::binding::{Binding, Dpop, StepUp};
use super::schema::identity::{Identity, TokenForwarding};
use super::schema::issuers::SigningAlgorithm;
use super::schema::routes::{Access, AccessRules, Route};
use super::schema::value::List;
use super::site::Site;
use std::fmt;

/// Values of a route, each from the route itself or from `defaults`.
#[derive(Clone, Debug)]
pub struct Merged<T> {
    /// The values.
    pub value: T,
    own: Site,
    inherited: Option<Site>,
}

impl<T> Merged<T> {
    /// Where the key `name` is written: at the route, else in `defaults`.
    #[must_use]
    pub fn site(&self, name: &str) -> Site {
        self.nearest(|site| site.key(name))
    }

    /// As [`site`](Self::site), for the key `inner` of the mapping `name`.
    #[must_use]
    pub fn site_within(&self, name: &str, inner: &str) -> Site {
        self.nearest(|site| site.key(name).key(inner))
    }

    /// True when the key `name` is written at the route itself.
    #[must_use]
    pub fn is_own(&self, name: &str) -> bool {
        self.own.key(name).is_written()
    }

    fn nearest(&self, place: impl Fn(&Site) -> Site) -> Site {
        let own = place(&self.own);
        let inherited = self.inherited.as_ref().map(place);
        inherited.filter(|inherited| !own.is_written() && inherited.is_written()).unwrap_or(own)
    }
}

/// What a route asks of a request.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Nothing.
    Public,
    /// A token that passes these rules; the conditions of `when` with their places.
    Rules(Box<Merged<AccessRules>>, Vec<Placed<String>>),
}

/// The access of `route`; `None` after a fault.
pub fn access(route: &Placed<Route>, defaults: Option<&Placed<AccessRules>>, faults: &mut Faults) -> Option<Asked> {
    let site = route.site.key("access");
    let own = match (&route.value.access, defaults) {
        (Some(Access::Public(_)), None) => return Some(Asked::Public),
        (Some(Access::Public(_)), Some(_)) => {
            let remedy = "write what it must show, or take `access` out of `defaults` and write it on the other routes";
            faults.push(&site, "is looser than `defaults.access`", remedy);
            return None;
        }
        (Some(Access::Rules(rules)), _) => (**rules).clone(),
        (None, Some(_)) if !site.is_written() => AccessRules::default(),
        (None, _) => {
            faults.push_missing(
                &site,
                "is missing",
                "write `access: public`, or `access:` with `issuers` and what they must show",
            );
            return None;
        }
    };
    let mut when = conditions(&own, &site);
    let Some(base) = defaults else {
        return Some(Asked::Rules(Box::new(Merged { value: own, own: site, inherited: None }), when));
    };
    when.extend(conditions(&base.value, &base.site));
    let value = join(own, &site, &base.value, faults);
    Some(Asked::Rules(Box::new(Merged { value, own: site, inherited: Some(base.site.clone()) }), when))
}

fn conditions(rules: &AccessRules, site: &Site) -> Vec<Placed<String>> {
    rules.when.iter().map(|value| Placed { site: site.key("when"), value: value.clone() }).collect()
}

fn join(own: AccessRules, site: &Site, base: &AccessRules, faults: &mut Faults) -> AccessRules {
    let dpop = join_dpop(own.dpop, base.dpop.as_ref(), &site.key("dpop"), faults);
    let step_up = join_step_up(own.step_up, base.step_up.as_ref(), &site.key("step_up"), faults);
    let mut join = Join { site, defaults: "defaults.access", faults };
    AccessRules {
        issuers: join.narrowed("issuers", own.issuers, base.issuers.as_ref(), ToString::to_string),
        credentials: join.narrowed("credentials", own.credentials, base.credentials.as_ref(), |_| "header".to_owned()),
        audiences: join.narrowed("audiences", own.audiences, base.audiences.as_ref(), ToString::to_string),
        scopes: join.widened("scopes", own.scopes, base.scopes.as_ref()),
        when: own.when.or_else(|| base.when.clone()),
        binding: join.binding(own.binding, base.binding),
        dpop,
        step_up,
        replay: join.at_least("replay", own.replay, base.replay, "once"),
        on_loss: join.at_least("on_loss", own.on_loss, base.on_loss, "closed"),
        revocation: join.at_least("revocation", own.revocation, base.revocation, "required"),
        mode: join.at_least("mode", own.mode, base.mode, "enforce"),
    }
}

fn join_dpop(own: Option<Dpop>, base: Option<&Dpop>, site: &Site, faults: &mut Faults) -> Option<Dpop> {
    let (Some(own), Some(base)) = (own.clone(), base) else { return own.or_else(|| base.cloned()) };
    let mut join = Join { site, defaults: "defaults.access.dpop", faults };
    let name = |algorithm: &SigningAlgorithm| algorithm.0.to_string();
    Some(Dpop {
        nonce: join.at_least("nonce", own.nonce, base.nonce, "required"),
        max_age: join.at_most("max_age", own.max_age, base.max_age),
        algorithms: join.narrowed("algorithms", own.algorithms, base.algorithms.as_ref(), name),
    })
}

fn join_step_up(own: Option<StepUp>, base: Option<&StepUp>, site: &Site, faults: &mut Faults) -> Option<StepUp> {
    let (Some(own), Some(base)) = (own.clone(), base) else { return own.or_else(|| base.cloned()) };
    let mut join = Join { site, defaults: "defaults.access.step_up", faults };
    Some(StepUp {
        acr_values: join.narrowed("acr_values", own.acr_values, base.acr_values.as_ref(), ToString::to_string),
        max_age: join.at_most("max_age", own.max_age, base.max_age),
        amr: join.widened("amr", own.amr, base.amr.as_ref()),
    })
}

/// The identity of `route`.
pub fn identity(route: &Placed<Route>, defaults: Option<&Placed<Identity>>, faults: &mut Faults) -> Merged<Identity> {
    let site = route.site.key("identity");
    let own = route.value.identity.clone().unwrap_or_default();
    let Some(base) = defaults else { return Merged { value: own, own: site, inherited: None } };
    let mut headers = base.value.headers.clone().unwrap_or_default();
    for (name, source) in own.headers.unwrap_or_default() {
        let known = headers.iter().find(|(other, _)| other.as_str().eq_ignore_ascii_case(name.as_str()));
        if known.is_some_and(|(_, other)| *other != source) {
            let problem = "says something else than the same header in `defaults.identity`";
            faults.push(&site.key("headers").key(name.as_str()), problem, "remove it here, or give it another name");
        } else if known.is_none() {
            headers.insert(name, source);
        }
    }
    let mut join = Join { site: &site, defaults: "defaults.identity", faults };
    let value = Identity {
        headers: Some(headers),
        // Nothing to compare: what one route strips is stripped on all of them.
        strip: own.strip,
        token: join.token(own.token, base.value.token),
    };
    Merged { value, own: site, inherited: Some(base.site.clone()) }
}

/// Joins the keys of one mapping, noting what is looser than the default.
struct Join<'a> {
    site: &'a Site,
    defaults: &'static str,
    faults: &'a mut Faults,
}

impl Join<'_> {
    /// A list in which fewer items are stricter: all of the route's must be among the default's.
    fn narrowed<T: Clone + PartialEq>(
        &mut self,
        key: &str,
        own: Option<List<T>>,
        base: Option<&List<T>>,
        show: impl Fn(&T) -> String,
    ) -> Option<List<T>> {
        let (Some(list), Some(base)) = (&own, base) else { return own.or_else(|| base.cloned()) };
        for (index, item) in list.iter().filter(|(_, item)| !base.items().any(|other| other == *item)) {
            let problem = format!("`{}` is not in `{}.{key}`", show(item), self.defaults);
            self.faults.push(
                &self.site.key(key).index(index),
                problem,
                "write only what is there: a route may tighten its defaults, never loosen them",
            );
        }
        own
    }

    /// A list in which more items are stricter: all of the default's must be among the route's.
    fn widened<T: Clone + PartialEq + fmt::Display>(
        &mut self,
        key: &str,
        own: Option<List<T>>,
        base: Option<&List<T>>,
    ) -> Option<List<T>> {
        let (Some(list), Some(base)) = (&own, base) else { return own.or_else(|| base.cloned()) };
        for item in base.items().filter(|item| !list.items().any(|other| other == *item)) {
            let problem = format!("leaves out `{item}` of `{}.{key}`", self.defaults);
            self.faults.push(
                &self.site.key(key),
                problem,
                format!("add `{item}`: a route may tighten its defaults, never loosen them"),
            );
        }
        own
    }

    /// A value whose type is ordered from the loosest to the strictest.
    fn at_least<T: Copy + PartialOrd>(
        &mut self,
        key: &str,
        own: Option<T>,
        base: Option<T>,
        strictest: &str,
    ) -> Option<T> {
        if let (Some(own), Some(base)) = (own, base)
            && own < base
        {
            let problem = format!("is looser than `{}.{key}`", self.defaults);
            self.faults.push(&self.site.key(key), problem, format!("remove it, or write `{strictest}`"));
        }
        own.or(base)
    }

    /// A bound that is stricter when it is lower.
    fn at_most<T: Copy + PartialOrd>(&mut self, key: &str, own: Option<T>, base: Option<T>) -> Option<T> {
        if let (Some(own), Some(base)) = (own, base)
            && own > base
        {
            let problem = format!("is looser than `{}.{key}`", self.defaults);
            self.faults.push(&self.site.key(key), problem, "remove it, or write less");
        }
        own.or(base)
    }

    /// Of two ways to be bound neither is the stricter: a route may ask one where the default asks any.
    fn binding(&mut self, own: Option<Binding>, base: Option<Binding>) -> Option<Binding> {
        let (Some(asked), Some(least)) = (own, base) else { return own.or(base) };
        let kept = match least {
            Binding::IfBound => true,
            Binding::Required => asked != Binding::IfBound,
            Binding::Dpop | Binding::Mtls => asked == least,
        };
        if !kept {
            let problem = format!("takes tokens that `{}.binding` refuses", self.defaults);
            self.faults.push(&self.site.key("binding"), problem, "remove it");
        }
        own
    }

    fn token(&mut self, own: Option<TokenForwarding>, base: Option<TokenForwarding>) -> Option<TokenForwarding> {
        if let (Some(own), Some(base)) = (own, base)
            && own != base
            && own != TokenForwarding::Drop
        {
            let problem = format!("tells the upstream more than `{}.token`", self.defaults);
            self.faults.push(&self.site.key("token"), problem, "remove it, or write `drop`");
        }
        own.or(base)
    }
}
