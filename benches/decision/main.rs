//! What a decision costs, without a network around it.
//!
//!     benches/instructions                            # instructions a decision, against those on record
//!     cargo bench --bench decision -- growth          # time a decision, as routes, issuers, keys and memory grow

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench stops at the first surprise")]

#[path = "../support/chart.rs"]
mod chart;
mod growth;
mod instructions;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["growth"] => growth::run(false),
        ["growth", "--save"] => growth::run(true),
        ["cases"] => instructions::list(),
        ["instructions", case] => return instructions::run(case),
        _ => {
            eprintln!("decision growth [--save] | cases | instructions CASE");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
