//! The sockets of the process, all bound before anything is served.

use super::AppError;
use pingora::server::{Fds, ListenFds};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;
use tokio::net::TcpSocket;

/// Connections the system may hold for us before we accept them.
const BACKLOG: u32 = 4096;

/// A listening socket and the address it was bound to.
pub(super) type Socket = (SocketAddr, TcpListener);

/// Takes every address that was handed over and binds the others, so that one that is taken is told before anything is
/// served. Gives the sockets a second time, for the process that takes over from this one.
pub(super) fn bind(addresses: &[SocketAddr], mut inherited: Vec<Socket>) -> Result<(ListenFds, Vec<Socket>), AppError> {
    let (mut sockets, mut kept) = (Fds::new(), Vec::new());
    for address in addresses {
        let known = inherited.iter().position(|(known, _)| known == address);
        let socket = known.map_or_else(|| listen(*address), |at| Ok(inherited.swap_remove(at).1));
        let twice = socket.and_then(|socket| Ok((socket.try_clone()?, socket)));
        let (copy, socket) = twice.map_err(|error| AppError::Listen(*address, error))?;
        kept.push((*address, copy));
        sockets.add(address.to_string(), socket.into_raw_fd());
    }
    Ok((Arc::new(sockets.into()), kept))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
