//! The composition root: finished configuration in, a serving process out.
//!
//! The engine's own server object is not used: it waits out its whole grace period however idle it is, and goes on
//! without a listener whose address is taken. Here all services share one runtime, every socket is bound before
//! anything starts, and a shutdown ends as soon as the last request has its answer.

use crate::admin::{self, Admin, Readiness, Source};
use crate::authn::{BindingRule, DpopNonces, OnLoss, ProofKeys, ReplayGuard, ReplayMode, VerdictCache};
use crate::clock::{Clock, Stopwatch, SystemClock};
use crate::config::{Loaded, StoreSettings};
use crate::decision::{Access, Endpoints, Guard, Recollection, RoutePolicy, Snapshot};
use crate::issuer::{Form, IssuerProfile};
use crate::limit::LimitMemory;
use crate::observe::Observer;
use crate::proxy::{self, Generation, InFlight, ListenerKind, ListenerSettings, Shared};
use crate::store::{EmbeddedStore, RedisStore, SettingsError, Store};
use crate::telemetry::{Metrics, logs};
use crate::tls::TlsSetupError;
use crate::upstream::{UpstreamError, Upstreams};
use arc_swap::ArcSwap;
use log::{info, warn};
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service;
use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections the system may hold for us before we accept them.
const BACKLOG: u32 = 4096;
/// The first generation of the configuration.
const GENERATION: u64 = 1;
/// How many claims a replica remembers by itself, for routes that are `local` on the store's loss.
const LOCAL_CLAIMS: usize = 100_000;
/// How many clients' proof keys are kept imported: some 2 KiB each.
const PROOF_KEYS: usize = 10_000;
/// How many counters of rates, and how many of refused tokens: some 100 bytes each.
const LIMIT_COUNTERS: usize = 200_000;
/// How often a shutdown looks whether the last request is done.
const DRAIN_STEP: Duration = Duration::from_millis(20);

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
    /// The cryptographic library gives no randomness.
    #[error("the cryptographic library gives no randomness")]
    Randomness(#[from] openssl::error::ErrorStack),
}

/// Serves until the process is told to end: SIGTERM drains, SIGINT ends at once.
pub fn run(loaded: Loaded) -> Result<(), AppError> {
    logs::install(loaded.log);
    let threads = loaded.server.threads.max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let app = App::assemble(loaded)?;
    let served = runtime.block_on(app.serve());
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
    shared: Arc<Shared>,
    draining: Arc<AtomicBool>,
}

impl App {
    fn assemble(mut loaded: Loaded) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        metrics.generation(GENERATION, true);
        note_certificates(&loaded.listeners, &metrics);
        let (store, redis) = store(&loaded.store, &clock, &metrics)?;
        let memory = Arc::new(Recollection {
            replay: ReplayGuard::new(store, LOCAL_CLAIMS),
            proof_keys: ProofKeys::new(PROOF_KEYS),
            limits: LimitMemory::new(LIMIT_COUNTERS),
            verdicts: VerdictCache::new(loaded.verdicts.entries, loaded.verdicts.bytes)?,
        });
        let (listeners, admin_settings, settings) =
            (loaded.listeners.clone(), loaded.admin.clone(), loaded.server.clone());
        let upstreams = Arc::new(Upstreams::new(std::mem::take(&mut loaded.upstreams), GENERATION)?);
        let endpoints = Arc::clone(&upstreams) as Arc<dyn Endpoints>;
        let snapshot = loaded.into_snapshot(GENERATION, endpoints, Arc::new(DpopNonces::random()?));
        let draining = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            generation: ArcSwap::from_pointee(Generation::new(snapshot, upstreams, &metrics)),
            memory: Arc::clone(&memory),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            settings,
            listeners: listeners.clone(),
            in_flight: InFlight::default(),
            draining: Arc::clone(&draining),
        });
        let source = Live { shared: Arc::clone(&shared), draining: Arc::clone(&draining) };
        let admin = Arc::new(Admin { source: Arc::new(source), metrics, memory, clock });
        let mut services = proxy::services(&listeners, &shared)?.services;
        services.extend(admin::services(&admin_settings, &admin));
        let public = listeners.iter().map(|listener| listener.address);
        let addresses = public.chain([admin_settings.address]).chain(admin_settings.metrics_address).collect();
        Ok(Self { services, addresses, redis, shared, draining })
    }

    async fn serve(self) -> Result<(), AppError> {
        let sockets = bind(&self.addresses)?;
        let mut orders = Orders::new()?;
        if let Some(redis) = &self.redis {
            // Readiness asks for the connection before any request does. Without one the gateway starts all the same:
            // what does not need the store is served, and the store goes on trying.
            let _ = redis.connect().await;
        }
        self.shared.generation.load().upstreams.keep();
        let (ending, watch) = watch::channel(false);
        let mut running = JoinSet::new();
        for service in self.services {
            running.spawn(start(service, Arc::clone(&sockets), watch.clone()));
        }
        let addresses: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        info!("serving on {}", addresses.join(", "));
        let settings = &self.shared.settings;
        if orders.wait(&mut running).await == Order::Drain {
            self.draining.store(true, Ordering::Release);
            info!(
                "draining: not ready for {:?}, then {:?} for requests in flight",
                settings.drain_delay, settings.shutdown_grace
            );
            tokio::time::sleep(settings.drain_delay).await;
            // A closed channel means that nothing runs any more.
            let _ = ending.send(true);
            drain(&self.shared.in_flight, settings.shutdown_grace, &mut running).await;
        }
        Ok(())
    }
}

