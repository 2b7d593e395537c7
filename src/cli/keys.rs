//! `tollgate keys`: key material as JWK, readable by its owner alone.

use super::{Outcome, write_private};
use crate::jose;
use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

/// Make and convert keys.
#[derive(Subcommand, Debug)]
pub(super) enum Keys {
    /// Make a private key.
    Generate {
        /// The algorithm it is for: ES256, EdDSA, RS256, HS256, RSA-OAEP-256, ECDH-ES+A256KW, dir, A256KW, …
        #[arg(long)]
        alg: String,
        /// What it is for; by default what the algorithm does.
        #[arg(long = "use")]
        purpose: Option<Purpose>,
        /// The content encryption a `dir` key is for.
        #[arg(long, default_value = "A256GCM")]
        enc: String,
        /// The file to write, mode 0600; standard output without it.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Print the public JWKS of a private JWK or JWKS.
    Public {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    /// Signing.
    Sig,
    /// Encryption.
    Enc,
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Generate { alg, purpose, enc, out } => generate(&alg, purpose, &enc, out),
            Self::Public { file } => {
                let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
                println!("{}", serde_json::to_string_pretty(&public_set(&text)?)?);
                Ok(Outcome::Done)
            }
        }
    }
}

fn generate(alg: &str, purpose: Option<Purpose>, enc: &str, out: Option<PathBuf>) -> anyhow::Result<Outcome> {
    let signs = jose::SigningAlgorithm::from_name(alg).is_some();
    if !signs && jose::KeyAlgorithm::from_name(alg).is_none() {
        bail!("{alg} is neither a signing nor a key management algorithm of this gateway");
    }
    if purpose.is_some_and(|purpose| (purpose == Purpose::Sig) != signs) {
        bail!("{alg} is for {}", if signs { "signing: --use sig" } else { "encryption: --use enc" });
    }
    let encryption =
        jose::ContentEncryption::from_name(enc).with_context(|| format!("{enc} is no content encryption"))?;
    let key = jose::sign::generate(alg, encryption).map_err(|error| anyhow::anyhow!("{error}"))?;
    let text = format!("{}\n", serde_json::to_string_pretty(&key)?);
    match out {
        Some(path) => {
            write_private(&path, &text)?;
            println!("wrote {}", path.display());
        }
        None => print!("{text}"),
    }
    Ok(Outcome::Done)
}

/// The public JWKS of a private JWK or JWKS; symmetric keys have no public part and are refused.
fn public_set(text: &str) -> anyhow::Result<serde_json::Value> {
    let parsed: serde_json::Value = serde_json::from_str(text).context("not JSON")?;
    let keys = match parsed.get("keys").and_then(serde_json::Value::as_array) {
        Some(keys) => keys.clone(),
        None => vec![parsed],
    };
    let public: Result<Vec<_>, _> = keys.iter().map(jose::sign::public_jwk).collect();
    Ok(serde_json::json!({ "keys": public.map_err(|error| anyhow::anyhow!("{error}"))? }))
}
