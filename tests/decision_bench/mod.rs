//! A snapshot with one guarded route, keys, and a clock that stands where the test puts it.

#![allow(dead_code, reason = "every test binary uses its own part of the bench")]
#![allow(clippy::unused_self, reason = "a bench that makes a forgery is asked like one that makes a token")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on must fail")]

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tollgate::authn::{
    BindingRule, DpopNonces, DpopPolicy, OnLoss, OnTheSpot, ProofKeys, ReplayGuard, ReplayMode, RevocationPolicy,
    Revocations, VerdictCache, Workshop,
};
use tollgate::clock::UnixTime;
use tollgate::decision::{
    Access, Condition, Denial, Edge, Endpoint, Endpoints, Guard, Memory, Mode, Permit, Reason, Recollection,
    RoutePolicy, Scopes, Snapshot, Trace, UpstreamId, decide,
};
use tollgate::identity::{Encoding, Firewall, Format, HeaderRule, IdentityPlan, TokenHandling};
use tollgate::issuer::{
    AcceptedTypes, Form, IssuerId, IssuerProfile, KeyRing, KeySnapshot, RefetchSignal, Registry, TokenContract,
};
use tollgate::jose::{self, ContentEncryption, DecryptionKeySet, KeyAlgorithm, SigningAlgorithm, VerificationKeySet};
use tollgate::limit::LimitMemory;
use tollgate::observe::{ClaimResult, Observer};
use tollgate::request::{Facts, TransportFacts};
use tollgate::route::{Match, Pattern, RouteId, RouteTable, RouteTableBuilder};
use tollgate::store::{
    Change, ClaimAnswer, EmbeddedStore, IfUnknown, Nonce, Receipt, Revocation, RevocationId, Store, StoreError, Target,
};

/// A path the route's condition lets through.
pub const PASSING_PATH: &str = "/orders/17";
/// The bench's time.
pub const NOW: i64 = 1_500;
const ISSUER: &str = "https://issuer.test";

/// Claims that pass at the bench's time.
pub fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": ISSUER, "aud": "https://api.test", "sub": "alice", "scope": "orders:read x", "tenant": "acme",
        "iat": 1_400, "exp": 1_600, "jti": "one",
    });
    claims.as_object().unwrap().clone()
}

/// One gateway's decision, without the gateway.
pub struct Bench {
    snapshot: Snapshot,
    memory: Recollection,
    observer: Counting,
    down: Arc<AtomicBool>,
    signing_key: Value,
    decryption_key: Value,
}

#[derive(Default)]
struct Counting {
    verifications: AtomicUsize,
    fresh: AtomicUsize,
}

