//! Sound configurations load, and mean what they say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod config_support;

use config_support::{SOUND, Workshop};
use std::time::Duration;
use tollgate::authn::{BindingRule, OnLoss, ReplayMode, RevocationPolicy};
use tollgate::clock::UnixTime;
use tollgate::config::{self, Loaded, StoreSettings};
use tollgate::decision::{Access, Condition, Guard, Mode};
use tollgate::identity::TokenHandling;
use tollgate::issuer::Form;
use tollgate::limit::Per;
use tollgate::proxy::{ListenerKind, Scheme};
use tollgate::request::{CanonicalPath, Host};
use tollgate::route::Routed;
use tollgate::store::Servers;
use tollgate::telemetry::audit::{AuditEvents, AuditTerms, Overflow, SubjectForm};
use tollgate::tls::{ClientCertificateMode, TlsVersion, UnknownSni};
use tollgate::upstream::{Balance, HostPolicy, Protocol};

fn sound() -> Loaded {
    let workshop = Workshop::new();
    workshop.load(SOUND).unwrap_or_else(|faults| panic!("{faults}"))
}

fn guard<'l>(loaded: &'l Loaded, route: &str) -> &'l Guard {
    let rule = loaded.rules.iter().find(|rule| &*rule.policy.name == route).expect("the route");
    match &rule.policy.access {
        Access::Guarded(guard) => guard,
        Access::Public => panic!("{route} is public"),
    }
}

#[test]
fn listeners_and_admin_mean_what_they_say() {
    let loaded = sound();
    let [https, http] = loaded.listeners.as_slice() else { panic!("two listeners") };
    let ListenerKind::Tls(tls) = &https.kind else { panic!("TLS") };
    assert_eq!((tls.certificates.len(), tls.min_version, tls.unknown_sni), (2, TlsVersion::V1_3, UnknownSni::Default));
    assert_eq!((https.http2, https.public.scheme, https.public.port), (false, Scheme::Https, 443));
    assert!(matches!(http.kind, ListenerKind::Redirect { to: 443 }));
    assert_eq!(loaded.admin.address.to_string(), "127.0.0.1:9901");
    assert!(loaded.admin.token.is_some_and(|token| token.expose().len() == 48));
}

#[test]
fn what_is_believed_of_clients_means_what_it_says() {
    let loaded = sound();
    let https = &loaded.listeners[0];
    let ListenerKind::Tls(tls) = &https.kind else { panic!("TLS") };
    let clients = tls.client_certificates.as_ref().expect("client certificates");
    assert_eq!(clients.mode(), ClientCertificateMode::Optional);
    let trusted = |peer: &str| https.trusted_proxies.contains(peer.parse().unwrap());
    assert!(trusted("10.1.2.3") && trusted("2001:db8::1") && trusted("192.0.2.7") && !trusted("192.0.2.8"));
    assert!(https.client_certificate_header);
    assert!(loaded.dpop_nonces.is_some_and(|nonces| nonces.are_shared()));
}

#[test]
fn possession_means_what_it_says() {
    let loaded = sound();
    let orders = guard(&loaded, "orders");
    assert_eq!(orders.binding, BindingRule::Required);
    let proofs = orders.dpop.as_ref().expect("proofs");
    assert_eq!((proofs.wants_nonce(), proofs.max_age()), (true, Duration::from_secs(30)));
    let asked = orders.step_up.as_ref().expect("step-up");
    assert_eq!(asked.acr_text().map(|values| &**values), Some("urn:loa:2 urn:loa:3"));
    assert_eq!((asked.max_age(), asked.methods()), (Some(Duration::from_secs(600)), &["otp".to_owned()][..]));
    let files = guard(&loaded, "files");
    assert_eq!((files.binding, files.step_up.is_none()), (BindingRule::IfBound, true));
    assert!(files.dpop.is_none(), "a route for any host can check no proofs");
}

