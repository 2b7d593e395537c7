//! What was measured, as a table, as numbers and as a picture.

use crate::cases::{BARE, Case};
use crate::chart::{self, Bar, Tone};
use crate::options::Options;
use crate::usage;
use crate::world::Rest;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The measurements of one case.
pub struct Measured {
    name: &'static str,
    goal: Option<f64>,
    foreign: bool,
    /// Microseconds of CPU a request, by round.
    cost: Vec<f64>,
    /// Requests a second, by round.
    speed: Vec<f64>,
    rate: f64,
    /// Microseconds of CPU a request at that rate, by round.
    paced: Vec<f64>,
    /// Milliseconds, by round, each in order.
    latencies: Vec<Vec<f64>>,
    half_load: Vec<HalfLoad>,
}

/// A round at half of what the contestant can bear, and the bare proxy beside it at the same rate.
struct HalfLoad {
    rate: f64,
    /// The latency, in milliseconds, that one request of a hundred exceeds.
    p99: f64,
    bare_p99: f64,
}

impl Measured {
    /// Nothing yet.
    pub fn of(case: &Case<'_>) -> Self {
        let Case { name, goal, foreign, .. } = case;
        let (cost, speed, paced, latencies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, goal: *goal, foreign: *foreign, cost, speed, rate: 0.0, paced, latencies, half_load: Vec::new() }
    }

    /// One round: `requests` of them used so much CPU and took so long.
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    pub fn add_cost(&mut self, used: Duration, requests: usize, took: Duration) {
        self.cost.push(each(used, requests));
        self.speed.push(requests as f64 / took.as_secs_f64());
    }

    /// One round at a fixed rate.
    pub fn add_paced(&mut self, rate: f64, used: Duration, latencies: &[Duration]) {
        self.rate = rate;
        self.paced.push(each(used, latencies.len()));
        self.latencies.push(in_order(latencies));
    }

    /// One round at half load: of the contestant, and of the bare proxy at the same rate.
    pub fn add_half_load(&mut self, rate: f64, latencies: &[Duration], bare: &[Duration]) {
        let p99 = |latencies| percentile(&in_order(latencies), 0.99);
        self.half_load.push(HalfLoad { rate, p99: p99(latencies), bare_p99: p99(bare) });
    }

    /// The median over the rounds.
    pub fn requests_per_second(&self) -> f64 {
        median(&self.speed)
    }

    /// The ratio to `bare`, round by round.
    fn ratios(&self, bare: &Self) -> Vec<f64> {
        ratios(&self.cost, &bare.cost)
    }

    /// The same at a fixed rate.
    fn ratios_at_rate(&self, bare: &Self) -> Vec<f64> {
        ratios(&self.paced, &bare.paced)
    }

    /// The median over the rounds.
    fn percentile(&self, share: f64) -> f64 {
        median(&self.latencies.iter().map(|round| percentile(round, share)).collect::<Vec<_>>())
    }

    /// What is known of half load: the rate, both latencies, and by how much the one exceeds the other in each round.
    fn at_half_load(&self) -> Option<(f64, f64, f64, Vec<f64>)> {
        let of = |value: fn(&HalfLoad) -> f64| median(&self.half_load.iter().map(value).collect::<Vec<_>>());
        let added: Vec<f64> = self.half_load.iter().map(|round| round.p99 - round.bare_p99).collect();
        (!added.is_empty()).then(|| (of(|round| round.rate), of(|round| round.bare_p99), of(|round| round.p99), added))
    }
}

