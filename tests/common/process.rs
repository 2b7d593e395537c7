//! Programs that the harness starts, and how they are found, signalled and stopped.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::clock::until;

/// The foreign program at `path` under tests/.peers, where tests/run installed or linked it.
pub fn peer(path: &str) -> PathBuf {
    let path = repository_file("tests/.peers").join(path);
    assert!(path.exists(), "{} is missing: run tests/run, which installs what the tests need", path.display());
    path
}

/// A file of this repository.
pub fn repository_file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A running program; killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|fault| panic!("{}: {fault}", command.get_program().display()));
        Self { child }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `TERM`, `HUP`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        assert!(status.expect("a shell").success(), "{kill} failed: the process is gone");
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }

    /// Waits for its end.
    pub fn wait(&mut self, what: &str) -> ExitStatus {
        until(what, || self.ended())
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        // It may have ended by itself; there is nothing to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// cwrap's nss_wrapper, with which one process sees names of its own (`NSS_WRAPPER_HOSTS`).
pub fn nss_wrapper() -> PathBuf {
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .map(|directory| PathBuf::from(directory).join("libnss_wrapper.so"))
        .into_iter()
        .find(|library| library.exists())
        .expect("libnss_wrapper.so: run tests/run, which installs what the tests need")
}
