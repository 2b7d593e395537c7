//! Stolen tokens that are bound to a client certificate (RFC 8705): over another client's certificate, over none, over
//! one that is revoked; and certificates told by a proxy (RFC 9440).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use common::certs::Authority;
use common::issuer::encode;
use common::{Answer, Client, Config, Gateway, Issuer, Upstream, reason};
use openssl::asn1::Asn1Time;
use openssl::base64::encode_block;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

type Identity = (X509, PKey<Private>);

const PATH: &str = "/orders/17";
const INVALID_TOKEN: &str = r#"Bearer realm="orders", error="invalid_token""#;

fn config(issuer: &Issuer, upstream: &Upstream, access: &str) -> Config {
    Config::new().issuer(issuer).upstream("echo", upstream).route(&format!(
        "name: orders\nmatch: {{ hosts: [api.example.test], path: \"/orders/{{id}}\" }}\nupstream: echo\n\
         access: {{ issuers: [corp]{access} }}\nidentity: {{ headers: {{ X-User-Id: {{ claim: sub }} }} }}"
    ))
}

/// A gateway that asks for certificates, two clients that have one, and the token of the first.
struct Scene {
    gateway: Gateway,
    issuer: Issuer,
    upstream: Upstream,
    victim: Identity,
    thief: Identity,
}

impl Scene {
    fn new(mode: &str, access: &str) -> Self {
        let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
        let gateway = config(&issuer, &upstream, access).client_certificates(mode, &clients, "").start();
        let (victim, thief) = (clients.issue(&["victim"]), clients.issue(&["thief"]));
        Self { gateway, issuer, upstream, victim, thief }
    }

    fn token(&self) -> String {
        bound_token(&self.issuer, &self.victim)
    }

    fn client(&self, identity: Option<&Identity>) -> Client {
        let client = self.gateway.client();
        identity.map_or_else(|| client.clone(), |identity| client.clone().certificate(identity))
    }

    fn assert_refused(&self, answer: &Answer, reason: &str) {
        assert_refused(&self.gateway, answer, reason);
        assert!(self.upstream.take().is_empty(), "a refused request reached the upstream");
    }
}

fn assert_refused(gateway: &Gateway, answer: &Answer, wanted: &str) {
    let challenge = answer.header("WWW-Authenticate").unwrap_or_default();
    assert_eq!((answer.status, reason(gateway, answer).as_str(), challenge), (401, wanted, INVALID_TOKEN));
}

fn thumbprint((certificate, _): &Identity) -> String {
    encode(&sha256(&certificate.to_der().unwrap()))
}

fn bound_token(issuer: &Issuer, owner: &Identity) -> String {
    let mut claims = issuer.claims("alice");
    claims["cnf"] = json!({ "x5t#S256": thumbprint(owner) });
    issuer.sign(&claims)
}

#[test]
fn a_stolen_token_over_another_clients_certificate() {
    let scene = Scene::new("optional", "");
    let token = scene.token();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let get = |identity| scene.client(identity).tls_version(version).get(PATH, Some(&token));
        let answer = get(Some(&scene.victim));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(scene.upstream.only().values("X-User-Id"), ["alice"]);
        scene.assert_refused(&get(Some(&scene.thief)), "binding_mismatch");
        scene.assert_refused(&get(None), "binding_missing");
    }
}

