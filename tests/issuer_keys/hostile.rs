//! Servers that lie, stall, flood or point elsewhere: each keeps its issuer from new keys, and does nothing else.

use super::certs::Authority;
use super::clock::until;
use super::server::{Reply, Server, TunnelProxy};
use super::world::{Names, World, at, jwks, key, long, token};
use serde_json::json;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tollgate::clock::Stopwatch;
use tollgate::issuer::http::{FetchSettings, KeySource, RemoteKeys, SourceError};
use tollgate::jose::ContentEncryption;
use tollgate::jose::sign::generate;
use tollgate::observe::FetchResult;

const PATH: &str = "/jwks";

/// A server with good keys that is then made to answer `reply`; the result of the next fetch, and that the good keys
/// serve on.
fn good_then(reply: Reply) -> FetchResult {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let settings = FetchSettings { timeout: Duration::from_millis(400), ..long() };
    let world = World::started(vec![at(&server.url(PATH), settings)]);
    server.on(PATH, reply);
    let watch = Stopwatch::start();
    world.refresh_now();
    assert!(watch.elapsed() < Duration::from_secs(5), "bounded by the timeout");
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    assert_eq!(world.status(0).failures, 1);
    world.last(0)
}

#[test]
fn a_server_that_stalls_is_given_up() {
    assert_eq!(good_then(Reply::Silence), FetchResult::TimedOut);
    assert_eq!(good_then(Reply::Drip), FetchResult::TimedOut);
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    assert_eq!(good_then(Reply::Endless), FetchResult::TooLarge);
    let mut padded = jwks(&[&key("a")]);
    padded["padding"] = "x".repeat(256 * 1024).into();
    assert_eq!(good_then(Reply::json(&padded)), FetchResult::TooLarge);
}

#[test]
fn what_is_no_key_set_is_refused() {
    let html = b"<!doctype html><title>Sign in</title>".to_vec();
    assert_eq!(good_then(Reply::Answer(200, vec!["Content-Type: text/html".into()], html)), FetchResult::Invalid);
    assert_eq!(good_then(Reply::json(&json!({"issuer": "x"}))), FetchResult::Invalid);
    assert_eq!(good_then(Reply::Answer(200, vec![], Vec::new())), FetchResult::Invalid);
    assert_eq!(good_then(Reply::status(204)), FetchResult::BadStatus);
    assert_eq!(good_then(Reply::status(503)), FetchResult::BadStatus);
    assert_eq!(good_then(Reply::HangUp), FetchResult::Unreachable);
}

#[test]
fn a_set_with_too_many_keys_is_refused() {
    let one = jwks(&[&key("k")])["keys"][0].clone();
    let many: Vec<_> = (0..65)
        .map(|n| {
            let mut key = one.clone();
            key["kid"] = n.to_string().into();
            key
        })
        .collect();
    assert_eq!(good_then(Reply::json(&json!({ "keys": many }))), FetchResult::Invalid);
}

#[test]
fn a_private_or_symmetric_key_refuses_the_set() {
    let good = jwks(&[&key("a")])["keys"][0].clone();
    let secret = generate("HS256", ContentEncryption::A256GCM).unwrap();
    for bad in [key("b"), secret] {
        assert_eq!(good_then(Reply::json(&json!({ "keys": [good, bad] }))), FetchResult::Invalid);
    }
}

#[test]
fn a_redirect_elsewhere_is_not_followed() {
    let elsewhere = Server::plain();
    elsewhere.on(PATH, Reply::json(&jwks(&[&key("evil")])));
    let by_other_name = elsewhere.url_at("localhost", PATH);
    for target in [elsewhere.url(PATH), by_other_name, "http://169.254.169.254/".into(), "file:///etc/passwd".into()] {
        assert_eq!(good_then(Reply::redirect(&target)), FetchResult::Forbidden, "{target}");
    }
    assert!(elsewhere.all_hits().is_empty());
}

#[test]
fn a_redirect_without_an_aim_or_without_an_end_is_given_up() {
    assert_eq!(good_then(Reply::status(302)), FetchResult::Forbidden);
    assert_eq!(good_then(Reply::redirect(PATH)), FetchResult::Forbidden);
}

#[test]
fn a_redirect_within_the_origin_is_followed() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::redirect("/moved")).on("/moved", Reply::json(&jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), long())]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
}

fn with_ca(authority: &Authority) -> FetchSettings {
    FetchSettings { ca: Some(Arc::from(authority.pem())), ..long() }
}

fn named(url: &str, settings: FetchSettings, names: &Arc<Names>) -> RemoteKeys {
    RemoteKeys::with_lookup(KeySource::jwks(url).unwrap(), settings, Arc::clone(names) as _).unwrap()
}

#[test]
fn over_tls_a_redirect_to_http_is_not_followed() {
    let (authority, plain, a) = (Authority::new("test CA"), Server::plain(), key("a"));
    plain.on(PATH, Reply::json(&jwks(&[&a])));
    let server = Server::tls(&authority, &["127.0.0.1"]);
    for target in [plain.url(PATH), server.url(PATH).replace("https", "http")] {
        server.on(PATH, Reply::redirect(&target));
        let world = World::started(vec![at(&server.url(PATH), with_ca(&authority))]);
        assert_eq!(world.last(0), FetchResult::Forbidden, "{target}");
    }
    assert!(plain.all_hits().is_empty());
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let world = World::started(vec![at(&server.url(PATH), with_ca(&authority))]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()), "the server itself is sound");
}

