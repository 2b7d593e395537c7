//! No token, key or secret appears in anything that a run writes: logs, answers, metrics, explanations, faults.
//!
//! The run is a full one, with good and bad requests of every kind, and faulty
//! configurations; then everything it wrote is searched for everything that was secret.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs;

use common::config::ADMIN_TOKEN;
use common::issuer::encode;
use common::{Answer, Config, Issuer, Peers, Redis, Upstream, tollgate, until};
use serde_json::{Value, json};

const REDIS_PASSWORD: &str = "redis-password-of-the-scene-31337";

/// What was secret in a run, and what the run wrote.
#[derive(Default)]
struct Run {
    secrets: Vec<(String, String)>,
    written: Vec<(String, String)>,
}

impl Run {
    fn secret(&mut self, what: &str, value: &str) {
        assert!(value.len() >= 16, "{what} is too short to be searched for");
        self.secrets.push((what.to_owned(), value.to_owned()));
    }

    /// A token: its payload and what follows. The JOSE header is the same for everyone and no secret.
    fn token(&mut self, what: &str, token: &str) -> String {
        for (n, segment) in token.split('.').enumerate().skip(1).filter(|(_, segment)| segment.len() >= 16) {
            self.secret(&format!("{what}, segment {n}"), segment);
        }
        token.to_owned()
    }

    /// The private members of a JWK.
    fn key(&mut self, what: &str, key: &Value) {
        for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            if let Some(value) = key[member].as_str() {
                self.secret(&format!("{what}, member {member}"), value);
            }
        }
    }

    fn wrote(&mut self, what: &str, text: impl AsRef<[u8]>) {
        self.written.push((what.to_owned(), String::from_utf8_lossy(text.as_ref()).into_owned()));
    }

    /// An answer: all of it, since a refusal must not echo what it refused.
    fn answered(&mut self, what: &str, answer: &Answer) {
        let fields: Vec<String> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        self.wrote(what, format!("{}\n\n{}", fields.join("\n"), answer.text()));
    }

    fn assert_clean(&self) {
        let leaks: Vec<String> = self.leaks().collect();
        assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    }

    fn leaks(&self) -> impl Iterator<Item = String> {
        self.secrets.iter().flat_map(|(secret, value)| {
            self.written.iter().filter_map(move |(place, text)| {
                let fragment = fragments(value).into_iter().find(|fragment| text.contains(fragment))?;
                let line = text.lines().find(|line| line.contains(fragment)).unwrap_or_default();
                Some(format!("{secret} is in {place}: {}", line.chars().take(200).collect::<String>()))
            })
        })
    }
}

/// The whole of a short secret; the start, the middle and the end of a long one, since a part of it leaks too.
fn fragments(value: &str) -> Vec<&str> {
    const PART: usize = 24;
    if value.len() < 2 * PART || !value.is_ascii() {
        return vec![value];
    }
    let middle = (value.len() - PART) / 2;
    vec![&value[..PART], &value[middle..middle + PART], &value[value.len() - PART..]]
}

#[test]
fn the_search_finds_what_it_is_there_for() {
    let mut run = Run::default();
    run.token("a token", &format!("{}.{}.{}", "a".repeat(20), "b".repeat(20), "c".repeat(20)));
    run.key("a key", &json!({ "kty": "oct", "k": "k".repeat(20) }));
    run.secret("a long secret", &format!("{}{}{}", "d".repeat(30), "e".repeat(30), "f".repeat(30)));
    run.wrote("a log", format!("first line\ntoken={}.\n", "c".repeat(20)));
    run.wrote("a part", format!("a cut secret: {}…", "d".repeat(26)));
    run.wrote("a clean log", "nothing");
    let leaks: Vec<String> = run.leaks().collect();
    assert_eq!(leaks.len(), 2, "{leaks:?}");
    assert!(leaks[0].starts_with("a token, segment 2 is in a log: token="));
    assert!(leaks[1].starts_with("a long secret is in a part: a cut secret: dd"));
}

