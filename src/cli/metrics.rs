//! `tollgate metrics --list`.

use super::Outcome;
use crate::telemetry::metrics;
use clap::Args;

/// Print what the gateway counts: every metric with its labels and meaning.
#[derive(Args, Debug)]
pub(super) struct MetricsCommand {
    /// Print the table of metrics.
    #[arg(long, required = true)]
    list: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl MetricsCommand {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&metrics::json())?);
        } else {
            print!("{}", metrics::text());
        }
        Ok(Outcome::Done)
    }
}
