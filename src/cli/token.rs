//! `tollgate token`: dev tokens, and a look into any token without trusting it.

use super::{Outcome, duration};
use crate::clock::{Clock as _, SystemClock};
use crate::jose::{self, ContentEncryption, KeyAlgorithm};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Make and look into dev tokens.
#[derive(Subcommand, Debug)]
pub(super) enum Token {
    /// Make a token: signed with `--key`, nested with `--encrypt-to` too, sealed with `--encrypt-to` alone.
    Mint(Box<Mint>),
    /// Show a token's parts. Nothing is verified.
    Inspect {
        /// The file with the token; `-` is standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// Make a token.
#[derive(Args, Debug)]
pub(super) struct Mint {
    /// The private JWK to sign with.
    #[arg(long)]
    pub(super) key: Option<PathBuf>,
    /// The signing algorithm; by default the `alg` of the key.
    #[arg(long)]
    pub(super) alg: Option<String>,
    /// The JWK to encrypt to.
    #[arg(long)]
    pub(super) encrypt_to: Option<PathBuf>,
    /// The key management algorithm; by default the `alg` of the key to encrypt to.
    #[arg(long)]
    pub(super) key_algorithm: Option<String>,
    /// The content encryption.
    #[arg(long, default_value = "A256GCM")]
    pub(super) content_encryption: String,
    /// `iss`.
    #[arg(long)]
    pub(super) issuer: String,
    /// `aud`.
    #[arg(long, required = true)]
    pub(super) audience: Vec<String>,
    /// `sub`.
    #[arg(long)]
    pub(super) subject: Option<String>,
    /// `scope`.
    #[arg(long)]
    pub(super) scope: Option<String>,
    /// How long the token lives.
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(super) lifetime: Duration,
    /// `typ`.
    #[arg(long = "type", default_value = "at+jwt")]
    pub(super) typ: String,
    /// A further claim, `name=JSON` (a value that is no JSON is a string).
    #[arg(long)]
    pub(super) claim: Vec<String>,
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Mint(mint) => println!("{}", mint.token(&mint.claims()?)?),
            Self::Inspect { file } => inspect(&read_token(&file)?)?,
        }
        Ok(Outcome::Done)
    }
}

impl Mint {
    fn claims(&self) -> anyhow::Result<Map<String, Value>> {
        let now = SystemClock.now();
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(self.issuer));
        claims.insert("aud".into(), if let [one] = &*self.audience { json!(one) } else { json!(self.audience) });
        claims.insert("iat".into(), json!(now.as_seconds()));
        claims.insert("exp".into(), json!(now.plus(self.lifetime).as_seconds()));
        claims.insert("jti".into(), json!(random_id()?));
        if let Some(subject) = &self.subject {
            claims.insert("sub".into(), json!(subject));
        }
        if let Some(scope) = &self.scope {
            claims.insert("scope".into(), json!(scope));
        }
        for claim in &self.claim {
            let (name, value) = claim.split_once('=').with_context(|| format!("--claim {claim}: write name=value"))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            claims.insert(name.to_owned(), value);
        }
        Ok(claims)
    }

    /// The token over `claims`, in the form the given keys make.
    pub(super) fn token(&self, claims: &Map<String, Value>) -> anyhow::Result<String> {
        let payload = serde_json::to_vec(claims)?;
        match (&self.key, &self.encrypt_to) {
            (None, None) => bail!("give --key to sign, --encrypt-to to seal, or both to nest"),
            (Some(key), None) => self.sign(key, &payload),
            (Some(key), Some(to)) => {
                let inner = self.sign(key, &payload)?;
                self.encrypt(to, inner.as_bytes(), Some("JWT"))
            }
            (None, Some(to)) => self.encrypt(to, &payload, None),
        }
    }

    fn sign(&self, key: &Path, payload: &[u8]) -> anyhow::Result<String> {
        let key = read_jwk(key)?;
        let alg = self.alg.as_deref().or_else(|| key.get("alg").and_then(Value::as_str)).context("give --alg")?;
        let mut header = Map::new();
        header.insert("alg".into(), json!(alg));
        header.insert("typ".into(), json!(self.typ));
        copy_kid(&key, &mut header);
        jose::sign::sign_compact(&header, payload, &key).map_err(|error| anyhow::anyhow!("can't sign: {error}"))
    }

    fn encrypt(&self, to: &Path, plaintext: &[u8], cty: Option<&str>) -> anyhow::Result<String> {
        let key = read_jwk(to)?;
        let name = self.key_algorithm.as_deref().or_else(|| key.get("alg").and_then(Value::as_str));
        let name = name.context("give --key-algorithm")?;
        let algorithm = KeyAlgorithm::from_name(name).with_context(|| format!("{name} is no key algorithm"))?;
        if cty.is_none() && !algorithm.is_symmetric() {
            bail!("anybody can encrypt to a public key: a token sealed with {name} would prove nothing");
        }
        let encryption =
            ContentEncryption::from_name(&self.content_encryption).context("no such content encryption")?;
        let mut header = Map::new();
        match cty {
            Some(cty) => header.insert("cty".into(), json!(cty)),
            None => header.insert("typ".into(), json!(self.typ)),
        };
        copy_kid(&key, &mut header);
        jose::sign::encrypt_compact(&header, plaintext, &key, algorithm, encryption)
            .map_err(|error| anyhow::anyhow!("can't encrypt: {error}"))
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn random_id() -> anyhow::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0; 16];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A JWK, or the first key of a JWKS.
fn read_jwk(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let parsed: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let first = parsed.get("keys").and_then(|keys| keys.get(0)).cloned();
    Ok(first.unwrap_or(parsed))
}

fn copy_kid(key: &Value, header: &mut Map<String, Value>) {
    if let Some(kid) = key.get("kid") {
        header.insert("kid".into(), kid.clone());
    }
}

/// Reads a token from a file, or from standard input for `-`; white space around it does not count.
pub(super) fn read_token(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("can't read standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    }
    Ok(text.trim().to_owned())
}

/// Prints the parts that can be read without a key.
fn inspect(token: &str) -> anyhow::Result<()> {
    use base64::Engine as _;
    let segments: Vec<&str> = token.split('.').collect();
    let decode = |segment: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).ok();
    let json = |segment: &str| decode(segment).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let form = match segments.len() {
        3 => "signed (JWS)",
        5 => "encrypted (JWE)",
        _ => bail!("a token has 3 or 5 segments, this text has {}", segments.len()),
    };
    println!("form:   {form}; nothing below is verified");
    let show = |name: &str, value: Option<Value>| -> anyhow::Result<()> {
        match value {
            Some(value) => println!("{name} {}", serde_json::to_string_pretty(&value)?),
            None => println!("{name} not readable as JSON"),
        }
        Ok(())
    };
    show("header:", json(segments[0]))?;
    if segments.len() == 3 {
        show("claims:", json(segments[1]))?;
        println!("signature: {} bytes", decode(segments[2]).map_or(0, |bytes| bytes.len()));
    } else {
        println!("ciphertext: {} bytes", decode(segments[3]).map_or(0, |bytes| bytes.len()));
    }
    Ok(())
}
