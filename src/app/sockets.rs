//! The sockets of the process, all bound before anything is served.

use super::AppError;
use pingora::server::{Fds, ListenFds};
use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;
use tokio::net::TcpSocket;

/// Connections the system may hold for us before we accept them.
const BACKLOG: u32 = 4096;

/// Binds every address, so that one that is taken is told before anything is served.
pub(super) fn bind(addresses: &[SocketAddr]) -> Result<ListenFds, AppError> {
    let mut sockets = Fds::new();
    for address in addresses {
        let listener = listen(*address).map_err(|error| AppError::Listen(*address, error))?;
        sockets.add(address.to_string(), listener.into_raw_fd());
    }
    Ok(Arc::new(sockets.into()))
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
