//! tollgate beside a bare proxy and beside its peers: what one request costs each.
//!
//!     benches/side_by_side/run
//!
//! Every contestant terminates TLS on loopback, forwards to the same nginx, and has one thread. They are driven in turn
//! (A B C A B C …), so that a busy machine is busy for all of them; what counts is the CPU time of the contestant's own
//! process for each request, as a ratio to `bare`: a proxy made of the same engine, the same TLS and the same build,
//! which sets one header and checks nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench stops at the first surprise")]

mod bare;
mod cases;
#[path = "../support/chart.rs"]
mod chart;
#[path = "../../tests/common/mod.rs"]
mod common;
mod growth;
mod load;
mod options;
mod peers;
mod report;
mod tokens;
mod usage;
mod world;

use cases::Case;
use load::Connections;
use options::Options;
use report::{Measured, Report};
use std::process::ExitCode;
use std::time::Duration;
use usage::Usage;
use world::World;

/// The allocator of tollgate: the bare proxy differs in nothing but what it does not do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each case has its turn at a rate, and at half load.
const PACED_ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("bare", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return bare::serve(rest);
    }
    let Some(options) = Options::parse(&arguments) else {
        eprintln!("{}", options::USAGE);
        return ExitCode::from(2);
    };
    let world = World::start();
    if options.growth {
        growth::run(&world, &options);
        return ExitCode::SUCCESS;
    }
    let mut cases = cases::all(&world);
    cases.retain(|case| options.includes(case.name));
    let mut measured: Vec<Measured> = cases.iter().map(Measured::of).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (case, measured) in cases.iter_mut().zip(&mut measured) {
            cost(case, &options, measured);
        }
    }
    for round in 1..=options.rounds.min(PACED_ROUNDS) {
        eprintln!("round {round}, at a rate");
        for (case, measured) in cases.iter_mut().zip(&mut measured) {
            paced(case, &options, measured);
        }
    }
    for round in 1..=options.rounds.min(PACED_ROUNDS) {
        eprintln!("round {round}, at half load");
        let (bare, others) = cases.split_first_mut().expect("the measure is always there");
        for (case, measured) in
            others.iter_mut().zip(measured.iter_mut().skip(1)).filter(|(case, _)| case.goal.is_some())
        {
            half_load(bare, case, &options, measured);
        }
    }
    drop(cases);
    if options.smoke {
        println!("{} cases, every request was answered as expected", measured.len());
        return ExitCode::SUCCESS;
    }
    let report = Report::new(&options, measured, world.rest());
    println!("{}", report.markdown());
    if options.save {
        report.save();
    }
    ExitCode::SUCCESS
}

/// One round of one case: as many requests as there are, as fast as they go.
fn cost(case: &mut Case, options: &Options, measured: &mut Measured) {
    let mut connections = Connections::open(case.address, options.connections);
    let warm = case.requests(options.connections * 4);
    connections.drive(&warm, case.expected, None);
    let requests = case.requests(options.requests);
    let before = Usage::of(case.pid);
    let driven = connections.drive(&requests, case.expected, None);
    let used = Usage::of(case.pid).since(before);
    measured.add_cost(used, requests.len(), driven.took);
}

/// Requests at a rate the contestant can bear: what each costs when there is time between them, and how long it waits
/// from the moment it was due.
fn paced(case: &mut Case, options: &Options, measured: &mut Measured) {
    let rate = options.rate.min(measured.requests_per_second() / 2.0).max(1.0);
    let (used, latencies) = at_rate(case, options, rate);
    measured.add_paced(rate, used, &latencies);
}

/// Requests at half the rate that the contestant can bear, to the bare proxy and to it.
fn half_load(bare: &mut Case, case: &mut Case, options: &Options, measured: &mut Measured) {
    let rate = (measured.requests_per_second() / 2.0).max(1.0);
    let (_, of_bare) = at_rate(bare, options, rate);
    let (_, latencies) = at_rate(case, options, rate);
    measured.add_half_load(rate, &latencies, &of_bare);
}

fn at_rate(case: &mut Case, options: &Options, rate: f64) -> (Duration, Vec<Duration>) {
    let mut connections = Connections::open(case.address, options.connections);
    let warm = case.requests(options.connections * 4);
    connections.drive(&warm, case.expected, None);
    let requests = case.requests(options.paced(rate));
    let before = Usage::of(case.pid);
    let driven = connections.drive(&requests, case.expected, Some(rate));
    (Usage::of(case.pid).since(before), driven.latencies)
}
