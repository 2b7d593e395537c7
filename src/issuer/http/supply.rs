//! One source of keys at work: what it holds, who follows it, and one fetch from beginning to end.

use super::RemoteKeys;
use super::client::{Client, FetchError};
use super::desk::{Desk, Order, Ticket};
use super::snapshot;
use super::source::{Access, KeySource};
use crate::clock::UnixTime;
use crate::issuer::keys::RefetchSignal;
use crate::issuer::refresh::{Jitter, Refresh};
use crate::issuer::{IssuerProfile, KeySnapshot, metadata};
use crate::jose::VerificationKeySet;
use crate::observe::FetchResult;
use reqwest::Url;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What requests ring when a token names a key that is not there.
pub(super) struct Bell {
    rung: AtomicBool,
    wake: Arc<Notify>,
}

impl RefetchSignal for Bell {
    fn keys_wanted(&self) {
        // The load spares a flood of requests from fighting over one cache line; only the first ring wakes anyone.
        if !self.rung.load(Ordering::Relaxed) && !self.rung.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }
}

/// The keys held, ready to be handed to every follower.
#[derive(Clone)]
struct Held {
    set: Arc<VerificationKeySet>,
    generation: u64,
}

/// Where the metadata said the keys are.
#[derive(Clone)]
struct Located {
    url: Url,
    at: UnixTime,
}

/// How the last fetch ended.
#[derive(Clone, Debug)]
pub struct LastFetch {
    /// When it ended.
    pub at: UnixTime,
    /// How.
    pub result: FetchResult,
    /// What was wrong; without any content of the answer.
    pub error: Option<String>,
}

/// What changes in a supply.
struct State {
    refresh: Refresh,
    held: Option<Held>,
    followers: Vec<Arc<IssuerProfile>>,
    client: Client,
    timeout: Duration,
    snapshot: Option<PathBuf>,
    located: Option<Located>,
    last: Option<LastFetch>,
}

/// One source of keys and everything known of it. Issuers with the same source and the same access share it.
pub(super) struct Supply {
    source: KeySource,
    access: Access,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

/// What a fetch brought.
pub(super) struct Fetched {
    set: VerificationKeySet,
    body: Arc<[u8]>,
    max_age: Option<Duration>,
    located: Located,
}

impl Supply {
    pub(super) fn new(keys: &RemoteKeys, wake: Arc<Notify>) -> Self {
        let state = State {
            refresh: Refresh::new(keys.settings.refresh),
            held: None,
            followers: Vec::new(),
            client: keys.client.clone(),
            timeout: keys.settings.timeout,
            snapshot: None,
            located: None,
            last: None,
        };
        let bell = Arc::new(Bell { rung: AtomicBool::new(false), wake });
        Self { source: keys.source.clone(), access: keys.client.access().clone(), bell, state: Mutex::new(state) }
    }

    /// Whether these keys come from here.
    pub(super) fn serves(&self, keys: &RemoteKeys) -> bool {
        self.source == keys.source && self.access == *keys.client.access()
    }

    /// Puts `followers` in the place of those before, and hands them what is held. Where they differ in their settings
    /// the strictest count for all: there is one fetch, and it must be right for each.
    pub(super) fn follow(&self, followers: Vec<(Arc<IssuerProfile>, &RemoteKeys)>) {
        let mut state = self.lock();
        let settings = followers.iter().map(|(_, keys)| &keys.settings);
        if let Some(policy) =
            settings.clone().map(|s| s.refresh).reduce(crate::issuer::refresh::RefreshPolicy::stricter)
        {
            state.refresh.set_policy(policy);
        }
        state.timeout = settings.clone().map(|s| s.timeout).min().unwrap_or(state.timeout);
        state.snapshot = settings.clone().find_map(|s| s.snapshot.clone());
        if let Some((_, keys)) = followers.first() {
            state.client = keys.client.clone();
        }
        state.followers = followers.into_iter().map(|(profile, _)| profile).collect();
        for follower in &state.followers {
            follower.keys.on_wanted(Arc::clone(&self.bell) as Arc<dyn RefetchSignal>);
        }
        state.publish();
    }

