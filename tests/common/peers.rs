//! Foreign JOSE libraries: tests/peers/mint.py (jwcrypto, joserfc) and tests/peers/mint.mjs (jose), kept running and
//! asked one line at a time. mint.py describes the requests.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::process::{Process, peer, repository_file};

/// The libraries that mint and read tokens.
pub const LIBRARIES: [&str; 3] = ["jwcrypto", "joserfc", "jose"];

/// The signature algorithms of the contract.
pub const SIGNING: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];
/// The key management algorithms of the contract.
pub const KEY_MANAGEMENT: [&str; 13] = [
    "dir",
    "A128KW",
    "A192KW",
    "A256KW",
    "A128GCMKW",
    "A192GCMKW",
    "A256GCMKW",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
];
/// The content encryptions of the contract.
pub const ENCRYPTIONS: [&str; 6] = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"];
/// The curves on which the ECDH-ES family works.
pub const CURVES: [&str; 4] = ["P-256", "P-384", "P-521", "X25519"];

/// Both programs, running.
pub struct Peers {
    python: Mutex<Peer>,
    node: Mutex<Peer>,
}

struct Peer {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    process: Process,
}

impl Peers {
    pub fn start() -> Self {
        Self {
            python: Mutex::new(Peer::start("venv/bin/python", "mint.py")),
            node: Mutex::new(Peer::start("bin/node", "mint.mjs")),
        }
    }

    /// Asks `library`; `Err` holds what it said.
    pub fn ask(&self, library: &str, mut request: Value) -> Result<Value, String> {
        request["lib"] = json!(library);
        let peer = if library == "jose" { &self.node } else { &self.python };
        let answer = peer.lock().expect("a peer that still runs").ask(&request);
        answer.get("error").map_or(Ok(answer.clone()), |fault| Err(format!("{library}: {fault}")))
    }

    /// A new key for `alg`, as (private JWK, public JWK); a symmetric key has no public part. `options` may hold `enc`
    /// (for `dir`) and `crv` (for ECDH-ES).
    pub fn keygen(&self, library: &str, alg: &str, options: &Value) -> (Value, Option<Value>) {
        let mut request = options.clone();
        request["op"] = json!("keygen");
        request["alg"] = json!(alg);
        let answer = self.ask(library, request).unwrap();
        (answer["private"].clone(), Some(answer["public"].clone()).filter(|key| !key.is_null()))
    }

    /// A token from a `sign`, `encrypt` or `nest` request.
    pub fn token(&self, library: &str, request: &Value) -> String {
        let answer = self.ask(library, request.clone()).unwrap_or_else(|fault| panic!("{fault} to {request}"));
        answer["token"].as_str().expect("a token").to_owned()
    }
}

impl Peer {
    fn start(program: &str, script: &str) -> Self {
        let mut command = Command::new(peer(program));
        command.arg(repository_file("tests/peers").join(script));
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let requests = process.child().stdin.take().unwrap();
        let answers = BufReader::new(process.child().stdout.take().unwrap());
        Self { requests, answers, process }
    }

    fn ask(&mut self, request: &Value) -> Value {
        let mut line = request.to_string();
        line.push('\n');
        let asked = self.requests.write_all(line.as_bytes()).and_then(|()| self.requests.flush());
        let mut answer = String::new();
        let read = asked.and_then(|()| self.answers.read_line(&mut answer));
        assert!(
            read.is_ok_and(|length| length > 0),
            "a peer ended; run tests/run, which installs what the tests need (its message stands above)"
        );
        serde_json::from_str(&answer).unwrap_or_else(|fault| panic!("{fault} in {answer}"))
    }
}
