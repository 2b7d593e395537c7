//! How large the store must be.
//!
//! A claim is kept until its token can't be presented any more: its lifetime, the issuer's `leeway`, and 60 s for clocks
//! that differ. So a store holds *rate × (lifetime + leeway + 60 s)* claims, and what it costs follows from what one claim
//! costs. Both are functions here ([`plan`], [`held_over_time`]), and the figures they start from stand in one place,
//! [`MEASURED`].
//!
//! # What was measured
//!
//! `cargo bench --bench store`, 2026-11-24, the dearer of two runs, 2 cores of an AMD EPYC that were shared with much other
//! work, Redis 7.0.15 on the same machine, no TLS. CPU is the time for which the process was running.
//!
//! | in flight on a connection | gateway, µs of CPU a claim | Redis, µs of CPU a claim |
//! |---|---|---|
//! | 1 | 13.4 | 13.4 |
//! | 4 | 6.0 | 5.8 |
//! | 16 | 3.8 | 3.8 |
//! | 64 | 4.0 | 3.6 |
//! | 256 | 4.7 | 3.3 |
//!
//! Nearly all of the first row is system calls: claims that are ready together go in one write and are answered in one.
//! That is why `store.redis.connections: 1` is the default, and why a few large gateways cost Redis less than many small
//! ones. A claim sends 118 bytes and gets 61, without the headers of TCP and IP.
//!
//! With `replica_acks: 1` and a replica on the same machine, beside the same without waiting, in one run on 2026-11-29 (2
//! cores of an Intel Xeon, busier than the one above):
//!
//! | in flight | Redis, µs of CPU a claim: not waiting, waiting | ms a claim takes: not waiting, waiting |
//! |---|---|---|
//! | 1 | 45, 62 | 0.11, 0.14 |
//! | 16 | 6.9, 13.9 | 0.38, 0.58 |
//! | 64 | 4.8, 6.6 | 0.95, 1.05 |
//!
//! | claims held | bytes of Redis' memory a claim |
//! |---|---|
//! | 10,000 | 140, of which 17 are what an idle Redis with one connection needs |
//! | 100,000 | 119 |
//! | 140,000 | 142, while its tables are being doubled |
//! | 1,000,000 | 113 |
//!
//! It is 96 bytes a claim, and 16 for each place in the tables, of which there are a power of two, not fewer than claims.
//! The number of claims held does not change what one of them costs in CPU (2.8 to 5.0 µs with 64 in flight, in no order),
//! and neither does their end (3.2 and 4.6 µs where claims end as fast as they come). Redis tries to keep no more than
//! a tenth of claims that have ended (`active-expire-effort`); on a machine that gave it little time, with claims that
//! live three seconds, it was a fifth. The embedded store takes 70 to 130 bytes and up to 0.9 µs.
//!
//! # A million requests a second
//!
//! Each with a one-time token of its own that lives five minutes, `leeway: 10s`, 100 gateways, half a millisecond to Redis
//! and back; a primary shall be busy half of the time at most, so that one of them can be away, and hold at most 8 GiB.
//!
//! - A claim is kept for 370 s, so 370,000,000 are held, and Redis keeps up to a tenth more that have ended.
//! - With 27 primaries each gets 37,037 claims a second, 370 from each gateway: fewer than one at a time is in flight,
//!   so each costs 13.4 µs, and the primary is busy for 49 % of the time.
//! - Each holds at most 15.1 million claims, for which it needs 2.2 GB while its tables are being doubled.
//! - Each receives and sends 6.6 MB a second.
//!
//! CPU decides, not memory. The same load from 10 gateways of ten times the size has four claims in flight on each
//! connection, and 12 primaries are enough, with 4.9 GB each. Replicas come on top, one for each primary at least; waiting
//! for them (`replica_acks: 1`) costs the primary four tenths more for each claim, and twice as much with 16 in flight: with
//! that, one at a time, 38 primaries instead of 27. Keys spread over a cluster evenly, since they are hashes.
//!
//! # Memory over time
//!
//! Memory grows for as long as a claim is kept and then stays, as long as the rate does. Five-minute tokens at 1,000 a
//! second, with a minute of 3,000 a second that begins ten minutes after the start:
//!
//! | minute | 1 | 3 | 6 | 8 | 10 | 11 | 14 | 17 | 18 |
//! |---|---|---|---|---|---|---|---|---|---|
//! | thousand claims | 60 | 180 | 360 | 370 | 370 | 490 | 490 | 390 | 370 |
//!
//! Thus `maxmemory` must have room for the largest burst within one lifetime. A store that is full refuses claims
//! ([`store`](super::store)), and tokens that live half as long need half of it.

