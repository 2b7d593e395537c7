//! A configuration that is sound from first to last, in the rooms' own types.

use super::compile::{RevocationSettings, Rule, StoreSettings};
use super::gather::Written;
use super::schema::value::List;
use super::site::Site;
use super::warning::Warning;
use crate::admin::AdminSettings;
use crate::authn::DpopNonces;
use crate::authn::VerdictBounds;
use crate::decision::{Endpoints, RoutePolicy, Snapshot};
use crate::identity::Firewall;
use crate::issuer::http::RemoteKeys;
use crate::issuer::{IssuerProfile, Registry};
use crate::proxy::{ListenerSettings, ServerSettings};
use crate::route::RouteTable;
use crate::telemetry::{AuditSettings, LogSettings, TracesSettings};
use crate::upstream::UpstreamSettings;
use http::header::STRICT_TRANSPORT_SECURITY;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything `run` needs to start.
#[derive(Debug)]
pub struct Loaded {
    /// Where clients connect.
    pub listeners: Vec<ListenerSettings>,
    /// Where operators connect.
    pub admin: AdminSettings,
    /// What remembers spent tokens.
    pub store: StoreSettings,
    /// What remembers revoked tokens.
    pub revocations: RevocationSettings,
    /// The backends, in the order of their [`UpstreamId`](crate::decision::UpstreamId)s.
    pub upstreams: Vec<UpstreamSettings>,
    /// The process.
    pub server: ServerSettings,
    /// The nonces for proofs under a key that replicas share; `None`: each process has its own.
    pub dpop_nonces: Option<Arc<DpopNonces>>,
    /// How many opened tokens are remembered.
    pub verdicts: VerdictBounds,
    /// The log.
    pub log: LogSettings,
    /// The audit log, where there is one.
    pub audit: Option<AuditSettings>,
    /// Where traces are sent, if anywhere.
    pub traces: Option<TracesSettings>,
    /// Whom we believe.
    pub issuers: Registry,
    /// Those of the issuers whose keys are fetched, and where from: their rings are empty until that has happened.
    pub remote_keys: Vec<(Arc<IssuerProfile>, RemoteKeys)>,
    /// Where requests want to go.
    pub routes: RouteTable,
    /// The headers no client may send through.
    pub firewall: Firewall,
    /// The routes, in the order of their [`RouteId`](crate::route::RouteId)s.
    pub rules: Vec<Rule>,
    /// The configuration files read, gateway.yaml first: whoever reloads on change watches these.
    pub files: Vec<PathBuf>,
    pub(super) warnings: Vec<Warning>,
    pub(super) places: Places,
}

impl Loaded {
    /// The generation `generation` of what decisions rest on, with `endpoints` to forward to, and the nonces of this
    /// process for proofs, should the configuration name no shared key.
    #[must_use]
    pub fn into_snapshot(self, generation: u64, endpoints: Arc<dyn Endpoints>, nonces: Arc<DpopNonces>) -> Snapshot {
        let (policies, identities): (Vec<RoutePolicy>, _) =
            self.rules.into_iter().map(|rule| (rule.policy, rule.identity)).unzip();
        Snapshot {
            generation,
            routes: self.routes,
            locks_out: policies.iter().any(|policy| policy.edge.limits.failures.is_some()),
            pins_https: !policies.iter().any(|policy| policy.edge.speaks_of(&STRICT_TRANSPORT_SECURITY)),
            policies,
            identities,
            firewall: self.firewall,
            issuers: self.issuers,
            dpop_nonces: self.dpop_nonces.unwrap_or(nonces),
            endpoints,
        }
    }
}

/// Where the parts of a configuration are written, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) root: Option<Site>,
    pub(super) issuers: Vec<Site>,
    pub(super) upstreams: Vec<Site>,
    pub(super) routes: Vec<Site>,
}

impl Places {
    pub(super) fn of(written: &Written) -> Self {
        let issuers = written.gateway.issuers.iter().flat_map(List::iter);
        let site = written.root.key("issuers");
        Self {
            root: Some(written.root.clone()),
            issuers: issuers.map(|(index, _)| site.index(index)).collect(),
            upstreams: written.upstreams.iter().map(|item| item.site.clone()).collect(),
            routes: written.routes.iter().map(|item| item.site.clone()).collect(),
        }
    }
}
