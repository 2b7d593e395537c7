//! The other contestants, and the upstream of all: each with one thread, without logs.

use crate::common::process::{Process, peer};
use crate::common::{HOST, Issuer, ports, until};
use crate::tokens::SUBJECT;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// A contestant that is not ours.
pub struct Peer {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Peer {
    /// Starts `command` and waits until it listens on `address`.
    pub fn start(mut command: Command, address: SocketAddr) -> Self {
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
        until(&format!("{address} is listened on"), || {
            assert!(process.ended().is_none(), "{} ended", command.get_program().display());
            TcpStream::connect(address).ok()
        });
        Self { process, address }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Files of a contestant: its certificate, `edge.pem` and `edge.key`, is there already.
pub struct Place<'p> {
    /// The directory.
    pub directory: &'p Path,
    /// Where the upstream is.
    pub upstream: SocketAddr,
}

impl Place<'_> {
    fn write(&self, name: &str, content: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

fn nginx(place: &Place<'_>, name: &str, server: &str) -> Command {
    let (directory, upstream) = (place.directory.display(), place.upstream);
    let configuration = format!(
        "daemon off; master_process off; error_log stderr crit; pid {directory}/{name}.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; \
         client_body_temp_path {directory}/{name}.body; proxy_temp_path {directory}/{name}.proxy; \
         fastcgi_temp_path {directory}/{name}.fcgi; uwsgi_temp_path {directory}/{name}.uwsgi; scgi_temp_path {directory}/{name}.scgi;\n\
         upstream legacy {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ {server} }} }}\n"
    );
    let mut command = Command::new(peer("bin/nginx"));
    command.args(["-c", &place.write(&format!("{name}.conf"), &configuration), "-e", "stderr", "-p"]);
    command.arg(place.directory);
    command
}

/// The legacy service: answers with whom it was told, and nothing else. At `/auth` it says yes to whoever asks.
pub fn upstream(place: &Place<'_>) -> Peer {
    let listen = place.upstream;
    let server = format!(
        "listen {listen} backlog=1024; location / {{ return 200 \"$http_x_user_id\"; }} \
         location = /auth {{ add_header X-User-Id {SUBJECT}; return 204; }}"
    );
    Peer::start(nginx(place, "upstream", &server), listen)
}

/// nginx as a proxy that sets one header and checks nothing.
pub fn nginx_proxy(place: &Place<'_>) -> Peer {
    nginx_edge(place, "proxy", "", SUBJECT, "")
}

/// nginx as a proxy that asks another service before each request, as token checks beside a proxy work. The service says
/// yes without a look, and its own time is not counted: this is the least that the way there costs.
pub fn nginx_auth_request(place: &Place<'_>) -> Peer {
    let ask = "auth_request /auth; auth_request_set $user $upstream_http_x_user_id;";
    let way = "location = /auth { internal; proxy_pass http://legacy; proxy_http_version 1.1; \
               proxy_set_header Connection \"\"; proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }";
    nginx_edge(place, "auth", ask, "$user", way)
}

fn nginx_edge(place: &Place<'_>, name: &str, ask: &str, user: &str, way: &str) -> Peer {
    let address = ports::free();
    let (chain, key) = (place.path("edge.pem"), place.path("edge.key"));
    let server = format!(
        "listen {address} ssl; ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; \
         location / {{ {ask} proxy_pass http://legacy; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_set_header Host $host; proxy_set_header X-User-Id {user}; }} {way}"
    );
    Peer::start(nginx(place, name, &server), address)
}

/// HAProxy with the checks that its converters allow: algorithm, signature, issuer, audience, expiry.
pub fn haproxy(place: &Place<'_>, issuer: &Issuer) -> Peer {
    let address = ports::free();
    let certificate = [fs::read_to_string(place.path("edge.pem")), fs::read_to_string(place.path("edge.key"))];
    let certificate = place.write("haproxy.pem", &certificate.map(Result::unwrap).concat());
    let key = place.write("issuer.pem", &public_pem(&issuer.public_jwk()));
    let (iss, audience, upstream) = (&issuer.iss, &issuer.audience, place.upstream);
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  \
         option http-keep-alive\n  http-reuse always\n\
         frontend edge\n  bind {address} ssl crt {certificate} alpn http/1.1 ssl-min-ver TLSv1.2\n\
         \x20 http-request set-var(txn.token) http_auth_bearer\n\
         \x20 http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {iss} }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {audience} }}\n\
         \x20 http-request set-var(txn.now) date()\n\
         \x20 http-request deny deny_status 401 if {{ var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now) -m int lt 0 }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,\"{key}\") -m int 1 }}\n\
         \x20 http-request set-header X-User-Id %[var(txn.token),jwt_payload_query('$.sub')]\n\
         \x20 http-request del-header Authorization\n\
         \x20 default_backend legacy\n\
         backend legacy\n  server legacy {upstream}\n"
    );
    let mut command = Command::new(peer("bin/haproxy"));
    command.args(["-db", "-q", "-f", &place.write("haproxy.cfg", &text)]);
    Peer::start(command, address)
}

/// Envoy's JWT filter: issuer, audience, expiry, signature; with `cache`, it remembers the tokens it has verified.
pub fn envoy(place: &Place<'_>, issuer: &Issuer, cache: bool) -> Peer {
    let address = ports::free();
    let name = if cache { "envoy-cache" } else { "envoy" };
    let mut provider = json!({
        "issuer": issuer.iss, "audiences": [issuer.audience], "forward": false,
        "local_jwks": { "inline_string": issuer.jwks().to_string() },
        "claim_to_headers": [{ "header_name": "x-user-id", "claim_name": "sub" }],
    });
    if cache {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": 100_000 });
    }
    let configuration = json!({ "static_resources": {
        "listeners": [{ "name": "edge", "address": socket(address), "filter_chains": [chain(place, &provider)] }],
        "clusters": [{
            "name": "legacy", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": { "cluster_name": "legacy", "endpoints": [{ "lb_endpoints": [
                { "endpoint": { "address": socket(place.upstream) } }] }] },
        }],
    }});
    let mut command = Command::new(peer("bin/envoy"));
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]);
    command.arg(place.write(&format!("{name}.json"), &configuration.to_string()));
    Peer::start(command, address)
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn chain(place: &Place<'_>, provider: &Value) -> Value {
    const TYPES: &str = "type.googleapis.com/envoy.extensions.filters.http";
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": [HOST],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "legacy" } }] }] },
        "http_filters": [
            { "name": "envoy.filters.http.jwt_authn", "typed_config": {
                "@type": format!("{TYPES}.jwt_authn.v3.JwtAuthentication"),
                "providers": { "corp": provider },
                "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "corp" } }],
            }},
            { "name": "envoy.filters.http.router", "typed_config": { "@type": format!("{TYPES}.router.v3.Router") } },
        ],
    });
    json!({
        "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": { "tls_certificates": [{
                "certificate_chain": { "filename": place.path("edge.pem") },
                "private_key": { "filename": place.path("edge.key") },
            }]},
        }},
        "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
    })
}

/// A P-256 JWK as PEM.
fn public_pem(jwk: &Value) -> String {
    use base64::Engine as _;
    let number = |name: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        openssl::bn::BigNum::from_slice(&bytes).unwrap()
    };
    let group = openssl::ec::EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = EcKey::from_public_key_affine_coordinates(&group, &number("x"), &number("y")).unwrap();
    String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
}