    /// Takes up the set on disk, if nothing better is held. A file that can't be used is no reason not to start.
    pub(super) fn restore(&self, now: UnixTime, generations: &AtomicU64) {
        let mut state = self.lock();
        let Some(path) = state.snapshot.clone().filter(|_| state.held.is_none()) else { return };
        let saved = match snapshot::load(&path, self.source.as_str()) {
            Ok(Some(saved)) => saved,
            Ok(None) => return,
            Err(error) => return log::warn!("key snapshot {} is not used: {error}", path.display()),
        };
        let set = match metadata::key_set(&saved.jwks) {
            Ok(set) => set,
            Err(error) => return log::warn!("key snapshot {} is not used: {error}", path.display()),
        };
        if state.refresh.restore(metadata::fingerprint(&set), saved.fetched_at, now).is_none() {
            return log::warn!("key snapshot {} is not used: it is too old, or from the future", path.display());
        }
        log::info!("{} keys for {} from {}", set.len(), state.names(), path.display());
        state.held = Some(Held { set: Arc::new(set), generation: next(generations) });
        state.publish();
    }

    /// Begins a fetch if one may begin now.
    pub(super) fn begin(&self, now: UnixTime, ordered: bool) -> bool {
        let mut state = self.lock();
        let wanted = self.bell.rung.load(Ordering::Acquire);
        let begun = if ordered { state.refresh.begin_ordered(now) } else { state.refresh.begin(now, wanted) };
        if begun {
            self.bell.rung.store(false, Ordering::Release);
        }
        begun
    }

    /// When the next fetch may begin; `None` while one is under way.
    pub(super) fn next_at(&self, now: UnixTime) -> Option<UnixTime> {
        self.lock().refresh.next_at(now, self.bell.rung.load(Ordering::Acquire))
    }

    /// How many fetches were begun, and whether the last of them is under way.
    pub(super) fn progress(&self) -> (u64, bool) {
        self.lock().refresh.progress()
    }

    /// Whether a first attempt was made, or keys are held without one.
    pub(super) fn is_tried(&self) -> bool {
        let state = self.lock();
        state.last.is_some() || state.held.is_some()
    }

    /// One fetch: metadata where needed, then keys.
    pub(super) async fn fetch(
        &self,
        desk: &Desk,
        ticket: Ticket,
        now: UnixTime,
        ordered: bool,
    ) -> Result<Fetched, FetchError> {
        let (client, timeout, located, policy, failing, cold) = {
            let state = self.lock();
            let (failing, cold) = (state.refresh.failures() > 0, state.held.is_none());
            (state.client.clone(), state.timeout, state.located.clone(), state.refresh.policy(), failing, cold)
        };
        let order = Order { client: &client, timeout, cooldown: policy.cooldown, ticket, ordered, cold };
        let recent = |known: &Located| !failing && known.at.plus(policy.refresh) > now;
        let located = match self.source.keys_url() {
            Some(url) => Located { url: url.clone(), at: now },
            None => match located.filter(recent) {
                Some(known) => known,
                None => self.locate(desk, &order, now).await?,
            },
        };
        let document = desk.document(&located.url, &order).await?;
        let set = metadata::key_set(&document.body)?;
        Ok(Fetched { set, body: document.body, max_age: document.max_age, located })
    }

    /// Asks the metadata where the keys are. While the metadata's server is out of order, what it said last holds.
    async fn locate(&self, desk: &Desk, order: &Order<'_>, now: UnixTime) -> Result<Located, FetchError> {
        let issuer = self.source.issuer().unwrap_or_default();
        let [openid, oauth] = self.source.metadata_urls();
        let document = match desk.document(&openid, order).await {
            Err(error) if error.is_absence() => desk.document(&oauth, order).await,
            other => other,
        };
        let known = self.lock().located.clone();
        match (document, known) {
            (Ok(document), _) => {
                let uri = metadata::jwks_uri(&document.body, issuer)?;
                let url = Url::parse(&uri).map_err(|_| super::SourceError::Malformed)?;
                self.access.permit(&url)?;
                Ok(Located { url, at: now })
            }
            (Err(error), Some(known)) if error.is_outage() => Ok(known),
            (Err(error), _) => Err(error),
        }
    }