#[test]
fn the_certificate_holds_for_every_request_of_its_connection_and_no_other() {
    let scene = Scene::new("optional", ", binding: mtls");
    let (token, unbound) = (scene.token(), scene.issuer.token("bob"));
    let mut connection = scene.client(Some(&scene.victim)).connect().unwrap();
    assert_eq!(connection.get(PATH, Some(&token)).unwrap().status, 200);
    assert_eq!(connection.get(PATH, Some(&token)).unwrap().status, 200);
    scene.upstream.take();
    let answer = connection.get(PATH, Some(&unbound)).unwrap();
    scene.assert_refused(&answer, "binding_missing");
    let nobody = connection.get(PATH, None).unwrap();
    assert_eq!(nobody.headers("WWW-Authenticate").collect::<Vec<_>>(), [r#"Bearer realm="orders""#]);
}

#[test]
fn over_http_2_the_certificate_counts_for_every_stream() {
    let scene = Scene::new("optional", "");
    let (directory, token) = (tempfile::tempdir().unwrap(), scene.token());
    let write = |name: &str, pem: Vec<u8>| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let curl = |(certificate, key): &Identity| {
        let chain = write("client.pem", certificate.to_pem().unwrap());
        let key = write("client.key", key.private_key_to_pem_pkcs8().unwrap());
        let authorization = format!("Authorization: Bearer {token}");
        scene.gateway.client().curl(PATH, &["--cert", &chain, "--key", &key, "-H", &authorization])
    };
    assert_eq!(curl(&scene.victim).status, 200);
    scene.upstream.take();
    scene.assert_refused(&curl(&scene.thief), "binding_mismatch");
}

#[test]
fn a_client_can_not_tell_a_certificate_of_its_own() {
    let scene = Scene::new("optional", "");
    let (authorization, field) = (format!("Bearer {}", scene.token()), client_cert(&scene.victim));
    let fields = [("Authorization", authorization.as_str()), ("Client-Cert", field.as_str())];
    let answer = scene.client(Some(&scene.thief)).request("GET", PATH, &fields, b"");
    scene.assert_refused(&answer, "binding_mismatch");
    let answer = scene.client(None).request("GET", PATH, &fields, b"");
    scene.assert_refused(&answer, "binding_missing");
}

#[test]
fn where_certificates_are_required_no_handshake_succeeds_without_a_sound_one() {
    let scene = Scene::new("required", "");
    let token = scene.token();
    assert_eq!(scene.client(Some(&scene.victim)).get(PATH, Some(&token)).status, 200);
    scene.upstream.take();
    let stranger = Authority::new("Strangers").issue(&["victim"]);
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        for identity in [None, Some(&stranger)] {
            let client = scene.client(identity).tls_version(version);
            // Under TLS 1.3 the client learns of it with its first read.
            let failed = client.connect().and_then(|mut connection| connection.get(PATH, Some(&token)));
            assert!(failed.is_err(), "{version:?}: {failed:?}");
        }
    }
    assert!(scene.upstream.take().is_empty());
}

#[test]
fn a_revoked_or_foreign_certificate_is_worth_less_than_none() {
    let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
    let (good, revoked) = (clients.issue(&["good"]), clients.issue(&["revoked"]));
    let gateway = config(&issuer, &upstream, "")
        .client_certificates("optional", &clients, ", crl: clients.crl")
        .file("clients.crl", clients.revocations(&[&revoked.0]))
        .start();
    let get = |identity: &Identity| {
        let token = bound_token(&issuer, identity);
        let connection = gateway.client().certificate(identity).connect();
        connection.and_then(|mut connection| connection.get(PATH, Some(&token))).map(|answer| answer.status)
    };
    assert_eq!(get(&good).unwrap(), 200);
    assert!(get(&revoked).is_err());
    assert!(get(&Authority::new("Clients").issue(&["good"])).is_err());
    assert_eq!(upstream.take().len(), 1);
}

#[test]
fn a_revoked_authority_between_root_and_client_takes_its_certificates_along() {
    let (issuer, upstream, root) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Root"));
    let (sound, stolen) = (root.subordinate("Sound"), root.subordinate("Stolen"));
    let (good, forged) = (sound.issue(&["good"]), stolen.issue(&["forged"]));
    let authorities = [root.pem(), sound.pem(), stolen.pem()].concat();
    let lists =
        |revoked: &[&X509]| [root.revocations(revoked), sound.revocations(&[]), stolen.revocations(&[])].concat();
    let gateway = config(&issuer, &upstream, "")
        .client_certificates("optional", &root, ", crl: clients.crl")
        .file("clients.pem", authorities)
        .file("clients.crl", lists(&[]))
        .start();
    let get = |identity: &Identity| {
        let token = bound_token(&issuer, identity);
        let connection = gateway.client().certificate(identity).connect();
        connection.and_then(|mut connection| connection.get(PATH, Some(&token))).map(|answer| answer.status)
    };
    assert_eq!((get(&good).unwrap(), get(&forged).unwrap()), (200, 200));
    std::fs::write(gateway.directory().join("clients.crl"), lists(&[&stolen.certificate])).unwrap();
    common::until("the list is in force", || get(&forged).is_err().then_some(()));
    assert_eq!(get(&good).unwrap(), 200);
}

#[test]
fn a_certificate_that_is_revoked_counts_no_more_on_connections_that_are_open() {
    let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
    let (good, stolen) = (clients.issue(&["good"]), clients.issue(&["stolen"]));
    let gateway = config(&issuer, &upstream, "")
        .client_certificates("optional", &clients, ", crl: clients.crl")
        .file("clients.crl", clients.revocations(&[]))
        .start();
    let open = |identity: &Identity| (gateway.client().certificate(identity).connect().unwrap(), identity.clone());
    let mut connections = [open(&good), open(&stolen)];
    let mut ask = |which: usize| {
        let (connection, identity) = &mut connections[which];
        connection.get(PATH, Some(&bound_token(&issuer, identity))).unwrap()
    };
    assert_eq!((ask(0).status, ask(1).status), (200, 200));
    upstream.take();
    std::fs::write(gateway.directory().join("clients.crl"), clients.revocations(&[&stolen.0])).unwrap();
    common::until("the list is in force", || (ask(1).status != 200).then_some(()));
    upstream.take();
    assert_refused(&gateway, &ask(1), "binding_missing");
    assert!(upstream.take().is_empty());
    assert_eq!(ask(0).status, 200, "a list that names another does not cut this one off");
}

/// A connection over HTTP/2, on which requests are written as frames.
struct Streams(SslStream<TcpStream>, u8);

impl Streams {
    fn open(gateway: &Gateway, (certificate, key): &Identity) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_alpn_protos(b"\x02h2").unwrap();
        builder.set_certificate(certificate).unwrap();
        builder.set_private_key(key).unwrap();
        let socket = TcpStream::connect(gateway.https_address()).unwrap();
        let mut stream = builder.build().connect(common::HOST, socket).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        Self(stream, 1)
    }

    /// One `GET /` without a token; whether it was answered at all.
    fn is_answered(&mut self) -> bool {
        let number = self.1;
        self.1 += 2;
        let head = [0, 0, 21, 1, 5, 0, 0, 0, number];
        let request = [&head[..], b"\x82\x87\x84\x01\x10api.example.test"].concat();
        let end = [0, 1, 0, 0, 0, number];
        if self.0.write_all(&request).is_err() {
            return false;
        }
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(more @ 1..) = self.0.read(&mut buffer) {
            read.extend_from_slice(&buffer[..more]);
            if read.windows(end.len()).any(|part| part == end) {
                return true;
            }
        }
        false
    }
}

