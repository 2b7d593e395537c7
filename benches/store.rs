//! What a claim costs: CPU in the gateway and in Redis, bytes on the wire, and bytes of memory, by the number of claims
//! in flight and by the number of claims held; and the same for the embedded store.
//!
//!     cargo bench --bench store
//!
//! Starts a redis-server of its own (`tests/run` installs it). CPU is the time for which the two processes were running,
//! not the time that passed, so that a machine with other things to do changes little; claims per second are what this
//! machine did at that moment. The figures stand, with their date, in `src/manual/sizing.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench stops at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::Redis;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tollgate::clock::{Clock, Stopwatch, SystemClock};
use tollgate::observe::Silent;
use tollgate::store::{
    ClaimAnswer, EmbeddedStore, IfUnknown, Nonce, NonceKey, RedisSettings, RedisStore, Servers, Store,
};

/// How many requests are in flight at once, on one connection.
const IN_FLIGHT: [usize; 5] = [1, 4, 16, 64, 256];
/// How many claims are held. A Redis doubles its tables at powers of two: 140,000 are the dearest, 1,000,000 nearly the
/// cheapest.
const HELD: [usize; 4] = [10_000, 100_000, 140_000, 1_000_000];
/// Claims by which the cost is taken while so many are held.
const SAMPLE: usize = 50_000;
const HOUR: Duration = Duration::from_secs(3600);
/// The life of claims that come and go.
const LIFE: Duration = Duration::from_secs(3);

fn main() {
    machine();
    embedded();
    by_flight();
    with_a_replica();
    by_held();
    coming_and_going();
}

fn machine() {
    let redis = Redis::start();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, it)| it);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores of {model}, Redis {}", field(&redis, "server", "redis_version"));
}

/// One gateway process with one connection.
fn by_flight() {
    println!(
        "\n{:>10} {:>10} {:>12} {:>10} {:>10} {:>10}",
        "in flight", "claims/s", "gateway µs", "redis µs", "bytes in", "out"
    );
    for in_flight in IN_FLIGHT {
        let redis = Redis::start();
        let claims = if in_flight < 16 { SAMPLE } else { 4 * SAMPLE };
        let cost = Cost::of(&redis, || claim(&redis, in_flight, claims, HOUR, "a")).each(claims);
        println!(
            "{in_flight:>10} {:>10.0} {:>12.1} {:>10.1} {:>10.0} {:>10.0}",
            1.0 / cost.seconds,
            cost.gateway * 1e6,
            cost.redis * 1e6,
            cost.bytes_in,
            cost.bytes_out,
        );
    }
}

/// The same, where a claim counts once a replica has it; and what both wait, from the claim to its answer.
fn with_a_replica() {
    println!("\n{:>10} {:>12} {:>10} {:>10} {:>14}", "in flight", "gateway µs", "redis µs", "ms", "ms, 0 acks");
    for in_flight in [1, 16, 64] {
        let redis = Redis::start();
        let port = redis.address().port().to_string();
        let _replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]);
        common::until("the replica follows", || {
            (field(&redis, "replication", "slave0").contains("online")).then_some(())
        });
        let claims = SAMPLE / 5;
        let of =
            |acks, name| Cost::of(&redis, || acknowledged(&redis, acks, in_flight, claims, HOUR, name)).each(claims);
        let (plain, waiting) = (of(0, "a"), of(1, "b"));
        let wait = |cost: &Cost| cost.seconds * 1e3 * in_flight as f64;
        println!(
            "{in_flight:>10} {:>12.1} {:>10.1} {:>10.2} {:>14.2}",
            waiting.gateway * 1e6,
            waiting.redis * 1e6,
            wait(&waiting),
            wait(&plain),
        );
    }
}

fn by_held() {
    println!("\n{:>10} {:>14} {:>10}", "held", "bytes a claim", "redis µs");
    for held in HELD {
        let redis = Redis::start();
        let before = number(&redis, "memory", "used_memory");
        claim(&redis, 64, held, HOUR, "a");
        let bytes = (settled_memory(&redis) - before) / held as f64;
        let cost = Cost::of(&redis, || claim(&redis, 64, SAMPLE, HOUR, "b")).each(SAMPLE);
        println!("{held:>10} {bytes:>14.1} {:>10.1}", cost.redis * 1e6);
    }
}

/// Redis' memory, once the tables that it moves in the background are moved.
fn settled_memory(redis: &Redis) -> f64 {
    let used = || number(redis, "memory", "used_memory");
    common::until("Redis has moved its tables", || {
        let first = used();
        std::thread::sleep(Duration::from_millis(300));
        Some(first).filter(|first| (used() - first).abs() < 10_000.0)
    })
}

