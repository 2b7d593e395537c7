//! Keys over the wire: JWKS (RFC 7517 §5) and the metadata that names them (OpenID Connect Discovery, RFC 8414).
//!
//! No request waits for a fetch. A token with an unknown key is refused at once and rings a bell; one background task
//! hears it, and asks the issuer when the cooldown of [`super::refresh`] permits. What arrives is put into the rings
//! of all issuers that follow the source. An issuer that is down, slow or lying harms itself alone: its last good keys
//! serve until they are too old, and everybody else is served as before.
//!
//! The way of a fetch through the files: [`KeyFetcher`] decides when; `supply` holds what one source has; `desk` lets
//! each URL be asked once at a time; `client` asks, from addresses that `source` and `place` permit; `snapshot` keeps
//! the set for a cold start.

mod client;
mod desk;
mod place;
mod snapshot;
mod source;
mod supply;

pub use client::{Addresses, Lookup, SystemLookup};
pub use source::{FetchSettings, KeySource, SourceError};
pub use supply::LastFetch;

use super::IssuerProfile;
use super::refresh::Jitter;
use crate::clock::Clock;
use crate::observe::Observer;
use client::{Client, FetchError};
use desk::{Desk, Ticket};
use source::Access;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use supply::{Fetched, Supply};
use tokio::sync::{Notify, watch};

/// How long the task sleeps at most: a clock that was set forward is noticed after that.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keys that are fetched: where from, and how. Making one checks everything that can be checked without asking.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    source: KeySource,
    settings: FetchSettings,
    client: Client,
}

impl RemoteKeys {
    /// The keys of `source`. `Err` for a URL that may never be asked, and for a CA or a proxy that can't be used.
    pub fn new(source: KeySource, settings: FetchSettings) -> Result<Self, SourceError> {
        Self::with_lookup(source, settings, Arc::new(SystemLookup))
    }

