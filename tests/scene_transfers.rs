//! Bodies of any size pass through in pieces, in both directions, over HTTP/1.1 and HTTP/2, with a token; and HTTP/2 as
//! nghttp2's own clients speak it.
//!
//! `tests/long/bodies` does the same with a gigabyte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use common::{Config, Gateway, HOST, Issuer, Upstream, nss_wrapper};

/// The bytes of a body, where nobody asks for more.
const BODY: u64 = 64 << 20;
/// How much more memory the gateway may ever take for bodies of any size.
const GROWTH_KIB: u64 = 24 << 10;

fn body_size() -> u64 {
    let asked = std::env::var_os("TOLLGATE_BODY_MIB");
    asked.map_or(BODY, |mib| mib.to_str().and_then(|mib| mib.parse::<u64>().ok()).unwrap() << 20)
}

/// An upstream that keeps nothing: it answers a body with its length, and a GET of `/N` with N bytes.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// One request, after which the connection is closed.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut start, mut length, mut chunked) = (String::new(), String::new(), 0, false);
    while reader.read_line(&mut line)? > 2 {
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "transfer-encoding" => chunked = true,
            "expect" => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
        if start.is_empty() {
            start.clone_from(&line);
        }
        line.clear();
    }
    if let Some(rest) = start.strip_prefix("GET /") {
        let wanted: u64 = rest.split(' ').next().unwrap_or_default().parse().unwrap_or_default();
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {wanted}\r\n\r\n")?;
        return io::copy(&mut io::repeat(b'd').take(wanted), &mut stream).map(|_| ());
    }
    let received = if chunked { chunks(&mut reader)? } else { io::copy(&mut reader.take(length), &mut io::sink())? };
    let answer = received.to_string();
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())
}

/// Reads a chunked body to its end, and counts it.
fn chunks(reader: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut received = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        received += io::copy(&mut reader.by_ref().take(size), &mut io::sink())?;
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(received);
        }
    }
}

/// The most memory the gateway has ever taken.
fn peak_kib(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn bodies_of_any_size_take_no_memory() {
    let (issuer, address, size) = (Issuer::new("corp", "ES256"), upstream(), body_size());
    let config = Config::new()
        .issuer(&issuer)
        .upstream_yaml(&format!("name: far\nendpoints: [\"http://{address}\"]"))
        .route("name: all\nmatch: { path: \"/{*rest}\" }\nupstream: far\naccess: { issuers: [corp] }");
    let gateway = config.start();
    let file = gateway.directory().join("body");
    // It has no content, and takes no place on the disk.
    File::create(&file).unwrap().set_len(size).unwrap();
    let ca = gateway.directory().join("ca.pem");
    fs::write(&ca, gateway.authority().pem()).unwrap();
    let curl = |path: &str, options: &[&str]| {
        let port = gateway.https_address().port();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "900", "--cacert"])
            .arg(&ca)
            .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")])
            .args(["--header", &format!("Authorization: Bearer {}", issuer.token("alice"))])
            .args(options)
            .arg(format!("https://{HOST}:{port}{path}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl("/10", &[]), "dddddddddd");
    let before = peak_kib(&gateway);
    let file = file.display().to_string();
    for version in ["--http1.1", "--http2"] {
        let down = curl(&format!("/{size}"), &[version, "--output", "/dev/null", "--write-out", "%{size_download}"]);
        assert_eq!(down, size.to_string(), "{version}");
        assert_eq!(curl("/up", &[version, "--upload-file", &file]), size.to_string(), "{version}");
    }
    let chunked = ["--http1.1", "--upload-file", &file, "--header", "Transfer-Encoding: chunked"];
    assert_eq!(curl("/up", &chunked), size.to_string(), "chunked");
    let after = peak_kib(&gateway);
    println!("{} MiB up and down: at most {before} KiB of memory before, {after} KiB at all", size >> 20);
    assert!(after < before + GROWTH_KIB, "{before} KiB, then {after} KiB");
}

#[test]
fn nghttp2s_clients_are_served() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let route = "name: all\nmatch: { path: \"/{*rest}\" }\nupstream: far\naccess: { issuers: [corp] }";
    let gateway = Config::new().issuer(&issuer).upstream("far", &upstream).route(route).start();
    let hosts = gateway.directory().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 {HOST}\n")).unwrap();
    let client = |program: &str, options: &[&str], token: &str| {
        let output = Command::new(program)
            .args(options)
            .args(["--header", &format!("authorization: Bearer {token}")])
            .arg(format!("https://{HOST}:{}/it", gateway.https_address().port()))
            .env("LD_PRELOAD", nss_wrapper())
            .env("NSS_WRAPPER_HOSTS", &hosts)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let token = issuer.token("alice");
    let said = client("nghttp", &["--verbose", "--null-out", "--no-verify-peer"], &token);
    assert!(said.contains("The negotiated protocol: h2") && said.contains(":status: 200"), "{said}");
    let said = client("nghttp", &["--verbose", "--null-out", "--no-verify-peer"], "a.b.c");
    assert!(said.contains(":status: 401") && said.contains("www-authenticate: Bearer"), "{said}");
    let report = client("h2load", &["--requests", "1000", "--clients", "10", "--max-concurrent-streams", "10"], &token);
    assert!(report.contains("1000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    assert!(report.contains("status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{report}");
    assert_eq!(upstream.requests().len(), 1001);
}
