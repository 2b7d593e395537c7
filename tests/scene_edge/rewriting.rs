//! What a route changes of a request's path, and of an answer's headers.

use crate::all;
use crate::common::{Config, Gateway, Issuer, Recorded, Reply, Shared, Upstream};
use serde_json::json;
use std::sync::Arc;

static SCENE: Shared<(Gateway, Upstream)> = Shared::new();

fn scene() -> Arc<(Gateway, Upstream)> {
    SCENE.get(|| {
        let upstream = Upstream::start_with(|_: &Recorded| {
            Reply::json(200, &json!({})).field("Server", "legacy/1.0").field("X-Frame-Options", "ALLOWALL")
        });
        let gateway = Config::new()
            .upstream("legacy", &upstream)
            .route(
                "name: orders\nmatch: { path: \"/orders/{*rest}\", methods: [GET] }\nupstream: legacy\naccess: public\n\
                 rewrite: { strip_prefix: /orders, add_prefix: /v1/shop }\n\
                 response_headers: { X-Frame-Options: DENY, Referrer-Policy: no-referrer, Server: \"\" }",
            )
            .route(
                "name: root\nmatch: { path: /old }\nupstream: legacy\naccess: public\nrewrite: { strip_prefix: /old }",
            )
            .route("name: plain\nmatch: { path: /plain }\nupstream: legacy\naccess: public")
            .start();
        (gateway, upstream)
    })
}

#[test]
fn whole_segments_are_rewritten_and_the_rest_stays_byte_for_byte() {
    let scene = scene();
    for (asked, heard) in [
        ("/orders/17", "/v1/shop/17"),
        ("/orders/17/?q=/orders/..", "/v1/shop/17/?q=/orders/.."),
        ("/orders/orders/caf%c3%a9", "/v1/shop/orders/caf%C3%A9"),
        ("/old?x", "/?x"),
        ("/plain", "/plain"),
    ] {
        assert_eq!(scene.0.client().get(asked, None).status, 200, "{asked}");
        assert!(scene.1.requests().iter().any(|request| request.target == heard), "{asked} is heard as {heard}");
    }
}

#[test]
fn tricks_are_refused_before_anything_is_rewritten() {
    let scene = scene();
    for path in ["/orders/../v1", "/orders/%2e%2e/x", "/orders//x", "/orders/..%2fx", "/orders/;/x", "/ord%65rs/x"] {
        assert_eq!(scene.0.client().get(path, None).status, 400, "{path}");
    }
    assert_eq!(scene.0.client().get("/v1/shop/17", None).status, 404, "the upstream's own path is no route");
}

#[test]
fn headers_of_answers_are_set_in_place_of_the_upstreams() {
    let scene = scene();
    let answer = scene.0.client().get("/orders/1", None);
    assert_eq!(
        (all(&answer, "x-frame-options").as_str(), all(&answer, "referrer-policy").as_str()),
        ("DENY", "no-referrer")
    );
    assert_eq!(all(&answer, "server"), "", "it was told to go");
    let answer = scene.0.client().get("/plain", None);
    assert_eq!((all(&answer, "server").as_str(), all(&answer, "x-frame-options").as_str()), ("legacy/1.0", "ALLOWALL"));
}

#[test]
fn what_is_for_one_connection_alone_goes_no_further() {
    let upstream = Upstream::start_with(|_: &Recorded| {
        Reply::json(200, &json!({}))
            .field("Connection", "X-Hop")
            .field("X-Hop", "for the gateway")
            .field("Keep-Alive", "timeout=5")
            .field("Proxy-Connection", "keep-alive")
            .field("X-End", "for the client")
    });
    let gateway = Config::new()
        .upstream("legacy", &upstream)
        .route("name: plain\nmatch: { path: /plain }\nupstream: legacy\naccess: public")
        .start();
    for options in [&["--http1.1"][..], &["--http2"][..]] {
        let answer = gateway.client().curl("/plain", options);
        assert_eq!((answer.status, all(&answer, "x-end").as_str()), (200, "for the client"), "{options:?}");
        for name in ["x-hop", "keep-alive", "proxy-connection"] {
            assert_eq!(all(&answer, name), "", "{name} {options:?}");
        }
    }
}

#[test]
fn https_is_pinned_unless_a_route_has_another_word_on_it() {
    const PINNED: &str = "max-age=31536000";
    let pins = |gateway: &Gateway, path: &str| {
        let answer = gateway.client().get(path, None);
        (answer.status, all(&answer, "strict-transport-security"))
    };
    let silent = &scene().0;
    for (path, status) in [("/plain", 200), ("/orders/1", 200), ("/nowhere", 404), ("/a//b", 400)] {
        assert_eq!(pins(silent, path), (status, PINNED.to_owned()), "{path}");
    }
    let upstream = Upstream::start_with(|_: &Recorded| Reply::json(200, &json!({})));
    let route = |name: &str, access: &str, headers: &str| {
        format!("name: {name}\nmatch: {{ path: /{name} }}\nupstream: legacy\naccess: {access}\n{headers}")
    };
    let gateway = Config::new()
        .upstream("legacy", &upstream)
        .issuer(&Issuer::new("corp", "ES256"))
        .route(&route("short", "public", "response_headers: { Strict-Transport-Security: max-age=300 }"))
        .route(&route("refused", "{ issuers: [corp] }", "response_headers: { strict-transport-security: \"\" }"))
        .route(&route("plain", "public", ""))
        .start();
    for (path, status, pinned) in [
        ("/short", 200, "max-age=300"),
        ("/refused", 401, ""),
        ("/plain", 200, PINNED),
        ("/nowhere", 404, ""),
        ("/a//b", 400, ""),
        ("/.tollgate/healthz", 200, ""),
    ] {
        assert_eq!(pins(&gateway, path), (status, pinned.to_owned()), "{path}");
    }
}
