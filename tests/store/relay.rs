//! A relay on the way to a server, whose connections can be cut, and whose answers can be held back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
}

impl Relay {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { cuts: watch::Sender::new(0), silent: AtomicBool::new(false) });
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

    /// From now on nothing that the server says arrives.
    pub fn silence(&self) {
        self.state.silent.store(true, Ordering::SeqCst);
    }

    /// Closes every connection that was silenced, and lets new ones speak.
    pub fn cut_and_speak(&self) {
        self.cut();
        self.state.silent.store(false, Ordering::SeqCst);
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    // Once silenced it stays silent: a connection loses its end, never its middle.
    let mut silent = false;
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::select! {
        _ = cuts.changed() => {}
        () = copy(from_client, to_server, || true) => {}
        () = copy(from_server, to_client, || { silent |= state.silent.load(Ordering::SeqCst); !silent }) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut pass: impl FnMut() -> bool) {
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if pass() && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
