//! A client that sends exactly the bytes it is told to, over TLS or in the clear; and curl, for HTTP/2.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslMethod, SslSessionCacheMode, SslStream, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use super::answer::Answer;
use super::certs::Authority;

/// How long one read may take before the scene is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Where to connect and as whom. Cheap to clone; every request is a connection of its own unless you
/// [`connect`](Self::connect).
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    host: String,
    /// What is sent before anything else, the handshake included.
    announcement: Vec<u8>,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    trusted: X509,
    server_name: Option<String>,
    version: Option<SslVersion>,
    certificate: Option<(X509, PKey<Private>)>,
}

impl Client {
    /// HTTPS to `address`, where `host` (the SNI and the `Host` field) must be vouched for by `authority`.
    pub fn https(address: SocketAddr, host: &str, authority: &Authority) -> Self {
        let trusted = authority.certificate.clone();
        let tls = Tls { trusted, server_name: Some(host.to_owned()), version: None, certificate: None };
        Self { address, host: host.to_owned(), announcement: vec![], tls: Some(tls) }
    }

    /// HTTP without TLS.
    pub fn plain(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), announcement: vec![], tls: None }
    }

    /// The same client asking for another `Host`; the SNI stays.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// The same client sending these bytes first, before the handshake: a PROXY header.
    #[must_use]
    pub fn announced(mut self, announcement: impl Into<Vec<u8>>) -> Self {
        self.announcement = announcement.into();
        self
    }

    /// The same client with another SNI, or none.
    #[must_use]
    pub fn server_name(mut self, name: Option<&str>) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.server_name = name.map(str::to_owned);
        }
        self
    }

    /// The same client speaking only this version of TLS.
    #[must_use]
    pub fn tls_version(mut self, version: SslVersion) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.version = Some(version);
        }
        self
    }

    /// The same client showing this certificate to a server that asks for one.
    #[must_use]
    pub fn certificate(mut self, (certificate, key): &(X509, PKey<Private>)) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.certificate = Some((certificate.clone(), key.clone()));
        }
        self
    }

    /// Opens a connection and, with TLS, shakes hands.
    pub fn connect(&self) -> io::Result<Connection> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
        socket.set_nodelay(true)?;
        (&socket).write_all(&self.announcement)?;
        let resumable = Arc::new(AtomicBool::new(false));
        let stream = match &self.tls {
            None => Stream::Plain(socket),
            Some(tls) => Stream::Tls(Box::new(tls.shake_hands(socket, &resumable)?)),
        };
        Ok(Connection { stream: BufReader::new(stream), host: self.host.clone(), resumable })
    }

    /// Whether the server gives this client anything by which a session could be resumed.
    pub fn can_resume(&self) -> bool {
        let mut connection = self.must_connect();
        // TLS 1.3 hands out tickets after the handshake, so something must be read first.
        connection.get("/", None).unwrap();
        connection.resumable.load(Ordering::Relaxed)
    }

    /// `GET path`, with `token` as a bearer credential.
    pub fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.must_connect().get(path, token).unwrap_or_else(|fault| panic!("GET {path}: {fault}"))
    }

    /// One request with these fields, spelled and ordered as given, after `Host`.
    pub fn request(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.must_connect().request(method, target, fields, body);
        answer.unwrap_or_else(|fault| panic!("{method} {target}: {fault}"))
    }

    fn must_connect(&self) -> Connection {
        self.connect().unwrap_or_else(|fault| panic!("connect to {}: {fault}", self.address))
    }

    /// Sends exactly `bytes` and reads one answer; an error when the other side closes without one.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<Answer> {
        let mut connection = self.connect()?;
        connection.send(bytes)?;
        connection.answer()
    }

    /// `GET path` by curl, which speaks HTTP/2; `options` are curl's own.
    pub fn curl(&self, path: &str, options: &[&str]) -> Answer {
        let tls = self.tls.as_ref().expect("curl is here for HTTP/2, which needs TLS");
        let trusted = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trusted.path(), tls.trusted.to_pem().unwrap()).unwrap();
        let (host, port) = (&self.host, self.address.port());
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--http2", "--path-as-is", "--max-time", "30"])
            .args(["--resolve", &format!("{host}:{port}:{}", self.address.ip())])
            .arg("--cacert")
            .arg(trusted.path())
            .args(options)
            .arg(format!("https://{host}:{port}{path}"))
            .output()
            .expect("curl: run tests/run, which installs what the tests need");
        assert!(output.status.success(), "curl {path}: {}", String::from_utf8_lossy(&output.stderr));
        Answer::read(&mut output.stdout.as_slice(), false).unwrap()
    }
}

impl Tls {
    fn shake_hands(&self, socket: TcpStream, resumable: &Arc<AtomicBool>) -> io::Result<SslStream<TcpStream>> {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(self.trusted.clone()).unwrap();
        builder.set_cert_store(store.build());
        builder.set_min_proto_version(self.version).unwrap();
        builder.set_max_proto_version(self.version).unwrap();
        let resumable = Arc::clone(resumable);
        builder.set_session_cache_mode(SslSessionCacheMode::CLIENT);
        builder.set_new_session_callback(move |_, _| resumable.store(true, Ordering::Relaxed));
        if let Some((certificate, key)) = &self.certificate {
            builder.set_certificate(certificate).unwrap();
            builder.set_private_key(key).unwrap();
        }
        let mut session = builder.build().configure().unwrap();
        session.set_use_server_name_indication(self.server_name.is_some());
        session.set_verify_hostname(self.server_name.is_some());
        let name = self.server_name.as_deref().unwrap_or_default();
        session.connect(name, socket).map_err(|fault| io::Error::other(fault.to_string()))
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// One open connection; requests on it are keep-alive.
pub struct Connection {
    stream: BufReader<Stream>,
    host: String,
    /// True once the server has handed out a session that could be resumed.
    resumable: Arc<AtomicBool>,
}

impl Connection {
    /// `GET path` with `token` as a bearer credential.
    pub fn get(&mut self, path: &str, token: Option<&str>) -> io::Result<Answer> {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let fields: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        self.request("GET", path, &fields, b"")
    }

    /// One request with these fields, spelled and ordered as given, after `Host`.
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        self.send(&[head.as_bytes(), body].concat())?;
        Answer::read(&mut self.stream, method == "HEAD")
    }

    /// Sends exactly `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Reads the next answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        Answer::read(&mut self.stream, false)
    }

    /// Waits for the other side to close; `false` when it sends something instead.
    pub fn closed_by_peer(&mut self) -> bool {
        // An abrupt end is one too.
        self.stream.read(&mut [0; 1]).map_or(true, |read| read == 0)
    }
}

/// The bytes as they come, for answers without an end.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}