impl Observer for Counting {
    fn verified(&self, _: &'static str, _: Duration) {
        self.verifications.fetch_add(1, Ordering::Relaxed);
    }
    fn claimed(&self, _: &'static str, result: ClaimResult) {
        if result == ClaimResult::Fresh {
            self.fresh.fetch_add(1, Ordering::Relaxed);
        }
    }
    fn verdict_cache(&self, _: &'static str) {}
}

/// How often newer keys were wanted.
#[derive(Default)]
pub struct Wanted(AtomicUsize);

impl Wanted {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl RefetchSignal for Wanted {
    fn keys_wanted(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct OneEndpoint(Arc<AtomicBool>);

impl Endpoints for OneEndpoint {
    fn choose(&self, upstream: UpstreamId, _: Option<&str>) -> Option<Endpoint> {
        (!self.0.load(Ordering::Relaxed)).then_some(Endpoint { upstream, index: 0 })
    }
    fn peek(&self, upstream: UpstreamId, subject: Option<&str>) -> Option<Endpoint> {
        self.choose(upstream, subject)
    }
}

/// A store that never answers.
struct Lost;

#[async_trait::async_trait]
impl Store for Lost {
    async fn claim(&self, _: &[Nonce], _: UnixTime, _: IfUnknown) -> ClaimAnswer {
        ClaimAnswer::Unknown(StoreError::Timeout)
    }
    async fn release(&self, _: &Receipt) {}
    async fn peek(&self, _: &[Nonce], _: UnixTime) -> ClaimAnswer {
        ClaimAnswer::Unknown(StoreError::Timeout)
    }
    fn adopt(&self, _: &[Nonce], _: UnixTime) -> Result<Option<usize>, StoreError> {
        Ok(None)
    }
    fn condition(&self) -> Result<(), StoreError> {
        Err(StoreError::Timeout)
    }
    fn epoch(&self) -> Option<UnixTime> {
        None
    }
}

/// A store whose clock is behind ours.
struct Behind(EmbeddedStore, Duration);

#[async_trait::async_trait]
impl Store for Behind {
    async fn claim(&self, nonces: &[Nonce], now: UnixTime, if_unknown: IfUnknown) -> ClaimAnswer {
        self.0.claim(nonces, now, if_unknown).await
    }
    async fn release(&self, receipt: &Receipt) {
        self.0.release(receipt).await;
    }
    async fn peek(&self, nonces: &[Nonce], now: UnixTime) -> ClaimAnswer {
        self.0.peek(nonces, now).await
    }
    fn ahead(&self) -> Duration {
        self.1
    }
    fn condition(&self) -> Result<(), StoreError> {
        self.0.condition()
    }
    fn epoch(&self) -> Option<UnixTime> {
        self.0.epoch()
    }
}

impl Bench {
    pub fn new(replay: ReplayMode) -> Self {
        Self::with_epoch(replay, 0)
    }

    pub fn with_epoch(replay: ReplayMode, epoch: i64) -> Self {
        let store = EmbeddedStore::new(100, UnixTime::from_seconds(epoch));
        Self::build(guard(replay, OnLoss::Closed), Arc::new(store))
    }

    /// A bench whose route asks what `change` makes of the ordinary guard.
    pub fn asking(change: impl FnOnce(&mut Guard)) -> Self {
        let mut guard = guard(ReplayMode::None, OnLoss::Closed);
        change(&mut guard);
        Self::build(guard, Arc::new(EmbeddedStore::new(100, UnixTime::from_seconds(0))))
    }

    pub fn with_a_store_behind(seconds: u64) -> Self {
        let store = Behind(EmbeddedStore::new(100, UnixTime::from_seconds(0)), Duration::from_secs(seconds));
        Self::build(guard(ReplayMode::Once, OnLoss::Closed), Arc::new(store))
    }

    pub fn without_store(on_loss: OnLoss) -> Self {
        Self::build(guard(ReplayMode::Once, on_loss), Arc::new(Lost))
    }

    fn build(guard: Guard, store: Arc<dyn Store>) -> Self {
        let signing_key = jose::sign::generate("ES256", ContentEncryption::A256GCM).unwrap();
        let decryption_key = jose::sign::generate("RSA-OAEP-256", ContentEncryption::A256GCM).unwrap();
        let down = Arc::new(AtomicBool::new(false));
        let snapshot = Snapshot {
            locks_out: false,
            pins_https: true,
            generation: 1,
            routes: routes(),
            policies: vec![policy(guard)],
            identities: vec![identity()],
            firewall: Firewall::new(["X-User-Id"], []),
            issuers: Registry::new(vec![
                Arc::new(profile(Form::Signed, &signing_key, None)),
                Arc::new(profile(Form::Nested, &signing_key, Some(&decryption_key))),
            ]),
            dpop_nonces: Arc::new(DpopNonces::random().unwrap()),
            endpoints: Arc::new(OneEndpoint(Arc::clone(&down))),
        };
        let memory = Recollection {
            replay: ReplayGuard::new(store, 10),
            verdicts: VerdictCache::new(1000, 1 << 20).unwrap(),
            revocations: Arc::new(Revocations::unkept()),
            proof_keys: ProofKeys::new(100),
            limits: LimitMemory::new(100),
            workshop: Arc::new(OnTheSpot),
        };
        Self { snapshot, memory, observer: Counting::default(), down, signing_key, decryption_key }
    }

    pub fn signed(&self, claims: &Map<String, Value>) -> String {
        let mut header = Map::new();
        header.insert("alg".into(), json!("ES256"));
        header.insert("kid".into(), self.signing_key["kid"].clone());
        jose::sign::sign_compact(&header, &serde_json::to_vec(claims).unwrap(), &self.signing_key).unwrap()
    }

    pub fn encrypted(&self, plaintext: &[u8], cty: Option<&str>) -> String {
        let mut header = Map::new();
        if let Some(cty) = cty {
            header.insert("cty".into(), json!(cty));
        }
        let (algorithm, encryption) = (KeyAlgorithm::RsaOaep256, ContentEncryption::A256GCM);
        jose::sign::encrypt_compact(&header, plaintext, &self.decryption_key, algorithm, encryption).unwrap()
    }

    /// The same bench, whose dear cryptography is done by `workshop`.
    #[must_use]
    pub fn with_workshop(mut self, workshop: impl Workshop + 'static) -> Self {
        self.memory.workshop = Arc::new(workshop);
        self
    }

    pub fn denial(&self, token: &str) -> Denial {
        let request = Put::new(&format!("Bearer {token}"));
        self.judge(Memory::Live(&self.memory), PASSING_PATH, &request).unwrap_err()
    }

    pub fn ask(&self, token: &str) -> Result<Permit, Reason> {
        self.decide(Memory::Live(&self.memory), PASSING_PATH, NOW, token)
    }

    pub fn peek(&self, token: &str) -> Result<Permit, Reason> {
        self.decide(Memory::Peek(&self.memory), PASSING_PATH, NOW, token)
    }

    pub fn reason(&self, token: &str) -> Reason {
        self.ask(token).unwrap_err()
    }

    pub fn reason_at(&self, path: &str, token: &str) -> Reason {
        self.decide(Memory::Live(&self.memory), path, NOW, token).unwrap_err()
    }

    pub fn reason_when(&self, now: i64, token: &str) -> Reason {
        self.decide(Memory::Live(&self.memory), PASSING_PATH, now, token).unwrap_err()
    }

    /// Revokes the bench's tokens with this `jti`; answers with what takes it back.
    pub fn revoke(&self, token_id: &str) -> Change {
        let (id, expires_at) = (RevocationId::from_bits(1), UnixTime::from_seconds(2_000));
        let now = UnixTime::from_seconds(NOW);
        let revocation = Revocation::new(id, ISSUER, Target::Token(token_id), expires_at, now);
        self.tell(Change::Revoked(revocation));
        Change::TakenBack { id, expires_at }
    }

    /// Somebody changed the list of revocations.
    pub fn tell(&self, change: Change) {
        self.memory.revocations.learn(&[change], UnixTime::from_seconds(NOW));
    }

    pub fn upstream_is_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub fn claims_made(&self) -> usize {
        self.observer.fresh.load(Ordering::Relaxed)
    }

    pub fn verifications(&self) -> usize {
        self.observer.verifications.load(Ordering::Relaxed)
    }

    /// The issuer now signs with another key.
    pub fn rotate_keys(&self) {
        let fresh = jose::sign::generate("ES256", ContentEncryption::A256GCM).unwrap();
        let ring = &self.snapshot.issuers.profile(IssuerId::new(0)).unwrap().keys;
        ring.replace(KeySnapshot { set: Arc::new(verification(&fresh)), generation: 2, stale_at: None });
    }

    /// Counts from now on how often newer keys of the signing issuer are wanted.
    pub fn wanted_keys(&self) -> Arc<Wanted> {
        let wanted = Arc::new(Wanted::default());
        let ring = &self.snapshot.issuers.profile(IssuerId::new(0)).unwrap().keys;
        ring.on_wanted(Arc::clone(&wanted) as Arc<dyn RefetchSignal>);
        wanted
    }

    /// A token signed by a key of another, whose header names `kid`.
    pub fn forged(&self, kid: Option<&str>) -> String {
        let stranger = jose::sign::generate("ES256", ContentEncryption::A256GCM).unwrap();
        let mut header = Map::new();
        header.insert("alg".into(), json!("ES256"));
        if let Some(kid) = kid {
            header.insert("kid".into(), json!(kid));
        }
        jose::sign::sign_compact(&header, &serde_json::to_vec(&claims()).unwrap(), &stranger).unwrap()
    }

    /// The name of the issuer's key.
    pub fn kid(&self) -> &str {
        self.signing_key["kid"].as_str().unwrap()
    }

    /// What `explain` in a running gateway says.
    pub fn explained(&self, token: &str) -> Reason {
        self.decide(Memory::Peek(&self.memory), PASSING_PATH, NOW, token).unwrap_err()
    }

    /// Puts a request of any kind to the live memory.
    pub fn put(&self, request: &Put) -> Result<Permit, Denial> {
        self.judge(Memory::Live(&self.memory), PASSING_PATH, request)
    }

    fn decide(&self, memory: Memory<'_>, path: &str, now: i64, token: &str) -> Result<Permit, Reason> {
        let request = Put { now, ..Put::new(&format!("Bearer {token}")) };
        self.judge(memory, path, &request).map_err(|denial| denial.reason)
    }

    fn judge(&self, memory: Memory<'_>, path: &str, request: &Put) -> Result<Permit, Denial> {
        let facts = Facts {
            now: UnixTime::from_seconds(request.now),
            method: &request.method,
            authority: Some("api.test"),
            path: path.as_bytes(),
            query: Some("page=2"),
            headers: &request.headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: &request.transport,
        };
        let mut trace = Trace::off();
        block_on(decide(&self.snapshot, memory, &facts, &self.observer, &mut trace))
    }
}

/// One request.
pub struct Put {
    pub method: Method,
    pub headers: HeaderMap,
    pub transport: TransportFacts,
    pub now: i64,
}

impl Put {
    /// A GET with this `Authorization`.
    pub fn new(authorization: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(authorization).unwrap());
        Self { method: Method::GET, headers, transport: TransportFacts::default(), now: NOW }
    }

    /// The same request with one more header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
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

fn verification(private: &Value) -> VerificationKeySet {
    let set = json!({ "keys": [jose::sign::public_jwk(private).unwrap()] });
    VerificationKeySet::parse(set.to_string().as_bytes(), 64).unwrap()
}

fn routes() -> RouteTable {
    let mut builder = RouteTableBuilder::default();
    let rule = Match { hosts: Vec::new(), path: Pattern::parse("/orders/{id}").unwrap(), methods: Vec::new() };
    builder.add(RouteId::new(0), &rule).unwrap();
    builder.build().unwrap()
}

fn guard(replay: ReplayMode, on_loss: OnLoss) -> Guard {
    Guard {
        issuers: vec![IssuerId::new(0), IssuerId::new(1)],
        audiences: Vec::new(),
        scopes: Scopes::all_of(vec!["orders:read".into()]),
        when: Some(Condition::compile(r#"claims.tenant == "acme" && path.id != "0""#).unwrap()),
        binding: BindingRule::IfBound,
        dpop: Some(DpopPolicy::default()),
        step_up: None,
        replay,
        on_loss,
        revocation: RevocationPolicy::default_with(replay),
        mode: Mode::Enforce,
    }
}

fn policy(guard: Guard) -> RoutePolicy {
    RoutePolicy {
        name: "orders".into(),
        access: Access::Guarded(guard),
        upstream: UpstreamId::new(0),
        edge: Edge::default(),
        tunnel_beyond_expiry: false,
    }
}

fn identity() -> IdentityPlan {
    let rule =
        HeaderRule { name: "X-User-Id".into(), claim: "sub".into(), format: Format::Comma, encoding: Encoding::Reject };
    IdentityPlan { headers: vec![rule], token: TokenHandling::Drop }
}

fn profile(form: Form, signing: &Value, decryption: Option<&Value>) -> IssuerProfile {
    let keys = decryption.map(|key| DecryptionKeySet::parse_private(key.to_string().as_bytes()).unwrap());
    let contract = TokenContract {
        form,
        signing_algorithms: vec![SigningAlgorithm::ES256],
        key_algorithms: vec![KeyAlgorithm::RsaOaep256],
        content_encryptions: vec![ContentEncryption::A256GCM],
        types: AcceptedTypes::default(),
        scope_claim: "scope".into(),
        id_claim: "jti".into(),
        max_lifetime: Some(Duration::from_secs(900)),
        leeway: Duration::from_secs(0),
        max_size: 8192,
        required_claims: Vec::new(),
    };
    IssuerProfile {
        name: form.name().into(),
        issuer: ISSUER.into(),
        audiences: vec!["https://api.test".into()],
        contract,
        keys: KeyRing::new(Some(verification(signing)), keys),
    }
}
