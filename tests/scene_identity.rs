//! Identity headers: nobody but the gateway writes them. Spoofed ones are removed in every spelling, on every route.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::sync::Arc;

use common::{Config, Gateway, Issuer, Recorded, Shared, Upstream};
use serde_json::json;

static SCENE: Shared<Scene> = Shared::new();

/// Spellings that some upstream reads as `X-User-Id`: RFC 9110 tokens that differ in case and separators only.
const SPELLINGS: [&str; 12] = [
    "X-User-Id",
    "x-user-id",
    "X-USER-ID",
    "X_User_Id",
    "x_user_id",
    "X-User_Id",
    "X_USER-ID",
    "X.User.Id",
    "x-user.id",
    "X~User~Id",
    "X!User!Id",
    "X+User|Id",
];
/// Headers that no client may send on to an upstream, although no route declares them.
const NEVER_FORWARDED: [&str; 10] = [
    "DPoP",
    "Client-Cert",
    "X-Real-IP",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X_Original_URL",
    "Proxy",
];

struct Scene {
    gateway: Gateway,
    issuer: Issuer,
    upstream: Upstream,
}

/// The tests of this file share one upstream: each marks its requests with a path of its own.
fn scene() -> Arc<Scene> {
    SCENE.get(|| {
        let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
        let gateway = Config::new()
            .issuer(&issuer)
            .upstream("echo", &upstream)
            .route(
                "name: orders\nmatch: { path: \"/orders/{*rest}\" }\nupstream: echo\naccess: { issuers: [corp] }\n\
                 identity:\n  headers:\n    X-User-Id: { claim: sub }\n    X-Tenant: { claim: tenant }\n\
                 \x20   X-User-Roles: { claim: /realm_access/roles, format: comma }\n\
                 \x20   X-User-Groups: { claim: groups, format: repeat }\n  strip: [X-Legacy-*]",
            )
            .route("name: reports\nmatch: { path: \"/reports/{*rest}\" }\nupstream: echo\naccess: { issuers: [corp] }")
            .route(
                "name: accounts\nmatch: { path: \"/accounts/{*rest}\" }\nupstream: echo\n\
                 access: { issuers: [corp], when: 'request.headers[\"x-account\"] == claims.sub' }",
            )
            .route("name: public\nmatch: { path: \"/public/{*rest}\" }\nupstream: echo\naccess: public")
            .start();
        Scene { gateway, issuer, upstream }
    })
}

impl Scene {
    /// Sends `fields` to `path` and answers with what the upstream saw.
    fn forwarded(&self, path: &str, fields: &[(&str, &str)]) -> Recorded {
        let answer = self.gateway.client().request("GET", path, fields, b"");
        assert_eq!(answer.status, 200, "{path} {fields:?}: {}", answer.text());
        self.seen(path)
    }

    /// The request for `path` that the upstream saw; paths are not used twice.
    fn seen(&self, path: &str) -> Recorded {
        self.upstream.requests().into_iter().find(|request| request.target == path).unwrap()
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.issuer.token("alice"))
    }
}

/// The values of every field that an upstream could read as `name`.
fn all_values(request: &Recorded, name: &str) -> Vec<String> {
    request.spellings(name).iter().flat_map(|spelling| request.values(spelling)).collect()
}

#[test]
fn no_spelling_of_a_spoofed_header_reaches_an_upstream() {
    let scene = scene();
    let bearer = scene.bearer();
    for (n, spelling) in SPELLINGS.into_iter().enumerate() {
        let spoof = [("Authorization", bearer.as_str()), (spelling, "mallory"), (spelling, "mallory-again")];
        let orders = scene.forwarded(&format!("/orders/spelling-{n}"), &spoof);
        assert_eq!(all_values(&orders, "X-User-Id"), ["alice"], "{spelling} where the route sets the header");
        let reports = scene.forwarded(&format!("/reports/spelling-{n}"), &spoof);
        assert_eq!(all_values(&reports, "X-User-Id"), [""; 0], "{spelling} where another route declares it");
        let public = scene.forwarded(&format!("/public/spelling-{n}"), &spoof[1..]);
        assert_eq!(all_values(&public, "X-User-Id"), [""; 0], "{spelling} on a public route");
        for request in [orders, reports, public] {
            assert!(!String::from_utf8_lossy(&request.raw_head).contains("mallory"), "{spelling}: {request:?}");
        }
    }
}

