//! What the service manager is told (sd_notify(3)): nothing, unless it asked by `NOTIFY_SOCKET`.

use log::debug;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager's socket.
#[derive(Clone, Debug)]
pub(super) struct ServiceManager(Option<OsString>);

impl ServiceManager {
    /// The one that started this process.
    pub(super) fn of_this_process() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()))
    }

    /// This process serves, with the configuration it was told of last.
    pub(super) fn ready(&self) {
        self.tell("READY=1\n");
    }

    /// A reload begins; `ready` ends it.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// From here on `pid` is the process to watch. Said by the one that is watched: many managers believe nobody else.
    pub(super) fn hands_over_to(&self, pid: i32) {
        self.tell(&format!("MAINPID={pid}\n"));
    }

    /// This process is about to end.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    /// A manager that does not listen is no reason not to serve.
    fn tell(&self, state: &str) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = send(path, state) {
            debug!("the service manager can't be told: {error}");
        }
    }
}

fn send(path: &OsStr, state: &str) -> io::Result<()> {
    // A name that begins with @ is in Linux's abstract namespace.
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_what_it_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = ServiceManager(Some(path.into()));
        service.ready();
        service.reloading();
        service.hands_over_to(7);
        service.stopping();
        let mut buffer = [0; 100];
        let mut heard = || {
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(heard(), "READY=1\n");
        let reloading = heard();
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.trim().parse().ok());
        assert!(since.is_some_and(|since: u64| since > 0), "{reloading}");
        assert_eq!(heard(), "MAINPID=7\n");
        assert_eq!(heard(), "STOPPING=1\n");
    }

    #[test]
    fn an_abstract_name_and_a_deaf_manager_are_no_trouble() {
        let name = format!("tollgate-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        ServiceManager(Some(format!("@{name}").into())).stopping();
        assert_eq!(manager.recv(&mut [0; 100]).unwrap(), 11);
        ServiceManager(Some("/nowhere/at/all".into())).ready();
        ServiceManager(None).ready();
    }
}
