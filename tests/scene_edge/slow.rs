//! Clients that take their time: each phase of a connection ends with its own time-out, far below the engine's minute.

use crate::common::{Config, Gateway, HOST, Recorded, Reply, Upstream, until};
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslStream, SslVerifyMode};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// How long a phase is watched: longer than its time-out on a busy machine, shorter than the engine's 60 s.
const WATCHED: Duration = Duration::from_secs(30);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn scene() -> (Gateway, Upstream) {
    // More than all buffers on the way take.
    let upstream = Upstream::start_with(|request: &Recorded| {
        let body = if request.target == "/x/large" { vec![b'a'; 64 << 20] } else { b"{}".to_vec() };
        Reply { status: 200, fields: vec![], body }
    });
    let url = upstream.url();
    let gateway = Config::new()
        // Longer than anything is watched here: what is cut, our own time-outs cut.
        .upstream_yaml(&format!("name: echo\nendpoints: [\"{url}\"]\ntimeouts: {{ read: 2m, write: 2m }}"))
        .route("name: x\nmatch: { path: \"/x/{*rest}\" }\nupstream: echo\naccess: public")
        .block(
            "server: { threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, header_timeout: 2s, \
             idle_timeout: 3s }",
        )
        .start();
    (gateway, upstream)
}

fn dial(gateway: &Gateway) -> TcpStream {
    let socket = TcpStream::connect(gateway.https_address()).unwrap();
    socket.set_read_timeout(Some(WATCHED)).unwrap();
    socket
}

fn shake_hands(gateway: &Gateway, protocol: &[u8]) -> SslStream<TcpStream> {
    let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_alpn_protos(protocol).unwrap();
    builder.build().connect(HOST, dial(gateway)).unwrap()
}

/// A stream that keeps what is written, and answers nothing.
#[derive(Debug, Default)]
struct Mute(Vec<u8>);

impl Read for Mute {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Mute {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first message of a handshake.
fn hello() -> Vec<u8> {
    let connector = SslConnector::builder(SslMethod::tls()).unwrap().build();
    match connector.connect(HOST, Mute::default()) {
        Err(HandshakeError::WouldBlock(handshake)) => handshake.get_ref().0.clone(),
        other => panic!("{other:?}"),
    }
}

/// Reads until the other side has ended the connection; panics when it does not in time.
fn is_ended(phase: &str, mut stream: impl Read) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("{phase}: still open after {WATCHED:?}")
            }
            Err(_) => return,
        }
    }
}

