//! Path tricks: what two programs could read differently is refused, on every route and over every protocol, so that a
//! guarded path can't be reached past the route that guards it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::sync::Arc;

use common::{Config, Gateway, Issuer, Shared, Upstream};

static SCENE: Shared<Scene> = Shared::new();

/// Paths without one meaning. Every row of the matrix of the manual, at the start, in the middle and at the end.
const TRICKS: [&str; 58] = [
    // An escape of an unreserved character.
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/a%64min",
    "/admi%6E",
    "/public/%7Euser",
    "/public/%41",
    "/public/%2D",
    "/public/%5F",
    // Dot segments in any spelling.
    "/public/../admin",
    "/public/./../admin",
    "/./admin",
    "/../admin",
    "/public/..",
    "/public/.",
    "/public/%2e%2e/admin",
    "/public/%2E%2e/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/%2e/admin",
    "/public/a/../../admin",
    // Escaped separators.
    "/public%2fadmin",
    "/public%2Fadmin",
    "/public/..%2fadmin",
    "/public/..%2Fadmin",
    "/public%5cadmin",
    "/public/..%5Cadmin",
    "/%2fadmin",
    "/admin%2f",
    "/public/a%2fb",
    // Escaped twice.
    "/public/%252e%252e/admin",
    "/public%252fadmin",
    "/%2561dmin",
    "/public/%252f",
    "/public/%255c",
    "/public/%25%32%66",
    // Matrix parameters.
    "/public/..;/admin",
    "/public/..;x/admin",
    "/public;/admin",
    "/public/;/admin",
    "/admin;x",
    "/admin;",
    "/public/a;b=c",
    "/public/..%3B/admin",
    "/public/..%3badmin",
    "/public%3B/admin",
    "/admin%3B",
    "/public/a%3Bb=c",
    // Empty segments.
    "//admin",
    "/public//admin",
    "/public/a//",
    "//",
    "///admin",
    // Control bytes, escaped, and what is no UTF-8.
    "/public/%00",
    "/admin%00",
    "/public/%0d%0aX-User-Id:%20mallory",
    "/public/%7f",
    "/public/%ff",
    "/public/%c0%ae%c0%ae/admin",
];
/// Paths that the table would read as one place, and a backend that decodes first as another, which is guarded.
const ESCAPED_DELIMITERS: [&str; 6] = [
    "/v1/orders%3Apurge",
    "/v1/orders%3apurge",
    "/v1/orders%3Apurge?a=b",
    "/users/%40me",
    "/a%2Ab",
    "/public/%24admin",
];
/// Bytes that do not belong in a path at all; sent raw, which a library would refuse to do.
const RAW_TRICKS: [&[u8]; 9] = [
    b"/public\\admin",
    b"/public/..\\admin",
    b"\\admin",
    b"/public/\x01",
    b"/public/\x7f",
    b"/public/\xff",
    b"/public/caf\xc3\xa9",
    b"/public/%zz",
    b"/public/%4",
];
/// Targets in other forms than a path.
const STRANGE_TARGETS: [&[u8]; 5] = [
    b"admin",
    b"*",
    b"https://api.example.test/%61dmin",
    b"https://api.example.test/public/../admin",
    b"/public/a#/../../admin",
];
/// Paths with one meaning: matched and forwarded as they came.
const HONEST: [&str; 12] = [
    "/public/a",
    "/public/a/",
    "/public/a.b",
    "/public/...",
    "/public/..a",
    "/public/a%20b",
    "/public/caf%C3%A9",
    "/public/a%25",
    "/public/@:!$&'()*+,=~-._",
    "/public/%40%3A%21%24%26%27%28%29%2A%2B%2C%3D",
    "/users/alice%40example.com",
    "/users/alice@example.com",
];

struct Scene {
    gateway: Gateway,
    upstream: Upstream,
}

/// A public tree beside guarded paths; the guard's upstream is the public one's, as in a real backend.
fn scene() -> Arc<Scene> {
    SCENE.get(|| {
        let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
        let guarded = |name: &str, path: &str| {
            format!("name: {name}\nmatch: {{ path: \"{path}\" }}\nupstream: echo\naccess: {{ issuers: [corp] }}")
        };
        let gateway = Config::new()
            .issuer(&issuer)
            .upstream("echo", &upstream)
            .route(&guarded("admin", "/admin"))
            .route(&guarded("admin-tree", "/admin/{*rest}"))
            .route("name: public\nmatch: { path: \"/public/{*rest}\" }\nupstream: echo\naccess: public")
            .route(&guarded("operator", "/public/$admin"))
            .route(&guarded("purge", "/v1/orders:purge"))
            .route("name: v1\nmatch: { path: \"/v1/{*rest}\" }\nupstream: echo\naccess: public")
            .route(&guarded("me", "/users/@me"))
            .route("name: user\nmatch: { path: \"/users/{id}\" }\nupstream: echo\naccess: public")
            .route(&guarded("star", "/a*b"))
            .start();
        Scene { gateway, upstream }
    })
}

impl Scene {
    /// The status of a `GET` for exactly these bytes as target; a connection closed without an answer counts as 400.
    fn status(&self, target: &[u8]) -> u16 {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: api.example.test\r\n\r\n"].concat();
        self.gateway.client().raw(&request).map_or(400, |answer| answer.status)
    }

    /// Nothing that the upstream has seen since the start is outside the public tree, or has a trick in it.
    fn assert_upstream_saw_only_honest_paths(&self) {
        for request in self.upstream.requests() {
            let path = request.target.split('?').next().unwrap().to_owned();
            assert!(HONEST.contains(&path.as_str()), "the upstream saw {}", request.target);
        }
    }
}

