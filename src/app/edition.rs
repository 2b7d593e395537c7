//! One edition of the configuration, ready to come into force: what requests see, and what the process is told.
//!
//! The first one and every later one are made here alike; what the start finds sound, a reload does.

use crate::admin::{AdminSettings, EffectivePolicy};
use crate::authn::{DpopNonces, VerdictBounds};
use crate::config::{self, Loaded, RevocationSettings, StoreSettings};
use crate::decision::Endpoints;
use crate::issuer::IssuerProfile;
use crate::issuer::http::RemoteKeys;
use crate::proxy::{Generation, ListenerSettings, ServerSettings};
use crate::telemetry::{AuditSettings, LogSettings, Metrics, TracesSettings};
use crate::upstream::{UpstreamError, Upstreams};
use std::sync::Arc;

/// What the process is told, beside what requests see.
pub(super) struct Settings {
    pub(super) listeners: Vec<ListenerSettings>,
    pub(super) admin: AdminSettings,
    pub(super) store: StoreSettings,
    pub(super) server: ServerSettings,
    pub(super) verdicts: VerdictBounds,
    pub(super) revocations: RevocationSettings,
    pub(super) log: LogSettings,
    pub(super) audit: Option<AuditSettings>,
    pub(super) traces: Option<TracesSettings>,
}

/// A whole configuration, built aside.
pub(super) struct Edition {
    pub(super) generation: Generation,
    pub(super) settings: Settings,
    pub(super) policies: Arc<[EffectivePolicy]>,
    /// The issuers of this edition whose keys are fetched.
    pub(super) remote_keys: Vec<(Arc<IssuerProfile>, RemoteKeys)>,
}

impl Edition {
    /// Generation `number`, of `loaded`. `nonces` are those of the process, should the configuration name no key for
    /// them.
    pub(super) fn build(
        mut loaded: Loaded,
        number: u64,
        nonces: &Arc<DpopNonces>,
        metrics: &Metrics,
    ) -> Result<Self, UpstreamError> {
        let policies = policies(&loaded);
        let remote_keys = std::mem::take(&mut loaded.remote_keys);
        let upstreams = Arc::new(Upstreams::new(std::mem::take(&mut loaded.upstreams), number)?);
        let settings = Settings {
            listeners: loaded.listeners.clone(),
            admin: loaded.admin.clone(),
            store: loaded.store.clone(),
            server: loaded.server.clone(),
            verdicts: loaded.verdicts,
            revocations: loaded.revocations.clone(),
            log: loaded.log,
            audit: loaded.audit.clone(),
            traces: loaded.traces.clone(),
        };
        let endpoints = Arc::clone(&upstreams) as Arc<dyn Endpoints>;
        let snapshot = loaded.into_snapshot(number, endpoints, Arc::clone(nonces));
        Ok(Self { generation: Generation::new(snapshot, upstreams, metrics), settings, policies, remote_keys })
    }
}

fn policies(loaded: &Loaded) -> Arc<[EffectivePolicy]> {
    let policies = config::effective_policies(loaded);
    let of_route =
        |(route, lines): (&str, &[String])| EffectivePolicy { route: route.to_owned(), policy: lines.to_vec() };
    policies.routes().map(of_route).collect()
}