    /// Ends a fetch: keeps and hands on what it brought, or keeps what there was.
    pub(super) fn land(
        &self,
        outcome: Result<Fetched, FetchError>,
        now: UnixTime,
        jitter: Jitter,
        generations: &AtomicU64,
    ) -> Landing {
        let mut state = self.lock();
        let (result, error, body) = match outcome {
            Ok(fetched) => {
                let (result, body) = state.adopt(fetched, now, jitter, generations);
                (result, None, Some(body))
            }
            Err(error) => {
                state.refresh.failed(now, jitter);
                (error.result(), Some(error.to_string()), None)
            }
        };
        state.report(result, error.as_deref(), &self.source, now);
        state.last = Some(LastFetch { at: now, result, error });
        let save = state.snapshot.clone().zip(body);
        Landing { result, followers: state.followers.clone(), save, source: self.source.as_str().into() }
    }

    /// What the admin interface and the metrics show, a line for each follower.
    pub(super) fn status(&self, now: UnixTime) -> Vec<super::IssuerStatus> {
        let state = self.lock();
        let line = |profile: &Arc<IssuerProfile>| super::IssuerStatus {
            issuer: Arc::clone(&profile.name),
            source: self.source.shown(),
            keys: profile.keys.verification(now).map_or(0, |snapshot| snapshot.set.len()),
            skipped: state.held.as_ref().map_or(0, |held| held.set.skipped()),
            generation: state.held.as_ref().map_or(0, |held| held.generation),
            age: state.refresh.fetched_at().map(|at| now.since(at)),
            usable: profile.keys.verification(now).is_some(),
            failures: state.refresh.failures(),
            last: state.last.clone(),
        };
        state.followers.iter().map(line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under the lock, so the state after a panic elsewhere is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be told and done after a fetch, outside the lock.
pub(super) struct Landing {
    pub(super) result: FetchResult,
    pub(super) followers: Vec<Arc<IssuerProfile>>,
    pub(super) save: Option<(PathBuf, Arc<[u8]>)>,
    pub(super) source: String,
}

impl State {
    fn adopt(
        &mut self,
        fetched: Fetched,
        now: UnixTime,
        jitter: Jitter,
        generations: &AtomicU64,
    ) -> (FetchResult, Arc<[u8]>) {
        let arrival = self.refresh.arrived(now, metadata::fingerprint(&fetched.set), fetched.max_age, jitter);
        let kept = self.held.as_ref().filter(|_| !arrival.new_generation).map(|held| held.generation);
        let generation = kept.unwrap_or_else(|| next(generations));
        self.held = Some(Held { set: Arc::new(fetched.set), generation });
        self.located = Some(fetched.located);
        self.publish();
        let result = if arrival.new_generation { FetchResult::Changed } else { FetchResult::Unchanged };
        (result, fetched.body)
    }

    /// Hands what is held to every follower.
    fn publish(&self) {
        let Some(held) = &self.held else { return };
        for follower in &self.followers {
            let (set, generation) = (Arc::clone(&held.set), held.generation);
            follower.keys.replace(KeySnapshot { set, generation, stale_at: self.refresh.stale_at() });
        }
    }

    fn report(&self, result: FetchResult, error: Option<&str>, source: &KeySource, now: UnixTime) {
        let (names, source) = (self.names(), source.shown());
        let held = self.held.as_ref().map_or(0, |held| held.set.len());
        match (error, self.refresh.fetched_at()) {
            (None, _) if result == FetchResult::Changed => log::info!("{held} keys for {names} from {source}"),
            (None, _) => {}
            (Some(error), None) => log::warn!("no keys for {names} from {source}: {error}"),
            (Some(error), Some(at)) => {
                let age = now.since(at).as_secs();
                log::warn!("no newer keys for {names} from {source}: {error}; those held are {age} s old");
            }
        }
    }

    fn names(&self) -> String {
        self.followers.iter().map(|follower| &*follower.name).collect::<Vec<_>>().join(", ")
    }
}

/// The next generation: unique over all sources, so that no verdict outlives a source that goes and comes back.
fn next(generations: &AtomicU64) -> u64 {
    generations.fetch_add(1, Ordering::Relaxed) + 1
}
