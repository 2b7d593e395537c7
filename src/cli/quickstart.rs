//! `tollgate quickstart`: the whole way on one machine, shown with six tokens over real HTTPS.

use super::devkit::DevKit;
use super::token::{Mint, random_id};
use super::{Outcome, echo};
use crate::clock::{Clock as _, Stopwatch, SystemClock, UnixTime};
use crate::config::Loaded;
use crate::proxy::ListenerKind;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The configuration that is written where there is none: the very file this project ships.
const SHIPPED: &str = include_str!("../../gateway.yaml");

/// Make dev keys, start an echo upstream, serve gateway.yaml, and show what happens to six tokens.
#[derive(Args, Debug)]
pub(super) struct Quickstart {
    /// The configuration; written where it is missing.
    #[arg(short, long, default_value = "gateway.yaml")]
    config: PathBuf,
    /// Exit after the table.
    #[arg(long)]
    check: bool,
}

/// A gateway in a process of its own, stopped when this is dropped.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // Whether it had already ended does not matter here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the parts of the set-up are found, as the configuration says.
struct Places {
    origin: String,
    admin: String,
    echo: SocketAddr,
}

impl Places {
    fn of(loaded: &Loaded) -> anyhow::Result<Self> {
        let listener = loaded.listeners.iter().find(|listener| matches!(listener.kind, ListenerKind::Tls(_)));
        let port = listener.context("the quickstart needs a listener with tls")?.address.port();
        let endpoint = loaded.upstreams.first().and_then(|upstream| upstream.endpoints.first());
        let endpoint = endpoint.context("the quickstart needs an upstream")?;
        Ok(Self {
            origin: format!("https://localhost:{port}"),
            admin: format!("http://{}", loaded.admin.address),
            echo: SocketAddr::new(
                endpoint.host.parse().context("the upstream of the quickstart is on loopback")?,
                endpoint.port,
            ),
        })
    }
}

impl Quickstart {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        if !self.config.exists() {
            std::fs::write(&self.config, SHIPPED).with_context(|| format!("can't write {}", self.config.display()))?;
        }
        let beside = self.config.parent().unwrap_or(Path::new(""));
        let kit = DevKit::prepare(&beside.join(".tollgate"))?;
        let Some(loaded) = super::load(&self.config) else { return Ok(Outcome::CheckFailed) };
        let places = Places::of(&loaded)?;
        echo::start(places.echo)?;
        let command = std::env::current_exe().context("can't find this program")?;
        let child = Command::new(command).arg("run").arg("-c").arg(&self.config).spawn();
        let mut gateway = Gateway(child.context("can't start the gateway")?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shown = runtime.block_on(Demonstration::new(&kit, &places)?.show(&mut gateway.0))?;
        if !shown {
            return Ok(Outcome::CheckFailed);
        }
        if self.check {
            return Ok(Outcome::Done);
        }
        print_curl_lines(&kit, &places, &self.config)?;
        runtime.block_on(until_ended(&mut gateway.0))?;
        Ok(Outcome::Done)
    }
}

/// Waits until the gateway ends or this process is told to; the gateway never outlives it.
async fn until_ended(gateway: &mut Child) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    while gateway.try_wait()?.is_none() {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    Ok(())
}

/// The six tokens, and the clients that present them.
struct Demonstration<'k> {
    kit: &'k DevKit,
    places: &'k Places,
    https: reqwest::Client,
    admin: reqwest::Client,
    admin_token: String,
}

/// One row of the table.
struct Case {
    what: &'static str,
    token: String,
    expected: u16,
}

impl<'k> Demonstration<'k> {
    fn new(kit: &'k DevKit, places: &'k Places) -> anyhow::Result<Self> {
        let pem = std::fs::read(kit.certificate())?;
        let root = reqwest::Certificate::from_pem(&pem)?;
        let client = || reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
        let admin_token = std::fs::read_to_string(kit.admin_token())?.trim().to_owned();
        Ok(Self { kit, places, https: client().tls_certs_only([root]).build()?, admin: client().build()?, admin_token })
    }

    /// Shows the table; `false` when an answer was not the expected one.
    async fn show(&self, gateway: &mut Child) -> anyhow::Result<bool> {
        self.until_ready(gateway).await?;
        let origin = &self.places.origin;
        let mut table = format!("\nGET {origin}/orders/17 with six tokens:\n\n");
        writeln!(table, "  {:<22} {:<7} {:<22} what the client is told", "token", "status", "reason (for operators)")?;
        let mut as_expected = true;
        for case in self.cases()? {
            let (status, told) = self.present(&case.token).await?;
            let reason = if status == 200 { "–".to_owned() } else { self.explain(&case.token).await? };
            let mark = if status == case.expected { ' ' } else { '!' };
            writeln!(table, "{mark} {:<22} {status:<7} {reason:<22} {told}", case.what)?;
            as_expected &= status == case.expected;
        }
        // Printed whole: the gateway's own log lines come in between otherwise.
        println!("{table}");
        Ok(as_expected)
    }

    async fn until_ready(&self, gateway: &mut Child) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        while watch.elapsed() < Duration::from_secs(30) {
            if let Some(status) = gateway.try_wait()? {
                bail!("the gateway ended before it was ready: {status}");
            }
            if self
                .admin
                .get(format!("{}/readyz", self.places.admin))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return self.until_tokens_are_younger_than_the_store().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the gateway was not ready within 30 s")
    }

