//! An upstream that records every request as it came, byte for byte, and answers with what it saw.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

use super::wire::Head;

/// One request as the upstream received it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// The request target, not decoded.
    pub target: String,
    /// The fields in their order, spelled as they came.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The whole head, byte for byte.
    pub raw_head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Recorded {
    /// The values of `name`, in any case, as text.
    pub fn values(&self, name: &str) -> Vec<String> {
        let same = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Names of fields whose canonical spelling (lower case, everything but letters and digits as `-`) is `name`.
    pub fn spellings(&self, name: &str) -> Vec<String> {
        let canonical = |text: &str| {
            text.chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
                .collect::<String>()
        };
        self.fields
            .iter()
            .filter(|(field, _)| canonical(field) == canonical(name))
            .map(|(field, _)| field.clone())
            .collect()
    }

    fn describe(&self) -> Value {
        let fields = self.fields.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)]));
        json!({
            "method": self.method,
            "target": self.target,
            "headers": fields.collect::<Vec<_>>(),
            "body": String::from_utf8_lossy(&self.body),
        })
    }
}

/// What the upstream answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        let fields = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, fields, body: body.to_string().into_bytes() }
    }

    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Handler = dyn Fn(&Recorded) -> Reply + Send + Sync;

/// A running upstream; a thread for each connection.
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    requests: Mutex<Vec<Recorded>>,
    stopped: AtomicBool,
    handler: Box<Handler>,
}

impl Upstream {
    /// Answers 200 with what it saw, as JSON: `method`, `target`, `headers` (pairs) and `body`.
    pub fn start() -> Self {
        Self::start_with(|request| Reply::json(200, &request.describe()))
    }

    /// Answers what `handler` says.
    pub fn start_with(handler: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { requests: Mutex::default(), stopped: AtomicBool::new(false), handler: Box::new(handler) };
        let state = Arc::new(state);
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::Acquire) {
                    return;
                }
                let state = Arc::clone(&accepting);
                // A connection that breaks is the other side's affair; what it sent before is recorded.
                thread::spawn(move || stream.and_then(|stream| state.serve(stream)));
            }
        });
        Self { address, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything received so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.requests().clone()
    }

    /// Everything received so far, forgotten afterwards.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.state.requests())
    }

    /// The one request received since the last `take`.
    pub fn only(&self) -> Recorded {
        let mut requests = self.take();
        assert_eq!(requests.len(), 1, "the upstream saw {} requests: {requests:#?}", requests.len());
        requests.remove(0)
    }

    /// Refuses connections from now on.
    pub fn stop(&self) {
        self.state.stopped.store(true, Ordering::Release);
        // Wakes the thread that accepts; it sees the flag and closes the port.
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn requests(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().expect("no thread panics while it holds the list")
    }

    /// Serves one connection until it closes.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(head) = Head::read(&mut reader)? {
            if head.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue")) {
                writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = head.body(&mut reader, false)?;
            let last = head.closes();
            let mut words = head.start.splitn(3, ' ').map(str::to_owned);
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let request = Recorded { method, target, fields: head.fields, raw_head: head.raw, body };
            let reply = (self.handler)(&request);
            let to_head = request.method == "HEAD";
            self.requests().push(request);
            writer.write_all(&encode(&reply, to_head))?;
            if last {
                break;
            }
        }
        Ok(())
    }
}

fn encode(reply: &Reply, to_head: bool) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {} Recorded\r\nContent-Length: {}\r\n", reply.status, reply.body.len()).into_bytes();
    for (name, value) in &reply.fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if !to_head {
        bytes.extend_from_slice(&reply.body);
    }
    bytes
}