#[test]
fn admin_tls_audit_and_mode_mean_what_they_say() {
    let loaded = sound();
    let tls = loaded.admin.tls.as_ref().expect("TLS");
    assert_eq!(tls.client_certificates.as_ref().map(|clients| clients.mode()), Some(ClientCertificateMode::Required));
    let audit = loaded.audit.as_ref().expect("an audit log");
    assert_eq!((audit.file.file_name(), audit.rotate), (Some("audit.jsonl".as_ref()), 1 << 20));
    let AuditTerms { events, subject, overflow, trace } = audit.terms;
    assert_eq!((events, subject), (AuditEvents::Denials, SubjectForm::Clear));
    assert_eq!((overflow, trace), (Overflow::Drop, true));
    assert_eq!((guard(&loaded, "files").mode, guard(&loaded, "orders").mode), (Mode::Report, Mode::Enforce));
}

#[test]
fn the_store_means_what_it_says() {
    let loaded = sound();
    let StoreSettings::Redis(redis) = &loaded.store else { panic!("redis") };
    assert_eq!((redis.timeout, redis.key_prefix.as_str()), (Duration::from_millis(50), "gate"));
    assert!(redis.username.is_some() && redis.password.is_some() && redis.ca.is_some());
    assert_eq!((redis.connections, redis.replica_acks), (4, 1));
    let shown = redis.client_certificate.as_ref().expect("a client certificate");
    assert!(shown.chain.starts_with(b"-----BEGIN CERTIFICATE") && shown.key.expose().starts_with(b"-----BEGIN"));
    let Servers::Sentinel { urls, service } = &redis.servers else { panic!("Sentinels") };
    let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["rediss://watch-1.internal:26379", "rediss://watch-2.internal:26379"]);
    assert_eq!(service, "tollgate");
    // Upstream `orders` gives up connecting after 1 s, `pages` after the default of 2 s.
    assert_eq!(redis.foreign_memory, Duration::from_secs(2));
    assert_eq!((loaded.revocations.max_stale, &loaded.revocations.file), (Duration::from_secs(120), &None));
}

#[test]
fn the_nodes_of_a_cluster_mean_what_they_say() {
    let (before, rest) = SOUND.split_once("    sentinel:").expect("Sentinels");
    let (_, after) = rest.split_once('\n').expect("more lines");
    let text = format!("{before}    cluster: [\"rediss://one:7000\", \"rediss://[::1]\"]\n{after}");
    let loaded = Workshop::new().load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let StoreSettings::Redis(redis) = &loaded.store else { panic!("redis") };
    let Servers::Cluster(nodes) = &redis.servers else { panic!("a cluster") };
    let nodes: Vec<_> = nodes.iter().map(|node| (node.tls, node.host.as_str(), node.port)).collect();
    assert_eq!(nodes, [(true, "one", Some(7000)), (true, "::1", None)]);
}

#[test]
fn uses_mean_how_often() {
    let loaded = sound();
    assert_eq!(guard(&loaded, "documents").replay, ReplayMode::Uses(3));
    let once = SOUND.replace("replay: { uses: 3 }", "replay: { uses: 1 }");
    let loaded = Workshop::new().load(&once).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(guard(&loaded, "documents").replay, ReplayMode::Once, "one use, counted, is one use");
    let tightened = SOUND.replace("    credentials: [header]\n", "    replay: { uses: 5 }\n");
    let loaded = Workshop::new().load(&tightened).unwrap_or_else(|faults| panic!("{faults}"));
    let modes = ["orders", "documents", "files"].map(|route| guard(&loaded, route).replay);
    assert_eq!(modes, [ReplayMode::Once, ReplayMode::Uses(3), ReplayMode::Uses(5)], "a route may be stricter");
}

