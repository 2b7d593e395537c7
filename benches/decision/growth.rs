//! How the cost of a decision grows with everything there may be many of.

use crate::chart::{self, Line};
use crate::world::{Request, Size, World};
use std::path::PathBuf;
use tollgate::clock::Stopwatch;

/// Decisions that are timed together, and how often.
const BATCH: usize = 200;
const BATCHES: usize = 40;

const SMALL: Size = Size { routes: 10, issuers: 1, keys: 1 };

/// Measures every line, prints them, and draws them where they are to be kept.
pub fn run(save: bool) {
    let cached: Vec<Line> = vec![
        line("routes", &[10, 100, 1000, 10_000], |routes| cached(&World::new(Size { routes, ..SMALL }))),
        line("issuers", &[1, 10, 100, 1000], |issuers| cached(&World::new(Size { issuers, ..SMALL }))),
        line("keys of an issuer", &[1, 8, 64], |keys| cached(&World::new(Size { keys, ..SMALL }))),
        line("cached verdicts", &[10, 100, 1000, 10_000, 30_000], |verdicts| {
            let world = World::new(SMALL);
            for _ in 0..verdicts {
                world.remember(&Request::new(&world.token()));
            }
            cached(&world)
        }),
        line("revocations", &[10, 1000, 100_000, 1_000_000], |revocations| {
            let world = World::new(SMALL);
            world.revoke(revocations as u128);
            cached(&world)
        }),
    ];
    let fresh: Vec<Line> = vec![
        line("routes", &[10, 100, 1000, 10_000], |routes| fresh(&World::new(Size { routes, ..SMALL }))),
        line("issuers", &[1, 10, 100, 1000], |issuers| fresh(&World::new(Size { issuers, ..SMALL }))),
        line("keys of an issuer", &[1, 8, 64], |keys| fresh(&World::new(Size { keys, ..SMALL }))),
        line("claims in the embedded store", &[10, 1000, 10_000, 30_000], |claims| {
            let world = World::new(SMALL);
            for _ in 0..claims {
                world.decide(&Request::once(&world.token())).expect("a good token");
            }
            once(&world)
        }),
    ];
    print!("a cached verdict, µs\n{}\na new ES256 token, µs\n{}", chart::table(&cached), chart::table(&fresh));
    if save {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        std::fs::create_dir_all(&directory).unwrap();
        let draw = |title: &str, lines: &[Line]| chart::lines(title, "how many there are", "µs a decision", lines);
        std::fs::write(directory.join("growth_cached.svg"), draw("A decision on a cached verdict", &cached)).unwrap();
        std::fs::write(directory.join("growth_new.svg"), draw("A decision on a new ES256 token", &fresh)).unwrap();
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most a million")]
fn line(label: &str, counts: &[usize], cost: impl Fn(usize) -> f64) -> Line {
    eprintln!("{label}");
    Line { label: label.to_owned(), points: counts.iter().map(|count| (*count as f64, cost(*count))).collect() }
}

/// Microseconds for a token that has been here before.
fn cached(world: &World) -> f64 {
    let request = Request::new(&world.token());
    quietest(BATCH, BATCHES, Vec::new, |_| assert!(world.decide(&request).is_ok()))
}

/// Microseconds for a token that has not.
fn fresh(world: &World) -> f64 {
    let tokens = || (0..BATCH).map(|_| Request::new(&world.token())).collect();
    quietest(BATCH, BATCHES / 4, tokens, |request| assert!(world.decide(request.unwrap()).is_ok()))
}

fn once(world: &World) -> f64 {
    let tokens = || (0..BATCH).map(|_| Request::once(&world.token())).collect();
    quietest(BATCH, BATCHES / 4, tokens, |request| assert!(world.decide(request.unwrap()).is_ok()))
}

/// Microseconds of one `call` in the quietest of many batches: what a busy machine adds is not ours.
#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn quietest(batch: usize, batches: usize, prepare: impl Fn() -> Vec<Request>, call: impl Fn(Option<&Request>)) -> f64 {
    let one = || {
        let requests = prepare();
        let watch = Stopwatch::start();
        (0..batch).for_each(|at| call(requests.get(at)));
        watch.elapsed().as_secs_f64() * 1e6 / batch as f64
    };
    (0..batches).map(|_| one()).fold(f64::INFINITY, f64::min)
}