async fn start(mut service: Box<dyn Service>, sockets: ListenFds, ending: ShutdownWatch) {
    service.start_service(Some(sockets), ending, 1).await;
}

/// The store of `settings`, and once more where it is a Redis, which is connected inside the runtime.
#[expect(clippy::type_complexity, reason = "the pair is taken apart by its only caller")]
fn store(
    settings: &StoreSettings,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Store>, Option<Arc<RedisStore>>), SettingsError> {
    let observer = Arc::clone(metrics) as Arc<dyn Observer>;
    match settings {
        StoreSettings::Embedded { max_entries } => {
            let store = EmbeddedStore::new(*max_entries, clock.now()).observed(observer);
            Ok((Arc::new(store), None))
        }
        StoreSettings::Redis(settings) => {
            let redis = Arc::new(RedisStore::new((**settings).clone(), Arc::clone(clock), observer)?);
            Ok((Arc::clone(&redis) as Arc<dyn Store>, Some(redis)))
        }
    }
}

/// Binds every address, so that one that is taken is told before anything is served.
fn bind(addresses: &[SocketAddr]) -> Result<ListenFds, AppError> {
    let mut sockets = Fds::new();
    for address in addresses {
        let listener = listen(*address).map_err(|error| AppError::Listen(*address, error))?;
        sockets.add(address.to_string(), listener.into_raw_fd());
    }
    Ok(Arc::new(sockets.into()))
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Waits until no request is served any more, at most for `grace`.
async fn drain(in_flight: &InFlight, grace: Duration, running: &mut JoinSet<()>) {
    let watch = Stopwatch::start();
    while watch.elapsed() < grace && in_flight.now() > 0 {
        tokio::time::sleep(DRAIN_STEP).await;
    }
    let left = grace.saturating_sub(watch.elapsed()).min(Duration::from_secs(1));
    // Listeners that do not close in time are cut with the runtime.
    let _ = tokio::time::timeout(left, async { while running.join_next().await.is_some() {} }).await;
    match in_flight.now() {
        0 => info!("drained in {:?}", watch.elapsed()),
        cut => warn!("{cut} requests were cut after {grace:?}"),
    }
}

/// What the process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// To end once the requests in flight are answered.
    Drain,
    /// To end now.
    Quit,
}

/// The signals of the process.
struct Orders {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Orders {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for an order. A service that ends by itself, which none does, ends the process too.
    async fn wait(&mut self, running: &mut JoinSet<()>) -> Order {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Drain,
                _ = self.interrupt.recv() => return Order::Quit,
                _ = self.hangup.recv() => warn!("reload is not supported in this version; restart to apply changes"),
                _ = running.join_next() => {
                    warn!("a service ended by itself");
                    return Order::Quit;
                }
            }
        }
    }
}

fn note_certificates(listeners: &[ListenerSettings], metrics: &Metrics) {
    for listener in listeners {
        let ListenerKind::Tls(settings) = &listener.kind else { continue };
        for certificate in &settings.certificates {
            if let (Some(name), Some(expires_at)) = (certificate.names().first(), certificate.expires_at()) {
                metrics.certificate(name, expires_at);
            }
        }
    }
}

/// What the admin API shows of the running gateway.
struct Live {
    shared: Arc<Shared>,
    draining: Arc<AtomicBool>,
}

impl Live {
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
        if self.draining.load(Ordering::Acquire) {
            readiness.ready = false;
            readiness.reasons.push("draining: the process is about to end".to_owned());
        }
        let wants_store = snapshot.policies.iter().any(claims);
        if let (true, Err(error)) = (wants_store, self.store().condition()) {
            readiness.ready &= !snapshot.policies.iter().any(is_closed);
            readiness.reasons.push(format!("the nonce store does not answer: {error}"));
        }
        let keyless = issuers(&snapshot, &*self.shared.clock).into_iter().filter(|(_, keys)| *keys == 0);
        readiness.reasons.extend(keyless.map(|(name, _)| format!("issuer {name} has no keys that may be believed")));
        readiness
    }

    fn refresh(&self, metrics: &Metrics) {
        metrics.store_degraded(self.store().condition().is_err());
        if let Some(epoch) = self.store().epoch() {
            metrics.store_epoch(epoch);
        }
        for (name, keys) in issuers(&self.snapshot(), &*self.shared.clock) {
            metrics.issuer(&name, keys);
        }
        let generation = self.shared.generation.load();
        let endpoints = generation.upstreams.iter().flat_map(|pool| {
            pool.endpoints().map(|(endpoint, well)| (&**pool.name(), endpoint, well)).collect::<Vec<_>>()
        });
        metrics.endpoints(endpoints);
    }
}

/// True where no request passes without a claim: one-time tokens, or proofs, which are one-time everywhere.
fn claims(policy: &RoutePolicy) -> bool {
    let always = |guard: &Guard| guard.replay != ReplayMode::None || guard.binding == BindingRule::Dpop;
    matches!(&policy.access, Access::Guarded(guard) if always(guard))
}

fn is_closed(policy: &RoutePolicy) -> bool {
    claims(policy) && matches!(&policy.access, Access::Guarded(guard) if guard.on_loss == OnLoss::Closed)
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
