//! A decision's world of any size, without a gateway around it.

#![allow(dead_code, reason = "every bench uses its own part of the world")]

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tollgate::authn::{
    BindingRule, DpopNonces, DpopPolicy, OnLoss, OnTheSpot, ProofKeys, ReplayGuard, ReplayMode, RevocationPolicy,
    Revocations, VerdictCache,
};
use tollgate::clock::UnixTime;
use tollgate::decision::{
    Access, Edge, Endpoint, Endpoints, Guard, Memory, Mode, Permit, Reason, Recollection, RoutePolicy, Scopes,
    Snapshot, Trace, UpstreamId, decide,
};
use tollgate::identity::{Encoding, Firewall, Format, HeaderRule, IdentityPlan, TokenHandling};
use tollgate::issuer::{AcceptedTypes, Form, IssuerId, IssuerProfile, KeyRing, Registry, TokenContract};
use tollgate::jose::{
    ContentEncryption, DecryptionKeySet, KeyAlgorithm, SigningAlgorithm, SigningKey, VerificationKeySet, sign,
};
use tollgate::limit::LimitMemory;
use tollgate::observe::Silent;
use tollgate::request::{Facts, TransportFacts};
use tollgate::route::{Match, Pattern, RouteId, RouteTable, RouteTableBuilder};
use tollgate::store::{EmbeddedStore, Target};

/// The time at which everything happens.
pub const NOW: UnixTime = UnixTime::from_seconds(1_000);
/// The host of every route.
pub const HOST: &str = "api.example.test";
const AUDIENCE: &str = "https://api.example.test";

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Routes; there are three more, which are asked.
    pub routes: usize,
    /// Issuers that sign; one more seals its tokens.
    pub issuers: usize,
    /// Keys of each issuer.
    pub keys: usize,
}

/// Routes, issuers, memory.
pub struct World {
    /// What a decision rests on.
    pub snapshot: Snapshot,
    /// What it may remember.
    pub memory: Recollection,
    signer: SigningKey,
    /// The last issuer that signs.
    signs: String,
    secret: Value,
    number: std::cell::Cell<u64>,
}

struct OneEndpoint;

impl Endpoints for OneEndpoint {
    fn choose(&self, upstream: UpstreamId, _: Option<&str>) -> Option<Endpoint> {
        Some(Endpoint { upstream, index: 0 })
    }
    fn peek(&self, upstream: UpstreamId, _: Option<&str>) -> Option<Endpoint> {
        Some(Endpoint { upstream, index: 0 })
    }
}

impl World {
    /// A world of this size. The tokens are those of the last issuer, signed with its last key.
    pub fn new(size: Size) -> Self {
        let key = sign::generate("ES256", ContentEncryption::A256GCM).unwrap();
        let secret = sign::generate("dir", ContentEncryption::A256GCM).unwrap();
        let others: Vec<Value> =
            (1..size.keys).map(|_| sign::generate("ES256", ContentEncryption::A256GCM).unwrap()).collect();
        let keys: Vec<&Value> = others.iter().chain([&key]).collect();
        let mut profiles: Vec<_> =
            (0..size.issuers).map(|number| Arc::new(profile(&issuer(number), Form::Signed, &keys, None))).collect();
        profiles.push(Arc::new(profile("https://nested.example.test", Form::Nested, &keys, Some(&secret))));
        let believed: Vec<IssuerId> = (0..profiles.len()).map(IssuerId::new).collect();
        let places = size.routes + 3;
        let snapshot = Snapshot {
            generation: 1,
            routes: routes(size.routes),
            locks_out: false,
            pins_https: true,
            policies: (0..places).map(|number| policy(number, size.routes, &believed)).collect(),
            identities: (0..places).map(|_| identity()).collect(),
            firewall: Firewall::new(["X-User-Id", "X-User-Roles"], []),
            issuers: Registry::new(profiles),
            dpop_nonces: Arc::new(DpopNonces::random().unwrap()),
            endpoints: Arc::new(OneEndpoint),
        };
        let memory = Recollection {
            replay: ReplayGuard::new(Arc::new(EmbeddedStore::new(10_000_000, UnixTime::from_seconds(0))), 10),
            verdicts: VerdictCache::new(10_000_000, 1 << 32).unwrap(),
            revocations: Arc::new(Revocations::unkept()),
            proof_keys: ProofKeys::new(100),
            limits: LimitMemory::new(100),
            workshop: Arc::new(OnTheSpot),
        };
        let signer = SigningKey::from_jwk(key.as_object().unwrap(), None).unwrap();
        let signs = issuer(size.issuers - 1);
        Self { snapshot, memory, signer, signs, secret, number: std::cell::Cell::new(0) }
    }

