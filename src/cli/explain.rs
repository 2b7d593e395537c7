//! `tollgate explain`: what would the gateway answer, and why? The same `decide()`, and nothing is written.

use super::token::read_token;
use super::{Outcome, load};
use crate::admin::explain::{ExplainAnswer, ExplainRequest, explain};
use crate::clock::{Clock as _, SystemClock};
use crate::decision::Memory;
use crate::observe::Silent;
use anyhow::{Context as _, bail};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Say what the gateway would answer to a request, and why.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The configuration.
    #[arg(short, long, default_value = "gateway.yaml")]
    config: PathBuf,
    /// The address the client asks for.
    #[arg(long)]
    url: String,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header of the request, `Name: value`.
    #[arg(short = 'H', long = "header")]
    headers: Vec<String>,
    /// A file with the token; `-` is standard input.
    #[arg(long, conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The token itself. It shows in process lists and in the shell's history: prefer --token-file.
    #[arg(long)]
    token: Option<String>,
    /// Ask the running gateway, which also sees its memory.
    #[arg(long)]
    live: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let Some(loaded) = load(&self.config) else { return Ok(Outcome::CheckFailed) };
        let request = self.request()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = if self.live {
            runtime.block_on(ask(&loaded.admin, &request))?
        } else {
            let snapshot = crate::app::snapshot(loaded)?;
            runtime
                .block_on(explain(&snapshot, Memory::Absent, &request, SystemClock.now(), &Silent))
                .map_err(|fault| anyhow::anyhow!("{fault}"))?
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&answer)?);
        } else {
            print(&answer);
        }
        Ok(Outcome::Done)
    }

    fn request(&self) -> anyhow::Result<ExplainRequest> {
        let mut headers = BTreeMap::new();
        for header in &self.headers {
            let (name, value) = header.split_once(':').with_context(|| format!("-H {header}: write 'Name: value'"))?;
            headers.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        let token = match (&self.token_file, &self.token) {
            (Some(file), _) => Some(read_token(file)?),
            (None, Some(token)) => {
                eprintln!("warning: --token shows in process lists and in the shell's history; use --token-file");
                Some(token.clone())
            }
            (None, None) => None,
        };
        Ok(ExplainRequest {
            url: self.url.clone(),
            method: self.method.clone(),
            headers,
            token,
            ..ExplainRequest::default()
        })
    }
}

/// Asks the admin API of the gateway that runs under this configuration.
async fn ask(admin: &crate::admin::AdminSettings, request: &ExplainRequest) -> anyhow::Result<ExplainAnswer> {
    let Some(token) = &admin.token else { bail!("--live needs `admin.token` in the configuration") };
    if admin.tls.is_some() {
        bail!(
            "--live asks without TLS, and this configuration has `admin.tls`: send the request to /api/explain yourself"
        );
    }
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let url = format!("http://{}/api/explain", admin.address);
    let answer = client.post(&url).bearer_auth(token.expose()).json(request).send().await;
    let answer = answer.with_context(|| format!("no gateway answers on {}", admin.address))?;
    if !answer.status().is_success() {
        bail!("the gateway answered {}: {}", answer.status(), answer.text().await.unwrap_or_default());
    }
    Ok(answer.json().await?)
}

fn print(answer: &ExplainAnswer) {
    let reason = answer.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
    println!("{}{reason}, status {}", answer.outcome, answer.status);
    println!("route: {}   issuer: {}\n", answer.route, answer.issuer);
    for stage in &answer.stages {
        println!("  {:<14} {:<12} {}", stage.stage, stage.result, stage.seen);
    }
    if !answer.upstream_headers.is_empty() {
        println!("\nthe upstream would get:");
        for (name, value) in &answer.upstream_headers {
            println!("  {name}: {value}");
        }
    }
}
