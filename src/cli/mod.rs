//! The commands. Exit codes: 0 done, 1 the check failed, 2 usage.

mod audit;
mod check;
mod devkit;
mod echo;
mod explain;
mod keys;
mod metrics;
mod promote;
mod quickstart;
mod token;

use crate::config;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A token gateway in front of backends that cannot be changed.
#[derive(Parser, Debug)]
#[command(name = "tollgate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve.
    Run {
        /// The configuration.
        #[arg(short, long, default_value = "gateway.yaml")]
        config: PathBuf,
        /// Take the sockets of the process that serves now, which then drains and ends.
        #[arg(long)]
        upgrade: bool,
    },
    /// Validate as `run` would, warn of what is legal but weak, and print what each route asks.
    Check(check::Check),
    /// Say what the gateway would answer to a request, and why.
    Explain(explain::Explain),
    /// Make dev keys, start an echo upstream, serve gateway.yaml, and show what happens to six tokens.
    Quickstart(quickstart::Quickstart),
    /// Make and convert keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make and look into dev tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Prove the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print what the gateway counts: every metric with its labels and meaning.
    Metrics(metrics::MetricsCommand),
    /// Print the JSON Schema of gateway.yaml.
    Schema,
}

/// What a command comes to, besides an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    CheckFailed,
}

/// Parses the process's arguments, runs the command, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let ended = run(Arguments::parse().command);
    log::logger().flush();
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("tollgate: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Run { config, upgrade } => {
            let config::Reading { outcome, inputs } = config::read(&config, &config::ProcessEnvironment);
            let Some(loaded) = sound(outcome) else { return Ok(Outcome::CheckFailed) };
            crate::app::run(loaded, inputs, upgrade)?;
            Ok(Outcome::Done)
        }
        Command::Check(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Quickstart(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Metrics(command) => command.run(),
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&config::json_schema())?);
            Ok(Outcome::Done)
        }
    }
}

/// Loads the configuration, or prints all its faults.
fn load(path: &Path) -> Option<config::Loaded> {
    sound(config::load(path))
}

/// The configuration, or its faults in print.
fn sound(outcome: Result<config::Loaded, config::Faults>) -> Option<config::Loaded> {
    match outcome {
        Ok(loaded) => Some(loaded),
        Err(faults) => {
            eprintln!("{faults}");
            None
        }
    }
}

/// A duration as gateway.yaml writes it: `30s`, `5m`, `2h`, `100ms`.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "a duration is a whole number and ms, s, m or h".to_owned())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a duration is a whole number and ms, s, m or h".to_owned()),
    };
    Ok(std::time::Duration::from_millis(number.saturating_mul(millis)))
}

/// Writes a file that holds a secret: readable by its owner alone.
fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let open = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = open.with_context(|| format!("can't write {}", path.display()))?;
    // An existing file keeps its mode when opened.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(content.as_bytes())?;
    Ok(())
}
