//! Hostile requests over real HTTPS against the real gateway: each is refused, or framed so that the upstream hears
//! exactly what the gateway meant to send. The corpus is a table: `rows/` over HTTP/1, `http2/rows.rs` as frames.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
mod http2;
mod row;
mod rows;

use common::{Answer, Config, Gateway, Issuer, Recorded, Upstream, until};
use row::{Expect, Heard, Row};
use std::collections::BTreeSet;

/// The gateway under attack, and what stands behind it.
struct World {
    gateway: Gateway,
    upstream: Upstream,
}

impl World {
    fn start() -> Self {
        let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
        let gateway = Config::new()
            .issuer(&issuer)
            .upstream("echo", &upstream)
            .route(
                "name: public\nmatch: { path: \"/public/{*rest}\" }\nupstream: echo\naccess: public\n\
                 limits: { body: 1500B }",
            )
            .route(
                "name: admin\nmatch: { path: \"/admin\" }\nupstream: echo\naccess: { issuers: [corp] }\n\
                 identity: { headers: { X-User-Id: { claim: sub } } }",
            )
            .block(
                "server: { threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, max_header: 16KiB, \
                 header_timeout: 2s, idle_timeout: 2s }",
            )
            .start();
        Self { gateway, upstream }
    }

    /// Checks that the upstream has heard exactly `heard` since it was last asked.
    fn heard(&self, heard: Option<&Heard>) -> Result<(), String> {
        let requests = self.upstream.take();
        match (heard, requests.as_slice()) {
            (None, []) => Ok(()),
            (Some(heard), [request]) => heard.matches(request),
            (_, requests) => Err(format!("the upstream heard {} requests: {}", requests.len(), told(requests))),
        }
    }
}

/// What the upstream heard, in short.
fn told(requests: &[Recorded]) -> String {
    let one = |request: &Recorded| {
        let head = request.raw_head.escape_ascii().to_string();
        format!("{head}{}", request.body.escape_ascii())
    };
    requests.iter().map(one).collect::<Vec<_>>().join(" and ")
}

impl Heard {
    fn matches(&self, request: &Recorded) -> Result<(), String> {
        if (&*request.method, &*request.target, &*request.body) != (self.method, self.target, self.body) {
            return Err(format!(
                "heard {} {} with {:?}",
                request.method,
                request.target,
                request.body.escape_ascii().to_string()
            ));
        }
        if let Some(name) = self.absent.iter().find(|name| !request.spellings(name).is_empty()) {
            return Err(format!("heard {name}: {:?}", request.fields));
        }
        for (name, value) in self.present {
            let (values, spellings) = (request.values(name), request.spellings(name));
            if values != [*value] || spellings.len() != 1 {
                return Err(format!("heard {name} as {values:?} in {spellings:?}, not {value}"));
            }
        }
        framing_is_one(request)
    }
}

/// What the gateway sends is framed in one way, whatever it was sent.
fn framing_is_one(request: &Recorded) -> Result<(), String> {
    let ways = request.spellings("Content-Length").len() + request.spellings("Transfer-Encoding").len();
    let hosts = request.spellings("Host").len();
    if ways <= 1 && hosts == 1 {
        Ok(())
    } else {
        Err(format!("framed {ways} ways, {hosts} hosts: {:?}", request.fields))
    }
}

#[test]
fn every_hostile_request_is_refused_or_framed_safely() {
    let world = World::start();
    let rows = rows::all();
    let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len(), "every row has a name of its own");
    assert_eq!(repeated(rows.iter().map(|row| (row.name, &row.bytes))), [""; 0], "no row repeats another");
    assert!(rows.len() + http2::rows().len() >= 350, "{} rows", rows.len());
    let faults: Vec<String> =
        rows.iter().filter_map(|row| Some(format!("{}: {}", row.name, attack(&world, row).err()?))).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
    // Nothing came late: a request that was hidden in another one would be heard by now.
    let answer = world.gateway.client().get("/public/last", None);
    assert_eq!((answer.status, world.upstream.only().target.as_str()), (200, "/public/last"));
    every_refusal_was_counted(&world);
}

#[test]
fn a_connection_goes_on_behind_a_body_in_chunks() {
    let world = World::start();
    let mut connection = world.gateway.client().connect().unwrap();
    for body in ["5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n"] {
        let head = row::post("Transfer-Encoding: chunked\r\n", "");
        // Two pieces, so that the body is read in the engine's time as well as before.
        connection.send(&head).unwrap();
        connection.send(body.as_bytes()).unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.closes), (200, false), "{body:?}");
        assert!([&b"hello"[..], b""].contains(&&*world.upstream.only().body));
    }
    assert_eq!(connection.get("/public/last", None).unwrap().status, 200);
}

