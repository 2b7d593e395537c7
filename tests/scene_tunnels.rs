//! WebSockets and event streams: opened by a token, and ended with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use common::{Config, Gateway, HOST, Issuer, Script, ports, unix_now, until};
use serde_json::json;

/// How long the short tokens live, in seconds.
const LIFE: i64 = 6;

fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

/// Routes to `upstream`: `/ends` ends with the token, `/stays` does not, `/open` asks for none.
fn gateway(issuer: &Issuer, upstream: SocketAddr) -> Gateway {
    let route = |name: &str, access: &str, more: &str| {
        format!("name: {name}\nmatch: {{ path: /{name} }}\nupstream: far\naccess: {access}\n{more}")
    };
    let authority_file = |config: Config| {
        let pem = config.authority().pem();
        config.file("ca.pem", pem)
    };
    let config = Config::new()
        .issuer(issuer)
        .store("embedded: {}\nrevocations_file: revoked.list")
        // Silence is shorter than the read time-out of an ordinary answer would allow.
        .upstream_yaml(&format!("name: far\nendpoints: [\"http://{upstream}\"]\ntimeouts: {{ read: 1s }}"))
        .route(&route("ends", "{ issuers: [corp] }", ""))
        .route(&route("stays", "{ issuers: [corp] }", "tunnel_beyond_expiry: true"))
        .route(&route("open", "public", ""));
    authority_file(config).start()
}

fn short_token(issuer: &Issuer) -> (String, i64) {
    let mut claims = issuer.claims("alice");
    let end = unix_now() + LIFE;
    claims["exp"] = json!(end);
    (issuer.sign(&claims), end)
}

fn until_past(end: i64) {
    until("the token has expired", || (unix_now() > end + 1).then_some(()));
}

fn until_tunnels(gateway: &Gateway, route: &str, number: f64) {
    until(&format!("{number} tunnels on {route}"), || {
        let open = gateway.admin().metrics().gauge("tollgate_tunnels", &[("route", route)]);
        ((open - number).abs() < 0.5).then_some(())
    });
}

/// A WebSocket to `path`, by the foreign library.
fn websocket(gateway: &Gateway, path: &str, token: &str) -> Script {
    let (port, ca) = (gateway.https_address().port().to_string(), gateway.directory().join("ca.pem"));
    Script::start("websocket.py", &["talk", &port, HOST, &ca.display().to_string(), path, token])
}

#[test]
fn a_websocket_is_opened_by_a_token_and_ends_with_it() {
    let (issuer, address) = (issuer(), ports::free());
    let _server = Script::serve("websocket.py", &["serve", &address.port().to_string()]);
    let gateway = gateway(&issuer, address);

    assert_eq!(websocket(&gateway, "/ends", "").hear(), json!({ "refused": 401 }));

    let (token, end) = short_token(&issuer);
    let [mut ends, mut stays, mut open] =
        [("/ends", token.as_str()), ("/stays", &token), ("/open", "")].map(|(path, token)| {
            let mut socket = websocket(&gateway, path, token);
            assert_eq!(socket.hear(), json!({ "open": true }), "{path}");
            socket.tell("send hello");
            assert_eq!(socket.hear(), json!({ "received": "hello" }), "{path}");
            socket
        });
    until_tunnels(&gateway, "ends", 1.0);

    ends.tell("wait");
    assert_eq!(ends.hear(), json!({ "closed": null }), "cut, not closed by the other end");
    assert!(unix_now() >= end, "cut before its time");
    until_tunnels(&gateway, "ends", 0.0);
    until("the cut tunnel is in the log", || {
        gateway
            .log()
            .lines()
            .any(|line| line.contains("\"path\":\"/ends\"") && line.contains("\"status\":101"))
            .then_some(())
    });

    until_past(end);
    for socket in [&mut stays, &mut open] {
        socket.tell("send still here");
        assert_eq!(socket.hear(), json!({ "received": "still here" }));
    }
    assert_eq!(websocket(&gateway, "/ends", &token).hear(), json!({ "refused": 401 }), "the token has expired");
}

