//! A key server that can misbehave: one thread a connection, one answer a connection, over TCP or TLS.

use super::certs::Authority;
use openssl::ssl::{SslAcceptor, SslMethod};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tollgate::clock::Stopwatch;

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Status, header lines, body.
    Answer(u16, Vec<String>, Vec<u8>),
    /// Says nothing and keeps the connection.
    Silence,
    /// A good beginning, then one byte now and then for ever.
    Drip,
    /// A body without end, in chunks.
    Endless,
    /// Closes the connection.
    HangUp,
}

impl Reply {
    pub fn json(body: &Value) -> Self {
        Self::Answer(200, vec!["Content-Type: application/json".into()], body.to_string().into_bytes())
    }

    pub fn redirect(to: &str) -> Self {
        Self::Answer(302, vec![format!("Location: {to}")], Vec::new())
    }

    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), b"{}".to_vec())
    }
}

/// One request that arrived: its path and when.
#[derive(Clone, Debug)]
pub struct Hit {
    pub path: String,
    pub at: Duration,
}

struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    hits: Mutex<Vec<Hit>>,
    since: Stopwatch,
    stopped: AtomicBool,
}

/// The server; it stops with its owner.
pub struct Server {
    pub address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

impl Server {
    /// Plain http on loopback.
    pub fn plain() -> Self {
        Self::start("127.0.0.1", "http", None)
    }

    /// https on loopback with a certificate for `names`.
    pub fn tls(authority: &Authority, names: &[&str]) -> Self {
        Self::tls_on("127.0.0.1", authority, names)
    }

    /// https on an address of this machine.
    pub fn tls_on(address: &str, authority: &Authority, names: &[&str]) -> Self {
        let (certificate, key) = authority.issue(names);
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        acceptor.set_private_key(&key).unwrap();
        Self::start(address, "https", Some(acceptor.build()))
    }

    fn start(address: &str, scheme: &'static str, tls: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            replies: Mutex::default(),
            hits: Mutex::default(),
            since: Stopwatch::start(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, serving, tls) = (stream.unwrap(), Arc::clone(&serving), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &serving),
                    Some(tls) => tls.accept(stream).map(|stream| serve(stream, &serving)).unwrap_or_default(),
                });
            }
        });
        Self { address, scheme, shared }
    }

    /// Answers `path` with `reply` from now on. Paths without a reply are 404.
    pub fn on(&self, path: &str, reply: Reply) -> &Self {
        self.shared.replies.lock().unwrap().insert(path.to_owned(), reply);
        self
    }

    /// The server's own URL with its address.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The server's URL by another name.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// The requests for `path` so far.
    pub fn hits(&self, path: &str) -> Vec<Hit> {
        self.all_hits().into_iter().filter(|hit| hit.path == path).collect()
    }

    pub fn all_hits(&self) -> Vec<Hit> {
        self.shared.hits.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn serve(mut stream: impl Read + Write, shared: &Shared) {
    let Some(path) = requested_path(&mut stream) else { return };
    shared.hits.lock().unwrap().push(Hit { path: path.clone(), at: shared.since.elapsed() });
    let reply = shared.replies.lock().unwrap().get(&path).cloned().unwrap_or_else(|| Reply::status(404));
    let endless = |stream: &mut dyn Write, chunk: &[u8], pause: Duration| {
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        while !shared.stopped.load(Ordering::SeqCst) && stream.write_all(&framed).is_ok() {
            thread::sleep(pause);
        }
    };
    match reply {
        Reply::HangUp => {}
        Reply::Silence => {
            let _ = stream.read(&mut [0]);
        }
        Reply::Drip => {
            let _ = stream.write_all(CHUNKED);
            endless(&mut stream, b" ", Duration::from_millis(20));
        }
        Reply::Endless => {
            let _ = stream.write_all(CHUNKED);
            endless(&mut stream, &[b' '; 16 * 1024], Duration::ZERO);
        }
        Reply::Answer(status, headers, body) => {
            let first = [format!("HTTP/1.1 {status} X"), format!("Content-Length: {}", body.len())];
            let lines: Vec<&str> = first.iter().chain(&headers).map(String::as_str).collect();
            let head = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    }
}

/// Reads one request's head.
fn requested_path(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 || head.len() > 16 * 1024 {
            return None;
        }
        head.push(byte[0]);
    }
    let line = String::from_utf8(head).ok()?;
    line.split(' ').nth(1).map(str::to_owned)
}

/// A proxy that opens every tunnel to one address, and notes where it was asked to.
pub struct TunnelProxy {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut near, noting) = (stream.unwrap(), Arc::clone(&noting));
                thread::spawn(move || {
                    let Some(asked) = requested_path(&mut near) else { return };
                    noting.lock().unwrap().push(asked);
                    let far = TcpStream::connect(target).unwrap();
                    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                    let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                    thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
                    let (mut far_in, mut near_out) = (far, near);
                    let _ = std::io::copy(&mut far_in, &mut near_out);
                });
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