#[test]
fn issuers_mean_what_they_say() {
    let loaded = sound();
    let profiles: Vec<_> = loaded.issuers.iter().map(|(_, profile)| profile).collect();
    let forms: Vec<_> = profiles.iter().map(|profile| profile.contract.form).collect();
    let expected = [Form::Signed, Form::Nested, Form::Signed, Form::Sealed, Form::Sealed, Form::Signed, Form::Signed];
    assert_eq!(forms, expected);
    let corp = profiles[0];
    assert_eq!(&*corp.issuer, "https://idp.example.com");
    assert_eq!(corp.contract.max_lifetime, Some(Duration::from_secs(900)));
    assert_eq!((corp.contract.leeway, corp.contract.max_size), (Duration::from_secs(5), 4096));
    assert_eq!((corp.contract.scope_claim.as_str(), corp.contract.id_claim.as_str()), ("scp", "uti"));
    assert!(corp.contract.types.accept(Some("at+jwt")) && !corp.contract.types.accept(None));
    assert_eq!(profiles[2].contract.id_claim, "jti");
    let opens: Vec<_> = profiles.iter().map(|profile| profile.keys.decryption().is_some()).collect();
    assert_eq!(opens, [false, true, false, true, true, false, false]);
}

#[test]
fn fetched_keys_mean_what_they_say() {
    let loaded = sound();
    let [(remote, keys), (direct, plain)] = loaded.remote_keys.as_slice() else { panic!("two remote issuers") };
    assert_eq!((&*remote.name, keys.source().as_str()), ("remote", "https://remote.example.com/tenant"));
    assert_eq!((&*direct.name, plain.source().as_str()), ("pointed", "https://direct.example.com/jwks"));
    let settings = keys.settings();
    assert_eq!(settings.timeout, Duration::from_secs(2));
    assert_eq!(settings.refresh.refresh, Duration::from_secs(300));
    assert_eq!(settings.refresh.max_stale, Duration::from_secs(12 * 3600));
    assert_eq!(settings.refresh.cooldown, Duration::from_secs(10));
    assert!(settings.snapshot.as_ref().is_some_and(|path| path.ends_with("keys/remote.snapshot.json")));
    assert_eq!(settings.proxy.as_deref(), Some("http://proxy.internal:3128"));
    assert!(settings.allow_private_addresses && settings.ca.is_some());
    let (plain, now) = (plain.settings(), UnixTime::default());
    assert!(plain.ca.is_none() && !plain.allow_private_addresses);
    assert!(remote.keys.verification(now).is_none() && direct.keys.verification(now).is_none());
}

#[test]
fn a_file_of_revocations_stands_beside_the_embedded_store() {
    let workshop = Workshop::new();
    let redis = SOUND.split("store:\n").nth(1).and_then(|rest| rest.split("issuers:\n").next()).expect("a store");
    let embedded = SOUND.replace(redis, "  embedded: {}\n  revocations_file: keys/revocations\n");
    let loaded = workshop.load(&embedded).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(loaded.revocations.file.is_some_and(|file| file.ends_with("keys/revocations")));
    assert_eq!(loaded.revocations.max_stale, Duration::from_secs(300));
}

#[test]
fn a_route_insists_on_the_list_of_revocations_where_it_says_so_or_takes_no_token_twice() {
    let loaded = sound();
    assert_eq!(guard(&loaded, "orders").revocation, RevocationPolicy::Required);
    assert_eq!(guard(&loaded, "documents").revocation, RevocationPolicy::Required);
    assert_eq!(guard(&loaded, "files").revocation, RevocationPolicy::LastKnown);
}

#[test]
fn routes_are_joined_with_the_defaults() {
    let loaded = sound();
    let orders = guard(&loaded, "orders");
    assert_eq!((orders.replay, orders.on_loss), (ReplayMode::Once, OnLoss::Closed));
    assert_eq!(orders.audiences, ["https://api.example.com"]);
    assert_eq!(orders.issuers.len(), 2);
    let condition = orders.when.as_ref().expect("a condition").source();
    assert!(condition.contains("claims.tenant") && condition.contains("has(claims.sub)"), "{condition}");
    let documents = guard(&loaded, "documents");
    assert_eq!((documents.replay, documents.on_loss), (ReplayMode::Uses(3), OnLoss::Local));
    assert_eq!(documents.when.as_ref().map(Condition::source), Some("has(claims.sub)"));
    assert_eq!(loaded.rules[1].identity.token, TokenHandling::Inner);
    let headers: Vec<_> = loaded.rules[0].identity.headers.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(headers, ["X-User-Id", "X-User-Name", "X-User-Roles"]);
    for name in ["x_user_id", "X-Legacy-Anything", "X-User-Roles"] {
        assert!(loaded.firewall.strips(name), "{name}");
    }
}

