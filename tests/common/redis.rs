//! A real redis-server of our own.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::clock::until;
use super::ports;
use super::process::{Process, peer};

/// A redis-server on a free port of loopback, without persistence, that never evicts.
pub struct Redis {
    address: SocketAddr,
    directory: TempDir,
    options: Vec<String>,
    password: Option<String>,
    process: Process,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further options of redis-server, such as `["--maxmemory", "4mb"]`.
    pub fn start_with(options: &[&str]) -> Self {
        Self::launch(options, None)
    }

    /// One that asks for a password.
    pub fn start_with_password(password: &str) -> Self {
        Self::launch(&["--requirepass", password], Some(password.to_owned()))
    }

    fn launch(options: &[&str], password: Option<String>) -> Self {
        let address = ports::free();
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let process = launch(address, &directory, &options);
        let redis = Self { address, directory, options, password, process };
        redis.until_it_answers();
        redis
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection for the test itself.
    pub fn connection(&self) -> redis::Connection {
        self.connect().unwrap_or_else(|fault| panic!("{}: {fault}", self.address))
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        let login = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        redis::Client::open(format!("redis://{login}{}", self.address))?.get_connection()
    }

    /// Runs one command.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connection()).unwrap_or_else(|fault| panic!("{words:?}: {fault}"))
    }

    /// Every key there is; keys are bytes.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.command(&["KEYS", "*"])
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops answering, connections stay open: what a frozen machine looks like.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Answers again after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.process.signal("CONT");
        self.until_it_answers();
    }

    /// Dies at once; the port refuses connections.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts again on the same port, after [`kill`](Self::kill) or while running. What was not persisted is gone.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.address, &self.directory, &self.options);
        self.until_it_answers();
    }

    fn until_it_answers(&self) {
        until("redis-server answers", || redis::cmd("PING").query::<String>(&mut self.connect().ok()?).ok());
    }
}

fn launch(address: SocketAddr, directory: &TempDir, options: &[String]) -> Process {
    let mut command = Command::new(peer("bin/redis-server"));
    command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--maxmemory-policy", "noeviction"]).arg("--dir").arg(directory.path()).args(options);
    Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}
