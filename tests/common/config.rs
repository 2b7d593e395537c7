//! A gateway.yaml in the making: the harness writes what every scene needs, the scene adds what it is about.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::certs::Authority;
use super::gateway::Gateway;
use super::issuer::Issuer;
use super::ports;
use super::redis::Redis;
use super::upstream::Upstream;

/// The host name that clients of a scene use, unless they say otherwise.
pub const HOST: &str = "api.example.test";
/// The admin token of every scene's gateway.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-scenes-0123456789abcdef";

/// A configuration and the directory it will be written to. Items are YAML, without the leading `- `.
pub struct Config {
    pub(super) directory: TempDir,
    pub(super) authority: Authority,
    pub(super) https: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    names: Vec<String>,
    listener: Vec<String>,
    tls: Vec<String>,
    admin_keys: Vec<String>,
    pub(super) scraped: Option<SocketAddr>,
    store: String,
    issuers: Vec<String>,
    upstreams: Vec<String>,
    routes: Vec<String>,
    more: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Config {
    /// One HTTPS listener with a certificate for `api.example.test`, a plain one that redirects to it, an admin
    /// address, the embedded store, and the log at `info`.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new("The scenes' authority"),
            https: ports::free(),
            http: ports::free(),
            admin: ports::free(),
            names: vec![HOST.to_owned(), "*.example.test".to_owned()],
            listener: vec![],
            tls: vec![],
            admin_keys: vec![],
            scraped: None,
            store: "embedded: { max_entries: 100000 }".to_owned(),
            issuers: vec![],
            upstreams: vec![],
            routes: vec![],
            more: vec![],
            environment: vec![],
        }
    }

    /// Where gateway.yaml and its files go.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file beside gateway.yaml.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.directory().join(name), content).unwrap();
        self
    }

    /// The authority that vouches for the gateway.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The HTTPS listener's address; it is chosen here.
    pub fn https_address(&self) -> SocketAddr {
        self.https
    }

    /// The authority that vouches for the listener's certificate, instead of one of the scene's own.
    #[must_use]
    pub fn vouched_by(mut self, authority: &Authority) -> Self {
        self.authority = authority.clone();
        self
    }

    /// A further key of the HTTPS listener, such as `public: { port: 443 }`.
    #[must_use]
    pub fn listener(mut self, yaml: &str) -> Self {
        self.listener.push(yaml.to_owned());
        self
    }

    /// A further key of its `tls`.
    #[must_use]
    pub fn tls(mut self, yaml: &str) -> Self {
        self.tls.push(yaml.to_owned());
        self
    }

    /// Asks clients for a certificate, issued by the authority in `clients.pem`; `keys` are written beside.
    #[must_use]
    pub fn client_certificates(mut self, mode: &str, issuer: &Authority, keys: &str) -> Self {
        self.tls.push(format!("client_certificates: {{ mode: {mode}, ca: clients.pem{keys} }}"));
        self.file("clients.pem", issuer.pem())
    }

    /// A further key of `admin:`.
    #[must_use]
    pub fn admin(mut self, yaml: &str) -> Self {
        self.admin_keys.push(yaml.to_owned());
        self
    }

    /// An address for scrapers and probes, which the harness then asks instead of the API.
    #[must_use]
    pub fn scraped(mut self) -> Self {
        self.scraped = Some(ports::free());
        self
    }

    /// What stands under `store:`.
    #[must_use]
    pub fn store(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.store);
        self
    }

    /// The nonces live in `redis`.
    #[must_use]
    pub fn redis(self, redis: &Redis) -> Self {
        let url = redis.url();
        self.store(&format!("redis: {{ url: \"{url}\", timeout: 2s }}"))
    }

    #[must_use]
    pub fn issuer(self, issuer: &Issuer) -> Self {
        let (name, content) = issuer.key_file();
        self.file(&name, content).issuer_yaml(&issuer.yaml())
    }

    /// An item under `issuers:`.
    #[must_use]
    pub fn issuer_yaml(mut self, yaml: &str) -> Self {
        self.issuers.push(yaml.to_owned());
        self
    }

    #[must_use]
    pub fn upstream(self, name: &str, upstream: &Upstream) -> Self {
        let url = upstream.url();
        self.upstream_yaml(&format!("name: {name}\nendpoints: [\"{url}\"]"))
    }

    /// An item under `upstreams:`.
    #[must_use]
    pub fn upstream_yaml(mut self, yaml: &str) -> Self {
        self.upstreams.push(yaml.to_owned());
        self
    }

    /// An item under `routes:`.
    #[must_use]
    pub fn route(mut self, yaml: &str) -> Self {
        self.routes.push(yaml.to_owned());
        self
    }

    /// A further top-level block, such as `defaults: …`.
    #[must_use]
    pub fn block(mut self, yaml: &str) -> Self {
        self.more.push(yaml.to_owned());
        self
    }

    /// A variable in the gateway's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The text of gateway.yaml.
    pub fn text(&self) -> String {
        let (https, http, admin) = (self.https, self.http, self.admin);
        let certificates = "certificates: [{ chain: edge.pem, key: \"file:edge.key\" }]".to_owned();
        let tls: Vec<String> = [certificates].into_iter().chain(self.tls.iter().cloned()).collect();
        let mut listener = String::new();
        for line in self.listener.iter().chain([&format!("tls: {{ {} }}", tls.join(", "))]) {
            let _ = writeln!(listener, "    {line}");
        }
        let scraped = self.scraped.map(|address| format!("metrics_address: \"{address}\""));
        let more = self.admin_keys.iter().chain(&scraped).fold(String::new(), |all, key| all + ", " + key);
        let mut text = format!(
            "version: 1\n\
             listeners:\n\
             \x20 - name: https\n\
             \x20   address: {https}\n\
             \x20   http2: true\n\
             {listener}\
             \x20 - {{ name: http, address: \"{http}\", redirect_to: https }}\n\
             admin: {{ address: \"{admin}\", token: \"env:TOLLGATE_ADMIN_TOKEN\"{more} }}\n"
        );
        section(&mut text, "store", "  ", std::slice::from_ref(&self.store));
        section(&mut text, "issuers", "  - ", &self.issuers);
        section(&mut text, "upstreams", "  - ", &self.upstreams);
        section(&mut text, "routes", "  - ", &self.routes);
        if !self.more.iter().any(|block| block.starts_with("telemetry:")) {
            text.push_str("telemetry: { log: { format: json, level: info } }\n");
        }
        if !self.more.iter().any(|block| block.starts_with("server:")) {
            text.push_str("server: { threads: 2, runtime_dir: run, drain_delay: 0s, shutdown_grace: 1s }\n");
        }
        for block in &self.more {
            let _ = writeln!(text, "{block}");
        }
        text
    }

    /// Writes gateway.yaml and the certificate; answers with the file's path.
    pub fn write(&self) -> PathBuf {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.authority.write(self.directory(), "edge", &names);
        fs::create_dir_all(self.directory().join("run")).unwrap();
        let path = self.directory().join("gateway.yaml");
        fs::write(&path, self.text()).unwrap();
        path
    }

    /// Writes everything, starts the gateway and waits until it is ready.
    pub fn start(self) -> Gateway {
        Gateway::start(self)
    }

    /// Like [`start`](Self::start), but waits only until it lives: for scenes in which it can't be ready.
    pub fn start_unready(self) -> Gateway {
        Gateway::start_unready(self)
    }
}

/// `name:` and its items, the first line of each behind `lead` and the others under it.
fn section(text: &mut String, name: &str, lead: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "{name}:");
    let under = " ".repeat(lead.len());
    for item in items {
        for (at, line) in item.trim_end().lines().enumerate() {
            let _ = writeln!(text, "{}{line}", if at == 0 { lead } else { &under });
        }
    }
}
