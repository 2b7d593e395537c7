//! What is measured: who is asked, with which tokens, and what the answer must be.

use crate::common::{Gateway, HOST, Issuer};
use crate::load::Expected;
use crate::peers::Peer;
use crate::tokens::{self, SUBJECT};
use crate::world::World;
use std::net::SocketAddr;

/// The name of the measure.
pub const BARE: &str = "bare proxy (checks nothing)";

/// One row of the table.
pub struct Case<'w> {
    /// Its name.
    pub name: &'static str,
    /// The most it should cost, as a ratio to the bare proxy.
    pub goal: Option<f64>,
    /// True for a program that is not ours.
    pub foreign: bool,
    /// Whose CPU time is measured.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// The answer to every request.
    pub expected: Expected,
    path: &'static str,
    headers: Box<dyn FnMut() -> String + 'w>,
}

impl Case<'_> {
    /// The next `count` requests, made in advance.
    pub fn requests(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.request().into_bytes()).collect()
    }

    fn request(&mut self) -> String {
        let (path, headers) = (self.path, (self.headers)());
        format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\nUser-Agent: side-by-side\r\n{headers}\r\n"
        )
    }

    fn refused(mut self, status: u16) -> Self {
        self.expected = Expected { status, body: None };
        self
    }

    fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }
}

fn case<'w>(
    name: &'static str,
    (pid, address): (u32, SocketAddr),
    path: &'static str,
    headers: impl FnMut() -> String + 'w,
) -> Case<'w> {
    let expected = Expected { status: 200, body: Some(SUBJECT) };
    Case { name, goal: None, foreign: false, pid, address, expected, path, headers: Box::new(headers) }
}

/// Every case, in the order of their turns.
pub fn all(world: &World) -> Vec<Case<'_>> {
    let bare = (world.bare.pid(), world.bare.address);
    let mut cases = vec![case(BARE, bare, "/free/17", again(&world.corp))];
    cases.extend(accepted(world));
    cases.extend(refused(world));
    cases.extend(peers(world));
    cases.push(case("bare proxy, once more (noise)", bare, "/free/17", again(&world.corp)));
    cases
}

fn accepted(world: &World) -> Vec<Case<'_>> {
    let World { corp, dir, rsa, dir_sealer, rsa_sealer, .. } = world;
    let (gateway, shared, logged) = (of(&world.gateway), of(&world.shared), of(&world.logged));
    vec![
        case("tollgate: the same ES256 token", gateway, "/free/17", again(corp)).goal(1.15),
        case("tollgate: the same ES256 token, access log on", logged, "/free/17", again(corp)),
        case("tollgate: a new ES256 token each time", gateway, "/free/17", fresh(corp)).goal(3.2),
        case("tollgate: new ES256, once, embedded store", gateway, "/once/17", fresh(corp)),
        case("tollgate: new ES256, once, Redis", shared, "/once/17", fresh(corp)).goal(3.4),
        case("tollgate: new nested, dir + A256GCM / ES256", gateway, "/dir/17", move || {
            bearer(&dir_sealer.nested(dir))
        })
        .goal(3.4),
        case("tollgate: new nested, RSA-OAEP-256 / ES256", gateway, "/rsa/17", move || bearer(&rsa_sealer.nested(rsa)))
            .goal(12.5),
        case("tollgate: DPoP, one token, a new proof each time", gateway, "/bound/17", proofs(world)),
        case("tollgate: public route", gateway, "/public", again(corp)).told_nothing(),
    ]
}

fn refused(world: &World) -> Vec<Case<'_>> {
    let (corp, gateway) = (&world.corp, of(&world.gateway));
    let mut forger = Issuer::new(&corp.name, "ES256");
    forger.kid.clone_from(&corp.kid);
    vec![
        case("tollgate: forged ES256, refused", gateway, "/free/17", move || bearer(&tokens::signed(&forger)))
            .refused(401),
        case("tollgate: malformed, refused", gateway, "/free/17", move || bearer(&tokens::malformed(corp)))
            .refused(401)
            .goal(1.15),
    ]
}

fn peers(world: &World) -> Vec<Case<'_>> {
    let corp = &world.corp;
    let mut cases = vec![
        case("nginx 1.22 (checks nothing)", of_peer(&world.nginx), "/free/17", again(corp)),
        case(
            "nginx 1.22, auth_request to a service that says yes",
            of_peer(&world.nginx_auth),
            "/free/17",
            again(corp),
        ),
        case("Envoy 1.40, its cache: the same ES256 token", of_peer(&world.envoy_cache), "/free/17", again(corp)),
        case("Envoy 1.40: a new ES256 token each time", of_peer(&world.envoy), "/free/17", fresh(corp)),
        case("HAProxy 2.6: a new ES256 token each time", of_peer(&world.haproxy), "/free/17", fresh(corp)),
    ];
    for case in &mut cases {
        case.foreign = true;
    }
    cases
}

impl Case<'_> {
    /// Nobody is told who calls on a public route.
    fn told_nothing(mut self) -> Self {
        self.expected.body = Some("");
        self
    }
}

fn of(gateway: &Gateway) -> (u32, SocketAddr) {
    (gateway.pid(), gateway.https_address())
}

fn of_peer(peer: &Peer) -> (u32, SocketAddr) {
    (peer.pid(), peer.address)
}

/// The cases of growth: a token that is used again and again, and one for each request.
pub fn growing(world: &World) -> [Case<'_>; 3] {
    let (bare, gateway) = ((world.bare.pid(), world.bare.address), of(&world.gateway));
    [
        case(BARE, bare, "/free/17", again(&world.corp)),
        case("the same ES256 token", gateway, "/free/17", again(&world.corp)),
        case("a new ES256 token each time", gateway, "/free/17", fresh(&world.corp)),
    ]
}

/// One-time tokens at `gateway`, one of those that share a store.
pub fn one_time<'w>(world: &'w World, gateway: &Gateway) -> Case<'w> {
    case("new ES256, once, Redis", of(gateway), "/once/17", fresh(&world.corp))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn fresh(issuer: &Issuer) -> impl FnMut() -> String {
    move || bearer(&tokens::signed(issuer))
}

/// One token for some minutes, as clients have it: another before it expires.
fn again(issuer: &Issuer) -> impl FnMut() -> String {
    let mut held: Option<(i64, String)> = None;
    move || {
        let now = crate::common::unix_now();
        match &held {
            Some((since, header)) if now - since < 60 => header.clone(),
            _ => held.insert((now, bearer(&tokens::signed(issuer)))).1.clone(),
        }
    }
}

/// One bound token, and a proof of its own for every request.
fn proofs(world: &World) -> impl FnMut() -> String {
    let port = world.gateway.https_address().port();
    let mut held: Option<(i64, String)> = None;
    move || {
        let now = crate::common::unix_now();
        let token = match &held {
            Some((since, token)) if now - since < 60 => token.clone(),
            _ => held.insert((now, tokens::bound(&world.corp, &world.client))).1.clone(),
        };
        let proof = world.client.proof(port, "/bound/17", &token);
        format!("Authorization: DPoP {token}\r\nDPoP: {proof}\r\n")
    }
}
