//! The admin API with TLS, and the address for scrapers beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::config::ADMIN_TOKEN;
use common::{Authority, Client, Config, Issuer, Upstream, until};

#[test]
fn operators_show_their_certificate_and_scrapers_need_none() {
    let (issuer, upstream, operators) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Operators"));
    let config = Config::new()
        .file("operators.pem", operators.pem())
        .admin("tls: { chain: edge.pem, key: \"file:edge.key\", client_ca: operators.pem }")
        .scraped()
        .issuer(&issuer)
        .upstream("echo", &upstream)
        .route("name: public\nmatch: { path: /public }\nupstream: echo\naccess: public");
    let gateway = config.start();
    let address = gateway.admin_address();
    let anonymous = Client::https(address, "api.example.test", gateway.authority());
    let refused = anonymous.connect().and_then(|mut connection| connection.get("/metrics", None));
    assert!(refused.is_err(), "a client without a certificate is turned away in the handshake");
    assert!(Client::plain(address, "api.example.test").connect().and_then(|mut one| one.get("/livez", None)).is_err());
    let operator = anonymous.certificate(&operators.issue(&["operator.example.test"]));
    let stranger = Client::https(address, "api.example.test", gateway.authority())
        .certificate(&Authority::new("Strangers").issue(&["operator.example.test"]));
    assert!(stranger.connect().and_then(|mut connection| connection.get("/livez", None)).is_err());
    assert_eq!(operator.get("/livez", None).status, 200);
    assert_eq!(operator.get("/api/status", None).status, 401, "the certificate does not stand in for the token");
    assert_eq!(operator.get("/api/status", Some(ADMIN_TOKEN)).status, 200);

    let scraper = gateway.admin();
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(scraper.status(path), Some(200), "{path}");
    }
    for path in ["/api/status", "/api/routes", "/api/reload", "/api/revocations", "/"] {
        assert_eq!(scraper.status(path), Some(404), "{path}");
    }
}

#[test]
fn a_reload_swaps_the_certificate_of_the_admin_api() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = Config::new()
        .admin("tls: { chain: edge.pem, key: \"file:edge.key\" }")
        .scraped()
        .issuer(&issuer)
        .upstream("echo", &upstream)
        .route("name: public\nmatch: { path: /public }\nupstream: echo\naccess: public")
        .start();
    let address = gateway.admin_address();
    let before = Client::https(address, "api.example.test", gateway.authority());
    assert_eq!(before.get("/livez", None).status, 200);
    let renewed = Authority::new("The next authority");
    renewed.write(gateway.directory(), "edge", &["api.example.test"]);
    let after = Client::https(address, "api.example.test", &renewed);
    until("the new certificate answers", || {
        let answer = after.connect().and_then(|mut connection| connection.get("/livez", None));
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    });
}
