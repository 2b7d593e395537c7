//! The one decision over the issuers under attack, asked without any network.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tollgate::authn::{OnTheSpot, ProofKeys, ReplayGuard, Revocations, VerdictCache};
use tollgate::clock::UnixTime;
use tollgate::config::{self, Environment};
use tollgate::decision::{Denial, Memory, Permit, Recollection, Snapshot, Trace, decide};
use tollgate::issuer::KeySnapshot;
use tollgate::jose::VerificationKeySet;
use tollgate::observe::{ClaimResult, Observer};
use tollgate::request::{Facts, TransportFacts};
use tollgate::secret::Secret;
use tollgate::store::EmbeddedStore;

use super::issuers::Keys;
use crate::common::Config;

/// The moment at which every request of a world is judged.
pub const NOW: i64 = 1_700_000_000;

/// What a decision comes to.
pub type Verdict = Result<Permit, Denial>;

/// A gateway's decision without the gateway.
pub struct World {
    pub keys: Keys,
    pub snapshot: Snapshot,
    pub memory: Recollection,
    pub observer: Counting,
    _files: Config,
}

/// Counts cryptographic openings and answers of the verdict cache.
#[derive(Default)]
pub struct Counting {
    openings: AtomicUsize,
    hits: AtomicUsize,
}

impl Counting {
    pub fn openings(&self) -> usize {
        self.openings.load(Ordering::Relaxed)
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }
}

impl Observer for Counting {
    fn verified(&self, _: &'static str, _: Duration) {
        self.openings.fetch_add(1, Ordering::Relaxed);
    }
    fn claimed(&self, _: &'static str, _: ClaimResult) {}
    fn verdict_cache(&self, result: &'static str) {
        if result == "hit" {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl World {
    /// A world of the configuration that a gateway would run with.
    pub fn new() -> Self {
        let keys = Keys::new(NOW);
        let files = keys.configure(Config::new(), "http://127.0.0.1:9");
        let loaded = config::load_with(&files.write(), &Scene).unwrap_or_else(|faults| panic!("{faults}"));
        let store = Arc::new(EmbeddedStore::new(1000, UnixTime::from_seconds(NOW - 3600)));
        Self {
            keys,
            snapshot: tollgate::app::snapshot(loaded).unwrap(),
            memory: Recollection {
                replay: ReplayGuard::new(store, 100),
                verdicts: VerdictCache::new(1000, 1 << 24).unwrap(),
                proof_keys: ProofKeys::new(100),
                limits: tollgate::limit::LimitMemory::new(1000),
                workshop: Arc::new(OnTheSpot),
                revocations: Arc::new(Revocations::unkept()),
            },
            observer: Counting::default(),
            _files: files,
        }
    }

    /// Decides over `GET path` with `token` as a bearer credential.
    pub fn decide(&self, path: &str, token: &str) -> Verdict {
        self.decide_at(NOW, path, token)
    }

    /// As [`decide`](Self::decide), at another moment.
    pub fn decide_at(&self, now: i64, path: &str, token: &str) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        let facts = Facts {
            now: UnixTime::from_seconds(now),
            method: &Method::GET,
            authority: Some("api.example.test"),
            path: path.as_bytes(),
            query: None,
            headers: &headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: &TransportFacts::default(),
        };
        let mut trace = Trace::off();
        block_on(decide(&self.snapshot, Memory::Live(&self.memory), &facts, &self.observer, &mut trace))
    }

    /// Gives `issuer` these public keys as a new generation.
    pub fn replace_keys(&self, issuer: &str, keys: &[Value], generation: u64, stale_at: Option<UnixTime>) {
        let set = json!({ "keys": keys }).to_string();
        let set = VerificationKeySet::parse(set.as_bytes(), 64).unwrap();
        let (_, profile) = self.snapshot.issuers.iter().find(|(_, profile)| &*profile.name == issuer).unwrap();
        profile.keys.replace(KeySnapshot { set: Arc::new(set), generation, stale_at });
    }
}

/// The secrets that the configuration names.
struct Scene;

impl Environment for Scene {
    fn variable(&self, _: &str) -> Option<Secret<Vec<u8>>> {
        Some(Secret::new(crate::common::config::ADMIN_TOKEN.as_bytes().to_vec()))
    }
}

/// Everything a decision awaits here answers at once.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
