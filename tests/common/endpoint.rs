//! An upstream's endpoint in a process of its own, to be killed, stopped and started again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ports;
use super::process::{Process, peer, repository_file};

/// A server that answers every request with its name.
pub struct Endpoint {
    name: String,
    address: SocketAddr,
    tls: Vec<String>,
    process: Process,
}

impl Endpoint {
    pub fn start(name: &str) -> Self {
        Self::start_at(name, ports::free())
    }

    /// On an address of its own, such as another one of loopback.
    pub fn start_at(name: &str, address: SocketAddr) -> Self {
        Self::launch(name, address, vec![])
    }

    /// Over TLS up to `max_version`, for clients with a certificate of `client_ca` alone.
    pub fn start_tls(name: &str, chain: &Path, key: &Path, client_ca: &Path, max_version: &str) -> Self {
        let path = |path: &Path| path.display().to_string();
        Self::launch(name, ports::free(), vec![path(chain), path(key), path(client_ca), max_version.to_owned()])
    }

    fn launch(name: &str, address: SocketAddr, tls: Vec<String>) -> Self {
        let process = start(name, address, &tls);
        Self { name: name.to_owned(), address, tls, process }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it at once, with all its connections.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.process = start(&self.name, self.address, &self.tls);
    }

    /// Sends a signal by name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }
}

fn start(name: &str, address: SocketAddr, tls: &[String]) -> Process {
    let mut command = Command::new(peer("venv/bin/python"));
    command.arg(repository_file("tests/peers/endpoint.py"));
    command.args([name, &address.ip().to_string(), &address.port().to_string()]).args(tls);
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut line = String::new();
    let output = process.child().stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n", "the endpoint ended; its message stands above");
    process
}