/// In milliseconds, the least first.
fn in_order(latencies: &[Duration]) -> Vec<f64> {
    let mut latencies: Vec<f64> = latencies.iter().map(|latency| latency.as_secs_f64() * 1e3).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
fn percentile(latencies: &[f64], share: f64) -> f64 {
    let at = (latencies.len() as f64 * share).ceil() as usize;
    latencies.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Round by round, `costs` as ratios to those of the measure.
pub fn ratios(costs: &[f64], measure: &[f64]) -> Vec<f64> {
    costs.iter().zip(measure).map(|(cost, measure)| cost / measure).collect()
}

/// The one in the middle, with the least and the most.
fn spread(values: &[f64]) -> String {
    let (least, most) = (
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    format!("**{:.2}** ({least:.2}–{most:.2})", median(values))
}

/// Microseconds a request.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
pub fn each(used: Duration, requests: usize) -> f64 {
    used.as_secs_f64() * 1e6 / requests as f64
}

/// The one in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The whole run.
pub struct Report {
    measured: Vec<Measured>,
    rest: Rest,
    about: String,
}

impl Report {
    /// What was measured under `options`.
    pub fn new(options: &Options, measured: Vec<Measured>, rest: Rest) -> Self {
        let about = about(options, &options.connections.to_string());
        Self { measured, rest, about }
    }

    fn bare(&self) -> &Measured {
        self.measured.iter().find(|measured| measured.name == BARE).expect("the measure is always there")
    }

    /// The table.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| case | CPU a request | × bare (min–max) | goal | requests/s | at a rate | × bare at that rate | p50 | p99 | p99.9 |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for measured in &self.measured {
            let goal = measured.goal.map_or_else(|| "–".to_owned(), |goal| format!("≤ {goal}"));
            let _ = writeln!(
                text,
                "| {} | {:.0} µs | {} | {goal} | {:.0} | {:.0} µs at {:.0}/s | {} | {:.2} ms | {:.2} ms | {:.2} ms |",
                measured.name,
                median(&measured.cost),
                spread(&measured.ratios(self.bare())),
                measured.requests_per_second(),
                median(&measured.paced),
                measured.rate,
                spread(&measured.ratios_at_rate(self.bare())),
                measured.percentile(0.5),
                measured.percentile(0.99),
                measured.percentile(0.999),
            );
        }
        text.push_str(&self.half_load());
        let Rest { ready_after, memory_before, memory_after } = &self.rest;
        let _ = writeln!(
            text,
            "\ntollgate with 100 routes: ready after {} ms, {memory_before:.0} MiB at rest, {memory_after:.0} MiB at the end of the run.\n\n{}.",
            ready_after.as_millis(),
            self.about
        );
        text
    }

    /// The table of latencies at half load.
    fn half_load(&self) -> String {
        let mut text = String::from(
            "\n| at half of what it can bear | requests/s | p99 of bare | p99 | added (min–max) | goal |\n\
             |---|--:|--:|--:|--:|--:|\n",
        );
        for measured in &self.measured {
            if let Some((rate, bare, p99, added)) = measured.at_half_load() {
                let (name, added) = (measured.name, spread(&added));
                let _ = writeln!(text, "| {name} | {rate:.0} | {bare:.2} ms | {p99:.2} ms | {added} ms | < 1 ms |");
            }
        }
        text
    }

    fn numbers(&self) -> Value {
        let case = |measured: &Measured| {
            let by_round = measured.ratios(self.bare());
            json!({
                "case": measured.name, "goal": measured.goal, "ratio": median(&by_round), "ratios": by_round,
                "cpu_us": measured.cost, "requests_per_second": measured.speed, "rate": measured.rate,
                "cpu_us_at_rate": measured.paced, "ratio_at_rate": median(&measured.ratios_at_rate(self.bare())),
                "half_load": measured.at_half_load().map(|(rate, bare, p99, added)| json!({
                    "rate": rate, "bare_p99_ms": bare, "p99_ms": p99, "added_ms": median(&added), "added_by_round_ms": added,
                })),
                "p50_ms": measured.percentile(0.5), "p99_ms": measured.percentile(0.99), "p999_ms": measured.percentile(0.999),
            })
        };
        json!({
            "about": self.about, "cases": self.measured.iter().map(case).collect::<Vec<_>>(),
            "ready_after_ms": self.rest.ready_after.as_secs_f64() * 1e3,
            "resident_at_rest_mib": self.rest.memory_before, "resident_at_end_mib": self.rest.memory_after,
        })
    }

    fn picture(&self) -> String {
        let bars: Vec<Bar> = self
            .measured
            .iter()
            .map(|measured| Bar {
                label: measured.name.to_owned(),
                value: median(&measured.ratios(self.bare())),
                mark: measured.goal,
                tone: if measured.name.starts_with("bare") {
                    Tone::Measure
                } else if measured.foreign {
                    Tone::Other
                } else {
                    Tone::Ours
                },
            })
            .collect();
        chart::bars("CPU time of the proxy for each request, as a ratio to a bare proxy (| = goal)", "×", &bars)
    }

    /// Replaces the numbers of the last run.
    pub fn save(&self) {
        keep("side_by_side.md", &self.markdown());
        keep("side_by_side.json", &format!("{:#}\n", self.numbers()));
        keep("side_by_side.svg", &self.picture());
        tell(&self.markdown());
    }
}

/// Replaces the table in README.md.
fn tell(table: &str) {
    const BEGIN: &str = "<!-- measured -->\n";
    const END: &str = "<!-- /measured -->";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("README.md has a place for the table");
    let (_, after) = rest.split_once(END).expect("the place ends");
    fs::write(path, format!("{before}{BEGIN}\n{}\n\n{END}{after}", table.trim())).unwrap();
}

/// Replaces a result of the last run.
pub fn keep(name: &str, text: &str) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), text).unwrap();
}

/// When, where and how it was measured.
pub fn about(options: &Options, connections: &str) -> String {
    format!(
        "{}; {}; load average {} at the end; {} rounds of {} requests over {connections} connections; `benches/side_by_side/run`",
        today(),
        usage::machine(),
        usage::load_average(),
        options.rounds,
        options.requests
    )
}

/// The date, as `2026-01-31`.
fn today() -> String {
    let days = crate::common::unix_now() / 86_400;
    // Civil from days, after Howard Hinnant: eras of 400 years that begin in March.
    let (era, day_of_era) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