use crate::authn::replay::MARGIN;
use std::collections::VecDeque;
use std::time::Duration;

/// What one claim costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Bytes of Redis' memory for the claim itself.
    pub claim: u64,
    /// Bytes for one place in Redis' tables, of which there are a power of two.
    pub place: u64,
    /// Nanoseconds of Redis' CPU, with so many claims in flight on a connection; ascending.
    pub cpu: [(u64, u64); 4],
    /// Bytes to Redis and back, without the headers of TCP and IP.
    pub wire: u64,
    /// How much has ended and is still there, in per cent of what is alive. It is what Redis tries to keep to.
    pub ended: u64,
}

/// What `cargo bench --bench store` measured; the date and the machine stand on the page.
pub const MEASURED: Costs =
    Costs { claim: 96, place: 16, cpu: [(1, 13_400), (4, 5_800), (16, 3_800), (64, 3_600)], wire: 118 + 61, ended: 10 };

/// What is asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Requests with a one-time token (or proof) a second.
    pub rate: u64,
    /// The longest time for which a token lives.
    pub lifetime: Duration,
    /// The issuer's `leeway`.
    pub leeway: Duration,
    /// Gateway processes, each with one connection to each primary.
    pub gateways: u64,
    /// From a gateway to Redis and back.
    pub round_trip: Duration,
}

/// What a primary may be burdened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The share of its one thread, in per cent.
    pub busy: u64,
    /// Bytes of memory.
    pub memory: u64,
}

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Primaries, without their replicas.
    pub primaries: u64,
    /// Claims a second at each.
    pub rate: u64,
    /// Claims that each holds, at most.
    pub claims: u64,
    /// Bytes of memory that each needs, while its tables are being doubled.
    pub memory: u64,
    /// The share of its thread that is busy, in per cent.
    pub busy: u64,
    /// Bytes a second that it receives and sends.
    pub wire: u64,
}

/// How long a claim is kept, if its token is presented as soon as it is issued.
#[must_use]
pub fn kept_for(workload: &Workload) -> Duration {
    workload.lifetime.saturating_add(workload.leeway).saturating_add(MARGIN)
}

/// The fewest primaries that keep within `limits`; `None` where no number below ten thousand does.
#[must_use]
pub fn plan(workload: &Workload, limits: &Limits, costs: &Costs) -> Option<Plan> {
    let fits = |plan: &Plan| plan.busy <= limits.busy && plan.memory <= limits.memory;
    (1..10_000).map(|primaries| share(workload, primaries, costs)).find(fits)
}

/// What each of so many primaries gets.
fn share(workload: &Workload, primaries: u64, costs: &Costs) -> Plan {
    let rate = workload.rate / primaries;
    let alive = rate.saturating_mul(kept_for(workload).as_secs());
    let claims = alive.saturating_add(alive / 100 * costs.ended);
    let round_trip = u64::try_from(workload.round_trip.as_nanos()).unwrap_or(u64::MAX);
    let in_flight = (rate / workload.gateways.max(1)).saturating_mul(round_trip) / 1_000_000_000;
    let each = costs.cpu.iter().rev().find(|(least, _)| *least <= in_flight).unwrap_or(&costs.cpu[0]).1;
    Plan {
        primaries,
        rate,
        claims,
        memory: most_memory(claims, costs),
        busy: rate.saturating_mul(each) / 10_000_000,
        wire: rate.saturating_mul(costs.wire),
    }
}

/// Bytes of Redis' memory for so many claims, once its tables have their size.
#[must_use]
pub fn memory(claims: u64, costs: &Costs) -> u64 {
    claims.saturating_mul(costs.claim).saturating_add(claims.next_power_of_two().saturating_mul(costs.place))
}

/// The same in the worst moment of growth: just more claims than places, so that there are twice as many, and the old
/// tables are still there.
#[must_use]
pub fn most_memory(claims: u64, costs: &Costs) -> u64 {
    claims.saturating_mul(costs.claim + 3 * costs.place)
}

