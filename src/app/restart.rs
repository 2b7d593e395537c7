//! What a reload can't change: sockets, threads and the store live as long as the process.
//!
//! Every setting is taken apart by name here. A new one does not compile until somebody has decided on which side it
//! stands.

use super::edition::Settings;
use crate::admin::AdminSettings;
use crate::config::{RevocationSettings, StoreSettings};
use crate::proxy::{ListenerKind, ListenerSettings, ServerSettings};
use crate::store::{RedisSettings, Servers};
use crate::telemetry::{AuditSettings, LogSettings};
use crate::tls::TlsSettings;

/// The keys of gateway.yaml in which `now` differs from `started`, and which only a start applies.
pub(super) fn needs_restart(started: &Settings, now: &Settings) -> Vec<String> {
    let Settings { listeners, admin, store, revocations, server, verdicts, log, audit, traces } = started;
    // The level is applied; where the log goes is not configured.
    let LogSettings { level: _, target: _ } = log;
    let mut keys = all_listeners(listeners, &now.listeners);
    keys.extend(of_admin(admin, &now.admin));
    keys.extend(of_store(store, &now.store));
    keys.extend(of_revocations(revocations, &now.revocations));
    keys.extend(of_server(server, &now.server));
    keys.extend(of_audit(audit.as_ref(), now.audit.as_ref()));
    keys.extend((*traces != now.traces).then(|| "telemetry.otlp".to_owned()));
    keys.extend((*verdicts != now.verdicts).then(|| "server.verdict_cache".to_owned()));
    keys
}

/// The names of the keys that differ.
fn differing(keys: &[(&str, bool)]) -> Vec<String> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| (*key).to_owned()).collect()
}

fn of_admin(started: &AdminSettings, now: &AdminSettings) -> Vec<String> {
    // The certificate and whom it believes are swapped like those of the listeners.
    let AdminSettings { address, metrics_address, tls, token: _ } = started;
    let asks = |settings: &AdminSettings| settings.tls.as_ref().map(|tls| tls.client_certificates.is_some());
    let asked = tls.as_ref().map(|tls| tls.client_certificates.is_some());
    differing(&[
        ("admin.tls", asked != asks(now)),
        ("admin.address", *address != now.address),
        ("admin.metrics_address", *metrics_address != now.metrics_address),
    ])
}

/// Where and under which key it is written lives as long as the process; what is written does not.
fn of_audit(started: Option<&AuditSettings>, now: Option<&AuditSettings>) -> Vec<String> {
    let (Some(started), Some(now)) = (started, now) else {
        return differing(&[("telemetry.audit", started.is_some() != now.is_some())]);
    };
    let AuditSettings { file, key, rotate, terms: _ } = started;
    differing(&[
        ("telemetry.audit.file", *file != now.file),
        ("telemetry.audit.key", *key != now.key),
        ("telemetry.audit.rotate", *rotate != now.rotate),
    ])
}

fn of_store(started: &StoreSettings, now: &StoreSettings) -> Vec<String> {
    match (started, now) {
        (StoreSettings::Embedded { max_entries }, StoreSettings::Embedded { max_entries: now }) => {
            differing(&[("store.embedded.max_entries", max_entries != now)])
        }
        (StoreSettings::Redis(started), StoreSettings::Redis(now)) => of_redis(started, now),
        (StoreSettings::Embedded { .. }, StoreSettings::Redis(_))
        | (StoreSettings::Redis(_), StoreSettings::Embedded { .. }) => differing(&[("store", true)]),
    }
}

fn of_redis(started: &RedisSettings, now: &RedisSettings) -> Vec<String> {
    // How long the claim of another replica is remembered follows from the upstreams' time-outs: too short costs a
    // question, too long a refusal, and neither is worth a restart. How many are remembered is not configured.
    let RedisSettings {
        servers,
        username,
        password,
        ca,
        client_certificate,
        timeout,
        connections,
        key_prefix,
        replica_acks,
        recent_claims: _,
        foreign_memory: _,
    } = started;
    let key = match &now.servers {
        Servers::Single(_) => "store.redis.url",
        Servers::Cluster(_) => "store.redis.cluster",
        Servers::Sentinel { .. } => "store.redis.sentinel",
    };
    differing(&[
        (key, *servers != now.servers),
        ("store.redis.username", *username != now.username),
        ("store.redis.password", *password != now.password),
        ("store.redis.ca", *ca != now.ca),
        ("store.redis.client_certificate", *client_certificate != now.client_certificate),
        ("store.redis.timeout", *timeout != now.timeout),
        ("store.redis.connections", *connections != now.connections),
        ("store.redis.key_prefix", *key_prefix != now.key_prefix),
        ("store.redis.replica_acks", *replica_acks != now.replica_acks),
    ])
}

