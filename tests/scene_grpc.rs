//! gRPC through HTTPS with a token: unary calls, streams in each direction, errors, and refusals a gRPC client
//! understands.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::{Config, Gateway, HOST, Issuer, Script, ports, unix_now, until};
use serde_json::{Value, json};

struct Scene {
    issuer: Issuer,
    gateway: Gateway,
    server: Script,
}

impl Scene {
    fn new() -> Self {
        let (issuer, address) = (Issuer::new("corp", "ES256").with("leeway: 0s"), ports::free());
        let server = Script::serve("grpc_peer.py", &["serve", &address.port().to_string()]);
        let config = Config::new()
            .issuer(&issuer)
            .store("embedded: {}\nrevocations_file: revoked.list")
            .upstream_yaml(&format!(
                "name: calls\nendpoints: [\"http://{address}\"]\nprotocol: http2\ntimeouts: {{ read: 1s }}"
            ))
            .route(
                "name: calls\nmatch: { path: \"/echo.Echo/{method}\", methods: [POST] }\nupstream: calls\n\
                 access: { issuers: [corp] }\nidentity: { headers: { X-User-Id: { claim: sub } } }",
            )
            .route(
                "name: admin\nmatch: { path: \"/echo.Echo/Admin\", methods: [POST] }\nupstream: calls\n\
                 access: { issuers: [corp], scopes: [admin] }",
            );
        let pem = config.authority().pem();
        Self { issuer, gateway: config.file("ca.pem", pem).start(), server }
    }

    fn call(&self, method: &str, token: &str) -> Script {
        let (port, ca) = (self.gateway.https_address().port().to_string(), self.gateway.directory().join("ca.pem"));
        Script::start("grpc_peer.py", &["call", &port, HOST, &ca.display().to_string(), method, token])
    }

    /// The messages of a call, and how it ended.
    fn result(&self, method: &str, token: &str) -> (Vec<String>, Value) {
        let (mut call, mut messages) = (self.call(method, token), Vec::new());
        loop {
            let said = call.hear();
            match said["message"].as_str() {
                Some(message) => messages.push(message.to_owned()),
                None => return (messages, said),
            }
        }
    }
}

#[test]
fn calls_of_every_shape_go_through() {
    let scene = Scene::new();
    let token = scene.issuer.token("alice");
    for (method, expected) in [
        ("Unary", vec!["a"]),
        ("Down", vec!["a-0", "a-1", "a-2"]),
        ("Up", vec!["abc"]),
        ("Both", vec!["a", "b", "c"]),
        ("User", vec!["alice None"]),
    ] {
        let (messages, end) = scene.result(method, &token);
        assert_eq!(
            (messages, &end["code"]),
            (expected.into_iter().map(str::to_owned).collect(), &json!("OK")),
            "{method}: {end}"
        );
    }
    let (_, end) = scene.result("Unary", &token);
    assert_eq!(end["metadata"]["x-after"], "unary", "trailers reach the client: {end}");
    assert!(end["metadata"].get("x-user-id").is_none(), "what only the upstream is told does not: {end}");
}

#[test]
fn an_error_of_the_upstream_reaches_the_client_whole() {
    let scene = Scene::new();
    let (messages, end) = scene.result("Fail", &scene.issuer.token("alice"));
    assert_eq!(
        (messages.len(), &end["code"], &end["details"]),
        (0, &json!("FAILED_PRECONDITION"), &json!("not today"))
    );
    assert_eq!(end["metadata"]["x-after"], "fail");
}

#[test]
fn refusals_are_statuses_of_grpc() {
    let mut scene = Scene::new();
    let token = scene.issuer.token("alice");
    for (method, token, code, details) in [
        ("Unary", "", "UNAUTHENTICATED", "Unauthorized"),
        ("Unary", "a.b.c", "UNAUTHENTICATED", "Unauthorized"),
        ("Admin", token.as_str(), "PERMISSION_DENIED", "Forbidden"),
    ] {
        let (messages, end) = scene.result(method, token);
        assert_eq!((messages.len(), &end["code"], &end["details"]), (0, &json!(code), &json!(details)), "{method}");
        assert!(
            end["metadata"]["x-request-id"].is_string() && end["metadata"]["www-authenticate"].is_string(),
            "{end}"
        );
    }
    scene.server.kill();
    until("the dead upstream is left out", || {
        let (_, end) = scene.result("Unary", &token);
        assert_eq!(end["code"], "UNAVAILABLE");
        let metrics = scene.gateway.admin().metrics();
        (metrics.gauge("tollgate_upstream_healthy", &[("upstream", "calls")]) < 1.0).then_some(())
    });
    let (_, end) = scene.result("Unary", &token);
    assert_eq!((&end["code"], &end["metadata"]["retry-after"]), (&json!("UNAVAILABLE"), &json!("1")));
}

#[test]
fn a_stream_ends_with_its_token() {
    let scene = Scene::new();
    let mut claims = scene.issuer.claims("alice");
    let end = unix_now() + 4;
    claims["exp"] = json!(end);
    let mut call = scene.call("Hold", &scene.issuer.sign(&claims));
    assert_eq!(call.hear(), json!({ "message": "a" }));
    let open = || scene.gateway.admin().metrics().gauge("tollgate_tunnels", &[("route", "calls")]);
    until("it is counted", || (open() > 0.5).then_some(()));
    let last = call.hear();
    assert!(last["code"].is_string() && last["code"] != "OK", "{last}");
    assert!(unix_now() >= end, "cut before its time");
    until("it is counted no more", || (open() < 0.5).then_some(()));
}

#[test]
fn a_stream_ends_when_its_token_is_revoked() {
    let scene = Scene::new();
    let (token, expires_at) = scene.issuer.token_with_id("dead");
    let mut call = scene.call("Hold", &token);
    assert_eq!(call.hear(), json!({ "message": "a" }));
    scene.gateway.admin().revoke("corp", "dead", expires_at);
    let last = call.hear();
    assert!(last["code"].is_string() && last["code"] != "OK", "{last}");
    assert!(unix_now() < expires_at, "cut because it was revoked");
}