#[test]
fn nothing_secret_is_written_by_a_full_run() {
    let mut run = Run::default();
    let (peers, upstream) = (Peers::start(), Upstream::start());
    let redis = Redis::start_with_password(REDIS_PASSWORD);
    let (issuer, shared) = (Issuer::new("corp", "ES256").with("leeway: 0s"), Issuer::new("shared", "HS256"));
    let (decrypt, encrypt) = peers.keygen("jwcrypto", "RSA-OAEP-256", &json!({}));
    run.secret("the admin token", ADMIN_TOKEN);
    run.secret("the redis password", REDIS_PASSWORD);
    run.secret("the shared secret", &String::from_utf8(shared.key_file().1).unwrap());
    run.key("the decryption key", &decrypt);

    let access = |issuers: &str, more: &str| format!("{{ issuers: [{issuers}], scopes: [] {more} }}");
    let route = |name: &str, access: &str, token: &str| {
        format!(
            "name: {name}\nmatch: {{ path: /{name} }}\nupstream: echo\naccess: {access}\n\
             identity: {{ headers: {{ X-User-Id: {{ claim: sub }} }}, token: {token} }}"
        )
    };
    let gateway = Config::new()
        .file("redis.password", REDIS_PASSWORD)
        .file("decrypt.json", json!({ "keys": [decrypt] }).to_string())
        .store(&format!("redis: {{ url: \"{}\", password: \"file:redis.password\", timeout: 2s }}", redis.url()))
        .issuer(&issuer)
        .issuer(&shared)
        .issuer_yaml(
            "name: nested\nissuer: https://nested.example.test\naudiences: [https://api.example.test]\n\
             keys: { jwks_file: corp.jwks.json }\ntoken:\n  form: nested\n  signing_algorithms: [ES256]\n\
             \x20 key_algorithms: [RSA-OAEP-256]\n  content_encryptions: [A256GCM]\n  decryption_keys: \"file:decrypt.json\"",
        )
        .upstream("echo", &upstream)
        .upstream_yaml("name: gone\nendpoints: [\"http://127.0.0.1:9\"]")
        .route(&route("once", &access("corp", ", replay: once"), "drop"))
        .route(&route("many", &access("corp, shared, nested", ""), "keep"))
        .route(&route("when", &access("corp", ", when: 'claims.sub == \"nobody\"'"), "drop"))
        .route(&route("scoped", "{ issuers: [corp], scopes: [admin] }", "drop"))
        .route("name: gone\nmatch: { path: /gone }\nupstream: gone\naccess: { issuers: [corp] }")
        .route("name: public\nmatch: { path: /public }\nupstream: echo\naccess: public")
        .block("telemetry: { log: { format: json, level: info } }")
        .start();
    let key_file = fs::read_to_string(gateway.directory().join("edge.key")).unwrap();
    run.secret("the certificate's key", key_file.lines().nth(1).unwrap());
    let (client, plain, admin) = (gateway.client(), gateway.plain_client(), gateway.admin());

    // Tokens that are good once, and what is left of them afterwards.
    until("the store vouches for new tokens", || {
        let token = run.token("a one-time token", &issuer.token("alice"));
        (client.get("/once", Some(&token)).status == 200).then_some(())
    });
    let spent = run.token("a spent token", &issuer.token("alice"));
    let statuses = [client.get("/once", Some(&spent)).status, client.get("/once", Some(&spent)).status];
    assert_eq!(statuses, [200, 401]);

    // Every way to be refused that a token has a part in.
    let tokens = bad_and_good_tokens(&issuer, &shared, &peers, encrypt.as_ref().unwrap());
    for (what, token) in &tokens {
        run.token(what, token);
        for path in ["/once", "/many", "/when", "/scoped", "/gone", "/nowhere", "/public/%2e%2e/once"] {
            let answer = client.get(path, Some(token));
            // The upstream's own answer repeats what it was sent; only the gateway's words are judged.
            if answer.status != 200 {
                run.answered(&format!("the answer to {what} at {path}"), &answer);
            }
            let url = format!("https://api.example.test{path}");
            let explained = admin.post("/api/explain", &json!({ "url": url, "method": "GET", "token": token }));
            run.answered(&format!("the explanation of {what} at {path}"), &explained);
        }
        let bearer = format!("Bearer {token}");
        run.answered("the redirect", &plain.request("GET", "/many", &[("Authorization", &bearer)], b""));
        let twice = [("Authorization", bearer.as_str()), ("Authorization", bearer.as_str())];
        run.answered("the answer to two credentials", &client.request("GET", "/many", &twice, b""));
        // In the wrong places: where people paste tokens by mistake.
        run.answered("the answer to a path", &client.get(&format!("/{token}"), None));
        run.answered("the answer to a scheme", &client.request("GET", "/many", &[("Authorization", token)], b""));
        let target = format!("/many?access_token={token}");
        run.answered("the answer to a query", &client.get(&target, None));
    }
    let wrong = run.token("a wrong admin token", &format!("x.{}", "wrong-admin-token-".repeat(3)));
    let fields = [("Authorization", format!("Bearer {wrong}"))];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = common::Client::plain(admin.address(), "localhost").request("POST", "/api/explain", &fields, b"{}");
    assert_eq!(refused.status, 401);
    run.answered("the admin's refusal", &refused);
    for path in ["/metrics", "/readyz", "/livez", "/api/status", "/api/routes"] {
        run.answered(path, &admin.get(path));
    }

    // A store that goes away makes the gateway talk about it.
    drop(redis);
    run.answered("the answer without a store", &client.get("/once", Some(&issuer.token("alice"))));

    let mut gateway = gateway;
    assert!(gateway.stop().success());
    let log = gateway.log();
    assert!(log.contains("replayed") || log.contains("/once"), "the log says something about requests:\n{log}");
    run.wrote("the log", log);
    commands(&mut run, gateway.directory());
    run.assert_clean();
}

