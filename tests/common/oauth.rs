//! A foreign authorization server, npm `oidc-provider`, and the foreign clients that get tokens from it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use super::certs::Authority;
use super::ports;
use super::process::{Process, peer, repository_file};

/// The libraries that get tokens and call with them.
pub const CALLERS: [&str; 3] = ["oauth4webapi", "openid-client", "requests-oauth2client"];

/// The running server.
pub struct AuthorizationServer {
    /// Its `iss`.
    pub issuer: String,
    /// Its public keys.
    pub jwks: Value,
    process: Process,
    /// As long as it is open the server runs.
    _lifeline: ChildStdin,
}

impl AuthorizationServer {
    /// Starts one whose own certificate is issued by `servers`, whose clients' certificates are issued by `clients`, and
    /// whose access tokens are for `audience`. Its files go to `directory`.
    pub fn start(directory: &Path, servers: &Authority, clients: &Authority, audience: &str) -> Self {
        let files = servers.write(directory, "issuer", &["127.0.0.1"]);
        let authority = directory.join("issuers-clients.pem");
        std::fs::write(&authority, clients.pem()).unwrap();
        let asked = json!({
            "port": ports::free().port(), "chain": files.chain, "key": files.key, "clients": authority,
            "audience": audience,
        });
        let mut command = Command::new(peer("bin/node"));
        command.arg(repository_file("tests/peers/issuer.mjs")).arg(asked.to_string());
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let lifeline = process.child().stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).expect("the issuer runs: tests/run installs what it needs");
        let issuer = told["issuer"].as_str().unwrap().to_owned();
        Self { issuer, jwks: told["jwks"].clone(), process, _lifeline: lifeline }
    }

    /// An item under `issuers:` for it; its keys are expected in `NAME.jwks.json`.
    pub fn yaml(&self, name: &str, audience: &str) -> String {
        format!(
            "name: {name}\nissuer: {}\naudiences: [{audience}]\nkeys: {{ jwks_file: {name}.jwks.json }}\n\
             token: {{ signing_algorithms: [ES256], types: [at+jwt], max_lifetime: 10m, leeway: 1s }}",
            self.issuer
        )
    }
}

/// What a foreign client is to do.
pub struct Errand<'e> {
    pub issuer: &'e AuthorizationServer,
    /// `prover` gets tokens bound to a DPoP key, `certified` such that are bound to its certificate.
    pub client: &'e str,
    /// PEM files of a certificate and its key, for `certified`.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The PEM file of all servers' authorities.
    pub authorities: PathBuf,
    pub url: String,
    pub calls: usize,
}

/// The token a library got, and the status and body of each of its calls.
pub struct Told {
    pub token: String,
    pub answers: Vec<(u64, String)>,
}

impl Errand<'_> {
    /// Has `library` do it.
    pub fn run(&self, library: &str) -> Told {
        let mut asked = json!({
            "lib": library, "issuer": self.issuer.issuer, "client_id": self.client,
            "client_secret": format!("the secret of {}", self.client), "url": self.url, "calls": self.calls,
            "ca": self.authorities,
        });
        if let Some((certificate, key)) = &self.certificate {
            asked["certificate"] = json!(certificate);
            asked["key"] = json!(key);
        }
        let (program, script) = match library {
            "requests-oauth2client" => ("venv/bin/python", "tests/peers/caller.py"),
            _ => ("bin/node", "tests/peers/caller.mjs"),
        };
        let output = Command::new(peer(program)).arg(repository_file(script)).arg(asked.to_string()).output().unwrap();
        assert!(output.status.success(), "{library}: {}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let answer = |answer: &Value| (answer["status"].as_u64().unwrap(), answer["body"].to_string());
        Told {
            token: told["token"].as_str().unwrap().to_owned(),
            answers: told["answers"].as_array().unwrap().iter().map(answer).collect(),
        }
    }
}
