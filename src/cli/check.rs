//! `tollgate check`: everything `run` would find out, before it runs.

use super::{Outcome, load, promote};
use crate::config;
use clap::Args;
use std::path::PathBuf;

/// Validate as `run` would, warn of what is legal but weak, and print what each route asks.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The configuration.
    #[arg(short, long, default_value = "gateway.yaml")]
    config: PathBuf,
    /// Another configuration; prints how the routes' policies differ from it.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Ask the running gateway which of its routes in report mode could be enforced.
    #[arg(long, conflicts_with = "against")]
    live: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let Some(loaded) = load(&self.config) else { return Ok(Outcome::CheckFailed) };
        if self.live {
            promote::advise(&loaded)?.iter().for_each(|line| println!("{line}"));
            return Ok(Outcome::Done);
        }
        for warning in config::lint(&loaded) {
            println!("warning: {warning}");
        }
        let policies = config::effective_policies(&loaded);
        let Some(against) = self.against else {
            println!("{policies}");
            println!("{}: sound", self.config.display());
            return Ok(Outcome::Done);
        };
        let Some(other) = load(&against) else { return Ok(Outcome::CheckFailed) };
        let differences = differences(&config::effective_policies(&other).to_string(), &policies.to_string());
        if differences.is_empty() {
            println!("no route's policy differs from {}", against.display());
        }
        for line in differences {
            println!("{line}");
        }
        Ok(Outcome::Done)
    }
}

/// The lines that only one side has: `-` before, `+` after, under the heading of their route.
fn differences(before: &str, after: &str) -> Vec<String> {
    let blocks = |text: &str| -> Vec<(String, Vec<String>)> {
        let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match blocks.last_mut() {
                Some((_, lines)) if line.starts_with(' ') => lines.push(line.to_owned()),
                _ => blocks.push((line.to_owned(), Vec::new())),
            }
        }
        blocks
    };
    let (before, after) = (blocks(before), blocks(after));
    let lines_of = |side: &[(String, Vec<String>)], heading: &str| {
        side.iter().find(|(known, _)| known == heading).map(|(_, lines)| lines.clone()).unwrap_or_default()
    };
    let mut headings: Vec<&String> = before.iter().chain(&after).map(|(heading, _)| heading).collect();
    headings.dedup();
    headings.sort();
    headings.dedup();
    let mut found = Vec::new();
    for heading in headings {
        let (old, new) = (lines_of(&before, heading), lines_of(&after, heading));
        let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("-{line}"));
        let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+{line}"));
        let changed: Vec<String> = gone.chain(come).collect();
        if !changed.is_empty() {
            found.push(heading.clone());
            found.extend(changed);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn only_what_changed_is_shown_under_its_route() {
        let before = "route a\n  scopes: x\n  replay: none\nroute b\n  public\n";
        let after = "route a\n  scopes: x\n  replay: once\nroute b\n  public\nroute c\n  public\n";
        assert_eq!(
            differences(before, after),
            ["route a", "-  replay: none", "+  replay: once", "route c", "+  public"]
        );
        assert!(differences(after, after).is_empty());
    }
}
