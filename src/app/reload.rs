//! Hot reload: a new edition of the configuration is built aside, checked whole, and swapped in under the requests.
//!
//! One task does it, so that no two reloads meet. It is asked by SIGHUP and by the admin API, and it looks at the files
//! itself. A request goes on with the generation it began with. A configuration with a fault changes nothing.

use super::edition::{Edition, Settings};
use super::live::Live;
use super::notify::ServiceManager;
use super::restart::needs_restart;
use crate::admin::{AdminToken, ReloadCause, ReloadOutcome, ReloadReport};
use crate::authn::DpopNonces;
use crate::config::{self, Inputs, Look, ProcessEnvironment, Reading, Watch};
use crate::issuer::http::KeyFetcher;
use crate::proxy::{ListenerKind, ListenerSettings};
use crate::telemetry::{Metrics, logs};
use crate::tls::SharedTerms;
use log::{error, info, warn};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long files that changed must be quiet before they are read.
const QUIET: Duration = Duration::from_millis(250);
/// Orders that may wait.
const WAITING: usize = 64;

/// An order to reload, and whom to tell what came of it.
struct Order {
    cause: ReloadCause,
    answer: Option<oneshot::Sender<ReloadReport>>,
}

/// Where reloads are ordered. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reloads(mpsc::Sender<Order>);

/// Where the orders arrive.
pub(super) struct Waiting(mpsc::Receiver<Order>);

impl Reloads {
    /// The two ends.
    pub(super) fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Waiting(receiver))
    }

    /// Orders a reload, and waits for nothing.
    pub(super) fn order(&self, cause: ReloadCause) {
        // Where so many orders wait, those that are about to be carried out see what this one wants seen.
        let _ = self.0.try_send(Order { cause, answer: None });
    }

    /// Orders a reload and waits for what comes of it; `None` while the process ends.
    pub(super) async fn now(&self, cause: ReloadCause) -> Option<ReloadReport> {
        let (answer, report) = oneshot::channel();
        self.0.send(Order { cause, answer: Some(answer) }).await.ok()?;
        report.await.ok()
    }
}

/// Carries reloads out.
pub(super) struct Reloader {
    /// gateway.yaml.
    pub(super) path: PathBuf,
    /// What the process was started with.
    pub(super) started: Settings,
    /// What a reload swaps.
    pub(super) live: Arc<Live>,
    /// The terms of the handshakes, by the names of their listeners.
    pub(super) terms: Vec<(Arc<str>, SharedTerms)>,
    /// Those of the admin API, where it has TLS.
    pub(super) admin_terms: Option<SharedTerms>,
    /// The admin API's token.
    pub(super) token: AdminToken,
    /// The process's own nonces, which outlive every configuration.
    pub(super) nonces: Arc<DpopNonces>,
}

impl Reloader {
    /// Reloads when it is told to, and when a file changes; `inputs` is what the configuration in force was read from.
    pub(super) async fn run(self, inputs: Inputs, mut waiting: Waiting, manager: ServiceManager) {
        let mut watch = watching(inputs);
        let mut pause = LOOK_EVERY;
        loop {
            let order = tokio::select! {
                order = waiting.0.recv() => order,
                () = tokio::time::sleep(pause) => {
                    let look = look(&watch).await;
                    pause = if look == Look::Moving { QUIET } else { LOOK_EVERY };
                    if look != Look::Changed {
                        continue;
                    }
                    Some(Order { cause: ReloadCause::Change, answer: None })
                }
            };
            let Some(order) = order else { return };
            manager.reloading();
            let (report, inputs) = self.reload(order.cause).await;
            manager.ready();
            watch = inputs.map_or(watch, watching);
            pause = LOOK_EVERY;
            // Whoever asked may have gone away.
            let _ = order.answer.map(|answer| answer.send(report));
        }
    }

    /// One reload, and what the configuration was read from.
    async fn reload(&self, cause: ReloadCause) -> (ReloadReport, Option<Inputs>) {
        let shared = &self.live.shared;
        let number = self.live.generation() + 1;
        let (path, nonces) = (self.path.clone(), Arc::clone(&self.nonces));
        let (metrics, fetcher) = (Arc::clone(&shared.metrics), self.live.fetcher.clone());
        let built = spawn_blocking(move || prepare(&path, number, &nonces, &metrics, &fetcher)).await;
        let (edition, inputs) = match built {
            Ok((edition, inputs)) => (edition, Some(inputs)),
            Err(_) => (Err(vec!["the configuration could not be read to its end".to_owned()]), None),
        };
        let report = ReloadReport {
            at: shared.clock.now().as_seconds(),
            cause,
            outcome: ReloadOutcome::Refused,
            generation: self.live.generation(),
            faults: Vec::new(),
            needs_restart: self.live.standing.load().report.needs_restart.clone(),
        };
        let report = match edition {
            Ok(edition) => self.apply(edition, number, report),
            Err(faults) => self.live.refused(ReloadReport { faults, ..report }),
        };
        tell(&report);
        (report, inputs)
    }