fn of_revocations(started: &RevocationSettings, now: &RevocationSettings) -> Vec<String> {
    let RevocationSettings { file, max_stale } = started;
    differing(&[
        ("store.revocations_file", *file != now.file),
        ("store.revocation_max_stale", *max_stale != now.max_stale),
    ])
}

fn of_server(started: &ServerSettings, now: &ServerSettings) -> Vec<String> {
    let ServerSettings {
        threads,
        runtime_dir,
        header_timeout,
        idle_timeout,
        max_header,
        max_connections,
        max_connections_per_client,
        drain_delay: _,
        shutdown_grace: _,
    } = started;
    differing(&[
        ("server.threads", *threads != now.threads),
        ("server.runtime_dir", *runtime_dir != now.runtime_dir),
        ("server.header_timeout", *header_timeout != now.header_timeout),
        ("server.idle_timeout", *idle_timeout != now.idle_timeout),
        ("server.max_header", *max_header != now.max_header),
        ("server.max_connections", *max_connections != now.max_connections),
        ("server.max_connections_per_client", *max_connections_per_client != now.max_connections_per_client),
    ])
}

/// Listeners are known by their names.
fn all_listeners(started: &[ListenerSettings], now: &[ListenerSettings]) -> Vec<String> {
    let mut keys = Vec::new();
    for listener in started {
        let name = &listener.name;
        match now.iter().find(|other| other.name == *name) {
            Some(same) => {
                keys.extend(one_listener(listener, same).into_iter().map(|key| format!("listeners[{name}].{key}")));
            }
            None => keys.push(format!("listeners[{name}]")),
        }
    }
    let new = now.iter().filter(|listener| !started.iter().any(|other| other.name == listener.name));
    keys.extend(new.map(|listener| format!("listeners[{}]", listener.name)));
    keys
}

fn one_listener(started: &ListenerSettings, now: &ListenerSettings) -> Vec<String> {
    let ListenerSettings {
        name: _,
        address,
        http2,
        public,
        trusted_proxies,
        client_certificate_header,
        proxy_protocol,
        kind,
    } = started;
    let mut keys = differing(&[
        ("address", *address != now.address),
        ("http2", *http2 != now.http2),
        ("public", *public != now.public),
        ("trusted_proxies", *trusted_proxies != now.trusted_proxies),
        ("client_certificate_header", *client_certificate_header != now.client_certificate_header),
        ("proxy_protocol", *proxy_protocol != now.proxy_protocol),
    ]);
    keys.extend(match (kind, &now.kind) {
        (ListenerKind::Tls(started), ListenerKind::Tls(now)) => of_tls(started, now),
        (ListenerKind::Redirect { to }, ListenerKind::Redirect { to: now }) => differing(&[("redirect_to", to != now)]),
        (ListenerKind::Tls(_), ListenerKind::Redirect { .. })
        | (ListenerKind::Redirect { .. }, ListenerKind::Tls(_)) => differing(&[("tls", true)]),
    });
    keys
}