#[test]
fn a_certificate_of_another_authority_or_for_another_name_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for (authority, name) in [(&theirs, "127.0.0.1"), (&ours, "idp.test")] {
        let server = Server::tls(authority, &[name]);
        server.on(PATH, Reply::json(&jwks(&[&key("a")])));
        let world = World::started(vec![at(&server.url(PATH), with_ca(&ours))]);
        assert_eq!(world.last(0), FetchResult::Unreachable, "{name}");
        assert!(server.all_hits().is_empty());
    }
}

#[test]
fn a_name_that_resolves_to_loopback_or_to_nowhere_is_refused() {
    let (authority, private_too) = (Authority::new("test CA"), true);
    let server = Server::tls(&authority, &["idp.test"]);
    for addresses in
        [&["127.0.0.1"][..], &["::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"], &["0.0.0.0", "169.254.169.254"]]
    {
        let settings = FetchSettings { allow_private_addresses: private_too, ..with_ca(&authority) };
        let names = Names::of(&[("idp.test", addresses)]);
        let world = World::started(vec![named(&server.url_at("idp.test", PATH), settings, &names)]);
        assert_eq!(world.last(0), FetchResult::Forbidden, "{addresses:?}");
    }
    assert!(server.all_hits().is_empty());
}

#[test]
fn a_name_that_resolves_to_a_private_address_is_refused_unless_allowed() {
    let names = Names::of(&[("idp.test", &["10.255.255.254", "fd00::1", "169.254.7.7"])]);
    for (allowed, refused) in [(false, true), (true, false)] {
        let settings =
            FetchSettings { allow_private_addresses: allowed, timeout: Duration::from_millis(200), ..long() };
        let world = World::started(vec![named("https://idp.test:1/jwks", settings, &names)]);
        // Where it is allowed nobody answers there; but it was tried.
        assert_eq!(world.last(0) == FetchResult::Forbidden, refused, "{:?}", world.last(0));
    }
}

/// This machine's address on its network, where it has one that is private.
fn own_private_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("10.255.255.255:9").ok()?; // sends nothing; asks only for the way
    let address = socket.local_addr().ok()?.ip();
    let private = matches!(address, std::net::IpAddr::V4(v4) if v4.is_private());
    private.then(|| address.to_string())
}

#[test]
fn an_address_of_our_own_network_can_be_asked_where_allowed() {
    let Some(own) = own_private_address() else { return };
    let (authority, a) = (Authority::new("test CA"), key("a"));
    let server = Server::tls_on(&own, &authority, &["idp.test"]);
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let names = Names::of(&[("idp.test", &[&own])]);
    let url = server.url_at("idp.test", PATH);
    let world = World::started(vec![named(&url, with_ca(&authority), &names)]);
    assert_eq!(world.last(0), FetchResult::Forbidden);
    let settings = FetchSettings { allow_private_addresses: true, ..with_ca(&authority) };
    let world = World::started(vec![named(&url, settings, &names)]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
}

#[test]
fn only_the_admitted_addresses_of_a_name_are_connected_to() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    // A name of this host never leads elsewhere, and the addresses that are left are the ones connected to.
    let names = Names::of(&[("idp.localhost", &["10.255.255.254", "1.1.1.1", "127.0.0.1"])]);
    let settings = FetchSettings { allow_private_addresses: true, timeout: Duration::from_secs(2), ..long() };
    let world = World::started(vec![named(&server.url_at("idp.localhost", PATH), settings, &names)]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()));
    assert_eq!(names.asked.load(Ordering::SeqCst), 1, "one question, whose answer is checked and used");
}

#[test]
fn each_fetch_judges_the_addresses_anew() {
    let (server, a) = (Server::plain(), key("a"));
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let names = Names::of(&[("idp.localhost", &["127.0.0.1"])]);
    let world = World::started(vec![named(&server.url_at("idp.localhost", PATH), long(), &names)]);
    names.addresses.lock().unwrap().insert("idp.localhost".into(), vec!["10.0.0.1".parse().unwrap()]);
    world.refresh_now();
    assert_eq!(world.last(0), FetchResult::Forbidden, "no connection is kept from before");
    assert_eq!(server.hits(PATH).len(), 1);
}

#[test]
fn a_proxy_gets_the_name_and_only_https_goes_through_it() {
    let (authority, a) = (Authority::new("test CA"), key("a"));
    let server = Server::tls(&authority, &["idp.test"]);
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let proxy = TunnelProxy::to(server.address);
    let settings = FetchSettings { proxy: Some(format!("http://{}", proxy.address)), ..with_ca(&authority) };
    let names = Names::of(&[]);
    let world = World::started(vec![named("https://idp.test/jwks", settings.clone(), &names)]);
    assert_eq!(world.judge(0, &token(&a)), Ok(()), "{:?}", world.status(0));
    assert_eq!(proxy.asked(), ["idp.test:443"]);
    assert_eq!(names.asked.load(Ordering::SeqCst), 0, "names are the proxy's business");
    let refused = RemoteKeys::new(KeySource::jwks("http://127.0.0.1/jwks").unwrap(), settings).map(drop);
    assert_eq!(refused, Err(SourceError::Address));
}

#[test]
fn a_proxy_known_by_name_may_be_private_and_nothing_else_is_resolved() {
    let (authority, a) = (Authority::new("test CA"), key("a"));
    let server = Server::tls(&authority, &["idp.test"]);
    server.on(PATH, Reply::json(&jwks(&[&a])));
    let proxy = TunnelProxy::to(server.address);
    let settings =
        FetchSettings { proxy: Some(format!("http://proxy.test:{}", proxy.address.port())), ..with_ca(&authority) };
    let names = Names::of(&[("proxy.test", &["127.0.0.1"])]);
    let world = World::started(vec![named("https://idp.test/jwks", settings, &names)]);
    until("keys through the proxy", || world.judge(0, &token(&a)).ok());
}