    /// Brings `edition` into force. Everything it rests on is in place before new requests see it.
    fn apply(&self, edition: Edition, number: u64, report: ReloadReport) -> ReloadReport {
        let Edition { generation, settings, policies, remote_keys: _ } = edition;
        for (name, terms) in &self.terms {
            if let Some(ListenerKind::Tls(tls)) = kind_of(&settings.listeners, name) {
                let renewed = terms.load().renewed(tls);
                terms.store(Arc::new(renewed));
            }
        }
        if let (Some(terms), Some(tls)) = (&self.admin_terms, &settings.admin.tls) {
            let renewed = terms.load().renewed(tls);
            terms.store(Arc::new(renewed));
        }
        self.token.store(settings.admin.token.clone().map(Arc::new));
        logs::set_level(settings.log.level);
        let shared = &self.live.shared;
        if let (Some(audit), Some(settings)) = (&shared.audit, &settings.audit) {
            audit.renew(settings.terms);
        }
        let before = shared.generation.load();
        generation.upstreams.succeed(&before.upstreams);
        generation.snapshot.succeed(&before.snapshot);
        drop(before);
        generation.upstreams.keep();
        shared.generation.store(Arc::new(generation));
        shared.metrics.forget_measured();
        note_certificates(&settings.listeners, &shared.metrics);
        shared.metrics.generation(number);
        let needs_restart = needs_restart(&self.started, &settings);
        let report = ReloadReport { outcome: ReloadOutcome::Applied, generation: number, needs_restart, ..report };
        self.live.applied(report, policies, settings.server)
    }
}

fn watching(inputs: Inputs) -> Arc<Mutex<Watch>> {
    Arc::new(Mutex::new(Watch::new(inputs)))
}

/// Looks at the files, on a thread that may wait for a disk.
async fn look(watch: &Arc<Mutex<Watch>>) -> Look {
    let watch = Arc::clone(watch);
    let looked = spawn_blocking(move || watch.lock().unwrap_or_else(PoisonError::into_inner).look()).await;
    looked.unwrap_or(Look::Same)
}

/// Builds the next edition, or says what is wrong; and what it was read from, for that must be watched either way.
fn prepare(
    path: &Path,
    number: u64,
    nonces: &Arc<DpopNonces>,
    metrics: &Metrics,
    fetcher: &KeyFetcher,
) -> (Result<Edition, Vec<String>>, Inputs) {
    let Reading { outcome, inputs } = config::read(path, &ProcessEnvironment);
    let edition = match outcome {
        Ok(loaded) => Edition::build(loaded, number, nonces, metrics).map_err(|error| vec![error.to_string()]),
        Err(faults) => Err(faults.to_string().lines().map(str::to_owned).collect()),
    };
    if let Ok(edition) = &edition {
        // Keys that are held go over to the new issuers: a reload asks nobody.
        fetcher.follow(&edition.remote_keys);
    }
    (edition, inputs)
}

fn kind_of<'s>(listeners: &'s [ListenerSettings], name: &str) -> Option<&'s ListenerKind> {
    listeners.iter().find(|listener| &*listener.name == name).map(|listener| &listener.kind)
}

/// Notes when the certificates end, and what is wrong with what is stapled to them.
pub(super) fn note_certificates(listeners: &[ListenerSettings], metrics: &Metrics) {
    for listener in listeners {
        let ListenerKind::Tls(settings) = &listener.kind else { continue };
        if let Some(fault) = settings.ocsp_staple.as_ref().and_then(|staple| staple.fault()) {
            warn!("listener {}: the OCSP response is not stapled: {fault}", listener.name);
        }
        for certificate in &settings.certificates {
            if let (Some(name), Some(expires_at)) = (certificate.names().first(), certificate.expires_at()) {
                metrics.certificate(name, expires_at);
            }
        }
    }
}

/// Logs what came of a reload. The level that is in force lets at least the refusal through.
fn tell(report: &ReloadReport) {
    let (cause, generation) = (report.cause.phrase(), report.generation);
    match report.outcome {
        ReloadOutcome::Applied => {
            info!("reloaded after {cause}: generation {generation} is in force");
            for key in &report.needs_restart {
                warn!("{key} differs from what the process was started with: it takes effect with the next start");
            }
        }
        ReloadOutcome::Refused => {
            let count = report.faults.len();
            error!("reload after {cause} refused for {count} faults: generation {generation} stays in force");
            report.faults.iter().for_each(|fault| error!("{fault}"));
        }
    }
}