    /// A token that was never used, some 700 bytes long.
    pub fn token(&self) -> String {
        self.signed(&self.signs)
    }

    /// The same inside a JWE: `dir`, A256GCM.
    pub fn nested(&self) -> String {
        let header = Map::from_iter([("cty".to_owned(), json!("JWT"))]);
        let inner = self.signed("https://nested.example.test");
        let (algorithm, encryption) = (KeyAlgorithm::Dir, ContentEncryption::A256GCM);
        sign::encrypt_compact(&header, inner.as_bytes(), &self.secret, algorithm, encryption).unwrap()
    }

    fn signed(&self, issuer: &str) -> String {
        self.number.set(self.number.get() + 1);
        let claims = json!({
            "iss": issuer, "aud": AUDIENCE, "sub": "248289761001", "exp": 1_600, "iat": 900,
            "jti": format!("f47ac10b-58cc-4372-a567-{:012x}", self.number.get()),
            "scope": "openid profile orders:read orders:write", "client_id": "shop-frontend",
            "sid": "5f6d1c9e-5f4c-4b0a-8f54-1f5e4a7f9d10", "auth_time": 900, "tenant": "acme",
            "roles": ["customer", "reviewer"], "email": "jane.doe@example.com", "name": "Jane Doe",
        });
        let header = json!({ "kid": self.signer.kid(), "typ": "at+jwt" });
        self.signer.sign_compact(header.as_object().unwrap(), claims.to_string().as_bytes()).unwrap()
    }

    /// A token whose signature is of another token.
    pub fn forged(&self) -> String {
        let (token, other) = (self.token(), self.token());
        let (input, signature) = (token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
        format!("{input}.{signature}")
    }

    /// Revokes so many tokens, none of them one that is asked about.
    pub fn revoke(&self, count: u128) {
        use tollgate::store::{Change, Revocation, RevocationId};
        let changes: Vec<Change> = (0..count)
            .map(|number| {
                let (id, name) = (RevocationId::from_bits(number), number.to_string());
                let until = NOW.plus(Duration::from_secs(600));
                Change::Revoked(Revocation::new(id, &self.signs, Target::Token(&name), until, NOW))
            })
            .collect();
        self.memory.revocations.learn(&changes, NOW);
    }

    /// Decides over one request so often that the verdict on its token is remembered.
    pub fn remember(&self, request: &Request) {
        for _ in 0..2 {
            self.decide(request).expect("a good token");
        }
    }

    /// Decides over one request.
    pub fn decide(&self, request: &Request) -> Result<Permit, Reason> {
        let facts = Facts {
            now: NOW,
            method: &Method::GET,
            authority: Some(HOST),
            path: request.path.as_bytes(),
            query: None,
            headers: &request.headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: &request.transport,
        };
        let mut trace = Trace::off();
        let memory = Memory::Live(&self.memory);
        block_on(decide(&self.snapshot, memory, &facts, &Silent, &mut trace)).map_err(|denial| denial.reason)
    }
}

/// One request, made in advance.
pub struct Request {
    path: &'static str,
    /// Its header fields.
    pub headers: HeaderMap,
    transport: TransportFacts,
}

impl Request {
    /// A request to the ordinary route.
    pub fn new(token: &str) -> Self {
        Self::to("/orders/17", Some(token))
    }