#[test]
fn no_spelling_of_a_spoofed_header_passes_over_http2() {
    let scene = scene();
    let authorization = format!("Authorization: {}", scene.bearer());
    for (n, spelling) in SPELLINGS.into_iter().enumerate() {
        let spoof = format!("{spelling}: mallory");
        for route in ["orders", "reports", "public"] {
            let path = format!("/{route}/http2-{n}");
            let mut options = vec!["-H", spoof.as_str()];
            if route != "public" {
                options.extend(["-H", authorization.as_str()]);
            }
            let answer = scene.gateway.client().curl(&path, &options);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let request = scene.seen(&path);
            let expected: &[&str] = if route == "orders" { &["alice"] } else { &[] };
            assert_eq!(all_values(&request, "X-User-Id"), expected, "{spelling} on {route}");
            assert!(!String::from_utf8_lossy(&request.raw_head).contains("mallory"), "{spelling} on {route}");
        }
    }
}

#[test]
fn a_header_whose_claim_is_absent_is_absent() {
    let scene = scene();
    let fields = [("Authorization", &*scene.bearer()), ("X-Tenant", "mallory"), ("X-User-Roles", "admin")];
    let request = scene.forwarded("/orders/absent", &fields);
    assert_eq!(all_values(&request, "X-User-Id"), ["alice"]);
    assert_eq!(all_values(&request, "X-Tenant"), [""; 0]);
    assert_eq!(all_values(&request, "X-User-Roles"), [""; 0]);
}

#[test]
fn claims_reach_their_headers() {
    let scene = scene();
    let mut claims = scene.issuer.claims("alice");
    claims["tenant"] = json!("acme");
    claims["realm_access"] = json!({ "roles": ["reader", "writer"] });
    let bearer = format!("Bearer {}", scene.issuer.sign(&claims));
    let request = scene.forwarded("/orders/claims", &[("Authorization", &bearer), ("X-Tenant", "mallory")]);
    assert_eq!(all_values(&request, "X-Tenant"), ["acme"]);
    assert_eq!(all_values(&request, "X-User-Roles"), ["reader,writer"]);
}

#[test]
fn a_claim_that_could_smuggle_a_second_value_is_refused() {
    let scene = scene();
    for roles in [json!(["reader,admin"]), json!(["reader", ""]), json!(["reader\r\nX-Tenant: acme"])] {
        let mut claims = scene.issuer.claims("alice");
        claims["realm_access"] = json!({ "roles": roles });
        let answer = scene.gateway.client().get("/orders/smuggled", Some(&scene.issuer.sign(&claims)));
        assert_eq!(answer.status, 403, "{roles}: {}", answer.text());
    }
    let mut claims = scene.issuer.claims("alice");
    claims["groups"] = json!(["reader", "writer,admin"]);
    let answer = scene.gateway.client().get("/orders/smuggled", Some(&scene.issuer.sign(&claims)));
    assert_eq!(answer.status, 403, "whoever joins the fields reads three groups: {}", answer.text());
    assert!(scene.upstream.requests().iter().all(|request| request.target != "/orders/smuggled"));
}

#[test]
fn a_connection_field_can_not_take_the_identity_away() {
    let scene = scene();
    let (bearer, nominated) = (scene.bearer(), "keep-alive, X-User-Id, x-tenant");
    let fields = [("Authorization", bearer.as_str()), ("Connection", nominated), ("X-User-Id", "mallory")];
    let request = scene.forwarded("/orders/nominated", &fields);
    assert_eq!(all_values(&request, "X-User-Id"), ["alice"]);
    for value in request.values("Connection") {
        assert!(!value.to_ascii_lowercase().contains("x-user-id"), "the next hop would drop it: {value}");
    }
}