/// The claims that are held after each second, where so many are made in each, and each is kept for `kept_for`.
#[must_use]
pub fn held_over_time(made: impl IntoIterator<Item = u64>, kept_for: Duration) -> Vec<u64> {
    let (mut alive, mut held) = (VecDeque::new(), 0);
    let seconds = usize::try_from(kept_for.as_secs()).unwrap_or(usize::MAX);
    let mut step = |made: u64| {
        alive.push_back(made);
        held += made;
        if alive.len() > seconds {
            held -= alive.pop_front().unwrap_or_default();
        }
        held
    };
    made.into_iter().map(&mut step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const LIMITS: Limits = Limits { busy: 50, memory: 8 * GIB };

    fn million(gateways: u64) -> Workload {
        Workload {
            rate: 1_000_000,
            lifetime: Duration::from_secs(300),
            leeway: Duration::from_secs(10),
            gateways,
            round_trip: Duration::from_micros(500),
        }
    }

    /// Whether `figure` stands on the page, however its lines are broken.
    fn page_says(figure: &str) -> bool {
        let page = include_str!("sizing.rs").split("use crate").next().unwrap_or_default();
        page.replace("//! ", "").replace('\n', " ").contains(figure)
    }

    fn tenths(value: u64, unit: u64) -> String {
        let tenths = (value + unit / 20) / (unit / 10);
        format!("{}.{}", tenths / 10, tenths % 10)
    }

    #[test]
    fn the_worked_example_is_what_the_functions_say() {
        let plan = plan(&million(100), &LIMITS, &MEASURED).unwrap();
        assert_eq!((plan.primaries, plan.rate, plan.busy), (27, 37_037, 49), "{plan:?}");
        assert!(page_says("With 27 primaries each gets 37,037 claims a second, 370 from each gateway"));
        assert!(page_says("busy for 49 % of the time"));
        let [claims, memory, wire] = [(plan.claims, 1_000_000), (plan.memory, 1_000_000_000), (plan.wire, 1_000_000)]
            .map(|(value, unit)| tenths(value, unit));
        assert!(page_says(&format!("at most {claims} million claims, for which it needs {memory} GB")), "{plan:?}");
        assert!(page_says(&format!("receives and sends {wire} MB")), "{plan:?}");
        let seconds = kept_for(&million(100)).as_secs();
        assert!(page_says(&format!("kept for {seconds} s, so {seconds},000,000 are held")));
    }

    #[test]
    fn a_few_large_gateways_need_fewer_primaries() {
        let plan = plan(&million(10), &LIMITS, &MEASURED).unwrap();
        let memory = tenths(plan.memory, 1_000_000_000);
        assert!(page_says(&format!("{} primaries are enough, with {memory} GB each", plan.primaries)), "{plan:?}");
    }

    #[test]
    fn memory_decides_where_it_is_short() {
        let tight = Limits { memory: GIB, ..LIMITS };
        let plan = plan(&million(100), &tight, &MEASURED).unwrap();
        assert!(plan.primaries > 27 && plan.memory <= GIB, "{plan:?}");
        assert_eq!(super::plan(&million(100), &Limits { memory: 1, ..LIMITS }, &MEASURED), None);
    }

    #[test]
    fn the_formula_meets_what_was_measured() {
        const IDLE: u64 = 170_000;
        for (claims, measured) in [(10_000, 139.8), (100_000, 118.7), (1_000_000, 113.0)] {
            let each = f64::from(u32::try_from(memory(claims, &MEASURED) + IDLE).unwrap())
                / f64::from(u32::try_from(claims).unwrap());
            assert!((each - measured).abs() < 1.0, "{claims}: {each}, measured {measured}");
        }
        let doubling = memory(140_000, &MEASURED) + 131_072 * MEASURED.place + IDLE;
        assert!((140..=144).contains(&(doubling / 140_000)), "{doubling}");
        assert!(most_memory(140_000, &MEASURED) + IDLE >= doubling);
    }

    #[test]
    fn memory_over_time_is_what_the_table_says() {
        let burst = |second: u64| if (600..660).contains(&second) { 3000 } else { 1000 };
        let held = held_over_time((0..1200).map(burst), kept_for(&million(1)));
        let at = |minute: usize| (held[minute * 60 - 1] / 1000).to_string();
        let row: Vec<String> = [1, 3, 6, 8, 10, 11, 14, 17, 18].map(at).into();
        assert!(page_says(&format!("| thousand claims | {} |", row.join(" | "))), "{row:?}");
        assert_eq!(held.iter().max(), Some(&490_000));
    }

    #[test]
    fn what_is_held_is_what_the_plan_says() {
        let workload = Workload { rate: 5_000, ..million(1) };
        let held = held_over_time(std::iter::repeat_n(workload.rate, 2_000), kept_for(&workload));
        let plan = share(&workload, 1, &Costs { ended: 0, ..MEASURED });
        assert_eq!(held.iter().max(), Some(&plan.claims));
    }
}
