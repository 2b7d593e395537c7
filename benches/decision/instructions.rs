//! One case at a time, for a tool that counts instructions: what is counted stands in [`measured`] alone.

use crate::world::{HOST, Request, Size, World};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use tollgate::decision::{Permit, Reason};
use tollgate::upstream::{Origin, Outgoing};

/// Decisions in one run. Signatures differ in what they cost; over so many it evens out.
pub const DECISIONS: usize = 64;

/// What makes the requests of a case.
type Make = fn(&World) -> Vec<Request>;

/// The cases, by name.
const CASES: [(&str, Make); 8] = [
    ("public-route", |_| (0..DECISIONS).map(|_| Request::public()).collect()),
    ("cached-verdict", cached),
    ("new-es256", |world| requests(|| Request::new(&world.token()))),
    ("new-es256-once", |world| requests(|| Request::once(&world.token()))),
    ("new-nested-dir", |world| requests(|| Request::new(&world.nested()))),
    ("forged", |world| requests(|| Request::new(&world.forged()))),
    ("malformed", |world| requests(|| Request::new(&world.token().replacen("ey", "ez", 1)))),
    ("header-plan", cached),
];

fn requests(make: impl Fn() -> Request) -> Vec<Request> {
    (0..DECISIONS).map(|_| make()).collect()
}

/// Tokens that have been here before.
fn cached(world: &World) -> Vec<Request> {
    let requests = requests(|| Request::new(&world.token()));
    for request in &requests {
        world.remember(request);
    }
    requests
}

/// Prints the names of the cases.
pub fn list() {
    for (name, _) in CASES {
        println!("{name}");
    }
}

/// Runs one case, and prints how many decisions it made.
pub fn run(case: &str) -> ExitCode {
    let Some((name, make)) = CASES.into_iter().find(|(name, _)| *name == case) else { return ExitCode::from(2) };
    let world = World::new(Size { routes: 200, issuers: 3, keys: 2 });
    // Once for what is made lazily.
    let warm: Vec<Request> = make(&world).into_iter().take(2).collect();
    measured(&world, &warm[..1]);
    let requests = make(&world);
    let passed = if name == "header-plan" {
        let permits: Vec<_> = requests.iter().map(|request| world.decide(request).expect("a good token")).collect();
        planned(&world, &requests, &permits)
    } else {
        measured(&world, &requests)
    };
    let expected = if matches!(name, "forged" | "malformed") { 0 } else { DECISIONS };
    assert_eq!(passed, expected, "{name}");
    println!("{}", if name == "header-plan" { DECISIONS } else { DECISIONS + 1 });
    ExitCode::SUCCESS
}

/// The decisions, and nothing else. A tool finds this function by its name.
#[inline(never)]
fn measured(world: &World, requests: &[Request]) -> usize {
    let passes = |request: &&Request| -> bool {
        let decided: Result<Permit, Reason> = world.decide(black_box(request));
        black_box(decided).is_ok()
    };
    requests.iter().filter(passes).count()
}

/// What the upstream is told, and nothing else.
#[inline(never)]
fn planned(world: &World, requests: &[Request], permits: &[Permit]) -> usize {
    let origin = Origin {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: "https",
        authority: HOST,
        request_id: "0123456789abcdef0123456789abcdef",
    };
    let plan = |(request, permit): (&Request, &Permit)| {
        black_box(Outgoing::new(black_box(&request.headers), &world.snapshot.firewall, permit, &origin)).remove.len()
    };
    requests.iter().zip(permits).map(plan).filter(|removed| *removed > 0).count()
}
