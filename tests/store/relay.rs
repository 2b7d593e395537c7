//! A relay on the way to a server, whose connections can be cut, and whose answers can be held back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay; it ends with its runtime.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Its number grows with each cut.
    cuts: watch::Sender<u64>,
    silent: AtomicBool,
    requests: AtomicU64,
}

impl Relay {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            cuts: watch::Sender::new(0),
            silent: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on swallows what the server says (or does not any more).
    pub fn silence(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// How many pieces clients have sent so far.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::select! {
        _ = cuts.changed() => {}
        () = copy(from_client, to_server, |_| { state.requests.fetch_add(1, Ordering::SeqCst); true }) => {}
        () = copy(from_server, to_client, |_| !state.silent.load(Ordering::SeqCst)) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, pass: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if pass(&buffer[..length]) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
