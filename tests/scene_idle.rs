//! What idle connections cost: each has had one answer over HTTPS and lies idle, over HTTP/1.1 and over HTTP/2.
//!
//! `tests/long/idle` does the same with five thousand of each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::{Config, Gateway, HOST, Upstream, until};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};

/// The connections of each protocol, where nobody asks for more.
const CONNECTIONS: u64 = 500;
/// What one may cost: 300 MiB among five thousand.
const MOST_KIB: u64 = (300 << 10) / 5000;
/// Among fewer, what the allocator holds in advance weighs more.
const FEWER_KIB: u64 = 75;
/// Connections before the memory is measured: by then every lazy part of the libraries is there.
const FIRST: u64 = 20;

/// A GET of `/x` on stream 1 behind the preface and empty settings: three fields by their index, one by its name.
const H2_REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x18\x01\x05\0\0\0\x01\x82\x87\x04\x02/x\x01\x10api.example.test";

fn connections() -> u64 {
    let asked = std::env::var_os("TOLLGATE_IDLE_CONNECTIONS");
    asked.map_or(CONNECTIONS, |asked| asked.to_str().and_then(|asked| asked.parse().ok()).unwrap())
}

/// The resident memory of the gateway.
fn resident_kib(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Opens a connection that has had one whole answer, of which it has read at least `bytes`.
fn served(connector: &SslConnector, gateway: &Gateway, request: &[u8], answer: &[u8]) -> SslStream<TcpStream> {
    let socket = TcpStream::connect(gateway.https_address()).unwrap();
    let mut stream = connector.connect(HOST, socket).unwrap();
    stream.write_all(request).unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while !read.windows(answer.len()).any(|part| part == answer) {
        let more = stream.read(&mut buffer).unwrap();
        assert!(more > 0, "closed after {}", read.escape_ascii());
        read.extend_from_slice(&buffer[..more]);
    }
    stream
}

fn connector(protocol: &[u8]) -> SslConnector {
    let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_alpn_protos(protocol).unwrap();
    builder.build()
}

#[test]
fn an_idle_connection_costs_little() {
    let (upstream, most) = (Upstream::start(), 3 * connections() + 1000);
    let gateway = Config::new()
        .upstream("echo", &upstream)
        .route("name: x\nmatch: { path: /x }\nupstream: echo\naccess: public")
        .block(&format!(
            "server: {{ threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s, idle_timeout: 15m, \
             max_connections: {most}, max_connections_per_client: {most} }}"
        ))
        .start();
    let open = || gateway.admin().metrics().gauge("tollgate_connections", &[("listener", "https")]);
    let h1 = format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut idle = Vec::new();
    for (name, protocol, request, answer) in [
        ("HTTP/1.1", &b"\x08http/1.1"[..], h1.as_bytes(), &b"\r\n\r\n"[..]),
        // The end of the answer's stream: a frame of data, without a body or with one, that says so.
        ("HTTP/2", b"\x02h2", H2_REQUEST, b"\0\x01\0\0\0\x01"),
    ] {
        let connector = connector(protocol);
        idle.extend((0..FIRST).map(|_| served(&connector, &gateway, request, answer)));
        let before = resident_kib(&gateway);
        idle.extend((0..connections()).map(|_| served(&connector, &gateway, request, answer)));
        until("they are open", || (open() > f64::from(u32::try_from(idle.len()).unwrap()) - 0.5).then_some(()));
        let cost = resident_kib(&gateway).saturating_sub(before);
        println!("{} idle connections over {name}: {cost} KiB, {} KiB each", connections(), cost / connections());
        let most = if connections() >= 5000 { MOST_KIB } else { FEWER_KIB };
        assert!(cost <= most * connections(), "{name}: {cost} KiB for {}", connections());
    }
}
