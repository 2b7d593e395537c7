//! One generation of the configuration: the rooms' policies joined by route. A request sees one, from first to last.

use super::policy::{Endpoints, RoutePolicy};
use crate::authn::DpopNonces;
use crate::identity::{Firewall, IdentityPlan};
use crate::issuer::Registry;
use crate::route::{RouteId, RouteTable};
use http::header::STRICT_TRANSPORT_SECURITY;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// One generation of everything a decision rests on. Immutable; a reload swaps it whole.
pub struct Snapshot {
    /// Grows with each reload.
    pub generation: u64,
    /// Where requests want to go.
    pub routes: RouteTable,
    /// What each route asks, by [`RouteId`].
    pub policies: Vec<RoutePolicy>,
    /// True where some route of `policies` locks clients out: told once, for the routes may be many.
    pub locks_out: bool,
    /// True unless some route of `policies` has its own word on `Strict-Transport-Security`.
    pub pins_https: bool,
    /// What each route tells its upstream, by [`RouteId`].
    pub identities: Vec<IdentityPlan>,
    /// The headers no client may send through, on any route.
    pub firewall: Firewall,
    /// Whom we believe.
    pub issuers: Registry,
    /// The nonces clients put into their proofs.
    pub dpop_nonces: Arc<DpopNonces>,
    /// Whom we forward to.
    pub endpoints: Arc<dyn Endpoints>,
}

impl Snapshot {
    /// Goes on counting what is under way on the routes of `before`, by their names.
    pub fn succeed(&self, before: &Self) {
        let cap = |policy: &'_ RoutePolicy| policy.edge.limits.in_flight.clone();
        let before: HashMap<&str, _> =
            before.policies.iter().filter_map(|policy| Some((&*policy.name, cap(policy)?))).collect();
        for policy in &self.policies {
            if let (Some(cap), Some(before)) = (&policy.edge.limits.in_flight, before.get(&*policy.name)) {
                cap.succeed(before);
            }
        }
    }

    /// The policy of `route`. Ids come from the same generation, so it is there; a foreign id finds nothing.
    #[must_use]
    pub fn policy(&self, route: RouteId) -> Option<&RoutePolicy> {
        self.policies.get(route.index())
    }

    /// True if an answer by the route of `policy`, or by none, pins its host to HTTPS without being told to. The header
    /// is about the host: where one route has another word on it, what belongs to no route leaves it to that one.
    #[must_use]
    pub fn pins_https(&self, policy: Option<&RoutePolicy>) -> bool {
        policy.map_or(self.pins_https, |policy| !policy.edge.speaks_of(&STRICT_TRANSPORT_SECURITY))
    }

    /// The name of `route` as a metric label.
    #[must_use]
    pub fn route_name(&self, route: Option<RouteId>) -> &str {
        route.and_then(|route| self.policy(route)).map_or("none", |policy| &policy.name)
    }

    /// The name of `issuer` as a metric label.
    #[must_use]
    pub fn issuer_name(&self, issuer: Option<crate::issuer::IssuerId>) -> &str {
        issuer.and_then(|issuer| self.issuers.profile(issuer)).map_or("none", |profile| &profile.name)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("routes", &self.policies.len())
            .finish_non_exhaustive()
    }
}
