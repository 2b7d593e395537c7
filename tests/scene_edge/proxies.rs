//! Who a request comes from: the word of trusted proxies, PROXY headers, and places for connections.

use crate::all;
use crate::common::{Client, Config, Gateway, Upstream, until};

/// A gateway whose HTTPS listener has these further keys, with a public route `/x`, of which each client gets one.
fn behind(listener: &[&str]) -> (Gateway, Upstream) {
    let upstream = Upstream::start();
    let config = Config::new().upstream("echo", &upstream).route(
        "name: x\nmatch: { path: /x }\nupstream: echo\naccess: public\n\
         limits: { rate: { per: client, requests: 1, period: 1h } }",
    );
    (listener.iter().fold(config, |config, key| config.listener(key)).start(), upstream)
}

fn heard(upstream: &Upstream, names: &[&str]) -> Vec<String> {
    let request = upstream.only();
    names.iter().map(|name| request.values(name).join(" | ")).collect()
}

const TOLD: [&str; 4] = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"];

#[test]
fn a_trusted_proxys_word_is_believed_and_told_on() {
    let (gateway, upstream) = behind(&["trusted_proxies: [127.0.0.0/8, \"10.0.0.0/8\"]"]);
    let get = |fields: &[(&str, &str)]| gateway.client().request("GET", "/x", fields, b"");
    let answer = get(&[
        ("X-Forwarded-For", "198.51.100.9, 203.0.113.7, 10.0.0.3"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "shop.example.test"),
        ("X-Request-Id", "from-the-balancer"),
    ]);
    assert_eq!((answer.status, answer.header("X-Request-Id")), (200, Some("from-the-balancer")));
    let forwarded = "for=203.0.113.7;host=\"shop.example.test\";proto=http";
    assert_eq!(heard(&upstream, &TOLD), ["203.0.113.7", "http", "shop.example.test", forwarded]);
    assert_eq!(get(&[("X-Forwarded-For", "203.0.113.7")]).status, 429, "the same client");
    assert_eq!(get(&[("Forwarded", "for=203.0.113.8;proto=https")]).status, 200, "another one");
    assert_eq!(heard(&upstream, &TOLD[..2]), ["203.0.113.8", "https"]);
    // Both kinds, and they differ: one was written by the client itself.
    assert_eq!(get(&[("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.2")]).status, 200);
    assert_eq!(heard(&upstream, &TOLD[..1]), ["127.0.0.1"]);
}

#[test]
fn nobody_elses_word_is() {
    let (gateway, upstream) = behind(&["trusted_proxies: [10.0.0.0/8]"]);
    let lies = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X_Forwarded_For", "192.0.2.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil.test"),
        ("Forwarded", "for=192.0.2.1;host=evil.test"),
        ("X-Real-IP", "192.0.2.1"),
        ("True-Client-IP", "192.0.2.1"),
        ("X-Request-Id", "chosen"),
    ];
    let answer = gateway.client().request("GET", "/x", &lies, b"");
    assert_ne!(answer.header("X-Request-Id"), Some("chosen"));
    let request = upstream.only();
    let forwarded = "for=127.0.0.1;host=\"api.example.test\";proto=https";
    let told: Vec<_> = TOLD.iter().map(|name| request.values(name).join(" | ")).collect();
    assert_eq!(told, ["127.0.0.1", "https", "api.example.test", forwarded]);
    for name in TOLD {
        assert_eq!(request.spellings(name), [name], "{name}");
    }
    assert!(!request.raw_head.windows(9).any(|part| part == b"192.0.2.1"), "{}", request.raw_head.escape_ascii());
}

/// A header of version 2 for a client at 192.0.2.`last`.
fn version_2(last: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend([192, 0, 2, last, 10, 0, 0, 1, 0xdc, 4, 1, 187]);
    // What a balancer may add (§2.2): three bytes of its own.
    header.extend([4, 0, 0]);
    header
}

