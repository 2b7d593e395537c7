//! The time a handshake may take.
//!
//! The engine gives each a minute, and has no place for another time. So a client that falls silent in the middle of one
//! has its socket shut down under the library, which then ends the handshake by itself.

use nix::sys::socket::{Shutdown, shutdown};
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The handshakes under way, by their sockets.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    begun: u64,
    sockets: HashMap<RawFd, (u64, AbortHandle)>,
}

/// One handshake, as long as its socket is open.
#[derive(Debug)]
pub(super) struct Begun {
    handshakes: Arc<Handshakes>,
    socket: RawFd,
    number: u64,
}

impl Handshakes {
    /// Gives the handshake on `socket` this much `time`, and tells `late` when it took longer.
    ///
    /// A number of a socket is given anew as soon as it is closed. What keeps another's connection from being cut is that
    /// [`Begun::over`] is called before: the engine tells a stream's tracer of its end first.
    pub(super) fn begin(
        self: &Arc<Self>,
        socket: RawFd,
        time: Duration,
        late: impl FnOnce() + Send + 'static,
    ) -> Begun {
        let mut under_way = self.lock();
        under_way.begun += 1;
        let number = under_way.begun;
        let handshakes = Arc::clone(self);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            let mut under_way = handshakes.lock();
            if under_way.end(socket, number).is_some() {
                // A socket that the client has closed meanwhile is as good as shut down.
                let _ = shutdown(socket, Shutdown::Both);
                drop(under_way);
                late();
            }
        });
        under_way.sockets.insert(socket, (number, timer.abort_handle()));
        Begun { handshakes: Arc::clone(self), socket, number }
    }

    /// The handshake on `socket` is complete.
    pub(super) fn complete(&self, socket: RawFd) {
        if let Some((_, timer)) = self.lock().sockets.remove(&socket) {
            timer.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Ends handshake `number`; `None` when it had ended before.
    fn end(&mut self, socket: RawFd, number: u64) -> Option<AbortHandle> {
        self.sockets.get(&socket).filter(|(known, _)| *known == number)?;
        self.sockets.remove(&socket).map(|(_, timer)| timer)
    }
}

impl Begun {
    /// The socket is about to be closed.
    pub(super) fn over(&self) {
        if let Some(timer) = self.handshakes.lock().end(self.socket, self.number) {
            timer.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn a_handshake_that_takes_too_long_loses_its_socket() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (handshakes, late) = (Arc::new(Handshakes::default()), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&late);
        let _begun = handshakes.begin(server.as_raw_fd(), Duration::from_millis(1), move || {
            counted.fetch_add(1, Ordering::AcqRel);
        });
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        while late.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(handshakes.lock().sockets.is_empty());
    }

    #[tokio::test]
    async fn a_complete_handshake_and_a_closed_socket_are_left_alone() {
        tokio::time::pause();
        let (client, server) = UnixStream::pair().unwrap();
        let handshakes = Arc::new(Handshakes::default());
        let socket = server.as_raw_fd();
        let late = Arc::new(AtomicUsize::new(0));
        let count = |late: &Arc<AtomicUsize>| {
            let late = Arc::clone(late);
            move || {
                late.fetch_add(1, Ordering::AcqRel);
            }
        };
        let first = handshakes.begin(socket, Duration::from_secs(1), count(&late));
        first.over();
        let _second = handshakes.begin(socket, Duration::from_secs(3600), count(&late));
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::task::yield_now().await;
        first.over();
        assert_eq!(handshakes.lock().sockets.len(), 1, "the end of one is not the end of its successor");
        handshakes.complete(socket);
        assert!(handshakes.lock().sockets.is_empty());
        assert_eq!(late.load(Ordering::Acquire), 0);
        assert_eq!(client.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
