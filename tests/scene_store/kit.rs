//! What the scenes share: an issuer, a configuration with a one-time route, and waiting for a store that can vouch.

use crate::common::{Answer, Config, Gateway, Issuer, Reply, Upstream, reason, until};
use crate::crowd::Outcome;

/// An issuer whose tokens are believed to the second, so that a new store can vouch for them soon.
pub fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

/// An upstream that answers shortly, for many requests.
pub fn upstream() -> Upstream {
    Upstream::start_with(|_| Reply { status: 200, fields: vec![], body: b"used".to_vec() })
}

/// A configuration with the one-time route `/once`, and `store` under `store:`.
pub fn config(issuer: &Issuer, upstream: &Upstream, store: &str) -> Config {
    Config::new().issuer(issuer).upstream("echo", upstream).store(store).route(
        "name: once\nmatch: { path: /once }\nupstream: echo\n\
         access: { issuers: [corp], scopes: [], replay: once, on_loss: closed }\n\
         identity: { headers: { X-User-Id: { claim: sub } } }",
    )
}

/// Two gateways on one store.
pub fn two_gateways(issuer: &Issuer, upstream: &Upstream, store: &str) -> [Gateway; 2] {
    let gateways = [(); 2].map(|()| config(issuer, upstream, store).start());
    for gateway in &gateways {
        until_claims_are_proven(gateway, issuer);
    }
    gateways
}

pub fn once(gateway: &Gateway, token: &str) -> Answer {
    gateway.client().get("/once", Some(token))
}

/// Waits until the store vouches for tokens made now.
pub fn until_claims_are_proven(gateway: &Gateway, issuer: &Issuer) {
    until("the store vouches for new tokens", || (once(gateway, &issuer.token("probe")).status == 200).then_some(()));
}

/// Refused for good: the token was used, or the store can't know whether it was.
pub fn assert_spent(gateway: &Gateway, token: &str) -> String {
    let answer = until("the store answers", || Some(once(gateway, token)).filter(|answer| answer.status != 503));
    let reason = reason(gateway, &answer);
    assert_eq!(answer.status, 401, "{reason}");
    assert!(["replayed", "replay_unprovable"].contains(&reason.as_str()), "{reason}");
    reason
}

/// No token was accepted twice, and nothing came that a client could not understand.
pub fn assert_accepted_once_at_most(outcome: &Outcome) {
    let twice: Vec<usize> = (0..outcome.accepted.len()).filter(|number| outcome.accepted[*number] > 1).collect();
    assert!(twice.is_empty(), "accepted twice: {twice:?}");
    assert!(outcome.statuses.iter().all(|status| [200, 401, 503].contains(status)), "{:?}", outcome.statuses);
}