#[test]
fn the_edge_means_what_it_says() {
    let loaded = sound();
    let edge = |route: usize| &loaded.rules[route].policy.edge;
    let limits = &edge(0).limits;
    let rate = limits.rate.expect("a rate");
    assert_eq!((rate.per, rate.requests, rate.period), (Per::Subject, 100, Duration::from_secs(60)));
    let failures = limits.failures.expect("failures");
    assert_eq!(
        (failures.count, failures.period, failures.lock),
        (20, Duration::from_secs(60), Duration::from_secs(300))
    );
    assert_eq!((limits.body, edge(1).limits.body), (Some(512 * 1024), Some(1024 * 1024)));
    assert!(limits.in_flight.is_some() && edge(1).limits.in_flight.is_none());
    let path = CanonicalPath::parse(b"/orders/17").unwrap();
    assert_eq!(edge(0).forwarded(path).as_str(), "/v1/shop/17");
    let told: Vec<_> = edge(0).response_headers.iter().map(|(name, value)| (name.as_str(), value.is_some())).collect();
    assert_eq!(told, [("server", false), ("x-content-type-options", true)]);
    let allowed = |route: usize, origin: &'static str| {
        let cors = edge(route).cors.as_ref().expect("cors");
        cors.answer_headers(Some(&http::HeaderValue::from_static(origin))).len() > 1
    };
    assert!(allowed(0, "http://localhost:3000") && !allowed(0, "https://evil.test") && allowed(1, "https://evil.test"));
    assert!(loaded.listeners[0].proxy_protocol && !loaded.listeners[1].proxy_protocol);
    assert_eq!((loaded.server.max_connections, loaded.server.max_connections_per_client), (5000, 50));
}

#[test]
fn requests_find_their_routes() {
    let loaded = sound();
    let find = |host: &str, path: &str| {
        let path = CanonicalPath::parse(path.as_bytes()).expect("a path");
        match loaded.routes.find(&Host::parse(host).expect("a host"), &path, &http::Method::GET) {
            Routed::To(id, _) => Some(&*loaded.rules[id.index()].policy.name),
            _ => None,
        }
    };
    assert_eq!(find("api.example.com", "/orders/1"), Some("orders"));
    assert_eq!(find("a.example.org", "/orders/1"), Some("orders"));
    assert_eq!(find("other", "/files/a/b"), Some("files"));
    assert_eq!(find("other", "/orders/1"), None);
}

#[test]
fn upstreams_and_server_mean_what_they_say() {
    let loaded = sound();
    let [orders, pages] = loaded.upstreams.as_slice() else { panic!("two upstreams") };
    assert_eq!(
        orders.endpoints.iter().map(|one| (one.https, one.port)).collect::<Vec<_>>(),
        [(false, 8080), (true, 8443)]
    );
    assert_eq!(orders.host, HostPolicy::Literal("orders.internal".into()));
    assert_eq!(
        (orders.tls.server_name.as_deref(), orders.tls.ca.as_ref().map(Vec::len)),
        (Some("orders.internal"), Some(1))
    );
    assert_eq!((orders.balance, orders.protocol, orders.retries), (Balance::HashSubject, Protocol::Http2, 2));
    let health = orders.health.as_ref().expect("health checks");
    assert_eq!((health.path.as_str(), health.interval), ("/healthz?deep=1", Duration::from_secs(2)));
    assert_eq!((health.unhealthy_after, health.healthy_after), (2, 3));
    assert!(orders.tls.client_certificate.is_some() && !orders.tls.min_version.allows("TLSv1.2"));
    assert_eq!((pages.endpoints[0].host.as_str(), &pages.host), ("::1", &HostPolicy::Upstream));
    assert_eq!((orders.resolve, pages.resolve), (Duration::from_secs(3), Duration::from_secs(10)));
    assert_eq!((pages.balance, pages.protocol, pages.retries), (Balance::RoundRobin, Protocol::Http1, 1));
    assert!(pages.health.is_none() && pages.tls.min_version.allows("TLSv1.2"));
    assert_eq!((loaded.server.threads, loaded.server.max_header), (2, 16 * 1024));
    assert_eq!((loaded.verdicts.entries, loaded.verdicts.bytes), (5000, 16 << 20));
    assert!(loaded.server.runtime_dir.ends_with("run") && loaded.server.runtime_dir.is_absolute());
}