#[test]
fn requests_that_the_engine_keeps_for_itself_are_counted() {
    const REFUSED_STREAM: u32 = 7;
    let world = World::start();
    let unheard = || world.gateway.admin().metrics().count("tollgate_http2_unheard_requests_total", &[]);
    // A hundred may be under way on one connection.
    assert_eq!(http2::crowd(&world, 101).unwrap(), (201, REFUSED_STREAM));
    // The client has gone before all of the hundred were heard.
    let before = until("one at least is counted", || Some(unheard()).filter(|count| *count >= 1));
    let rows = http2::rows();
    for (name, counted) in [("an authority with a user", 1), ("a sound request", 1), ("Connection", 2)] {
        http2::attack(&world, rows.iter().find(|row| row.name == name).unwrap()).unwrap();
        until(name, || (unheard() == before + counted).then_some(()));
    }
}

#[test]
fn every_hostile_frame_is_refused_or_framed_safely() {
    let world = World::start();
    let rows = http2::rows();
    let frames = rows.iter().filter(|row| !row.bytes.is_empty());
    assert_eq!(repeated(frames.map(|row| (row.name, &row.bytes))), [""; 0], "no row repeats another");
    let faults: Vec<String> =
        rows.iter().filter_map(|row| Some(format!("{}: {}", row.name, http2::attack(&world, row).err()?))).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
    let answer = world.gateway.client().curl("/public/last", &[]);
    assert_eq!((answer.status, world.upstream.only().target.as_str()), (200, "/public/last"));
}

/// The rows that send what one before them has sent.
fn repeated<'r>(rows: impl Iterator<Item = (&'static str, &'r Vec<u8>)>) -> Vec<&'static str> {
    let mut sent = BTreeSet::new();
    rows.filter(|(_, bytes)| !sent.insert(*bytes)).map(|(name, _)| name).collect()
}

fn attack(world: &World, row: &Row) -> Result<(), String> {
    let mut connection = world.gateway.client().connect().map_err(|fault| format!("connect: {fault}"))?;
    // A gateway that has seen enough may close before everything is sent.
    let _ = connection.send(&row.bytes);
    let answer = connection.answer();
    match (&row.expect, answer) {
        (Expect::Refused(status), Ok(answer)) => refused(&answer, *status).and_then(|()| world.heard(None)),
        (Expect::Cut(status), Ok(answer)) => {
            refused(&answer, *status)?;
            if !answer.closes || !connection.closed_by_peer() {
                return Err("the connection goes on".to_owned());
            }
            world.heard(None)
        }
        (Expect::Unheard, Ok(answer)) if answer.status < 400 => {
            Err(format!("answered {}; heard {}", answer.status, told(&world.upstream.take())))
        }
        (Expect::Unheard, _) => world.heard(None),
        (Expect::Forwarded(heard), Ok(answer)) if answer.status == 200 => world.heard(Some(heard)),
        (_, Ok(answer)) => Err(format!("answered {}: {}", answer.status, answer.text())),
        (_, Err(fault)) => Err(format!("no answer: {fault}; heard {}", told(&world.upstream.take()))),
    }
}

fn refused(answer: &Answer, status: u16) -> Result<(), String> {
    let id = answer.header("x-request-id").unwrap_or_default();
    if answer.status != status {
        Err(format!("answered {}, not {status}", answer.status))
    } else if id.len() != 32 || answer.json()["request_id"] != id {
        Err(format!("the request is called {id:?}"))
    } else {
        Ok(())
    }
}

/// What never reached the engine is counted and logged like every other refusal.
fn every_refusal_was_counted(world: &World) {
    let cut = rows::all().iter().filter(|row| matches!(row.expect, Expect::Cut(_))).count();
    let metrics = world.gateway.admin().metrics();
    let early = ["bad_framing", "header_too_large", "target_too_long", "ambiguous_path", "method_not_allowed"];
    let counted: u64 = early.iter().map(|reason| metrics.count("tollgate_denials_total", &[("reason", reason)])).sum();
    assert!(counted >= u64::try_from(cut).unwrap(), "{counted} counted of {cut}");
    let log = until("the log tells the refusals", || {
        let log = world.gateway.log();
        log.contains("target_too_long").then_some(log)
    });
    assert!(!log.contains("mallory"), "no header field is logged");
}