    /// A one-time token must be issued after the store began to remember; `iat` counts whole seconds.
    async fn until_tokens_are_younger_than_the_store(&self) -> anyhow::Result<()> {
        let ready = SystemClock.now().as_seconds();
        while SystemClock.now().as_seconds() <= ready {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let now = SystemClock.now();
        let signed = mint(self.kit, false);
        let good = signed.token(&claims("https://issuer.dev.example", now)?)?;
        let past = claims("https://issuer.dev.example", now.minus(Duration::from_secs(3600)))?;
        let encrypted = mint(self.kit, true).token(&claims("https://encrypted.dev.example", now)?)?;
        let case = |what, token, expected| Case { what, token, expected };
        Ok(vec![
            case("good", good.clone(), 200),
            case("replayed (the same)", good, 401),
            case("expired", signed.token(&past)?, 401),
            case("forged (sub changed)", forged(&signed.token(&claims("https://issuer.dev.example", now)?)?)?, 401),
            case("unsigned (alg: none)", unsigned(&claims("https://issuer.dev.example", now)?), 401),
            case("encrypted (JWE→JWS)", encrypted, 200),
        ])
    }

    async fn present(&self, token: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.https.get(format!("{}/orders/17", self.places.origin)).bearer_auth(token).send().await?;
        let status = answer.status().as_u16();
        let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
        let told = challenge.map(str::to_owned);
        let body = answer.text().await?;
        Ok((status, told.unwrap_or_else(|| upstream_saw(&body))))
    }

    /// Asks the running gateway why; asking changes nothing.
    async fn explain(&self, token: &str) -> anyhow::Result<String> {
        let question = json!({ "url": format!("{}/orders/17", self.places.origin), "method": "GET", "token": token });
        let request = self
            .admin
            .post(format!("{}/api/explain", self.places.admin))
            .bearer_auth(&self.admin_token)
            .json(&question);
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        Ok(answer["reason"].as_str().unwrap_or("–").to_owned())
    }
}

/// What the echo upstream says it was told of the caller.
fn upstream_saw(body: &str) -> String {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let header = |name: &str| parsed["headers"][name].as_str().unwrap_or("absent").to_owned();
    format!("upstream saw X-User-Id: {}, Authorization: {}", header("X-User-Id"), header("Authorization"))
}

fn mint(kit: &DevKit, encrypted: bool) -> Mint {
    Mint {
        key: Some(kit.signing_key()),
        alg: None,
        encrypt_to: encrypted.then(|| kit.decryption_key()),
        key_algorithm: None,
        content_encryption: "A256GCM".to_owned(),
        issuer: String::new(),
        audience: Vec::new(),
        subject: None,
        scope: None,
        lifetime: Duration::ZERO,
        typ: "at+jwt".to_owned(),
        claim: Vec::new(),
    }
}

fn claims(issuer: &str, now: UnixTime) -> anyhow::Result<Map<String, Value>> {
    let claims = json!({
        "iss": issuer, "aud": "https://api.dev.example", "sub": "alice", "roles": ["buyer", "admin"],
        "scope": "orders:read", "iat": now.as_seconds(), "exp": now.as_seconds() + 300, "jti": random_id()?,
    });
    Ok(claims.as_object().cloned().unwrap_or_default())
}

/// A good token in which only the subject was changed.
fn forged(token: &str) -> anyhow::Result<String> {
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(signature)) = (segments.next(), segments.next(), segments.next()) else {
        bail!("not a signed token");
    };
    let mut claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
    claims.insert("sub".to_owned(), json!("mallory"));
    Ok(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims)?)))
}

/// The claims under `alg: none`.
fn unsigned(claims: &Map<String, Value>) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    format!("{header}.{}.", URL_SAFE_NO_PAD.encode(json!(claims).to_string()))
}

fn print_curl_lines(kit: &DevKit, places: &Places, config: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let (origin, admin_api) = (&places.origin, &places.admin);
    let (program, config, certificate) = (program.display(), config.display(), kit.certificate());
    let (certificate, key, admin) = (certificate.display(), kit.signing_key(), kit.admin_token());
    println!("Still serving. Try it yourself, in another terminal:\n");
    println!(
        "  TOKEN=$({program} token mint --key {} --issuer https://issuer.dev.example --audience https://api.dev.example \\\n      --subject alice --scope orders:read --claim 'roles=[\"buyer\"]')",
        key.display()
    );
    println!("  curl --cacert {certificate} -H \"Authorization: Bearer $TOKEN\" {origin}/orders/17   # 200");
    println!("  curl --cacert {certificate} -H \"Authorization: Bearer $TOKEN\" {origin}/orders/17   # 401: used");
    println!("  curl --cacert {certificate} -H 'X-User-Id: mallory' {origin}/healthz        # the fake header is gone");
    println!("  echo \"$TOKEN\" | {program} explain -c {config} --url {origin}/orders/17 --token-file -");
    println!("  curl -H \"Authorization: Bearer $(cat {})\" {admin_api}/metrics\n", admin.display());
    Ok(())
}