fn of_tls(started: &TlsSettings, now: &TlsSettings) -> Vec<String> {
    let TlsSettings { certificates: _, unknown_sni: _, ocsp_staple: _, min_version, client_certificates } = started;
    let mode = |settings: &TlsSettings| settings.client_certificates.as_ref().map(|clients| clients.mode());
    let asked = client_certificates.as_ref().map(|clients| clients.mode());
    differing(&[
        ("tls.min_version", *min_version != now.min_version),
        ("tls.client_certificates.mode", asked != mode(now)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::VerdictBounds;
    use crate::proxy::{PublicAddress, Scheme, TrustedProxies};
    use crate::secret::Secret;
    use crate::telemetry::audit::{AuditEvents, AuditTerms};
    use crate::telemetry::traces::CollectorUrl;
    use crate::telemetry::{LogLevel, TracesSettings};
    use std::time::Duration;

    fn listener(name: &str, to: u16) -> ListenerSettings {
        ListenerSettings {
            name: name.into(),
            address: "127.0.0.1:8080".parse().unwrap(),
            http2: false,
            public: PublicAddress { scheme: Scheme::Http, port: 80 },
            trusted_proxies: TrustedProxies::default(),
            client_certificate_header: false,
            proxy_protocol: false,
            kind: ListenerKind::Redirect { to },
        }
    }

    fn settings() -> Settings {
        Settings {
            listeners: vec![listener("http", 443)],
            admin: AdminSettings {
                address: "127.0.0.1:9901".parse().unwrap(),
                metrics_address: None,
                tls: None,
                token: None,
            },
            store: StoreSettings::Embedded { max_entries: 10 },
            server: ServerSettings { threads: 2, ..ServerSettings::default() },
            revocations: RevocationSettings { file: None, max_stale: Duration::from_secs(300) },
            verdicts: VerdictBounds::default(),
            log: LogSettings::default(),
            audit: Some(audit("audit.jsonl")),
            traces: None,
        }
    }

    fn audit(file: &str) -> AuditSettings {
        let key = Secret::new(vec![7; 32]);
        AuditSettings { file: file.into(), key, rotate: 1, terms: AuditTerms::default() }
    }

    #[test]
    fn what_can_be_applied_needs_no_restart() {
        let mut now = settings();
        now.admin.token = Some(Secret::new("new".to_owned()));
        now.server.drain_delay = Duration::from_secs(60);
        now.server.shutdown_grace = Duration::from_secs(60);
        now.log.level = LogLevel::Warn;
        let terms = AuditTerms { events: AuditEvents::Denials, ..AuditTerms::default() };
        now.audit = Some(AuditSettings { terms, ..audit("audit.jsonl") });
        assert_eq!(needs_restart(&settings(), &now), Vec::<String>::new());
    }

    #[test]
    fn what_lives_as_long_as_the_process_is_named() {
        let mut now = settings();
        now.listeners = vec![listener("http", 8443), listener("more", 443)];
        now.listeners[0].address = "127.0.0.1:8081".parse().unwrap();
        now.admin.address = "127.0.0.1:1".parse().unwrap();
        now.store = StoreSettings::Embedded { max_entries: 11 };
        now.server.threads = 3;
        now.audit = Some(audit("other.jsonl"));
        now.traces = Some(TracesSettings { endpoint: CollectorUrl::parse("http://[::1]").unwrap(), ca: None });
        let expected = [
            "listeners[http].address",
            "listeners[http].redirect_to",
            "listeners[more]",
            "admin.address",
            "store.embedded.max_entries",
            "server.threads",
            "telemetry.audit.file",
            "telemetry.otlp",
        ];
        assert_eq!(needs_restart(&settings(), &now), expected);
        now.listeners = vec![];
        assert_eq!(needs_restart(&settings(), &now)[0], "listeners[http]");
    }

    #[test]
    fn every_key_of_the_store_is_named() {
        let redis = |change: fn(&mut RedisSettings)| {
            let mut redis = RedisSettings::new(Servers::Single("redis://store".parse().unwrap()));
            change(&mut redis);
            Settings { store: StoreSettings::Redis(Box::new(redis)), ..settings() }
        };
        let named = |change| needs_restart(&redis(|_| {}), &redis(change));
        assert_eq!(named(|redis| redis.replica_acks = 1), ["store.redis.replica_acks"]);
        assert_eq!(named(|redis| redis.connections = 4), ["store.redis.connections"]);
        assert_eq!(named(|redis| redis.password = Some(Secret::new("new".to_owned()))), ["store.redis.password"]);
        let cluster: fn(&mut RedisSettings) =
            |redis| redis.servers = Servers::Cluster(vec!["redis://store".parse().unwrap()]);
        assert_eq!(named(cluster), ["store.redis.cluster"]);
        assert_eq!(named(|redis| redis.foreign_memory = Duration::from_secs(9)), Vec::<String>::new());
        assert_eq!(needs_restart(&settings(), &redis(|_| {})), ["store"]);
    }
}