#[test]
fn proxy_headers_name_the_client_in_both_versions() {
    let (gateway, upstream) = behind(&["trusted_proxies: [127.0.0.1/32]", "proxy_protocol: true"]);
    let as_client = |header: Vec<u8>| gateway.client().announced(header).get("/x", None).status;
    let version_1 = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 56324 443\r\n").into_bytes();
    for (header, client) in [
        (version_1("192.0.2.7"), "192.0.2.7"),
        (version_2(8), "192.0.2.8"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 443\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        assert_eq!(as_client(header.clone()), 200, "{}", header.escape_ascii());
        assert_eq!(heard(&upstream, &TOLD[..1]), [client], "{}", header.escape_ascii());
        assert_eq!(as_client(header), 429, "the limit is {client}'s own");
    }
    // The client named by the header is no trusted proxy: its own word is not believed.
    let client = gateway.client().announced(version_1("192.0.2.9"));
    assert_eq!(client.request("GET", "/x", &[("X-Forwarded-For", "203.0.113.1")], b"").status, 200);
    assert_eq!(heard(&upstream, &TOLD[..1]), ["192.0.2.9"]);
}

#[test]
fn a_connection_without_its_proxy_header_is_closed() {
    let (gateway, upstream) = behind(&["trusted_proxies: [127.0.0.1/32]", "proxy_protocol: true"]);
    let refused = || gateway.admin().metrics().count("tollgate_tls_handshakes_total", &[("result", "refused")]);
    assert!(gateway.client().connect().is_err(), "none at all");
    for (count, header) in (2..).zip(["PROXY TCP4 192.0.2.1\r\n", "PROXY TCP4 a b 1 2\r\n", "GET / HTTP/1.1\r\n\r\n"]) {
        assert!(gateway.client().announced(header).connect().is_err(), "{header}");
        until("it is counted", || (refused() == count).then_some(()));
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_proxy_header_of_a_stranger_is_worth_nothing() {
    let (gateway, upstream) = behind(&["trusted_proxies: [10.0.0.0/8]", "proxy_protocol: true"]);
    let header = "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
    assert!(gateway.client().announced(header).connect().is_err());
    assert!(gateway.client().connect().is_err(), "nor is a connection without one");
    assert!(upstream.requests().is_empty());
    let (gateway, upstream) = behind(&[]);
    assert!(gateway.client().announced(header).connect().is_err(), "where nobody speaks it, it is no TLS");
    assert!(upstream.requests().is_empty());
}

/// Connections that are held, as many as can be had; `most` are tried.
fn hold(client: &Client, most: usize) -> Vec<crate::common::Connection> {
    (0..most).filter_map(|_| client.connect().ok()).collect()
}

fn with_places(server: &str, listener: &[&str]) -> (Gateway, Upstream) {
    let upstream = Upstream::start();
    let config = Config::new()
        .upstream("echo", &upstream)
        .route("name: x\nmatch: { path: /x }\nupstream: echo\naccess: public")
        .block(&format!("server: {{ threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, {server} }}"));
    (listener.iter().fold(config, |config, key| config.listener(key)).start(), upstream)
}

#[test]
fn one_client_gets_its_places_and_leaves_the_others_theirs() {
    let listener = ["trusted_proxies: [127.0.0.1/32]", "proxy_protocol: true"];
    let (gateway, _upstream) = with_places("max_connections_per_client: 3", &listener);
    let client = |last| gateway.client().announced(version_2(last));
    let mut held = hold(&client(1), 5);
    assert_eq!(held.len(), 3);
    assert_eq!(client(2).get("/x", None).status, 200);
    let open = gateway.admin().metrics().gauge("tollgate_connections", &[("listener", "https")]);
    assert!(open >= 3.0, "{open}");
    assert_eq!(held[0].get("/x", None).unwrap().status, 200, "who is in stays in");
    held.pop();
    until("a place is free again", || client(1).connect().ok());
}

#[test]
fn there_are_no_more_connections_than_places() {
    let (gateway, _upstream) = with_places("max_connections: 4", &[]);
    let held = hold(&gateway.client(), 6);
    assert_eq!(held.len(), 4);
    assert!(gateway.plain_client().connect().unwrap().get("/x", None).is_err(), "the other listener shares them");
    drop(held);
    until("the places are free again", || {
        let answer = gateway.client().connect().ok()?.get("/x", None).ok()?;
        (answer.status == 200 && all(&answer, "x-request-id").len() == 32).then_some(())
    });
}
