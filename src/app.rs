//! The composition root: finished configuration in, a serving process out.
//!
//! The engine's own server object is not used: it waits out its whole grace period however idle it is, and goes on
//! without a listener whose address is taken. Here all services share one runtime, every socket is bound before
//! anything starts, and a shutdown ends as soon as the last request has its answer.
//!
//! The way of a configuration through the files: `edition` makes one ready, `reload` brings it into force under running
//! requests, `restart` knows what that can't change, `live` shows what is in force; `orders` are the process's signals.

mod edition;
mod live;
mod orders;
mod reload;
mod restart;
mod revocations;
mod sockets;
mod stores;

use crate::admin::{self, Admin, AdminToken, Operator, ReloadCause, ReloadOutcome, ReloadReport, Source};
use crate::authn::{DpopNonces, ProofKeys, ReplayGuard, VerdictCache};
use crate::clock::{Clock, SystemClock};
use crate::config::{Inputs, Loaded};
use crate::decision::{Recollection, Snapshot};
use crate::issuer::http::KeyFetcher;
use crate::observe::Observer;
use crate::proxy::{self, InFlight, Shared};
use crate::store::{RedisStore, RevocationFileError, SettingsError, StoreError};
use crate::telemetry::audit::{Audit, AuditSetupError};
use crate::telemetry::{Metrics, logs};
use crate::tls::TlsSetupError;
use crate::upstream::{UpstreamError, Upstreams};
use arc_swap::{ArcSwap, ArcSwapOption};
use edition::Edition;
use live::{Live, Standing};
use log::info;
use orders::{Order, Orders};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use reload::{Reloader, Reloads, Waiting};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stores::Stores;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The first generation of the configuration.
const GENERATION: u64 = 1;
/// How many claims a replica remembers by itself, for routes that are `local` on the store's loss.
const LOCAL_CLAIMS: usize = 100_000;
/// How many clients' proof keys are kept imported: some 2 KiB each.
const PROOF_KEYS: usize = 10_000;
/// How long the start waits for the first keys. A dead issuer delays it by no more.
const FIRST_KEYS: Duration = Duration::from_secs(2);

