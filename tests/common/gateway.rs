//! The real binary, running with a configuration of the scene.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use super::admin::Admin;
use super::certs::Authority;
use super::client::Client;
use super::clock::until;
use super::config::{ADMIN_TOKEN, Config, HOST};
use super::process::Process;

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// Runs `tollgate ARGUMENTS` to its end, in `directory`.
pub fn tollgate(directory: &Path, arguments: &[&str]) -> Output {
    command(directory).args(arguments).stdin(Stdio::null()).output().expect("the binary under test")
}

/// The binary with nothing in its environment but what a scene gives it.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.current_dir(directory).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TOLLGATE_ADMIN_TOKEN", ADMIN_TOKEN);
    command
}

/// A running gateway. Dropped, it is told to stop; one that does not is killed and fails the scene's process.
pub struct Gateway {
    config: Config,
    process: Process,
    /// How often it was started in this place.
    starts: usize,
}

impl Gateway {
    pub(super) fn start(config: Config) -> Self {
        let mut gateway = Self::launch(config);
        gateway.until_answer("/readyz", 200);
        gateway
    }

    pub(super) fn start_unready(config: Config) -> Self {
        let mut gateway = Self::launch(config);
        gateway.until_answer("/livez", 200);
        gateway
    }

    fn launch(config: Config) -> Self {
        config.write();
        let process = run(&config, 0, &[]);
        Self { config, process, starts: 1 }
    }

    /// Starts another process that takes this one's sockets, and waits until it serves. Gives back the old one, which
    /// drains.
    pub fn upgrade(&mut self) -> Process {
        let new = run(&self.config, self.starts, &["--upgrade"]);
        let old = std::mem::replace(&mut self.process, new);
        let log = log_file(self.directory(), self.starts);
        self.starts += 1;
        until("the new process serves", || {
            if let Some(end) = self.process.ended() {
                panic!("the new process ended with {end}:\n{}", self.log());
            }
            fs::read_to_string(&log).unwrap().contains("serving on").then_some(())
        });
        old
    }

    /// Waits until the admin address answers `status` to `path`; panics with the log when the gateway ends instead.
    pub fn until_answer(&mut self, path: &str, status: u16) {
        let admin = self.admin();
        until(&format!("{path} answers {status}"), || {
            if let Some(end) = self.process.ended() {
                panic!("the gateway ended with {end}:\n{}", self.log());
            }
            (admin.status(path) == Some(status)).then_some(())
        });
    }

    /// A client for the HTTPS listener that trusts the scene's authority and asks for `api.example.test`.
    pub fn client(&self) -> Client {
        Client::https(self.config.https, HOST, &self.config.authority)
    }

    /// A client for the plain listener.
    pub fn plain_client(&self) -> Client {
        Client::plain(self.config.http, HOST)
    }

    /// Where it listens in the clear.
    pub fn plain_address(&self) -> SocketAddr {
        self.config.http
    }

    /// The admin API; where there is an address for scrapers, that one.
    pub fn admin(&self) -> Admin {
        Admin::new(self.config.scraped.unwrap_or(self.config.admin))
    }

    /// Where the admin API listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.config.admin
    }

    pub fn https_address(&self) -> SocketAddr {
        self.config.https
    }

    pub fn authority(&self) -> &Authority {
        &self.config.authority
    }

    /// Where gateway.yaml stands.
    pub fn directory(&self) -> &Path {
        self.config.directory()
    }

    /// Rewrites gateway.yaml, as an editor does: in one step.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let (file, new) = (self.directory().join("gateway.yaml"), self.directory().join("gateway.yaml.new"));
        fs::write(&new, change(fs::read_to_string(&file).unwrap())).unwrap();
        fs::rename(new, file).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal by name, such as `HUP`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Everything it has written to standard output and standard error.
    pub fn log(&self) -> String {
        let logs = (0..self.starts).map(|start| fs::read(log_file(self.directory(), start)).unwrap());
        String::from_utf8_lossy(&logs.collect::<Vec<_>>().concat()).into_owned()
    }

    /// Tells it to stop and waits for its end. Its directory stays until the value is dropped.
    pub fn stop(&mut self) -> ExitStatus {
        if self.process.ended().is_none() {
            self.process.signal("TERM");
        }
        self.process.wait("the gateway stops when told to")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what the gateway wrote:\n{}", self.log());
            self.process.kill();
        } else {
            self.stop();
        }
    }
}

/// Starts the binary with `config`, which was written before.
fn run(config: &Config, start: usize, options: &[&str]) -> Process {
    let output = File::create(log_file(config.directory(), start)).unwrap();
    let mut command = command(config.directory());
    command.args(["run", "-c", "gateway.yaml"]).args(options).envs(config.environment.clone());
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    Process::start(&mut command)
}

fn log_file(directory: &Path, start: usize) -> PathBuf {
    directory.join(format!("gateway-{start}.log"))
}
