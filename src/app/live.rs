//! What the admin API shows of the running gateway, and what it can be told to do.

use super::reload::Reloads;
use crate::admin::{
    EffectivePolicy, IssuerKeys, Operator, Readiness, ReloadCause, ReloadReport, Source, Status, StoreReport,
};
use crate::authn::{BindingRule, OnLoss, ReplayMode, RevocationPolicy};
use crate::clock::{Clock, UnixTime};
use crate::decision::{Access, Guard, Mode, RoutePolicy, Snapshot};
use crate::issuer::http::KeyFetcher;
use crate::issuer::{Form, IssuerProfile};
use crate::observe::Observer as _;
use crate::proxy::{ServerSettings, Shared};
use crate::store::{Store, StoreError};
use crate::telemetry::{AuditStatus, Metrics};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long an operator waits for issuers to answer.
const REFRESH_LIMIT: Duration = Duration::from_secs(10);

/// The running gateway.
pub(super) struct Live {
    pub(super) shared: Arc<Shared>,
    pub(super) fetcher: KeyFetcher,
    pub(super) reloads: Reloads,
    pub(super) started_at: UnixTime,
    /// Written by the reloader alone.
    pub(super) standing: ArcSwap<Standing>,
}

/// What stands beside the generation that requests see.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) report: ReloadReport,
    pub(super) policies: Arc<[EffectivePolicy]>,
    pub(super) server: ServerSettings,
}

impl Live {
    /// The number of the generation in force.
    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load().snapshot.generation
    }

    /// Notes a reload that came into force.
    pub(super) fn applied(
        &self,
        report: ReloadReport,
        policies: Arc<[EffectivePolicy]>,
        server: ServerSettings,
    ) -> ReloadReport {
        self.standing.store(Arc::new(Standing { report: report.clone(), policies, server }));
        report
    }

    /// Notes a reload that changed nothing.
    pub(super) fn refused(&self, report: ReloadReport) -> ReloadReport {
        self.shared.metrics.reload_refused();
        let standing = Standing::clone(&self.standing.load());
        self.standing.store(Arc::new(Standing { report: report.clone(), ..standing }));
        report
    }

    fn audit(&self) -> Option<AuditStatus> {
        self.shared.audit.as_ref().map(|audit| audit.status())
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.shared.memory.replay.store()
    }
}

impl Source for Live {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.generation.load().snapshot)
    }

    /// Not ready while draining, or while a route can only answer 503 because the store is lost. An issuer without
    /// keys is told, but takes only its own tokens down.
    fn readiness(&self) -> Readiness {
        let snapshot = self.snapshot();
        let mut readiness = Readiness { ready: true, reasons: Vec::new() };
        if self.shared.draining.load(Ordering::Acquire) {
            readiness.ready = false;
            readiness.reasons.push("draining: the process is about to end".to_owned());
        }
        let wants_store = snapshot.policies.iter().any(claims);
        if let (true, Err(error)) = (wants_store, self.store().condition()) {
            // What is left of a cluster is of use: were every replica to leave service, nothing would be served at all.
            let left = self.store().serves_some();
            readiness.ready &= left || !snapshot.policies.iter().any(is_closed);
            let whole = if left { "a part of the store of claims" } else { "the store of claims" };
            readiness.reasons.push(format!("{whole} does not answer, or can't be relied on: {error}"));
        }
        let (list, now) = (&self.shared.memory.revocations, self.shared.clock.now());
        if list.age(now).is_none() {
            readiness.ready &= !snapshot.policies.iter().any(is_guarded);
            readiness.reasons.push("the list of revocations could not be had yet".to_owned());
        } else if list.is_stale(now) {
            readiness.ready &= !snapshot.policies.iter().any(insists_on_revocations);
            readiness.reasons.push("the list of revocations is out of date".to_owned());
        }
        if let Some(error) = self.audit().and_then(|status| status.error) {
            readiness.reasons.push(format!("the audit log can't be written: {error}"));
        }
        let keyless = issuers(&snapshot, &*self.shared.clock).into_iter().filter(|(_, keys)| *keys == 0);
        readiness.reasons.extend(keyless.map(|(name, _)| format!("issuer {name} has no keys that may be believed")));
        readiness
    }

    fn status(&self) -> Status {
        let Readiness { ready, reasons } = self.readiness();
        let (snapshot, fetched) = (self.snapshot(), self.fetcher.status());
        let of_issuer = |(name, keys): (String, usize)| match fetched.iter().find(|status| *status.issuer == *name) {
            Some(status) => IssuerKeys::from(status.clone()),
            None => fixed(name, keys),
        };
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at.as_seconds(),
            ready,
            reasons,
            generation: snapshot.generation,
            last_reload: self.standing.load().report.clone(),
            store: report_of(&**self.store()),
            issuers: issuers(&snapshot, &*self.shared.clock).into_iter().map(of_issuer).collect(),
            audit: self.audit(),
        }
    }

    fn policies(&self) -> Arc<[EffectivePolicy]> {
        Arc::clone(&self.standing.load().policies)
    }

    fn refresh(&self, metrics: &Metrics) {
        metrics.store_degraded(self.store().condition().is_err());
        if let Some(epoch) = self.store().epoch() {
            metrics.store_epoch(epoch);
        }
        metrics.crypto_queue(self.shared.memory.workshop.waiting());
        let (list, now) = (&self.shared.memory.revocations, self.shared.clock.now());
        list.purge(now);
        metrics.revocations(list.len(), list.age(now));
        for (name, keys) in issuers(&self.snapshot(), &*self.shared.clock) {
            metrics.issuer(&name, keys);
        }
        let generation = self.shared.generation.load();
        let endpoints = generation.upstreams.iter().flat_map(|pool| {
            pool.endpoints().map(|(endpoint, well)| (&**pool.name(), endpoint, well)).collect::<Vec<_>>()
        });
        metrics.endpoints(endpoints);
        for status in self.fetcher.status() {
            if let Some(age) = status.age {
                metrics.issuer_age(&status.issuer, age);
            }
        }
    }
}

