//! The composition root: finished configuration in, a serving process out.
//!
//! The engine's own server object is not used: it waits out its whole grace period however idle it is, and goes on
//! without a listener whose address is taken. Here all services share one runtime, every socket is bound before
//! anything starts, and a shutdown ends as soon as the last request has its answer.
//!
//! The way of a configuration through the files: `edition` makes one ready, `reload` brings it into force under running
//! requests, `restart` knows what that can't change, `live` shows what is in force. The way of a process: `orders` are
//! its signals, `ending` is what they lead to, `upgrade` lets it take over from another, `notify` tells systemd.

mod crypto_pool;
mod edition;
mod ending;
mod live;
mod notify;
mod orders;
mod reload;
mod restart;
mod revocations;
mod sockets;
mod stores;
mod upgrade;

pub use upgrade::UpgradeError;

use crate::admin::{self, Admin, AdminToken, Operator, ReloadCause, ReloadOutcome, ReloadReport, Source};
use crate::authn::{DpopNonces, ProofKeys, ReplayGuard, VerdictCache};
use crate::clock::{Clock, SystemClock, UnixTime};
use crate::config::{Inputs, Loaded};
use crate::decision::{Recollection, Snapshot};
use crate::issuer::http::KeyFetcher;
use crate::limit::LimitMemory;
use crate::observe::Observer;
use crate::proxy::{self, Connections, InFlight, Shared};
use crate::store::{EmbeddedStore, RedisStore, RevocationFileError, SettingsError, StoreError};
use crate::telemetry::audit::{Audit, AuditSetupError};
use crate::telemetry::{Metrics, logs};
use crate::tls::TlsSetupError;
use crate::upstream::{UpstreamError, Upstreams};
use arc_swap::{ArcSwap, ArcSwapOption};
use crypto_pool::{CryptoPool, QUEUE_PER_THREAD};
use edition::Edition;
use ending::Running;
use live::{Live, Standing};
use log::info;
use notify::ServiceManager;
use orders::{Order, Orders};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use reload::{Reloader, Reloads, Waiting};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
/// How many counters of rates, and how many of refused tokens: some 100 bytes each.
const LIMIT_COUNTERS: usize = 200_000;
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
    /// There is no process to take over from.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// The cryptographic library gives no randomness.
    #[error("the cryptographic library gives no randomness")]
    Randomness(#[from] openssl::error::ErrorStack),
}

/// Serves until the process is told to end: SIGTERM drains, SIGINT ends at once, SIGHUP reloads. `inputs` is what
/// `loaded` was read from: a change of it reloads too. With `upgrade` it takes the sockets of the process that serves now,
/// which then drains and ends.
pub fn run(loaded: Loaded, inputs: Inputs, upgrade: bool) -> Result<(), AppError> {
    logs::install(loaded.log);
    let threads = loaded.server.threads.max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let app = App::assemble(loaded)?;
    let served = runtime.block_on(app.serve(inputs, upgrade));
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
    embedded: Option<Arc<EmbeddedStore>>,
    live: Arc<Live>,
    connections: Connections,
    /// Taken when it starts.
    reloader: Option<(Reloader, Waiting)>,
}

impl App {
    fn assemble(loaded: Loaded) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let nonces = Arc::new(DpopNonces::random()?);
        let threads = loaded.server.threads.max(1);
        let Stores { claims, redis, embedded, revocations } = Stores::of(&loaded, &clock, &metrics)?;
        let memory = Arc::new(Recollection {
            replay: ReplayGuard::new(claims, LOCAL_CLAIMS),
            proof_keys: ProofKeys::new(PROOF_KEYS),
            limits: LimitMemory::new(LIMIT_COUNTERS),
            workshop: Arc::new(CryptoPool::start(threads, threads * QUEUE_PER_THREAD)?),
            verdicts: VerdictCache::new(loaded.verdicts.entries, loaded.verdicts.bytes)?,
            revocations,
        });
        let audit = loaded.audit.clone().map(|settings| Audit::start(settings, &clock, &metrics));
        let audit = audit.transpose()?.map(Arc::new);
        let path = loaded.files.first().cloned().unwrap_or_default();
        let first = Edition::build(loaded, GENERATION, &nonces, &metrics)?;
        let fetcher = KeyFetcher::new(Arc::clone(&clock), Arc::clone(&metrics) as Arc<dyn Observer>);
        fetcher.follow(&first.remote_keys);
        Self::around(first, Parts { metrics, clock, nonces, redis, embedded, memory, fetcher, audit, path })
    }

    /// The gateway around its first edition.
    fn around(first: Edition, parts: Parts) -> Result<Self, AppError> {
        let Parts { metrics, clock, nonces, redis, embedded, memory, fetcher, audit, path } = parts;
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
            draining: AtomicBool::new(false),
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
        let (terms, connections) = (listening.terms, listening.connections);
        let reloader = Reloader { path, started: settings, live: Arc::clone(&live), terms, admin_terms, token, nonces };
        let reloader = Some((reloader, waiting));
        Ok(Self { services, addresses, redis, embedded, live, connections, reloader })
    }

    async fn serve(mut self, inputs: Inputs, upgrade: bool) -> Result<(), AppError> {
        let runtime_dir = self.live.shared.settings.runtime_dir.clone();
        let predecessor = if upgrade { Some(upgrade::ask(&runtime_dir).await?) } else { None };
        let (predecessor, inherited) = predecessor.map_or_else(Default::default, |(old, sockets)| (Some(old), sockets));
        let (sockets, kept) = sockets::bind(&self.addresses, inherited)?;
        let mut orders = Orders::new()?;
        // Nobody tells the fetcher to stop: requests that are drained may need a key. It ends with the runtime.
        let (_fetching, fetch) = watch::channel(false);
        let fetcher = self.live.fetcher.clone();
        tokio::spawn(async move { fetcher.run(fetch).await });
        self.look_around().await;
        self.follow_revocations().await?;
        self.live.shared.generation.load().upstreams.keep();
        if let Some(predecessor) = predecessor {
            self.take_over(predecessor.relieve(&runtime_dir).await?).await?;
        }
        let mut successors = upgrade::wait(&runtime_dir, kept);
        let (ending, watch) = watch::channel(false);
        let mut services = JoinSet::new();
        for service in std::mem::take(&mut self.services) {
            services.spawn(start(service, Arc::clone(&sockets), watch.clone()));
        }
        let manager = ServiceManager::of_this_process();
        if let Some((reloader, waiting)) = self.reloader.take() {
            tokio::spawn(reloader.run(inputs, waiting, manager.clone()));
        }
        let addresses: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        info!("serving on {}", addresses.join(", "));
        manager.ready();
        let order = orders.wait(&self.live.reloads, &mut successors, &mut services).await;
        drop(successors);
        let mut running = Running { services, ending, orders };
        match order {
            Order::Drain => self.end(&mut running, &manager).await,
            Order::HandOver(successor) => self.hand_over(successor, &mut running, &manager).await,
            Order::Quit => {}
        }
        if let Some(audit) = &self.live.shared.audit {
            audit.close().await;
        }
        Ok(())
    }

    /// Begins where the process before has stopped, which was at `stopped`.
    async fn take_over(&self, stopped: UnixTime) -> Result<(), AppError> {
        let now = self.live.shared.clock.now();
        if let Some(store) = &self.embedded {
            store.begin(now.max(stopped));
        }
        // Up to that moment the other one may have written to the file of revocations.
        self.live.shared.memory.revocations.load(now).await.map_err(AppError::RevocationsUnread)
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
    embedded: Option<Arc<EmbeddedStore>>,
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