#[test]
fn a_trick_is_refused_over_http1() {
    let scene = scene();
    for trick in TRICKS {
        assert_eq!(scene.status(trick.as_bytes()), 400, "{trick}");
        assert_eq!(scene.status(format!("{trick}?a=b").as_bytes()), 400, "{trick} with a query");
    }
    scene.assert_upstream_saw_only_honest_paths();
}

#[test]
fn a_trick_is_refused_over_http2() {
    let scene = scene();
    for trick in TRICKS {
        assert_eq!(scene.gateway.client().curl(trick, &[]).status, 400, "{trick}");
    }
    scene.assert_upstream_saw_only_honest_paths();
}

#[test]
fn a_guarded_path_is_not_reached_by_escaping_what_may_stand_plain() {
    let scene = scene();
    for trick in ESCAPED_DELIMITERS {
        assert_eq!(scene.status(trick.as_bytes()), 400, "{trick}");
        assert_eq!(scene.gateway.client().curl(trick, &["-X", "POST"]).status, 400, "{trick} over HTTP/2");
    }
    for path in ["/v1/orders:purge", "/users/@me", "/a*b", "/public/$admin"] {
        assert_eq!(scene.status(path.as_bytes()), 401, "{path}");
    }
    scene.assert_upstream_saw_only_honest_paths();
}

#[test]
fn a_byte_that_no_path_has_is_refused() {
    let scene = scene();
    for trick in RAW_TRICKS {
        assert_eq!(scene.status(trick), 400, "{}", trick.escape_ascii());
    }
    scene.assert_upstream_saw_only_honest_paths();
}

#[test]
fn a_target_in_another_form_opens_nothing() {
    let scene = scene();
    for target in STRANGE_TARGETS {
        let status = scene.status(target);
        assert!((400..500).contains(&status), "{}: {status}", target.escape_ascii());
    }
    scene.assert_upstream_saw_only_honest_paths();
}

#[test]
fn the_guard_itself_holds() {
    let scene = scene();
    for path in ["/admin", "/admin/users", "/admin?public", "/admin/..."] {
        assert_eq!(scene.status(path.as_bytes()), 401, "{path}");
    }
    for path in ["/admin/", "/Admin", "/ADMIN", "/admin.", "/adminx", "/"] {
        assert_eq!(scene.status(path.as_bytes()), 404, "{path}");
    }
    scene.assert_upstream_saw_only_honest_paths();
}

#[test]
fn an_honest_path_is_forwarded_byte_for_byte() {
    let scene = scene();
    for path in HONEST {
        // A query is data, not a path: it may say anything.
        let target = format!("{path}?q=/../%2e%2e;//%252f&n={}", path.len());
        assert_eq!(scene.status(target.as_bytes()), 200, "{target}");
        let seen = scene.upstream.requests().iter().any(|request| request.target == target);
        assert!(seen, "{target} was forwarded as it came");
    }
}

#[test]
fn the_case_of_an_escape_is_the_one_repair_and_it_is_forwarded_repaired() {
    let scene = scene();
    assert_eq!(scene.status(b"/public/caf%c3%a9?repaired"), 200);
    assert!(scene.upstream.requests().iter().any(|request| request.target == "/public/caf%C3%A9?repaired"));
}

#[test]
fn the_gateways_own_endpoints_open_nothing_beside_them() {
    let scene = scene();
    let status = |head: &str| {
        let request = format!("{head}\r\nHost: api.example.test\r\nContent-Length: 0\r\n\r\n");
        scene.gateway.client().raw(request.as_bytes()).map_or(400, |answer| answer.status)
    };
    for head in [
        "GET /.tollgate/healthz HTTP/1.1",
        "GET /.tollgate/healthz?/admin HTTP/1.1",
        "GET https://api.example.test/.tollgate/healthz HTTP/1.1",
    ] {
        assert_eq!(status(head), 200, "{head}");
    }
    for head in [
        "POST /.tollgate/healthz HTTP/1.1",
        "DELETE /.tollgate/healthz HTTP/1.1",
        "GET /.tollgate/healthz/ HTTP/1.1",
        "GET /.tollgate/healthz/admin HTTP/1.1",
        "GET /.tollgate/healthz/../../admin HTTP/1.1",
        "GET /.tollgate/health%7a HTTP/1.1",
        "GET /.tollgate/healthz%3fx HTTP/1.1",
        "GET /.tollgate/healthz%23 HTTP/1.1",
        "GET /.TOLLGATE/healthz HTTP/1.1",
        "GET //.tollgate/healthz HTTP/1.1",
        "GET /admin?/.tollgate/healthz HTTP/1.1",
        "GET /admin/.tollgate/healthz HTTP/1.1",
        "GET /.tollgate/backchannel-logout HTTP/1.1",
        "POST /.tollgate/backchannel-logout/x HTTP/1.1",
        "GET https://other.example/.tollgate/healthz HTTP/1.1",
    ] {
        let answered = status(head);
        assert!((400..500).contains(&answered), "{head}: {answered}");
    }
    let over_http2 = |path: &str, options: &[&str]| scene.gateway.client().curl(path, options).status;
    assert_eq!(over_http2("/.tollgate/healthz", &[]), 200);
    assert_eq!(over_http2("/admin", &["-H", "User-Agent: kube-probe/1.30"]), 401);
    for (path, method) in [("/.tollgate/healthz", "POST"), ("/.tollgate/healthz/admin", "GET"), ("/admin", "GET")] {
        let answered = over_http2(path, &["-X", method]);
        assert!((400..500).contains(&answered), "{method} {path}: {answered}");
    }
    scene.assert_upstream_saw_only_honest_paths();
}