/// As many claims end as are made: what that costs, and how much of what is held has ended.
fn coming_and_going() {
    let redis = Redis::start();
    let (watch, mut cost, mut rounds) = (Stopwatch::start(), Cost::default(), 0);
    for round in 0.. {
        let this = Cost::of(&redis, || claim(&redis, 64, SAMPLE, LIFE, &round.to_string()));
        if watch.elapsed() > 4 * LIFE {
            break;
        }
        if watch.elapsed() > 2 * LIFE {
            (cost, rounds) = (cost.and(&this), rounds + 1);
        }
    }
    let each = cost.each(rounds * SAMPLE);
    let (rate, stale) = (1.0 / each.seconds, number(&redis, "stats", "expired_stale_perc"));
    println!("\nclaims that live {LIFE:?}, {rate:.0} a second: {:.1} redis µs each with their end;", each.redis * 1e6);
    println!("{stale:.1} % of what Redis holds has ended, it says");
}

fn embedded() {
    println!("\n{:>10} {:>14} {:>10}", "embedded", "bytes a claim", "µs");
    // None is dropped before the end: what one gives back would look as if the next took nothing.
    let mut stores = Vec::new();
    for held in HELD {
        let store = Arc::new(EmbeddedStore::new(usize::MAX, SystemClock.now()));
        stores.push(Arc::clone(&store));
        let runtime = Builder::new_current_thread().build().unwrap();
        let (memory, cpu) = (resident(), own_cpu());
        runtime.block_on(present(store, "e", held, HOUR));
        let (memory, cpu) = (resident() - memory, own_cpu() - cpu);
        println!("{held:>10} {:>14.1} {:>10.2}", memory / held as f64, cpu / held as f64 * 1e6);
    }
}

/// What some claims cost in all, or one of them.
#[derive(Default)]
struct Cost {
    seconds: f64,
    gateway: f64,
    redis: f64,
    bytes_in: f64,
    bytes_out: f64,
}

impl Cost {
    fn of(redis: &Redis, work: impl FnOnce()) -> Self {
        let now = |seconds| Self {
            seconds,
            gateway: own_cpu(),
            redis: number(redis, "cpu", "used_cpu_sys") + number(redis, "cpu", "used_cpu_user"),
            bytes_in: number(redis, "stats", "total_net_input_bytes"),
            bytes_out: number(redis, "stats", "total_net_output_bytes"),
        };
        let (before, watch) = (now(0.0), Stopwatch::start());
        work();
        now(watch.elapsed().as_secs_f64()).with(&before, |after, before| after - before)
    }

    fn and(&self, more: &Self) -> Self {
        self.with(more, |one, other| one + other)
    }

    fn each(&self, claims: usize) -> Self {
        self.with(self, |all, _| all / claims as f64)
    }

    fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            seconds: join(self.seconds, other.seconds),
            gateway: join(self.gateway, other.gateway),
            redis: join(self.redis, other.redis),
            bytes_in: join(self.bytes_in, other.bytes_in),
            bytes_out: join(self.bytes_out, other.bytes_out),
        }
    }
}

/// Makes so many claims, from so many tasks on one thread.
fn claim(redis: &Redis, in_flight: usize, claims: usize, life: Duration, name: &str) {
    acknowledged(redis, 0, in_flight, claims, life, name);
}

/// The same; a claim counts once so many replicas have it.
fn acknowledged(redis: &Redis, acks: u32, in_flight: usize, claims: usize, life: Duration, name: &str) {
    let mut settings = RedisSettings::new(Servers::Single(redis.url().parse().unwrap()));
    // Nothing is lost here; a machine that has other things to do must not end the bench.
    settings.timeout = Duration::from_secs(10);
    settings.replica_acks = acks;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(RedisStore::new(settings, Arc::new(SystemClock), Arc::new(Silent)).unwrap());
        store.connect().await.unwrap();
        let tasks: Vec<_> = (0..in_flight)
            .map(|task| {
                let (store, name, claims) = (Arc::clone(&store), format!("{name} {task}"), claims / in_flight);
                tokio::spawn(async move { present(store, &name, claims, life).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn present(store: Arc<dyn Store>, name: &str, claims: usize, life: Duration) {
    for id in 0..claims {
        let now = SystemClock.now();
        let key = NonceKey::new("jti", "https://idp.example.com", &format!("{name} {id}"));
        let answer = store.claim(&[Nonce { key, uses: 1, keep_until: now.plus(life) }], now, IfUnknown::GiveBack).await;
        assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{answer:?}");
    }
}

/// Seconds for which this process was running.
fn own_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In ticks of a hundredth of a second, as the kernel shows them to programs.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Bytes of memory that this process holds.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix(" kB"));
    kilobytes.unwrap().trim().parse::<f64>().unwrap() * 1024.0
}

/// One number out of INFO.
fn number(redis: &Redis, section: &str, name: &str) -> f64 {
    field(redis, section, name).parse().unwrap()
}

fn field(redis: &Redis, section: &str, name: &str) -> String {
    let info: String = redis.command(&["INFO", section]);
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}
