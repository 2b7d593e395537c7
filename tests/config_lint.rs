//! What is legal and weak is warned of, and nothing else is: `fixtures/config/good/weak.yaml` lists its warnings at its
//! end, as the bad configurations list their faults.
//!
//! `TOLLGATE_BLESS=1 cargo test --test config_lint` writes the list anew; read what it wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod config_support;

use config_support::Workshop;
use std::fs;
use std::path::Path;
use tollgate::config;

const EXPECT: &str = "# expect: ";

fn warnings(workshop: &Workshop, text: &str) -> Vec<String> {
    let loaded = workshop.load(text).unwrap_or_else(|faults| panic!("{faults}"));
    let file = format!("{}:", workshop.path("gateway.yaml").display());
    config::lint(&loaded).iter().map(|warning| warning.to_string().replacen(&file, "", 1)).collect()
}

#[test]
fn every_weakness_is_warned_of() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/good/weak.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let found = warnings(&Workshop::new(), &text);
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        let body = text.lines().filter(|line| !line.starts_with(EXPECT)).map(str::to_owned);
        let list = found.iter().map(|line| format!("{EXPECT}{line}"));
        fs::write(&path, body.chain(list).collect::<Vec<_>>().join("\n") + "\n").unwrap();
        return;
    }
    let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(EXPECT)).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_shipped_configuration_is_not_weak_beyond_what_its_comments_say() {
    let workshop = Workshop::new();
    let shipped = include_str!("../gateway.yaml").replace(".tollgate/edge", "certs/edge");
    let names = [
        (".tollgate/admin.token", "secrets/admin.token"),
        (".tollgate/issuer.jwks.json", "keys/corp.jwks.json"),
        (".tollgate/decrypt.jwks.json", "keys/decrypt.jwks.json"),
        (".tollgate/revocations", "keys/revocations"),
    ];
    let text = names.iter().fold(shipped, |text, (shipped, ours)| text.replace(shipped, ours));
    let found: Vec<String> = warnings(&workshop, &text).into_iter().filter(|line| !line.contains("expires")).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("issuers[dev]: serves `orders`, where a token opens once, and `reports`"), "{found:#?}");
}

#[test]
fn a_wide_network_of_proxies_is_warned_of() {
    let weak = include_str!("fixtures/config/good/weak.yaml");
    let with = |networks: &str| {
        let listener = format!(
            "public: {{ scheme: http }}\n    client_certificate_header: Client-Cert\n    trusted_proxies: [{networks}]"
        );
        let found = warnings(&Workshop::new(), &weak.replace("public: { scheme: http }", &listener));
        found.into_iter().filter(|line| line.contains("trusted_proxies")).collect::<Vec<_>>()
    };
    let found = with("10.0.0.0/8, \"8.0.0.0/6\"");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("listeners[https].trusted_proxies[1]: reaches beyond private networks"), "{found:#?}");
}

#[test]
fn what_reaches_further_than_it_seems_is_warned_of() {
    let workshop = Workshop::new();
    fs::write(
        workshop.path("routes.d/team.yaml"),
        "owner: team
upstreams:
  - { name: inside, endpoints: [\"http://127.0.0.1:9901\", \"http://team.internal\", \"http://169.254.169.254\"] }
routes:
  - name: team
    match: { path: /team }
    upstream: inside
    access: { issuers: [corp], scopes: [team] }
    identity: { headers: { X-Team: { claim: team } } }
",
    )
    .unwrap();
    let text = "version: 1
listeners:
  - name: internal
    address: 127.0.0.1:8443
    tls:
      certificates: [{ chain: certs/edge.pem, key: \"file:certs/edge.key\" }]
      client_certificates: { mode: required, ca: certs/ca.pem }
  - name: external
    address: 127.0.0.1:8444
    tls: { certificates: [{ chain: certs/edge.pem, key: \"file:certs/edge.key\" }] }
store: { embedded: {} }
issuers:
  - name: corp
    issuer: https://idp.example.com
    audiences: [https://api.example.com]
    keys: { jwks_file: keys/corp.jwks.json }
    token: { signing_algorithms: [ES256], max_lifetime: 1h }
upstreams:
  - { name: orders, endpoints: [\"http://127.0.0.1:8081\"] }
routes:
  - name: orders
    match: { path: /orders }
    upstream: orders
    access: { issuers: [corp], scopes: [orders], revocation: required }
include: [routes.d/*.yaml]
";
    let found: Vec<String> =
        warnings(&workshop, text).into_iter().filter(|line| !line.contains("expires within")).collect();
    let wanted = [
        "listeners[external].tls: serves the routes of `internal` too",
        "routes[orders].access.revocation: is met by an empty list",
        "upstreams[inside].endpoints[0]: leads to this machine",
        "upstreams[inside].endpoints[2]: leads to this machine",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for part in wanted {
        assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
    }
}
