//! One generation of the configuration, as the proxy holds it.

use crate::decision::{Snapshot, UpstreamId};
use crate::identity::firewall::{Names, fold};
use crate::route::RouteId;
use crate::telemetry::{Metrics, RouteMeter, UpstreamMeter};
use crate::upstream::Upstreams;
use http::HeaderName;
use std::sync::Arc;

/// What a request sees from first to last: what decides over it, whom it may go to, where it is counted.
pub struct Generation {
    /// What a decision rests on.
    pub snapshot: Arc<Snapshot>,
    /// Whom the permits of this snapshot name. Endpoints of one generation mean nothing in another.
    pub upstreams: Arc<Upstreams>,
    meters: Vec<RouteMeter>,
    unrouted: RouteMeter,
    upstream_meters: Vec<UpstreamMeter>,
    /// The folded names of all identity headers: an upstream that sends one back would tell the client.
    identity_headers: Names,
}

impl Generation {
    /// Joins a snapshot with its upstreams.
    #[must_use]
    pub fn new(snapshot: Snapshot, upstreams: Arc<Upstreams>, metrics: &Metrics) -> Self {
        let mut identity_headers = Names::default();
        let headers = snapshot.identities.iter().flat_map(|plan| &plan.headers);
        for rule in headers {
            identity_headers.add(&rule.name);
        }
        Self {
            meters: snapshot.policies.iter().map(|policy| metrics.route(&policy.name)).collect(),
            unrouted: metrics.route("none"),
            upstream_meters: upstreams.iter().map(|pool| metrics.upstream(pool.name())).collect(),
            identity_headers,
            snapshot: Arc::new(snapshot),
            upstreams,
        }
    }

    /// The meter of `route`; of requests without one, that of `none`.
    pub(super) fn meter(&self, route: Option<RouteId>) -> &RouteMeter {
        route.and_then(|route| self.meters.get(route.index())).unwrap_or(&self.unrouted)
    }

    /// The meter of `upstream`.
    pub(super) fn upstream_meter(&self, upstream: UpstreamId) -> Option<&UpstreamMeter> {
        self.upstream_meters.get(upstream.index())
    }

    /// True when a response header of this name is an identity header, in any spelling.
    pub(super) fn is_identity(&self, name: &HeaderName) -> bool {
        let (names, name) = (&self.identity_headers, name.as_str());
        names.may_contain(name) && names.contains(&fold(name))
    }
}
