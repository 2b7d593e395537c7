//! The client side: keep-alive connections over TLS, each with one request under way, each on a thread of its own.

use crate::common::HOST;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;
use tollgate::clock::Stopwatch;

/// The most that one answer may take, header and body.
const MOST: usize = 16 * 1024;
/// How long an answer may be waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Open connections to one contestant.
pub struct Connections(Vec<Connection>);

/// What was seen of a drive.
pub struct Driven {
    /// From the first request to the last answer.
    pub took: Duration,
    /// From the moment each request was due to its answer. A request that had to wait for the one before was due all
    /// the same: no stall is hidden.
    pub latencies: Vec<Duration>,
}

/// The answer that every request of a case must get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The status.
    pub status: u16,
    /// The body, where the upstream wrote it: whom it was told.
    pub body: Option<&'static str>,
}

impl Connections {
    /// Opens `count` connections.
    pub fn open(address: SocketAddr, count: usize) -> Self {
        Self((0..count).map(|_| Connection::open(address)).collect())
    }

    /// Sends every one of `requests`, at `rate` a second or else as fast as answers come.
    pub fn drive(&mut self, requests: &[Vec<u8>], expected: Expected, rate: Option<f64>) -> Driven {
        let count = self.0.len();
        let watch = Stopwatch::start();
        let latencies = thread::scope(|scope| {
            let threads: Vec<_> = self
                .0
                .iter_mut()
                .enumerate()
                .map(|(at, connection)| {
                    let mine = requests.iter().enumerate().skip(at).step_by(count);
                    scope.spawn(move || {
                        mine.map(|(number, request)| {
                            let due = rate.map_or_else(|| watch.elapsed(), |rate| wait(watch, number, rate));
                            connection.exchange(request, expected);
                            watch.elapsed().saturating_sub(due)
                        })
                        .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("every answer is as expected")).collect()
        });
        Driven { took: watch.elapsed(), latencies }
    }
}

/// Waits until request `number` is due, and says when that was.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn wait(watch: Stopwatch, number: usize, rate: f64) -> Duration {
    let due = Duration::from_secs_f64(number as f64 / rate);
    thread::sleep(due.saturating_sub(watch.elapsed()));
    due
}

struct Connection {
    stream: SslStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        // Every contestant is our own child on loopback; what is measured begins after the handshake.
        connector.set_verify(SslVerifyMode::NONE);
        let tcp = TcpStream::connect(address).unwrap_or_else(|fault| panic!("{address}: {fault}"));
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let stream = connector.build().configure().unwrap().verify_hostname(false).connect(HOST, tcp).unwrap();
        Self { stream, buffer: vec![0; MOST] }
    }

    fn exchange(&mut self, request: &[u8], expected: Expected) {
        self.stream.write_all(request).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            let text = &self.buffer[..filled + read];
            assert!(read > 0, "the connection ended: {}", String::from_utf8_lossy(text));
            filled += read;
            if let Some((status, body)) = answer(&self.buffer[..filled]) {
                let as_expected =
                    status == expected.status && expected.body.is_none_or(|expected| body == expected.as_bytes());
                assert!(as_expected, "not {expected:?}: {}", String::from_utf8_lossy(&self.buffer[..filled]));
                return;
            }
        }
    }
}

/// The status and the body, once all of it is there.
fn answer(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a header section in ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().expect("a length"))
    };
    let length = head.lines().find_map(field).unwrap_or(0);
    Some((status, bytes.get(end + 4..end + 4 + length)?))
}
