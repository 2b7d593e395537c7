//! `tollgate audit`: the proof that nobody changed the audit log.

use super::{Outcome, load};
use crate::config::{Environment as _, ProcessEnvironment};
use crate::secret::Secret;
use crate::telemetry::audit::{Head, verify};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// Prove the audit log.
#[derive(Subcommand, Debug)]
pub(super) enum AuditCommand {
    /// Prove that every record is as it was written and that none is missing, or name the first that is not.
    Verify {
        /// The file; or several that follow one another, the oldest first.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The head that was kept: `tollgate_audit_head`, or `audit.head` of /api/status. Shows that the end is cut off.
        #[arg(long)]
        head: Option<Head>,
        /// The key of the chain, `env:NAME` or `file:PATH`, where the configuration is not at hand.
        #[arg(long)]
        key: Option<String>,
        /// The configuration whose `telemetry.audit.key` it is.
        #[arg(short, long, default_value = "gateway.yaml")]
        config: PathBuf,
    },
}

impl AuditCommand {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let Self::Verify { files, head, key, config } = self;
        let Some(key) = chain_key(key.as_deref(), &config)? else { return Ok(Outcome::CheckFailed) };
        match verify(&files, &key, head) {
            Ok(proof) => {
                if proof.first > 1 {
                    println!("it begins with record {}: those before it stand in earlier files", proof.first);
                }
                let reaches = if head.is_some() {
                    "reaches the head that was kept"
                } else {
                    "compare its end with a head that was kept"
                };
                println!("whole: records {} to {}, {reaches}\nhead {}", proof.first, proof.head.number, proof.head);
                Ok(Outcome::Done)
            }
            Err(fault) => {
                eprintln!("{fault}");
                Ok(Outcome::CheckFailed)
            }
        }
    }
}

/// The key by reference, or that of the configuration; `None` after faults that were printed.
fn chain_key(reference: Option<&str>, config: &Path) -> anyhow::Result<Option<Secret<Vec<u8>>>> {
    let Some(reference) = reference else {
        let Some(loaded) = load(config) else { return Ok(None) };
        let Some(audit) = loaded.audit else {
            bail!("{} has no `telemetry.audit`; name the key by --key", config.display())
        };
        return Ok(Some(audit.key));
    };
    let bytes = match reference.split_once(':') {
        Some(("env", name)) => variable(name)?,
        Some(("file", path)) => std::fs::read(path).with_context(|| format!("can't read {path}"))?,
        _ => bail!("--key is `env:NAME` or `file:PATH`"),
    };
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(Some(Secret::new(bytes.to_vec())))
}

fn variable(name: &str) -> anyhow::Result<Vec<u8>> {
    let value = ProcessEnvironment.variable(name).with_context(|| format!("{name} is not set"))?;
    Ok(value.expose().clone())
}
