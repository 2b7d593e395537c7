//! What is legal and weak about keys that tokens are bound to: bindings nobody can prove, and proofs that prove little.

use super::compile::StoreSettings;
use super::lint::{guard, routes};
use super::loaded::Loaded;
use super::site::Site;
use super::warning::Warning;
use crate::authn::{BindingRule, DpopPolicy, OnLoss};
use crate::decision::Guard;
use crate::proxy::{ListenerKind, ListenerSettings};
use std::time::Duration;

/// A proof is made for one request and sent at once; networks and clocks take no more than this.
const LONG_PROOF: Duration = Duration::from_secs(300);

/// Adds the weaknesses of `loaded`.
pub fn lint(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    let shows_certificates = loaded.listeners.iter().any(shows_certificates);
    for (rule, site) in routes(loaded) {
        let Some(guard) = guard(rule) else { continue };
        let access = site.key("access");
        if guard.binding == BindingRule::Mtls && !shows_certificates {
            let weakness = "lets nobody in: no listener asks for client certificates, or is told them by a proxy";
            warnings.push(Warning::new(&access.key("binding"), weakness));
        }
        lasting_proofs(guard, &access, warnings);
        if guard.binding == BindingRule::Dpop && guard.on_loss == OnLoss::Open {
            let weakness = "lets stolen proofs be used again whenever the store can't answer";
            warnings.push(Warning::new(&access.key("on_loss"), weakness));
        }
    }
    lonely_nonces(loaded, warnings);
}

/// A proof that was stolen, or made ahead, is worth something for as long as it counts as new.
fn lasting_proofs(guard: &Guard, access: &Site, warnings: &mut Vec<Warning>) {
    if guard.dpop.as_ref().is_some_and(|dpop| dpop.max_age() > LONG_PROOF) {
        let weakness = "is long: so long a proof that was made ahead, or stolen unused, can be presented";
        warnings.push(Warning::new(&access.key("dpop").key("max_age"), weakness));
    }
}

/// With a store that replicas share, there are replicas: each would refuse the nonces of all others.
fn lonely_nonces(loaded: &Loaded, warnings: &mut Vec<Warning>) {
    let shared = matches!(loaded.store, StoreSettings::Redis(_));
    if !shared || loaded.dpop_nonces.is_some() {
        return;
    }
    let wanting = routes(loaded).find(|(rule, _)| guard(rule).is_some_and(wants_nonces));
    if let Some((_, site)) = wanting {
        let weakness = "makes clients start anew at every change of replica: write `server.dpop_nonce_key`";
        warnings.push(Warning::new(&nonce_key(site), weakness));
    }
}

fn nonce_key(route: &Site) -> Site {
    route.key("access").key("dpop").key("nonce")
}

fn wants_nonces(guard: &Guard) -> bool {
    guard.dpop.as_ref().is_some_and(DpopPolicy::wants_nonce)
}

fn shows_certificates(listener: &ListenerSettings) -> bool {
    let asked = matches!(&listener.kind, ListenerKind::Tls(tls) if tls.client_certificates.is_some());
    asked || listener.client_certificate_header
}
