//! An issuer with keys, the gateway's view of it, and a clock that can be set.

use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tollgate::authn::token::{self, TokenError};
use tollgate::clock::{Clock, SystemClock, UnixTime};
use tollgate::issuer::http::{Addresses, FetchSettings, IssuerStatus, KeyFetcher, KeySource, Lookup, RemoteKeys};
use tollgate::issuer::refresh::RefreshPolicy;
use tollgate::issuer::{Form, IssuerId, IssuerProfile, KeyRing, Registry, TokenContract};
use tollgate::jose::sign::{generate, public_jwk, sign_compact};
use tollgate::jose::{ContentEncryption, SigningAlgorithm};
use tollgate::observe::{ClaimResult, FetchResult, Observer, Silent};

/// A private key of an issuer.
pub fn key(kid: &str) -> Value {
    let mut key = generate("ES256", ContentEncryption::A256GCM).unwrap();
    key["kid"] = kid.into();
    key
}

/// What an issuer publishes of `keys`.
pub fn jwks(keys: &[&Value]) -> Value {
    json!({ "keys": keys.iter().map(|key| public_jwk(key).unwrap()).collect::<Vec<_>>() })
}

/// The issuer's name in `iss` of every test token.
pub const ISS: &str = "https://idp.test";

/// A token of [`ISS`], signed by `key`.
pub fn token(key: &Value) -> String {
    named_token(key, key["kid"].as_str().unwrap())
}

/// A token whose header names `kid`, whatever key signed it.
pub fn named_token(key: &Value, kid: &str) -> String {
    let header: Map<String, Value> =
        [("alg", "ES256"), ("kid", kid)].map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
    let claims = json!({ "iss": ISS, "aud": "api", "exp": 4_000_000_000_u64 });
    sign_compact(&header, claims.to_string().as_bytes(), key).unwrap()
}

/// A clock that stands, or moves on with the system's, and can be set forward.
#[derive(Default)]
pub struct TestClock {
    ahead_millis: AtomicI64,
}

impl TestClock {
    pub fn forward(&self, by: Duration) {
        self.ahead_millis.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        let ahead = self.ahead_millis.load(Ordering::SeqCst);
        SystemClock.now().plus(Duration::from_millis(u64::try_from(ahead).unwrap()))
    }
}

/// Names of the test's own, and how often each was asked for.
#[derive(Default)]
pub struct Names {
    pub addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
    pub asked: AtomicUsize,
}

impl Names {
    pub fn of(entries: &[(&str, &[&str])]) -> Arc<Self> {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let addresses = entries.iter().map(|(name, texts)| ((*name).to_owned(), parse(texts))).collect();
        Arc::new(Self { addresses: Mutex::new(addresses), asked: AtomicUsize::new(0) })
    }
}

impl Lookup for Names {
    fn addresses(&self, name: &str) -> Addresses {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.addresses.lock().unwrap().get(name).cloned();
        Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

/// Counts the results of fetches by issuer.
#[derive(Default)]
pub struct Results(pub Mutex<Vec<(String, FetchResult)>>);

impl Observer for Results {
    fn verified(&self, _: &'static str, _: Duration) {}
    fn claimed(&self, _: &'static str, _: ClaimResult) {}
    fn verdict_cache(&self, _: &'static str) {}
    fn issuer_fetch(&self, issuer: &str, result: FetchResult) {
        self.0.lock().unwrap().push((issuer.to_owned(), result));
    }
}

/// Settings for loopback with a cooldown that tests can wait for.
pub fn settings(cooldown: Duration) -> FetchSettings {
    FetchSettings { refresh: RefreshPolicy { cooldown, ..RefreshPolicy::default() }, ..FetchSettings::default() }
}

/// Half a minute, as in production: longer than any test, so that nothing is fetched twice by itself.
pub fn long() -> FetchSettings {
    settings(Duration::from_secs(30))
}

/// Keys at a URL.
pub fn at(url: &str, settings: FetchSettings) -> RemoteKeys {
    RemoteKeys::new(KeySource::jwks(url).unwrap(), settings).unwrap()
}

/// The gateway: a fetcher that runs, and issuers that follow it.
pub struct World {
    pub clock: Arc<TestClock>,
    pub fetcher: KeyFetcher,
    pub results: Arc<Results>,
    pub registry: Registry,
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

/// The longest wait for anything that is expected to happen.
const SOON: Duration = Duration::from_secs(20);

impl World {
    /// Issuers `i0`, `i1`, … with these keys. Fetching begins with [`Self::run`].
    pub fn new(keys: Vec<RemoteKeys>) -> Self {
        let (clock, results) = (Arc::new(TestClock::default()), Arc::new(Results::default()));
        let fetcher = KeyFetcher::new(Arc::clone(&clock) as _, Arc::clone(&results) as _);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut world =
            Self { clock, fetcher, results, registry: Registry::default(), runtime, stop: watch::Sender::new(false) };
        world.follow(keys);
        world
    }

    /// The same, with the first fetches done.
    pub fn started(keys: Vec<RemoteKeys>) -> Self {
        let world = Self::new(keys);
        world.run();
        world.first_round();
        world
    }

    /// As after a reload: new issuers in the place of the old.
    pub fn follow(&mut self, keys: Vec<RemoteKeys>) {
        let profiles: Vec<_> = (0..keys.len()).map(profile).collect();
        self.fetcher.follow(&profiles.iter().cloned().zip(keys).collect::<Vec<_>>());
        self.registry = Registry::new(profiles);
    }

    pub fn run(&self) {
        let (fetcher, stop) = (self.fetcher.clone(), self.stop.subscribe());
        self.runtime.spawn(async move { fetcher.run(stop).await });
    }

    pub fn first_round(&self) {
        assert!(self.runtime.block_on(self.fetcher.first_round(SOON)), "no first round");
    }

    pub fn refresh_now(&self) -> Vec<IssuerStatus> {
        self.runtime.block_on(self.fetcher.refresh_now(SOON))
    }

    pub fn status(&self, issuer: usize) -> IssuerStatus {
        let name = format!("i{issuer}");
        self.fetcher.status().into_iter().find(|status| *status.issuer == *name).unwrap()
    }

    /// The result of the last fetch for an issuer.
    pub fn last(&self, issuer: usize) -> FetchResult {
        self.status(issuer).last.unwrap().result
    }

    /// What the gateway says to a request with a token of this issuer, and does about a key that is missing.
    pub fn judge(&self, issuer: usize, token: &str) -> Result<(), TokenError> {
        let id = IssuerId::new(issuer);
        let Err(refused) = token::open(&self.registry, &[id], token, self.clock.now(), &Silent) else { return Ok(()) };
        if refused.newer_keys_may_help {
            self.registry.profile(id).unwrap().keys.want_newer();
        }
        Err(refused.error)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn profile(index: usize) -> Arc<IssuerProfile> {
    Arc::new(IssuerProfile {
        name: format!("i{index}").into(),
        issuer: ISS.into(),
        audiences: vec!["api".to_owned()],
        contract: TokenContract::new(Form::Signed, vec![SigningAlgorithm::ES256]),
        keys: KeyRing::new(None, None),
    })
}