/// Why a gateway can't serve.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A listener's address can't be had.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The TLS library refuses a listener's settings.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// The metrics can't be registered.
    #[error("can't register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system gives no threads or no signals.
    #[error("can't start: {0}")]
    Start(#[from] io::Error),
    /// An upstream's settings can't be used.
    #[error("can't use an upstream: {0}")]
    Upstream(#[from] UpstreamError),
    /// The store's settings can't be used.
    #[error("can't use the store: {0}")]
    Store(#[from] SettingsError),
    /// The file of revocations can't be used.
    #[error("can't keep revocations: {0}")]
    Revocations(#[from] RevocationFileError),
    /// The file of revocations can't be read.
    #[error("can't read the revocations: {0}")]
    RevocationsUnread(#[source] StoreError),
    /// The audit log can't be begun.
    #[error("can't keep an audit log: {0}")]
    Audit(#[from] AuditSetupError),
    /// The cryptographic library gives no randomness.
    #[error("the cryptographic library gives no randomness")]
    Randomness(#[from] openssl::error::ErrorStack),
}

/// Serves until the process is told to end: SIGTERM drains, SIGINT ends at once, SIGHUP reloads. `inputs` is what
/// `loaded` was read from: a change of it reloads too.
pub fn run(loaded: Loaded, inputs: Inputs) -> Result<(), AppError> {
    logs::install(loaded.log);
    let threads = loaded.server.threads.max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let app = App::assemble(loaded)?;
    let served = runtime.block_on(app.serve(inputs));
    end(runtime);
    served
}

/// What a decision rests on under `loaded`, for one who only wants to ask: `explain` without a running gateway.
pub fn snapshot(mut loaded: Loaded) -> Result<Snapshot, AppError> {
    let upstreams = Upstreams::new(std::mem::take(&mut loaded.upstreams), GENERATION)?;
    Ok(loaded.into_snapshot(GENERATION, Arc::new(upstreams), Arc::new(DpopNonces::random()?)))
}

/// Connections that are still open are cut: the grace they had is over.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
    info!("ended");
}

/// A gateway that is ready to start.
struct App {
    services: Vec<Box<dyn Service>>,
    addresses: Vec<SocketAddr>,
    redis: Option<Arc<RedisStore>>,
    live: Arc<Live>,
    reloader: Reloader,
    waiting: Waiting,
}

impl App {
    fn assemble(loaded: Loaded) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let nonces = Arc::new(DpopNonces::random()?);
        let Stores { claims, redis, revocations } = Stores::of(&loaded, &clock, &metrics)?;
        let memory = Arc::new(Recollection {
            replay: ReplayGuard::new(claims, LOCAL_CLAIMS),
            proof_keys: ProofKeys::new(PROOF_KEYS),
            verdicts: VerdictCache::new(loaded.verdicts.entries, loaded.verdicts.bytes)?,
            revocations,
        });
        let audit = loaded.audit.clone().map(|settings| Audit::start(settings, &clock, &metrics));
        let audit = audit.transpose()?.map(Arc::new);
        let path = loaded.files.first().cloned().unwrap_or_default();
        let first = Edition::build(loaded, GENERATION, &nonces, &metrics)?;
        let fetcher = KeyFetcher::new(Arc::clone(&clock), Arc::clone(&metrics) as Arc<dyn Observer>);
        fetcher.follow(&first.remote_keys);
        Self::around(first, Parts { metrics, clock, nonces, redis, memory, fetcher, audit, path })
    }

    /// The gateway around its first edition.
    fn around(first: Edition, parts: Parts) -> Result<Self, AppError> {
        let Parts { metrics, clock, nonces, redis, memory, fetcher, audit, path } = parts;
        let Edition { generation, settings, policies, remote_keys: _ } = first;
        reload::note_certificates(&settings.listeners, &metrics);
        metrics.generation(GENERATION);
        let shared = Arc::new(Shared {
            generation: ArcSwap::from_pointee(generation),
            memory: Arc::clone(&memory),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            audit,
            settings: settings.server.clone(),
            listeners: settings.listeners.clone(),
            in_flight: InFlight::default(),
            draining: Arc::new(AtomicBool::new(false)),
        });
        let (reloads, waiting) = Reloads::new();
        let now = clock.now();
        let standing = Standing { report: started(now.as_seconds()), policies, server: settings.server.clone() };
        let live = Arc::new(Live {
            shared: Arc::clone(&shared),
            fetcher,
            reloads,
            started_at: now,
            standing: ArcSwap::from_pointee(standing),
        });
        let token: AdminToken = Arc::new(ArcSwapOption::new(settings.admin.token.clone().map(Arc::new)));
        let admin = Arc::new(Admin {
            source: Arc::clone(&live) as Arc<dyn Source>,
            operator: Arc::clone(&live) as Arc<dyn Operator>,
            token: Arc::clone(&token),
            metrics,
            memory,
            clock,
        });
        let listening = proxy::services(&settings.listeners, &shared)?;
        let mut services = listening.services;
        let admin::Listening { services: of_admin, terms: admin_terms } = admin::services(&settings.admin, &admin)?;
        services.extend(of_admin);
        let public = settings.listeners.iter().map(|listener| listener.address);
        let addresses = public.chain([settings.admin.address]).chain(settings.admin.metrics_address).collect();
        let terms = listening.terms;
        let reloader = Reloader { path, started: settings, live: Arc::clone(&live), terms, admin_terms, token, nonces };
        Ok(Self { services, addresses, redis, live, reloader, waiting })
    }

    async fn serve(self, inputs: Inputs) -> Result<(), AppError> {
        let sockets = sockets::bind(&self.addresses)?;
        let mut orders = Orders::new()?;
        // Nobody tells the fetcher to stop: requests that are drained may need a key. It ends with the runtime.
        let (_fetching, fetch) = watch::channel(false);
        let fetcher = self.live.fetcher.clone();
        tokio::spawn(async move { fetcher.run(fetch).await });
        self.look_around().await;
        self.follow_revocations().await?;
        self.live.shared.generation.load().upstreams.keep();
        let (ending, watch) = watch::channel(false);
        let mut running = JoinSet::new();
        for service in self.services {
            running.spawn(start(service, Arc::clone(&sockets), watch.clone()));
        }
        tokio::spawn(self.reloader.run(inputs, self.waiting));
        let addresses: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        info!("serving on {}", addresses.join(", "));
        if orders.wait(&self.live.reloads, &mut running).await == Order::Drain {
            self.live.shared.draining.store(true, Ordering::Release);
            let standing = self.live.standing.load_full();
            let (delay, grace) = (standing.server.drain_delay, standing.server.shutdown_grace);
            info!("draining: not ready for {delay:?}, then {grace:?} for requests in flight");
            tokio::time::sleep(delay).await;
            // A closed channel means that nothing runs any more.
            let _ = ending.send(true);
            orders::drain(&self.live.shared.in_flight, grace, &mut running).await;
        }
        if let Some(audit) = &self.live.shared.audit {
            audit.close().await;
        }
        Ok(())
    }

    /// Asks the store and the issuers before any request does. Without them the gateway starts all the same: what does
    /// not need them is served, and both go on being tried.
    async fn look_around(&self) {
        let store = async {
            if let Some(redis) = &self.redis {
                let _ = redis.connect().await;
            }
        };
        tokio::join!(store, self.live.fetcher.first_round(FIRST_KEYS));
    }

    /// Reads what was revoked before the first request is judged, and follows it from then on.
    async fn follow_revocations(&self) -> Result<(), AppError> {
        let (list, clock) = (&self.live.shared.memory.revocations, &self.live.shared.clock);
        if let Some(follower) = revocations::load(list, &**clock).await.map_err(AppError::RevocationsUnread)? {
            tokio::spawn(revocations::follow(follower, Arc::clone(clock)));
        }
        Ok(())
    }
}

/// What outlives every edition of the configuration.
struct Parts {
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    nonces: Arc<DpopNonces>,
    redis: Option<Arc<RedisStore>>,
    memory: Arc<Recollection>,
    fetcher: KeyFetcher,
    audit: Option<Arc<Audit>>,
    path: PathBuf,
}

/// The report of the start, which is the first reading.
fn started(at: i64) -> ReloadReport {
    ReloadReport {
        at,
        cause: ReloadCause::Start,
        outcome: ReloadOutcome::Applied,
        generation: GENERATION,
        faults: Vec::new(),
        needs_restart: Vec::new(),
    }
}

async fn start(mut service: Box<dyn Service>, sockets: ListenFds, ending: ShutdownWatch) {
    service.start_service(Some(sockets), ending, 1).await;
}
