//! What stands in front of replicas: connections are handed to one after the other, bytes pass as they are.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A balancer on a port of its own.
pub struct Balancer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Balancer {
    /// Listens on `address`, and gives each connection to the next of `replicas`.
    pub fn start(address: SocketAddr, replicas: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (ending, next) = (Arc::clone(&stopped), AtomicUsize::new(0));
        thread::spawn(move || {
            for client in listener.incoming() {
                if ending.load(Ordering::Acquire) {
                    return;
                }
                let replica = replicas[next.fetch_add(1, Ordering::Relaxed) % replicas.len()];
                // A replica that refuses is a connection that breaks, as behind any balancer.
                thread::spawn(move || client.and_then(|client| join(client, TcpStream::connect(replica)?)));
            }
        });
        Self { address, stopped }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the thread that accepts; it sees the flag and closes the port.
        drop(TcpStream::connect(self.address));
    }
}

/// Passes bytes both ways until either side ends.
fn join(client: TcpStream, replica: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = (client.try_clone()?, client);
    let (mut from_replica, mut to_replica) = (replica.try_clone()?, replica);
    let upwards = thread::spawn(move || {
        let copied = io::copy(&mut from_client, &mut to_replica);
        to_replica.shutdown(Shutdown::Write).and(copied.map(drop))
    });
    let copied = io::copy(&mut from_replica, &mut to_client);
    // The other side may have closed before.
    let _ = to_client.shutdown(Shutdown::Write);
    let _ = upwards.join();
    copied.map(drop)
}