#[test]
fn a_websocket_ends_when_its_token_is_revoked() {
    let (issuer, address) = (issuer(), ports::free());
    let _server = Script::serve("websocket.py", &["serve", &address.port().to_string()]);
    let gateway = gateway(&issuer, address);
    let ((dead, expires_at), (alive, _)) = (issuer.token_with_id("dead"), issuer.token_with_id("alive"));
    let tunnels = [("/ends", &dead), ("/stays", &dead), ("/ends", &alive)];
    let mut sockets = tunnels.map(|(path, token)| {
        let mut socket = websocket(&gateway, path, token);
        assert_eq!(socket.hear(), json!({ "open": true }));
        socket
    });
    gateway.admin().revoke("corp", "dead", expires_at);
    for socket in &mut sockets[..2] {
        socket.tell("wait");
        assert_eq!(socket.hear(), json!({ "closed": null }));
    }
    assert!(unix_now() < expires_at, "cut because it was revoked");
    sockets[2].tell("send still here");
    assert_eq!(sockets[2].hear(), json!({ "received": "still here" }));
}

/// An upstream of event streams: each connection sends what the scene says.
struct Events {
    address: SocketAddr,
    streams: &'static Mutex<Vec<Sender<String>>>,
}

impl Events {
    fn start() -> Self {
        Self::of("text/event-stream")
    }

    /// Streams of another media type.
    fn of(media_type: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams: &'static Mutex<Vec<Sender<String>>> = Box::leak(Box::default());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, events) = channel::<String>();
                streams.lock().unwrap().push(sender);
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut head = BufReader::new(stream.try_clone().unwrap());
                    let mut line = String::new();
                    while head.read_line(&mut line).unwrap() > 2 {
                        line.clear();
                    }
                    let start =
                        format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
                    let mut written = stream.write_all(start.as_bytes());
                    while let (Ok(()), Ok(event)) = (&written, events.recv()) {
                        written = stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
                    }
                });
            }
        });
        Self { address, streams }
    }

    fn send(&self, event: &str) {
        let streams = self.streams.lock().unwrap();
        let stream = streams.last().expect("a stream");
        stream.send(format!("data: {event}\n\n")).unwrap();
    }
}

/// A client's end of an event stream.
struct Stream(BufReader<Box<dyn std::io::Read>>);

impl Stream {
    /// The next event; `None` at the end.
    fn event(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if let Some(event) = line.strip_prefix("data: ") {
                return Some(event.trim_end().to_owned());
            }
        }
    }
}

fn subscribe(gateway: &Gateway, path: &str, token: &str) -> Stream {
    subscribe_with(gateway, path, token, "Accept: text/event-stream\r\n")
}

/// The same with other `fields`.
fn subscribe_with(gateway: &Gateway, path: &str, token: &str, fields: &str) -> Stream {
    let mut connection = gateway.client().connect().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}Authorization: Bearer {token}\r\n\r\n");
    connection.send(request.as_bytes()).unwrap();
    Stream(BufReader::new(Box::new(connection)))
}

#[test]
fn an_event_stream_is_live_and_ends_with_its_token() {
    let (issuer, events) = (issuer(), Events::start());
    let gateway = gateway(&issuer, events.address);
    let (token, end) = short_token(&issuer);
    let mut stream = subscribe(&gateway, "/ends", &token);
    until_tunnels(&gateway, "ends", 1.0);
    for event in ["one", "two"] {
        events.send(event);
        assert_eq!(stream.event().as_deref(), Some(event), "events are not held back");
    }
    assert_eq!(stream.event(), None);
    assert!(unix_now() >= end, "cut before its time");
    until_tunnels(&gateway, "ends", 0.0);

    let (token, end) = short_token(&issuer);
    let mut stream = subscribe(&gateway, "/stays", &token);
    until_tunnels(&gateway, "stays", 1.0);
    until_past(end);
    events.send("late");
    assert_eq!(stream.event().as_deref(), Some("late"));
}

