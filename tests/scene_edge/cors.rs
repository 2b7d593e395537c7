//! Cross-origin resource sharing: the gateway speaks for backends that don't.

use crate::all;
use crate::common::{Answer, Config, Gateway, Issuer, Recorded, Reply, Shared, Upstream};
use serde_json::json;
use std::sync::Arc;

const APP: &str = "https://app.example.com";
const ALLOW: &str = "access-control-allow-origin";

static SCENE: Shared<Scene> = Shared::new();

struct Scene {
    gateway: Gateway,
    issuer: Issuer,
    upstream: Upstream,
}

/// An upstream that allows everybody everything, which no browser would believe once it is doubled.
fn lax(_: &Recorded) -> Reply {
    Reply::json(200, &json!({}))
        .field("Access-Control-Allow-Origin", "*")
        .field("Access-Control-Allow-Origin", "https://evil.test")
        .field("Access-Control-Allow-Credentials", "true")
        .field("Vary", "Accept-Encoding")
}

fn scene() -> Arc<Scene> {
    SCENE.get(|| {
        let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start_with(lax));
        let gateway = Config::new()
            .issuer(&issuer)
            .upstream("lax", &upstream)
            .route(
                "name: orders\nmatch: { path: /orders, methods: [GET, POST] }\nupstream: lax\naccess: { issuers: [corp] }\n\
                 cors: { origins: [\"https://app.example.com\"], headers: [Authorization], expose: [X-Total], credentials: true, max_age: 5m }",
            )
            .route("name: open\nmatch: { path: /open }\nupstream: lax\naccess: public\ncors: { origins: [\"*\"] }")
            .route("name: silent\nmatch: { path: /silent }\nupstream: lax\naccess: public")
            .start();
        Scene { gateway, issuer, upstream }
    })
}

impl Scene {
    fn preflight(&self, path: &str, origin: &str, method: &str) -> Answer {
        let fields = [
            ("Origin", origin),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Private-Network", "true"),
        ];
        self.gateway.client().request("OPTIONS", path, &fields, b"")
    }
}

#[test]
fn a_preflight_is_answered_without_a_token_and_without_the_upstream() {
    let scene = scene();
    let answer = scene.preflight("/orders", APP, "POST");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    for (name, value) in [
        (ALLOW, APP),
        ("access-control-allow-methods", "GET, POST, HEAD"),
        ("access-control-allow-headers", "Authorization"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "300"),
        ("vary", "Origin"),
    ] {
        assert_eq!(
            all(&answer, name).replace("GET, POST, HEAD", "GET, POST"),
            value.replace("GET, POST, HEAD", "GET, POST"),
            "{name}"
        );
    }
    assert!(answer.header("x-request-id").is_some());
    assert!(
        !scene.upstream.requests().iter().any(|request| request.method == "OPTIONS" && request.target == "/orders")
    );
}

#[test]
fn a_preflight_matches_by_the_method_it_asks_about() {
    let scene = scene();
    assert_eq!(scene.preflight("/orders", APP, "DELETE").status, 405);
    assert_eq!(scene.preflight("/nowhere", APP, "GET").status, 404);
    let without_origin =
        scene.gateway.client().request("OPTIONS", "/orders", &[("Access-Control-Request-Method", "GET")], b"");
    assert_eq!(without_origin.status, 405);
}

#[test]
fn another_origin_is_answered_and_allowed_nothing() {
    let answer = scene().preflight("/orders", "https://evil.test", "GET");
    assert_eq!((answer.status, answer.header("vary")), (204, Some("Origin")));
    assert!(!answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-")));
}

#[test]
fn a_refusal_can_be_read_by_the_page_that_caused_it() {
    let answer = scene().gateway.client().request("GET", "/orders", &[("Origin", APP)], b"");
    assert_eq!((answer.status, all(&answer, ALLOW).as_str()), (401, APP));
    let exposed = all(&answer, "access-control-expose-headers");
    for name in ["X-Total", "WWW-Authenticate", "DPoP-Nonce", "X-Request-Id", "Retry-After"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert_eq!(all(&answer, "vary"), "Origin");
}

#[test]
fn what_the_upstream_says_of_origins_is_replaced_and_not_doubled() {
    let scene = scene();
    let token = format!("Bearer {}", scene.issuer.token("alice"));
    let get = |origin: &str| {
        let fields = [("Authorization", token.as_str()), ("Origin", origin)];
        scene.gateway.client().request("GET", "/orders", &fields, b"")
    };
    let answer = get(APP);
    assert_eq!((answer.status, all(&answer, ALLOW).as_str()), (200, APP));
    assert_eq!(all(&answer, "access-control-allow-credentials"), "true");
    assert_eq!(all(&answer, "vary"), "Accept-Encoding | Origin");
    let answer = get("https://evil.test");
    assert_eq!((answer.status, all(&answer, ALLOW).as_str()), (200, ""));
    assert_eq!(all(&answer, "access-control-allow-credentials"), "");
}

#[test]
fn everybody_is_allowed_only_without_credentials() {
    let scene = scene();
    let answer = scene.gateway.client().request("GET", "/open", &[("Origin", "https://any.test")], b"");
    assert_eq!((all(&answer, ALLOW).as_str(), all(&answer, "access-control-allow-credentials").as_str()), ("*", ""));
}

#[test]
fn a_route_without_the_key_leaves_it_to_the_upstream() {
    let scene = scene();
    let answer = scene.gateway.client().request("GET", "/silent", &[("Origin", APP)], b"");
    assert_eq!(all(&answer, ALLOW), "* | https://evil.test");
    assert_eq!(scene.preflight("/silent", APP, "GET").status, 200);
    assert!(scene.upstream.requests().iter().any(|request| request.method == "OPTIONS" && request.target == "/silent"));
}

#[test]
fn a_preflight_over_http2_is_answered_too() {
    let options =
        ["-X", "OPTIONS", "-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: GET"];
    let answer = scene().gateway.client().curl("/orders", &options);
    assert_eq!((answer.status, answer.header(ALLOW)), (204, Some(APP)));
}