/// A token for every reason to be refused, and good ones.
fn bad_and_good_tokens(
    issuer: &Issuer,
    shared: &Issuer,
    peers: &Peers,
    encrypt: &Value,
) -> Vec<(&'static str, String)> {
    let changed = |member: &str, value: Value| {
        let mut claims = issuer.claims("alice");
        claims[member] = value;
        issuer.sign(&claims)
    };
    let good = issuer.token("alice");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let with_header = |header: Value| issuer.sign_raw(&header.to_string(), &issuer.claims("alice").to_string());
    let nest = |payload: &str| {
        let header = json!({ "cty": "JWT", "iss": "https://nested.example.test" });
        peers.token(
            "jwcrypto",
            &json!({ "op": "encrypt", "alg": "RSA-OAEP-256", "enc": "A256GCM", "key": encrypt, "header": header, "payload": payload }),
        )
    };
    let mut inner = issuer.claims("alice");
    inner["iss"] = json!("https://nested.example.test");
    let nested = nest(&issuer.sign(&inner));
    vec![
        ("a good token", good.clone()),
        ("a good symmetric token", shared.token("alice")),
        ("a good nested token", nested.clone()),
        ("a nested token of unsigned claims", nest(&inner.to_string())),
        ("a broken nested token", format!("{}AAAA", &nested[..nested.len() - 4])),
        ("an expired token", changed("exp", json!(1_700_000_000))),
        ("a token for others", changed("aud", json!("https://elsewhere.example.test"))),
        ("a token of a stranger", changed("iss", json!("https://stranger.example.test"))),
        ("a token with a mistyped claim", changed("exp", json!("tomorrow-and-tomorrow"))),
        ("a token with an unencodable subject", changed("sub", json!("alice\r\nX-Admin: yes, really"))),
        ("a forged token", format!("{signed}.{}", signature.chars().rev().collect::<String>())),
        ("an unsigned token", format!("{}.{}.", encode(br#"{"alg":"none"}"#), signed.split('.').nth(1).unwrap())),
        ("a token with an unknown kid", with_header(json!({ "alg": "ES256", "kid": "unknown", "typ": "at+jwt" }))),
        ("a token with a key in it", with_header(json!({ "alg": "ES256", "jwk": issuer.public_jwk() }))),
        ("a truncated token", good[..good.len() - 7].to_owned()),
        ("a token with a tail", format!("{good}.tail-of-a-token-0123456789")),
        ("an enormous token", issuer.sign_raw(&issuer.header().to_string(), &"x".repeat(9000))),
    ]
}

/// Commands that read secrets, on good and on faulty configurations.
fn commands(run: &mut Run, directory: &std::path::Path) {
    let good = fs::read_to_string(directory.join("gateway.yaml")).unwrap();
    let faulty = [
        ("an unknown key", good.clone() + "surprise: 1\n"),
        ("a secret in the file", good.replace("file:redis.password", REDIS_PASSWORD)),
        ("a secret as a key set", good.replace("jwks_file: corp.jwks.json", "jwks_file: shared.secret")),
        ("a key as a certificate", good.replace("chain: edge.pem", "chain: edge.key")),
        ("a private key as a public one", good.replace("jwks_file: corp.jwks.json", "jwks_file: decrypt.json")),
        ("a password as a decryption key", good.replace("file:decrypt.json", "file:redis.password")),
        ("a secret as an include", good.clone() + "include: [shared.secret]\n"),
    ];
    let check = tollgate(directory, &["check", "-c", "gateway.yaml"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    run.wrote("check", [check.stdout, check.stderr].concat());
    for (what, text) in faulty {
        fs::write(directory.join("faulty.yaml"), text).unwrap();
        let check = tollgate(directory, &["check", "-c", "faulty.yaml"]);
        assert_eq!(check.status.code(), Some(1), "{what}: {}", String::from_utf8_lossy(&check.stdout));
        run.wrote(&format!("check on {what}"), [check.stdout, check.stderr].concat());
    }
}
