//! `routes[].access`, the part about theft: `binding`, `dpop` and `step_up` → the authn room's policies.

use super::server::positive;
use crate::authn::{BindingRule, DpopNonceRule, DpopPolicy, StepUp};
use crate::config::defaults::Merged;
use crate::config::fault::Faults;
use crate::config::schema::binding::{Binding, Dpop, DpopNonce, StepUp as WrittenStepUp};
use crate::config::schema::routes::AccessRules;
use crate::config::schema::value::{Duration as WrittenDuration, List};
use crate::config::site::Site;
use crate::jose::SigningAlgorithm;
use std::time::Duration;

/// How old a proof may be if nothing is written.
const PROOF_AGE: Duration = Duration::from_secs(60);
/// The algorithms of proofs if nothing is written.
const PROOF_ALGORITHMS: [SigningAlgorithm; 2] = [SigningAlgorithm::ES256, SigningAlgorithm::EdDSA];

/// Which tokens a route takes.
pub fn rule(rules: &Merged<AccessRules>, names_hosts: bool, faults: &mut Faults) -> Option<BindingRule> {
    let rule = match rules.value.binding {
        None | Some(Binding::IfBound) => BindingRule::IfBound,
        Some(Binding::Required) => BindingRule::Required,
        Some(Binding::Dpop) => BindingRule::Dpop,
        Some(Binding::Mtls) => BindingRule::Mtls,
    };
    if rule == BindingRule::Dpop && !names_hosts {
        nameless(&rules.site("binding"), faults);
        return None;
    }
    Some(rule)
}

/// What a route asks of proofs; `None` where it serves any host, so that none can be checked, and after a fault.
pub fn dpop(rules: &Merged<AccessRules>, names_hosts: bool, faults: &mut Faults) -> Option<DpopPolicy> {
    let site = rules.site("dpop");
    if !names_hosts {
        if rules.is_own("dpop") {
            nameless(&site, faults);
        }
        return None;
    }
    let written = rules.value.dpop.clone().unwrap_or_default();
    let max_age = positive(written.max_age, PROOF_AGE, &rules.site_within("dpop", "max_age"), faults);
    let algorithms = algorithms(&written, &rules.site_within("dpop", "algorithms"), faults);
    let nonce = match written.nonce {
        None | Some(DpopNonce::None) => DpopNonceRule::None,
        Some(DpopNonce::Required) => DpopNonceRule::Required,
    };
    match DpopPolicy::new(nonce, max_age?, algorithms?) {
        Ok(policy) => Some(policy),
        Err(error) => {
            faults.push(&site, error.to_string(), "write algorithms such as `[ES256, EdDSA]`");
            None
        }
    }
}

/// A proof names the host it was made for. A route that serves any host could not tell one made for another server.
fn nameless(site: &Site, faults: &mut Faults) {
    let problem = "asks for proofs, which name a host, on a route for any host";
    faults.push(site, problem, "write the hosts of the route in `match.hosts`");
}

fn algorithms(written: &Dpop, site: &Site, faults: &mut Faults) -> Option<Vec<SigningAlgorithm>> {
    let Some(list) = &written.algorithms else { return Some(PROOF_ALGORITHMS.to_vec()) };
    let mut sound = true;
    for (index, name) in list.iter().filter(|(_, name)| name.0.is_symmetric()) {
        let problem = format!("`{}` is symmetric: a proof needs a key that only the client has", name.0);
        faults.push(&site.index(index), problem, "write ES256, EdDSA or another algorithm with a public key");
        sound = false;
    }
    sound.then(|| list.items().map(|name| name.0).collect())
}

/// What a route asks of the user's authentication; `None` if nothing, and after a fault.
pub fn step_up(rules: &Merged<AccessRules>, faults: &mut Faults) -> Option<StepUp> {
    let WrittenStepUp { acr_values, max_age, amr } = rules.value.step_up.as_ref()?;
    if max_age.is_some_and(|age| age.get().is_zero()) {
        positive(*max_age, Duration::ZERO, &rules.site_within("step_up", "max_age"), faults)?;
    }
    match StepUp::new(texts(acr_values.as_ref()), max_age.map(WrittenDuration::get), texts(amr.as_ref())) {
        Ok(step_up) => Some(step_up),
        Err(error) => {
            let remedy = "write `acr_values`, `max_age` or both, and `amr` only beside them";
            faults.push(&rules.site("step_up"), error.to_string(), remedy);
            None
        }
    }
}

fn texts<T: ToString>(list: Option<&List<T>>) -> Vec<String> {
    list.into_iter().flat_map(List::items).map(ToString::to_string).collect()
}
