//! How the cost of a request grows with the number of connections, and with the number of replicas on one Redis.

use crate::cases::{self, Case};
use crate::chart::{self, Line};
use crate::common::Gateway;
use crate::load::Connections;
use crate::options::Options;
use crate::report;
use crate::usage::Usage;
use crate::world::World;
use std::thread;

const CONNECTIONS: [usize; 4] = [1, 8, 64, 512];
const REPLICAS: usize = 4;

/// Measures, prints, and draws where it is to be kept.
pub fn run(world: &World, options: &Options) {
    let (connections, ratios) = by_connections(world, options);
    let replicas = by_replicas(world, options);
    let text = format!(
        "A request by the number of open connections, µs of CPU\n{}{}\nA one-time request by the number of replicas, µs of CPU of all replicas, and of Redis\n{}\n{}\n",
        chart::table(&connections),
        chart::table(&ratios),
        chart::table(&replicas),
        report::about(options, "so many")
    );
    println!("{text}");
    if options.save {
        let draw = |title, across, lines| chart::lines(title, across, "µs of CPU a request", lines);
        report::keep("growth.txt", &text);
        report::keep("growth_connections.svg", &draw("The cost of a request", "open connections", &connections));
        report::keep("growth_replicas.svg", &draw("The cost of a one-time request", "replicas", &replicas));
    }
}

/// The cost by the number of connections, and, of all but the first, as ratios to it. Everybody has a turn in each round,
/// so that a busy machine is busy for all of them.
#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn by_connections(world: &World, options: &Options) -> (Vec<Line>, Vec<Line>) {
    let mut cases = cases::growing(world);
    let lines =
        |more: &str| cases.each_ref().map(|case| Line { label: format!("{}{more}", case.name), points: vec![] });
    let (mut costs, mut ratios) = (lines(""), lines(", × bare"));
    for count in CONNECTIONS {
        eprintln!("connections: {count}");
        let mut rounds = cases.each_ref().map(|_| Vec::new());
        for _ in 0..options.rounds {
            for (case, rounds) in cases.iter_mut().zip(&mut rounds) {
                rounds.push(cost(case, count, options.requests));
            }
        }
        for ((costs, ratios), own) in costs.iter_mut().zip(&mut ratios).zip(&rounds) {
            costs.points.push((count as f64, report::median(own)));
            ratios.points.push((count as f64, report::median(&report::ratios(own, &rounds[0]))));
        }
    }
    (costs.into(), ratios.into_iter().skip(1).collect())
}

/// Microseconds of CPU a request, over `connections`.
fn cost(case: &mut Case<'_>, connections: usize, requests: usize) -> f64 {
    let mut connections = Connections::open(case.address, connections);
    connections.drive(&case.requests(64), case.expected, None);
    let requests = case.requests(requests);
    let before = Usage::of(case.pid);
    connections.drive(&requests, case.expected, None);
    report::each(Usage::of(case.pid).since(before), requests.len())
}

/// All replicas are driven at once, each with its share of the requests.
#[expect(clippy::cast_precision_loss, reason = "a few")]
fn by_replicas(world: &World, options: &Options) -> Vec<Line> {
    let mut gateways: Vec<Gateway> = Vec::new();
    let (mut ours, mut redis) = (Vec::new(), Vec::new());
    for count in 1..=REPLICAS {
        eprintln!("replicas: {count}");
        gateways.push(world.replica());
        let rounds: Vec<(f64, f64)> = (0..options.rounds).map(|_| together(world, &gateways, options)).collect();
        let of = |pick: fn(&(f64, f64)) -> f64| report::median(&rounds.iter().map(pick).collect::<Vec<_>>());
        ours.push((count as f64, of(|round| round.0)));
        redis.push((count as f64, of(|round| round.1)));
    }
    let line = |label: &str, points| Line { label: label.to_owned(), points };
    vec![line("the replicas", ours), line("Redis", redis)]
}

/// Microseconds of CPU a request: of the replicas together, and of Redis.
fn together(world: &World, gateways: &[Gateway], options: &Options) -> (f64, f64) {
    let share = options.requests / gateways.len();
    let prepare = |gateway| {
        let mut case = cases::one_time(world, gateway);
        let mut connections = Connections::open(case.address, options.connections);
        connections.drive(&case.requests(64), case.expected, None);
        (connections, case.requests(share), case.expected)
    };
    let mut prepared: Vec<_> = gateways.iter().map(prepare).collect();
    let used =
        || (gateways.iter().map(|gateway| Usage::of(gateway.pid())).collect::<Vec<_>>(), Usage::of(world.redis.pid()));
    let before = used();
    thread::scope(|scope| {
        for (connections, requests, expected) in &mut prepared {
            scope.spawn(|| connections.drive(requests, *expected, None));
        }
    });
    let after = used();
    let ours = after.0.iter().zip(before.0).map(|(after, before)| after.since(before)).sum();
    let requests = share * gateways.len();
    (report::each(ours, requests), report::each(after.1.since(before.1), requests))
}