#[async_trait]
impl Operator for Live {
    async fn reload(&self) -> Option<ReloadReport> {
        self.reloads.now(ReloadCause::Api).await
    }

    async fn refresh_keys(&self) -> Vec<IssuerKeys> {
        self.fetcher.refresh_now(REFRESH_LIMIT).await.into_iter().map(IssuerKeys::from).collect()
    }
}

fn report_of(store: &dyn Store) -> StoreReport {
    let error = store.condition().err();
    StoreReport {
        degraded: error.is_some(),
        error: error.map(StoreError::label),
        serves_some: store.serves_some(),
        epoch: store.epoch().map(UnixTime::as_seconds),
    }
}

/// True where no request passes without a claim: one-time tokens, or proofs, which are one-time everywhere.
fn claims(policy: &RoutePolicy) -> bool {
    let always = |guard: &Guard| guard.replay != ReplayMode::None || guard.binding == BindingRule::Dpop;
    matches!(&policy.access, Access::Guarded(guard) if always(guard))
}

fn is_guarded(policy: &RoutePolicy) -> bool {
    matches!(policy.access, Access::Guarded(_))
}

fn insists_on_revocations(policy: &RoutePolicy) -> bool {
    matches!(&policy.access, Access::Guarded(guard) if guard.revocation == RevocationPolicy::Required && refuses(guard))
}

fn is_closed(policy: &RoutePolicy) -> bool {
    claims(policy)
        && matches!(&policy.access, Access::Guarded(guard) if guard.on_loss == OnLoss::Closed && refuses(guard))
}

/// A route that only reports answers no request 503 for what it can't judge.
fn refuses(guard: &Guard) -> bool {
    guard.mode == Mode::Enforce
}

/// Every issuer's name, and how many keys it has that may be believed; none where its form can't be opened at all.
fn issuers(snapshot: &Snapshot, clock: &dyn Clock) -> Vec<(String, usize)> {
    let now = clock.now();
    let keys = |profile: &IssuerProfile| {
        let decrypts = !profile.contract.form.is_encrypted() || profile.keys.decryption().is_some();
        let keys = match profile.contract.form {
            Form::Sealed => 1,
            Form::Signed | Form::Nested => profile.keys.verification(now).map_or(0, |keys| keys.set.len()),
        };
        (profile.name.to_string(), if decrypts { keys } else { 0 })
    };
    snapshot.issuers.iter().map(|(_, profile)| keys(profile)).collect()
}

/// The keys of an issuer as a file or a secret holds them.
fn fixed(issuer: String, keys: usize) -> IssuerKeys {
    IssuerKeys {
        issuer,
        source: None,
        keys,
        skipped: 0,
        usable: keys > 0,
        age_seconds: None,
        failures: 0,
        last_fetch: None,
    }
}
