//! Foreign JOSE libraries: tests/peers/mint.py (jwcrypto, joserfc) and tests/peers/mint.mjs (jose), kept running and
//! asked one line at a time. mint.py describes the requests.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};
use tollgate::jose::{ContentEncryption, KeyAlgorithm, SigningAlgorithm};

use super::process::{Process, peer, repository_file};

/// The libraries that mint and read tokens.
pub const LIBRARIES: [&str; 3] = ["jwcrypto", "joserfc", "jose"];

/// Every signature algorithm that tollgate knows, by its name on the wire.
pub fn signing_algorithms() -> Vec<&'static str> {
    SigningAlgorithm::ALL.iter().map(|alg| alg.name()).collect()
}

/// Every key management algorithm that tollgate knows.
pub fn key_algorithms() -> Vec<&'static str> {
    KeyAlgorithm::ALL.iter().map(|alg| alg.name()).collect()
}

/// Every content encryption that tollgate knows.
pub fn content_encryptions() -> Vec<&'static str> {
    ContentEncryption::ALL.iter().map(|enc| enc.name()).collect()
}

/// The curves on which the ECDH-ES family works.
const CURVES: [&str; 4] = ["P-256", "P-384", "P-521", "X25519"];

/// The curves for `alg`: none but for the ECDH-ES family.
pub fn curves(alg: &str) -> &'static [&'static str] {
    if alg.starts_with("ECDH-ES") { &CURVES } else { &[""] }
}

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
