//! A foreign authorization server, npm `oidc-provider`, whose access tokens come in every form.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::certs::Authority;
use super::ports;
use super::process::{Process, peer, repository_file};

/// What stays the same when the provider is stopped and started again: its address, its certificate, the keys that
/// tokens are encrypted to.
pub struct ProviderPlace {
    port: u16,
    chain: PathBuf,
    key: PathBuf,
    public: Value,
    secret: String,
}

impl ProviderPlace {
    /// A place on a free port; `public` holds the public keys `rsa` and `ec`, `secret` the shared one in base64url.
    pub fn new(directory: &Path, authority: &Authority, public: Value, secret: &str) -> Self {
        let files = authority.write(directory, "provider", &["127.0.0.1"]);
        Self { port: ports::free().port(), chain: files.chain, key: files.key, public, secret: secret.to_owned() }
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Starts the provider with these private keys.
    pub fn start(&self, jwks: &Value) -> Provider {
        let asked = json!({
            "port": self.port, "chain": self.chain, "key": self.key, "jwks": jwks, "public": self.public,
            "secret": self.secret,
        });
        let mut command = Command::new(peer("bin/node"));
        command.arg(repository_file("tests/peers/provider.mjs")).arg(asked.to_string());
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let input = process.child().stdin.take().unwrap();
        let output = BufReader::new(process.child().stdout.take().unwrap());
        let mut provider = Provider { _process: process, talk: Mutex::new((input, output)) };
        let told = provider.line();
        assert_eq!(told, self.issuer(), "the provider runs: tests/run installs what it needs");
        provider
    }
}

/// The running provider; dropped, it ends.
pub struct Provider {
    _process: Process,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Provider {
    /// A fresh access token in `form`: `ES256`, `RS256`, `EdDSA`, `RSA-OAEP-256`, `ECDH-ES+A256KW` or `dir`.
    pub fn token(&self, form: &str) -> String {
        self.ask(form)
    }

    /// How often its key set was asked for.
    pub fn key_requests(&self) -> u64 {
        self.ask("jwks?").parse().unwrap()
    }

    fn ask(&self, line: &str) -> String {
        let mut talk = self.talk.lock().unwrap();
        writeln!(talk.0, "{line}").unwrap();
        read(&mut talk.1)
    }

    fn line(&mut self) -> String {
        read(&mut self.talk.get_mut().unwrap().1)
    }
}

fn read(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the provider ended");
    line.trim_end().to_owned()
}