#[test]
fn where_certificates_are_required_a_revoked_one_takes_its_connections_along() {
    let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
    let (good, stolen) = (clients.issue(&["good"]), clients.issue(&["stolen"]));
    let gateway = config(&issuer, &upstream, "")
        .client_certificates("required", &clients, ", crl: clients.crl")
        .file("clients.crl", clients.revocations(&[]))
        .start();
    let open = |identity: &Identity| gateway.client().certificate(identity).connect().unwrap();
    let (mut sound, mut kept, mut late) = (open(&good), open(&stolen), open(&stolen));
    let (mut sound_streams, mut streams) = (Streams::open(&gateway, &good), Streams::open(&gateway, &stolen));
    let token = issuer.token("alice");
    for connection in [&mut sound, &mut kept, &mut late] {
        assert_eq!(connection.get(PATH, Some(&token)).unwrap().status, 200);
    }
    assert!(sound_streams.is_answered() && streams.is_answered());
    upstream.take();
    std::fs::write(gateway.directory().join("clients.crl"), clients.revocations(&[&stolen.0])).unwrap();
    common::until("the list is in force", || kept.get(PATH, Some(&token)).is_err().then_some(()));
    upstream.take();
    assert!(late.get(PATH, Some(&token)).is_err(), "the connection is closed without an answer");
    assert!(!streams.is_answered(), "over HTTP/2 too");
    assert!(upstream.take().is_empty());
    assert_eq!(sound.get(PATH, Some(&token)).unwrap().status, 200);
    assert!(sound_streams.is_answered());
}

#[test]
fn a_certificate_that_ends_counts_no_more_on_connections_that_are_open() {
    let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
    let brief = clients.issue_until(&["brief"], &Asn1Time::from_unix(common::unix_now() + 8).unwrap());
    let gateway = config(&issuer, &upstream, "").client_certificates("optional", &clients, "").start();
    let mut connection = gateway.client().certificate(&brief).connect().unwrap();
    let token = bound_token(&issuer, &brief);
    assert_eq!(connection.get(PATH, Some(&token)).unwrap().status, 200);
    common::until("the certificate has ended", || {
        let answer = connection.get(PATH, Some(&token)).unwrap();
        (answer.status == 401).then(|| assert_refused(&gateway, &answer, "binding_missing"))
    });
}

#[test]
fn sessions_of_a_listener_with_certificates_are_never_resumed() {
    let asking = Scene::new("optional", "");
    let client = asking.client(Some(&asking.victim));
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        assert!(!client.clone().tls_version(version).can_resume(), "{version:?}");
    }
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let plain = config(&issuer, &upstream, "").start();
    assert!(plain.client().tls_version(SslVersion::TLS1_3).can_resume(), "the probe sees tickets where there are any");
}