    /// The same with a resolver of one's own.
    pub fn with_lookup(
        source: KeySource,
        settings: FetchSettings,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, SourceError> {
        let client = Client::new(Access::new(&source, &settings)?, lookup)?;
        Ok(Self { source, settings, client })
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// How they are fetched.
    #[must_use]
    pub fn settings(&self) -> &FetchSettings {
        &self.settings
    }
}

/// What is known of the keys of one issuer.
#[derive(Clone, Debug)]
pub struct IssuerStatus {
    /// The issuer's configured name.
    pub issuer: Arc<str>,
    /// The configured URL: of the keys, or of the issuer whose metadata names them.
    pub source: String,
    /// How many keys may be used now; 0 when they are too old.
    pub keys: usize,
    /// How many keys of the last good set are of no use here.
    pub skipped: usize,
    /// The generation of the last good set; 0 before the first.
    pub generation: u64,
    /// The age of the last good set.
    pub age: Option<Duration>,
    /// Whether there is a set that may be believed. Tokens get `keys_unavailable` while there is none.
    pub usable: bool,
    /// How many fetches in a row brought nothing.
    pub failures: u32,
    /// The last fetch.
    pub last: Option<LastFetch>,
}

/// Fetches the keys of all issuers. Cheap to clone: all clones are one.
///
/// It outlives every generation of the configuration: after a reload [`Self::follow`] hands the keys that are held to
/// the new issuers, so that a reload needs no network.
#[derive(Clone)]
pub struct KeyFetcher {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    desk: Desk,
    supplies: Mutex<Vec<Arc<Supply>>>,
    /// 1 is the generation of keys from files.
    generations: AtomicU64,
    wake: Arc<Notify>,
    /// Counts the fetches that ended.
    landings: watch::Sender<u64>,
}

impl KeyFetcher {
    /// A fetcher that nobody follows yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let inner = Inner {
            desk: Desk::new(Arc::clone(&clock)),
            clock,
            observer,
            supplies: Mutex::default(),
            generations: AtomicU64::new(1),
            wake: Arc::default(),
            landings: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Supplies `followers`, and nobody else, from now on. Issuers with the same source and the same access share one
    /// fetch. Keys that are held, or that lie in a snapshot on disk, are in the rings when this returns.
    ///
    /// It fetches nothing itself: [`Self::run`] does. The only I/O is the reading of snapshots, bounded in size.
    pub fn follow(&self, followers: &[(Arc<IssuerProfile>, RemoteKeys)]) {
        let now = self.inner.clock.now();
        let mut supplies = self.inner.supplies();
        let mut next: Vec<Arc<Supply>> = Vec::new();
        for (_, keys) in followers {
            if next.iter().any(|supply| supply.serves(keys)) {
                continue;
            }
            let known = supplies.iter().find(|supply| supply.serves(keys));
            let supply = known.cloned().unwrap_or_else(|| Arc::new(Supply::new(keys, Arc::clone(&self.inner.wake))));
            let own = followers.iter().filter(|(_, keys)| supply.serves(keys));
            supply.follow(own.map(|(profile, keys)| (Arc::clone(profile), keys)).collect());
            supply.restore(now, &self.inner.generations);
            next.push(supply);
        }
        *supplies = next;
        drop(supplies);
        self.inner.wake.notify_one();
    }

    /// Fetches whatever is due, until `stop` turns true or its sender is gone. The first fetches begin at once.
    ///
    /// One task runs this. Fetches under way when it stops come to their own end.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow_and_update() {
            let now = self.inner.clock.now();
            for supply in self.inner.all() {
                if supply.begin(now, false) {
                    self.launch(supply, false);
                }
            }
            let next = self.inner.all().iter().filter_map(|supply| supply.next_at(now)).min();
            let pause = next.map_or(LONGEST_PAUSE, |at| at.since(now)).min(LONGEST_PAUSE);
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { return },
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fetches the keys of all issuers now, cooldown or not, and waits for the answers, at most `limit`. For an
    /// operator who knows that keys have changed: what a fetch that is already under way brings may be the old ones, so
    /// another follows it. Orders that arrive meanwhile share that one.
    pub async fn refresh_now(&self, limit: Duration) -> Vec<IssuerStatus> {
        let ordered = |supply: Arc<Supply>| (supply.progress().0 + 1, supply);
        let orders: Vec<(u64, Arc<Supply>)> = self.inner.all().into_iter().map(ordered).collect();
        self.wait(limit, || orders.iter().fold(true, |done, (fetch, supply)| self.fulfil(*fetch, supply) && done))
            .await;
        self.status()
    }

    /// Whether the ordered fetch has ended; begins it once it can.
    fn fulfil(&self, fetch: u64, supply: &Arc<Supply>) -> bool {
        if supply.progress().0 < fetch && supply.begin(self.inner.clock.now(), true) {
            self.launch(Arc::clone(supply), true);
        }
        let (begun, under_way) = supply.progress();
        begun > fetch || (begun == fetch && !under_way)
    }

    /// Waits until a first fetch of every source has ended, well or not, at most `limit`; `true` if so. Sources that
    /// hold keys already are not waited for. Meant for the start: a listener that opens after this seldom has to say
    /// `keys_unavailable`, and a dead issuer delays it by `limit` at most.
    pub async fn first_round(&self, limit: Duration) -> bool {
        self.wait(limit, || self.inner.all().iter().all(|supply| supply.is_tried())).await
    }

    /// The state of each issuer's keys, for the admin interface and the metrics.
    #[must_use]
    pub fn status(&self) -> Vec<IssuerStatus> {
        let now = self.inner.clock.now();
        self.inner.all().iter().flat_map(|supply| supply.status(now)).collect()
    }

    /// Waits until `done`, which is asked at first and after each fetch that ends.
    async fn wait(&self, limit: Duration, done: impl Fn() -> bool) -> bool {
        let mut landings = self.inner.landings.subscribe();
        let all_done = async {
            while !done() {
                if landings.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, all_done).await.is_ok()
    }

    /// Starts the fetch that `supply` has begun, as a task of its own: whoever asked for it may go away.
    fn launch(&self, supply: Arc<Supply>, ordered: bool) {
        let ticket = self.inner.desk.ticket();
        let flight = Flight { inner: Arc::clone(&self.inner), supply, landed: false };
        tokio::spawn(flight.fly(ticket, ordered));
    }
}

impl Inner {
    fn supplies(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Supply>>> {
        self.supplies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Supply>> {
        self.supplies().clone()
    }
}

/// A fetch under way. However it ends, also by the end of its runtime, the supply hears of it.
struct Flight {
    inner: Arc<Inner>,
    supply: Arc<Supply>,
    landed: bool,
}

impl Flight {
    async fn fly(mut self, ticket: Ticket, ordered: bool) {
        let now = self.inner.clock.now();
        let outcome = self.supply.fetch(&self.inner.desk, ticket, now, ordered).await;
        self.land(outcome);
    }

    fn land(&mut self, outcome: Result<Fetched, FetchError>) {
        self.landed = true;
        let now = self.inner.clock.now();
        let landing = self.supply.land(outcome, now, jitter(), &self.inner.generations);
        for follower in &landing.followers {
            self.inner.observer.issuer_fetch(&follower.name, landing.result);
        }
        if let Some((path, body)) = landing.save {
            tokio::task::spawn_blocking(move || save(&path, &landing.source, now, &body));
        }
        self.inner.landings.send_modify(|count| *count = count.wrapping_add(1));
        self.inner.wake.notify_one();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.land(Err(FetchError::Unreachable("the fetch was broken off".to_owned())));
        }
    }
}

fn save(path: &Path, source: &str, fetched_at: crate::clock::UnixTime, body: &[u8]) {
    if let Err(error) = snapshot::save(path, source, fetched_at, body) {
        log::warn!("key snapshot {} was not written: {error}", path.display());
    }
}

/// Chance for [`super::refresh`]. Without randomness the fetches of replicas coincide, and nothing worse.
fn jitter() -> Jitter {
    let mut bytes = [0; 2];
    openssl::rand::rand_bytes(&mut bytes).map_or_else(|_| Jitter::default(), |()| Jitter::from_random(bytes))
}