/// Sends a byte now and then, until the other side has had enough.
fn drip(phase: &str, mut stream: SslStream<TcpStream>, byte: &[u8]) {
    for _ in 0..300 {
        if stream.write_all(byte).and_then(|()| stream.flush()).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{phase}: still open after 300 bytes");
}

fn h1(gateway: &Gateway) -> SslStream<TcpStream> {
    shake_hands(gateway, b"\x08http/1.1")
}

fn h2(gateway: &Gateway, sent: &[u8]) -> SslStream<TcpStream> {
    let mut stream = shake_hands(gateway, b"\x02h2");
    stream.write_all(sent).unwrap();
    stream
}

fn sent(gateway: &Gateway, request: &str) -> SslStream<TcpStream> {
    let mut stream = h1(gateway);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The frame that begins `POST /x/y`: three literals that name their fields by index, and one that is an index.
fn posted(flags: u8, stream: u8) -> Vec<u8> {
    let headers = b"\x83\x87\x04\x04/x/y\x01\x10api.example.test";
    [&[0, 0, u8::try_from(headers.len()).unwrap(), 1, flags, 0, 0, 0, stream], &headers[..]].concat()
}

#[test]
fn a_slow_client_is_cut_in_every_phase() {
    let (gateway, _upstream) = scene();
    let gateway = &gateway;
    let told = |bytes: &[u8]| {
        let mut socket = dial(gateway);
        socket.write_all(bytes).unwrap();
        socket
    };
    let hello = hello();
    let chunked = "POST /x/y HTTP/1.1\r\nHost: api.example.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = "POST /x/y HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 10\r\n\r\nhello";
    let [whole, begun] = [4, 0].map(|flags| [PREFACE, &posted(flags, 1)].concat());
    let data = b"\0\0\x01\0\0\0\0\0\x01y";
    let goes_on = b"\0\0\0\x09\0\0\0\0\x01";
    let beside = [&whole[..], &posted(0, 3)].concat();
    thread::scope(|scope| {
        scope.spawn(|| is_ended("no first message", told(b"")));
        scope.spawn(|| is_ended("half a first message", told(&hello[..hello.len() / 2])));
        scope.spawn(|| is_ended("nothing after the first message", told(&hello)));
        scope.spawn(|| is_ended("no head", h1(gateway)));
        scope.spawn(|| is_ended("half a head", sent(gateway, "GET /x/y HTTP/1.1\r\nHos")));
        scope.spawn(|| drip("a head byte by byte", sent(gateway, "GET /x/y HTTP/1.1\r\nX: "), b"y"));
        scope.spawn(|| is_ended("half a body", sent(gateway, head)));
        scope.spawn(|| is_ended("no body", sent(gateway, head.strip_suffix("hello").unwrap())));
        scope.spawn(|| is_ended("half a chunk", sent(gateway, &format!("{chunked}a\r\nhello"))));
        scope.spawn(|| drip("a body byte by byte", sent(gateway, &head.replace("10", "9999")), b"y"));
        scope.spawn(|| drip("chunks of a byte each", sent(gateway, chunked), b"1\r\ny\r\n"));
        scope.spawn(|| is_ended("idle", sent(gateway, "GET /x/y HTTP/1.1\r\nHost: api.example.test\r\n\r\n")));
        scope.spawn(|| is_ended("no preface", h2(gateway, b"")));
        scope.spawn(|| is_ended("half a preface", h2(gateway, &PREFACE[..10])));
        scope.spawn(|| is_ended("idle over HTTP/2", h2(gateway, PREFACE)));
        scope.spawn(|| is_ended("half a head over HTTP/2", h2(gateway, &begun)));
        scope.spawn(|| is_ended("half a frame over HTTP/2", h2(gateway, &begun[..PREFACE.len() + 12])));
        scope.spawn(|| is_ended("half a head beside a body over HTTP/2", h2(gateway, &beside)));
        scope.spawn(|| drip("a head frame by frame over HTTP/2", h2(gateway, &begun), goes_on));
        scope.spawn(|| is_ended("no body over HTTP/2", h2(gateway, &whole)));
        scope.spawn(|| is_ended("half a body over HTTP/2", h2(gateway, &[&whole[..], data].concat())));
        scope.spawn(|| drip("a body over HTTP/2 byte by byte", h2(gateway, &whole), data));
    });
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut() {
    let (gateway, _upstream) = scene();
    let open = || gateway.admin().metrics().gauge("tollgate_connections", &[("listener", "https")]);
    let unread = sent(&gateway, "GET /x/large HTTP/1.1\r\nHost: api.example.test\r\n\r\n");
    until("it is open", || (open() > 0.5).then_some(()));
    until("it is cut", || (open() < 0.5).then_some(()));
    let mut read = 0;
    let mut unread = unread;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(more @ 1..) = unread.read(&mut buffer) {
        read += more;
    }
    assert!(read < 64 << 20, "the answer was whole");
}

#[test]
fn a_client_that_takes_its_time_and_goes_on_is_not_cut() {
    let (gateway, upstream) = scene();
    let mut stream = sent(&gateway, "POST /x/y HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 12000\r\n\r\n");
    // Twice as long as a body may stand still.
    for _ in 0..6 {
        stream.write_all(&[b'y'; 2000]).unwrap();
        thread::sleep(Duration::from_secs(1));
    }
    let mut buffer = [0; 64];
    let read = stream.read(&mut buffer).unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200 "), "{}", buffer[..read].escape_ascii());
    assert_eq!(upstream.only().body.len(), 12000);
    let log = until("it is logged", || Some(gateway.log()).filter(|log| log.contains("/x/y")));
    assert!(log.contains("\"status\":200"), "{log}");
}

#[test]
fn a_request_that_is_cut_is_counted_and_logged() {
    let (gateway, _upstream) = scene();
    let head = "POST /x/cut HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 10\r\n\r\nhello";
    is_ended("half a body", sent(&gateway, head));
    let log = until("it is logged", || Some(gateway.log()).filter(|log| log.contains("/x/cut")));
    assert_eq!(log.matches("/x/cut").count(), 1, "{log}");
    assert_eq!(gateway.admin().metrics().count("tollgate_requests_total", &[("route", "x")]), 1);
}

#[test]
fn a_slow_balancer_and_a_slow_client_in_the_clear_are_cut() {
    let upstream = Upstream::start();
    let gateway = Config::new()
        .upstream("echo", &upstream)
        .route("name: x\nmatch: { path: /x }\nupstream: echo\naccess: public")
        .listener("trusted_proxies: [127.0.0.1/32]")
        .listener("proxy_protocol: true")
        .block("server: { threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, header_timeout: 2s }")
        .start();
    let told = |mut socket: TcpStream, bytes: &[u8]| {
        socket.set_read_timeout(Some(WATCHED)).unwrap();
        socket.write_all(bytes).unwrap();
        socket
    };
    let plain = || TcpStream::connect(gateway.plain_address()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| is_ended("no PROXY header", told(dial(&gateway), b"")));
        scope.spawn(|| is_ended("half a PROXY header", told(dial(&gateway), b"PROXY TCP4 192.0.2.7 10.")));
        scope.spawn(|| is_ended("half a binary PROXY header", told(dial(&gateway), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0")));
        scope.spawn(|| is_ended("no head in the clear", told(plain(), b"")));
        scope.spawn(|| is_ended("half a head in the clear", told(plain(), b"GET /x HTTP/1.1\r\nHos")));
    });
}

#[test]
fn heads_that_are_cut_are_counted() {
    let (gateway, _upstream) = scene();
    let cut = || gateway.admin().metrics().count("tollgate_connections_cut_total", &[("why", "slow_head")]);
    is_ended("half a head", sent(&gateway, "GET /x/y HTTP/1.1\r\nHos"));
    assert_eq!(cut(), 1);
    is_ended("half a preface", h2(&gateway, &PREFACE[..10]));
    until("the second is counted", || (cut() == 2).then_some(()));
    is_ended("half a head over HTTP/2", h2(&gateway, &[PREFACE, &posted(0, 1)].concat()));
    until("the third is counted", || (cut() == 3).then_some(()));
}