fn client_cert((certificate, _): &Identity) -> String {
    format!(":{}:", encode_block(&certificate.to_der().unwrap()))
}

/// A listener behind proxies in `network`, which tell their clients' certificates.
fn behind_proxies(issuer: &Issuer, upstream: &Upstream, network: &str) -> Gateway {
    let proxies = Authority::new("Proxies");
    config(issuer, upstream, "")
        .listener("client_certificate_header: Client-Cert")
        .listener(&format!("trusted_proxies: [\"{network}\"]"))
        .client_certificates("optional", &proxies, "")
        .start()
}

#[test]
fn a_trusted_proxy_tells_its_clients_certificate() {
    let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
    let (victim, thief) = (clients.issue(&["victim"]), clients.issue(&["thief"]));
    let gateway = behind_proxies(&issuer, &upstream, "127.0.0.0/8");
    let authorization = format!("Bearer {}", bound_token(&issuer, &victim));
    let tell = |told: &[&str]| {
        let mut fields = vec![("Authorization", authorization.as_str())];
        fields.extend(told.iter().map(|field| ("Client-Cert", *field)));
        gateway.client().request("GET", PATH, &fields, b"")
    };
    let (by_victim, by_thief) = (client_cert(&victim), client_cert(&thief));
    assert_eq!(tell(&[&by_victim]).status, 200);
    assert!(upstream.only().spellings("Client-Cert").is_empty());
    assert_refused(&gateway, &tell(&[&by_thief]), "binding_mismatch");
    for told in [&[][..], &[by_victim.as_str(), by_thief.as_str()], &["nonsense"], &[":AAAA:"]] {
        assert_refused(&gateway, &tell(told), "binding_missing");
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn a_peer_that_is_no_trusted_proxy_tells_nothing() {
    let (issuer, upstream, clients) = (Issuer::new("corp", "ES256"), Upstream::start(), Authority::new("Clients"));
    let victim = clients.issue(&["victim"]);
    let gateway = behind_proxies(&issuer, &upstream, "192.0.2.0/24");
    let (authorization, field) = (format!("Bearer {}", bound_token(&issuer, &victim)), client_cert(&victim));
    let fields = [("Authorization", authorization.as_str()), ("Client-Cert", field.as_str())];
    assert_refused(&gateway, &gateway.client().request("GET", PATH, &fields, b""), "binding_missing");
}

#[test]
fn explain_takes_the_certificate_from_the_question() {
    let scene = Scene::new("optional", "");
    let token = scene.token();
    let ask = |certificate: Option<&Identity>| {
        let mut request = json!({ "url": format!("https://api.example.test{PATH}"), "token": token });
        if let Some((certificate, _)) = certificate {
            request["client_certificate"] = json!(String::from_utf8(certificate.to_pem().unwrap()).unwrap());
        }
        let told = scene.gateway.admin().explain(&request);
        (told["outcome"].as_str().unwrap().to_owned(), told["reason"].as_str().map(str::to_owned))
    };
    assert_eq!(ask(Some(&scene.victim)), ("allowed".to_owned(), None));
    assert_eq!(ask(Some(&scene.thief)), ("denied".to_owned(), Some("binding_mismatch".to_owned())));
    assert_eq!(ask(None), ("denied".to_owned(), Some("binding_missing".to_owned())));
}

#[test]
fn a_weak_or_old_authentication_is_asked_to_step_up() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let asked = ", step_up: { acr_values: [\"urn:loa:2\", \"urn:loa:3\"], max_age: 10m, amr: [otp] }";
    let gateway = config(&issuer, &upstream, asked).start();
    let get = |acr: &str, age: i64, amr: &str| {
        let mut claims = issuer.claims("alice");
        claims["acr"] = json!(acr);
        claims["auth_time"] = json!(common::unix_now() - age);
        claims["amr"] = json!([amr]);
        gateway.client().get(PATH, Some(&issuer.sign(&claims)))
    };
    assert_eq!(get("urn:loa:3", 300, "otp").status, 200);
    let challenge = r#"Bearer realm="orders", error="insufficient_user_authentication", acr_values="urn:loa:2 urn:loa:3", max_age=600"#;
    for weak in [get("urn:loa:1", 300, "otp"), get("urn:loa:2", 700, "otp"), get("urn:loa:2", 300, "pwd")] {
        assert_eq!((weak.status, reason(&gateway, &weak).as_str()), (401, "step_up_required"));
        assert_eq!(weak.header("WWW-Authenticate"), Some(challenge));
    }
}