#[test]
fn the_shortest_sound_configuration_has_safe_defaults() {
    let workshop = Workshop::new();
    let text = "version: 1\nlisteners:\n  - { name: a, address: '127.0.0.1:0', tls: { certificates: \
                [{ chain: certs/edge.pem, key: 'file:certs/edge.key' }] } }\nupstreams:\n  - { name: u, endpoints: \
                ['http://127.0.0.1:1'] }\nroutes:\n  - { name: r, match: { path: / }, upstream: u, access: public }\n";
    let loaded = workshop.load(text).unwrap_or_else(|faults| panic!("{faults}"));
    let ListenerKind::Tls(tls) = &loaded.listeners[0].kind else { panic!("TLS") };
    assert_eq!((tls.min_version, tls.unknown_sni), (TlsVersion::V1_2, UnknownSni::Reject));
    assert!(loaded.listeners[0].http2 && loaded.admin.token.is_none() && loaded.admin.address.ip().is_loopback());
    assert!(matches!(loaded.store, StoreSettings::Embedded { max_entries: 1_000_000 }));
    assert_eq!(loaded.rules[0].identity.token, TokenHandling::Drop);
}

#[test]
fn the_shipped_configuration_loads_once_its_keys_exist() {
    let workshop = Workshop::new();
    let shipped = include_str!("../gateway.yaml");
    let names = [
        (".tollgate/edge.pem", "certs/edge.pem"),
        (".tollgate/edge.key", "certs/edge.key"),
        (".tollgate/admin.token", "secrets/admin.token"),
        (".tollgate/issuer.jwks.json", "keys/corp.jwks.json"),
        (".tollgate/decrypt.jwks.json", "keys/decrypt.jwks.json"),
        (".tollgate/revocations", "keys/revocations"),
    ];
    let text = names.iter().fold(shipped.to_owned(), |text, (shipped, ours)| text.replace(shipped, ours));
    assert_eq!(workshop.faults(&text), Vec::<String>::new());
}

#[test]
fn the_effective_policy_of_each_route_is_a_block_of_text() {
    let text = config::effective_policies(&sound()).to_string();
    let expected = "route orders\n  match: api.example.com *.example.org, /orders/{id}, GET POST\n  upstream: orders\n";
    assert!(text.starts_with(expected), "{text}");
    for line in [
        "  believes: corp (iss https://idp.example.com); signed; signed with ES256 EdDSA; lives at most 15m; leeway 5s; \
         needs sub /realm_access/roles",
        "  audiences: one of https://api.example.com",
        "  scopes: orders:read",
        "  replay: once, closed when the store can't answer",
        "  header X-User-Name: from name; comma; percent",
        "  token: dropped",
        "route documents",
        "  revocation: required, closed when the list is out of date",
        "  replay: 3 uses on all routes together, local when the store can't answer",
        "  replay: none, a token may be used again",
        "store",
        "  redis: the primary of tollgate, as rediss://watch-1.internal:26379 rediss://watch-2.internal:26379 say; keys \
         begin with gate",
        "  an answer may take 50ms; connections to each server: 4",
        "  replica_acks: 1, a claim counts once a replica holds it too",
        "  revocation: last_known, however old the list is",
        "  token: the JWS out of the JWE",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\nis not in\n{text}");
    }
}
