//! Headers that a client sends to be believed by the upstream, or to have ours removed.

use crate::row::Expect::{Cut, Refused};
use crate::row::{Row, get, got_without, row};

/// What every forwarded request says of its way, whatever the client said.
const TRUTH: &[(&str, &str)] =
    &[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example.test")];

pub fn rows() -> Vec<Row> {
    [forged(), connection(), credentials()].concat()
}

fn forged() -> Vec<Row> {
    let sent =
        |name, field: &str, absent| row(name, get("/public/x", &format!("{field}\r\n")), got_without(absent, TRUTH));
    vec![
        sent("an identity header", "X-User-Id: mallory", &["X-User-Id"]),
        sent("an identity header with an underscore", "X_User_Id: mallory", &["X-User-Id"]),
        sent("an identity header with a dot", "X.User.Id: mallory", &["X-User-Id"]),
        sent("an identity header in small letters", "x-user-id: mallory", &["X-User-Id"]),
        sent("a forged client", "X-Forwarded-For: 10.0.0.1", &["X_Forwarded_For_"]),
        sent("a forged client with an underscore", "X_Forwarded_For: 10.0.0.1", &[]),
        sent("a forged scheme", "X-Forwarded-Proto: http", &[]),
        sent("a forged host", "X-Forwarded-Host: evil.test", &[]),
        sent("a forged port", "X-Forwarded-Port: 1", &["X-Forwarded-Port"]),
        sent("a forged prefix", "X-Forwarded-Prefix: /admin", &["X-Forwarded-Prefix"]),
        sent("a forged real address", "X-Real-IP: 10.0.0.1", &["X-Real-IP"]),
        sent("a forged true client", "True-Client-IP: 10.0.0.1", &["True-Client-IP"]),
        sent("another URL", "X-Original-URL: /admin", &["X-Original-URL"]),
        sent("a rewritten URL", "X-Rewrite-URL: /admin", &["X-Rewrite-URL"]),
        sent("another method", "X-HTTP-Method-Override: DELETE", &["X-HTTP-Method-Override"]),
        sent("another method by another name", "X-Method-Override: DELETE", &["X-Method-Override"]),
        sent("a forged certificate", "Client-Cert: :AAAA:", &["Client-Cert"]),
    ]
}

fn connection() -> Vec<Row> {
    let sent = |name, fields: &str, absent| row(name, get("/public/x", fields), got_without(absent, TRUTH));
    let refused = |name, fields: &str| row(name, get("/public/x", fields), Cut(400));
    vec![
        sent("Connection names the client's address", "Connection: X-Real-IP\r\n", &[]),
        sent("Connection names an identity header", "Connection: X-User-Id\r\nX-User-Id: mallory\r\n", &["X-User-Id"]),
        sent("a hop-by-hop header", "Connection: X-Hop\r\nX-Hop: 1\r\n", &["X-Hop"]),
        sent("Keep-Alive", "Keep-Alive: timeout=5\r\n", &["Keep-Alive"]),
        sent("Proxy-Connection", "Proxy-Connection: keep-alive\r\n", &["Proxy-Connection"]),
        sent(
            "an upgrade to HTTP/2",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            &["Upgrade", "HTTP2-Settings"],
        ),
        sent("TE", "TE: trailers, deflate\r\n", &["TE"]),
        refused("Connection names Host", "Connection: Host\r\n"),
        refused("Connection names X-Forwarded-For", "Connection: X-Forwarded-For\r\n"),
        refused("Connection names no token", "Connection: \"x\"\r\n"),
        refused("Connection names too much", "Connection: a, b, c, d, e, f, g, h, i, j\r\n"),
    ]
}

fn credentials() -> Vec<Row> {
    let sent = |name, fields: &str, status| row(name, get("/admin", fields), Refused(status));
    vec![
        sent("two credentials", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 400),
        sent("a list of credentials", "Authorization: Bearer a, Bearer b\r\n", 400),
        sent("a credential under another name", "Authorization_: Bearer a\r\n", 401),
        sent("a credential in the query", "X: y\r\n", 401),
        row(
            "credentials on a public route",
            get("/public/x", "Authorization: Bearer a\r\nProxy-Authorization: Basic eA==\r\nDPoP: x\r\n"),
            got_without(&["Authorization", "Proxy-Authorization", "DPoP"], TRUTH),
        ),
    ]
}