    /// A request to the route on which a token is good once.
    pub fn once(token: &str) -> Self {
        Self::to("/once/17", Some(token))
    }

    /// A request to the public route.
    pub fn public() -> Self {
        Self::to("/public", None)
    }

    fn to(path: &'static str, token: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", HOST), ("accept", "application/json"), ("user-agent", "bench")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(token) = token {
            headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        }
        let transport = TransportFacts { encrypted: true, server_name: Some(HOST.into()), ..TransportFacts::default() };
        Self { path, headers, transport }
    }
}

/// Everything a decision awaits here answers at once.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn issuer(number: usize) -> String {
    format!("https://idp-{number}.example.test")
}

/// The three that are asked come last.
fn routes(others: usize) -> RouteTable {
    let mut builder = RouteTableBuilder::default();
    let mut add = |number: usize, path: &str| {
        let path = Pattern::parse(path).unwrap();
        let methods = vec![Method::GET, Method::POST];
        builder.add(RouteId::new(number), &Match { hosts: vec![HOST.to_owned()], path, methods }).unwrap();
    };
    for number in 0..others {
        add(number, &format!("/service-{}/{{tenant}}/items-{number}/{{id}}", number % 97));
    }
    for (at, path) in ["/orders/{id}", "/once/{id}", "/public"].into_iter().enumerate() {
        add(others + at, path);
    }
    builder.build().unwrap()
}

fn policy(number: usize, others: usize, believed: &[IssuerId]) -> RoutePolicy {
    let access = match number.checked_sub(others) {
        Some(1) => Access::Guarded(guard(believed, ReplayMode::Once)),
        Some(2) => Access::Public,
        _ => Access::Guarded(guard(believed, ReplayMode::None)),
    };
    let (name, upstream) = (number.to_string().into(), UpstreamId::new(0));
    RoutePolicy { name, access, upstream, tunnel_beyond_expiry: false, edge: Edge::default() }
}

fn guard(believed: &[IssuerId], replay: ReplayMode) -> Guard {
    Guard {
        issuers: believed.to_vec(),
        audiences: Vec::new(),
        scopes: Scopes::all_of(vec!["orders:read".into()]),
        when: None,
        binding: BindingRule::IfBound,
        dpop: Some(DpopPolicy::default()),
        step_up: None,
        replay,
        mode: Mode::Enforce,
        on_loss: OnLoss::Closed,
        revocation: RevocationPolicy::default_with(replay),
    }
}

fn identity() -> IdentityPlan {
    let rule = |name: &str, claim: &str| HeaderRule {
        name: name.into(),
        claim: claim.into(),
        format: Format::Comma,
        encoding: Encoding::Reject,
    };
    IdentityPlan { headers: vec![rule("X-User-Id", "sub"), rule("X-User-Roles", "roles")], token: TokenHandling::Drop }
}

fn profile(issuer: &str, form: Form, keys: &[&Value], secret: Option<&Value>) -> IssuerProfile {
    let public: Vec<Value> = keys.iter().map(|key| sign::public_jwk(key).unwrap()).collect();
    let set = VerificationKeySet::parse(json!({ "keys": public }).to_string().as_bytes(), 64).unwrap();
    let decryption = secret.map(|key| DecryptionKeySet::parse_private(key.to_string().as_bytes()).unwrap());
    let contract = TokenContract {
        form,
        signing_algorithms: vec![SigningAlgorithm::ES256],
        key_algorithms: vec![KeyAlgorithm::Dir],
        content_encryptions: vec![ContentEncryption::A256GCM],
        types: AcceptedTypes::default(),
        scope_claim: "scope".into(),
        id_claim: "jti".into(),
        max_lifetime: Some(Duration::from_secs(900)),
        leeway: Duration::from_secs(10),
        max_size: 8192,
        required_claims: vec!["sub".into()],
    };
    IssuerProfile {
        name: issuer.into(),
        issuer: issuer.into(),
        audiences: vec![AUDIENCE.to_owned()],
        contract,
        keys: KeyRing::new(Some(set), decryption),
    }
}
