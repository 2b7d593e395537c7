//! Discovery: where the keys are, found in the issuer's metadata, and metadata that lies.

use super::server::{Reply, Server};
use super::world::{World, jwks, key, long, token};
use serde_json::json;
use tollgate::authn::token::TokenError;
use tollgate::issuer::http::{KeySource, RemoteKeys};
use tollgate::observe::FetchResult;

const OPENID: &str = "/tenant/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server/tenant";

/// A server, its issuer, and the keys found through the metadata.
fn discovered(server: &Server) -> (String, RemoteKeys) {
    let issuer = server.url("/tenant");
    let keys = RemoteKeys::new(KeySource::discovery(&issuer).unwrap(), long()).unwrap();
    (issuer, keys)
}

#[test]
fn the_metadata_of_openid_connect_names_the_keys() {
    let (server, a) = (Server::plain(), key("a"));
    let (issuer, keys) = discovered(&server);
    server.on(OPENID, Reply::json(&json!({"issuer": issuer, "jwks_uri": server.url("/keys")})));
    server.on("/keys", Reply::json(&jwks(&[&a])));
    let world = World::started(vec![keys]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    world.refresh_now();
    assert_eq!((server.hits(OPENID).len(), server.hits("/keys").len()), (1, 2), "what it said is remembered");
    assert!(server.hits(OAUTH).is_empty());
}

#[test]
fn the_metadata_of_rfc_8414_does_where_there_is_no_other() {
    let (server, a) = (Server::plain(), key("a"));
    let (issuer, keys) = discovered(&server);
    server.on(OAUTH, Reply::json(&json!({"issuer": issuer, "jwks_uri": server.url("/keys")})));
    server.on("/keys", Reply::json(&jwks(&[&a])));
    let world = World::started(vec![keys]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    assert_eq!(server.hits(OPENID).len(), 1);
}

#[test]
fn metadata_that_speaks_for_another_issuer_is_refused_before_its_keys_are_asked_for() {
    let (server, a) = (Server::plain(), key("a"));
    let (issuer, keys) = discovered(&server);
    server.on("/keys", Reply::json(&jwks(&[&a])));
    for other in [server.url("/other"), format!("{issuer}/"), issuer.to_uppercase(), String::new()] {
        server.on(OPENID, Reply::json(&json!({"issuer": other, "jwks_uri": server.url("/keys")})));
        let world = World::started(vec![keys.clone()]);
        assert_eq!(world.last(0), FetchResult::Invalid, "{other}");
        assert_eq!(world.judge(0, &token(&a)), Err(TokenError::KeysUnavailable));
    }
    assert!(server.hits("/keys").is_empty());
}

#[test]
fn a_jwks_uri_is_under_the_same_guard() {
    let server = Server::plain();
    let (issuer, keys) = discovered(&server);
    let forbidden = [
        "http://idp.example.com/keys",
        "https://169.254.169.254/keys",
        "https://10.0.0.1/keys",
        "https://[fd00:ec2::254]/keys",
        "file:///etc/passwd",
        "/keys",
        "",
    ];
    for uri in forbidden {
        server.on(OPENID, Reply::json(&json!({"issuer": issuer, "jwks_uri": uri})));
        let world = World::started(vec![keys.clone()]);
        assert_eq!(world.last(0), FetchResult::Forbidden, "{uri}");
    }
}

#[test]
fn keys_that_moved_are_found_again() {
    let (server, a, b) = (Server::plain(), key("a"), key("b"));
    let (issuer, keys) = discovered(&server);
    server.on(OPENID, Reply::json(&json!({"issuer": issuer, "jwks_uri": server.url("/keys")})));
    server.on("/keys", Reply::json(&jwks(&[&a])));
    let world = World::started(vec![keys]);
    server.on(OPENID, Reply::json(&json!({"issuer": issuer, "jwks_uri": server.url("/moved")})));
    server.on("/keys", Reply::status(404)).on("/moved", Reply::json(&jwks(&[&b])));
    world.refresh_now(); // finds nothing at the old place
    world.refresh_now(); // and asks where they are
    assert_eq!(world.judge(0, &token(&b)), Ok(()));
}

#[test]
fn while_only_the_metadata_is_out_of_order_the_keys_are_asked_where_they_were() {
    let (server, a, b) = (Server::plain(), key("a"), key("b"));
    let (issuer, keys) = discovered(&server);
    server.on(OPENID, Reply::json(&json!({"issuer": issuer, "jwks_uri": server.url("/keys")})));
    server.on("/keys", Reply::json(&jwks(&[&a])));
    let world = World::started(vec![keys]);
    server.on(OPENID, Reply::status(500)).on("/keys", Reply::status(500));
    world.refresh_now();
    server.on("/keys", Reply::json(&jwks(&[&a, &b])));
    world.refresh_now();
    assert_eq!(world.judge(0, &token(&b)), Ok(()));
    assert!(server.hits(OPENID).len() >= 2);
}