#[test]
fn patterns_and_credentials_and_overrides_are_stripped_on_every_route() {
    let scene = scene();
    let mut fields = vec![("X-Legacy-User", "mallory"), ("x_legacy_role", "mallory")];
    fields.extend(NEVER_FORWARDED.map(|name| (name, "mallory")));
    for route in ["orders", "reports", "public"] {
        let path = format!("/{route}/stripped");
        let bearer = scene.bearer();
        let mut fields = fields.clone();
        if route == "public" {
            // Nobody asks for a credential here; what comes is dropped all the same.
            fields.push(("Authorization", "Basic bWFsbG9yeTptYWxsb3J5"));
        } else {
            fields.retain(|(name, _)| *name != "DPoP");
            fields.push(("Authorization", &bearer));
        }
        let request = scene.forwarded(&path, &fields);
        for (name, _) in &fields {
            assert_eq!(request.spellings(name), [""; 0], "{name} on {route}");
        }
        assert!(!String::from_utf8_lossy(&request.raw_head).contains("mallory"), "{route}");
    }
}

#[test]
fn a_name_with_an_underscore_goes_no_further() {
    let request = scene().forwarded("/public/underscores", &[("API_Key", "a"), ("X_Account", "b"), ("X-Kept", "c")]);
    assert_eq!(all_values(&request, "API-Key"), [""; 0]);
    assert_eq!(all_values(&request, "X-Account"), [""; 0]);
    assert_eq!(request.values("X-Kept"), ["c"]);
}

#[test]
fn a_condition_judges_what_the_upstream_gets() {
    let scene = scene();
    let bearer = scene.bearer();
    let own = [("Authorization", bearer.as_str()), ("X-Account", "alice")];
    let honest = scene.forwarded("/accounts/honest", &[own[0], own[1], ("X_Account", "victim")]);
    assert_eq!(all_values(&honest, "X-Account"), ["alice"], "CGI and WSGI see one value");
    for (name, value) in
        [("X-Account", "victim"), ("X-Account", "victim\u{a0}"), ("Connection", "X-Account"), ("X.Account", "victim")]
    {
        let fields = [own[0], own[1], (name, value)];
        let answer = scene.gateway.client().request("GET", "/accounts/spoofed", &fields, b"");
        assert_eq!(answer.status, 403, "{name}: {value}: {}", answer.text());
    }
    assert!(scene.upstream.requests().iter().all(|request| request.target != "/accounts/spoofed"));
}

#[test]
fn a_trace_tells_no_client_what_only_the_upstream_is_told() {
    let scene = scene();
    let bearer = scene.bearer();
    let answer = scene.gateway.client().request("TRACE", "/orders/trace", &[("Authorization", &bearer)], b"");
    assert_eq!(answer.status, 405, "{}", answer.text());
    let authorization = format!("Authorization: {bearer}");
    let answer = scene.gateway.client().curl("/orders/trace", &["-X", "TRACE", "-H", &authorization]);
    assert_eq!(answer.status, 405, "{}", answer.text());
    assert!(scene.upstream.requests().iter().all(|request| request.target != "/orders/trace"));
}

#[test]
fn nobody_but_a_trusted_proxy_says_where_a_request_came_from() {
    let scene = scene();
    let spoofed = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "victim.example"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Uri", "/admin"),
        ("X-Forwarded-Prefix", "/admin"),
        ("X-Forwarded-User", "mallory"),
        ("X_Forwarded_For", "203.0.113.7"),
        ("Forwarded", "for=203.0.113.7;proto=http;host=victim.example"),
        ("True-Client-IP", "203.0.113.7"),
        ("X-Client-IP", "203.0.113.7"),
        ("X-Request-Id", "mallory"),
    ];
    let request = scene.forwarded("/public/forwarded", &spoofed);
    let head = String::from_utf8_lossy(&request.raw_head).into_owned();
    for lie in ["203.0.113.7", "victim.example", "/admin", "mallory"] {
        assert!(!head.contains(lie), "{lie}: {head}");
    }
    assert_eq!(all_values(&request, "X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(all_values(&request, "X-Forwarded-Proto"), ["https"]);
    assert_eq!(all_values(&request, "Forwarded").len(), 1);
    assert!(all_values(&request, "Forwarded")[0].starts_with("for=127.0.0.1;host="), "{head}");
}