#[test]
fn an_event_stream_ends_when_its_token_is_revoked() {
    let (issuer, events) = (issuer(), Events::start());
    let gateway = gateway(&issuer, events.address);
    let ((dead, expires_at), (alive, _)) = (issuer.token_with_id("dead"), issuer.token_with_id("alive"));
    let mut stream = subscribe(&gateway, "/stays", &dead);
    until_tunnels(&gateway, "stays", 1.0);
    events.send("one");
    assert_eq!(stream.event().as_deref(), Some("one"));
    let mut other = subscribe(&gateway, "/ends", &alive);
    until_tunnels(&gateway, "ends", 1.0);
    gateway.admin().revoke("corp", "dead", expires_at);
    assert_eq!(stream.event(), None);
    assert!(unix_now() < expires_at, "cut because it was revoked");
    events.send("two");
    assert_eq!(other.event().as_deref(), Some("two"));
}

#[test]
fn a_busy_stream_ends_with_its_token_too() {
    let (issuer, events) = (issuer(), Events::start());
    let gateway = gateway(&issuer, events.address);
    let (token, end) = short_token(&issuer);
    let mut stream = subscribe(&gateway, "/ends", &token);
    until_tunnels(&gateway, "ends", 1.0);
    let sender = events.streams.lock().unwrap().last().unwrap().clone();
    thread::spawn(move || while sender.send(format!("data: {}\n\n", "x".repeat(1000))).is_ok() {});
    while stream.event().is_some() {}
    assert!(unix_now() >= end, "cut before its time");
}

#[test]
fn a_stream_ends_with_its_token_whatever_its_client_has_asked_for() {
    let issuer = issuer();
    for (media_type, fields) in [
        ("text/event-stream", ""),
        ("text/event-stream", "Accept: text/event-stream\r\nConnection: Upgrade\r\nUpgrade: x\r\n"),
        ("application/x-ndjson", "Accept: application/json\r\n"),
    ] {
        let events = Events::of(media_type);
        let gateway = gateway(&issuer, events.address);
        let (token, end) = short_token(&issuer);
        let mut stream = subscribe_with(&gateway, "/ends", &token, fields);
        until_tunnels(&gateway, "ends", 1.0);
        let sender = events.streams.lock().unwrap().last().unwrap().clone();
        thread::spawn(move || while sender.send(format!("data: {}\n\n", "x".repeat(1000))).is_ok() {});
        while stream.event().is_some() {
            assert!(unix_now() < end + 20, "{media_type} to {fields:?} goes on without its token");
        }
        assert!(unix_now() >= end, "cut before its time");
    }
}

#[test]
fn a_call_that_is_none_gets_no_more_time_than_others() {
    let (issuer, listener) = (issuer(), TcpListener::bind("127.0.0.1:0").unwrap());
    let gateway = gateway(&issuer, listener.local_addr().unwrap());
    // Connections wait in the system's queue: nobody ever answers.
    let request =
        format!("POST /open HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/grpc\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(gateway.client().raw(request.as_bytes()).unwrap().status, 504);
}

#[test]
fn who_only_accepts_events_still_gets_a_time_out() {
    let (issuer, listener) = (issuer(), TcpListener::bind("127.0.0.1:0").unwrap());
    let gateway = gateway(&issuer, listener.local_addr().unwrap());
    // Connections wait in the system's queue: nobody ever answers.
    let mut stream = subscribe(&gateway, "/open", "");
    let mut rest = Vec::new();
    assert_eq!(stream.0.read_to_end(&mut rest).map_or(0, |read| read), 0, "{}", String::from_utf8_lossy(&rest));
}
