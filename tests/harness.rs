//! The harness itself: a scene's verdict is worth what its pieces are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::peers::{LIBRARIES, content_encryptions, curves, key_algorithms, signing_algorithms};
use common::{Client, Issuer, Peers, Redis, Reply, Upstream};
use serde_json::{Value, json};

#[test]
fn the_upstream_records_what_was_sent_byte_for_byte() {
    let upstream = Upstream::start();
    let client = Client::plain(upstream.address(), "a.test");
    let head = b"POST /x%2F?q HTTP/1.1\r\nhost: a.test\r\nX_User:  a \r\nx-user: b\r\nContent-Length: 3\r\n\r\n";
    let answer = client.raw(&[head.as_slice(), b"abc"].concat()).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["target"], "/x%2F?q");
    let request = upstream.only();
    assert_eq!(request.raw_head, head);
    assert_eq!(request.body, b"abc");
    assert_eq!(request.values("X-USER"), ["b"]);
    assert_eq!(request.spellings("X-User"), ["X_User", "x-user"]);
    assert!(upstream.take().is_empty());
}

#[test]
fn the_upstream_reads_chunks_keeps_connections_and_can_stop() {
    let upstream = Upstream::start_with(|request| Reply { status: 201, fields: vec![], body: request.body.clone() });
    let client = Client::plain(upstream.address(), "a.test");
    let mut connection = client.connect().unwrap();
    for _ in 0..2 {
        connection
            .send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n")
            .unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (201, "abcd"));
    }
    upstream.stop();
    common::until("the port is closed", || client.connect().err());
}

#[test]
fn redis_freezes_thaws_dies_and_forgets() {
    let mut redis = Redis::start();
    redis.command::<()>(&["SET", "a", "1"]);
    redis.freeze();
    redis.thaw();
    assert_eq!(redis.keys(), [b"a"]);
    redis.kill();
    assert!(redis::Client::open(redis.url()).unwrap().get_connection().is_err());
    redis.restart();
    assert!(redis.keys().is_empty());
}

#[test]
fn a_client_believes_only_its_authority() {
    let authority = common::Authority::new("A");
    let files_in = tempfile::tempdir().unwrap();
    let files = authority.write(files_in.path(), "edge", &["a.test"]);
    let server = tls_server(&files);
    let client = Client::https(server, "a.test", &authority);
    assert_eq!(client.get("/", None).text(), "ok");
    assert!(client.clone().server_name(Some("b.test")).connect().is_err(), "another name");
    let stranger = Client::https(server, "a.test", &common::Authority::new("B"));
    assert!(stranger.connect().is_err(), "another authority");
}

/// A server that answers `ok` to the first request of each connection.
fn tls_server(files: &common::certs::CertificateFiles) -> std::net::SocketAddr {
    use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
    use std::io::{Read, Write};
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate_chain_file(&files.chain).unwrap();
    acceptor.set_private_key_file(&files.key, SslFiletype::PEM).unwrap();
    let (acceptor, listener) = (acceptor.build(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { continue };
            let _ = stream
                .read(&mut [0; 1024])
                .and_then(|_| stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        }
    });
    address
}

#[test]
fn local_issuers_sign_what_foreign_libraries_accept() {
    let peers = Peers::start();
    for alg in ["ES256", "RS256", "EdDSA", "HS256"] {
        let issuer = Issuer::new("corp", alg);
        let key = match alg {
            "HS256" => json!({ "kty": "oct", "k": common::issuer::encode(&issuer.key_file().1) }),
            _ => issuer.public_jwk(),
        };
        for library in LIBRARIES {
            let request = json!({ "op": "read", "alg": alg, "key": key, "token": issuer.token("alice") });
            let answer = peers.ask(library, request).unwrap_or_else(|fault| panic!("{alg}: {fault}"));
            assert_eq!(answer["header"]["kid"], "corp-1");
            let claims: Value = serde_json::from_str(answer["payload"].as_str().unwrap()).unwrap();
            assert_eq!(claims["sub"], "alice");
        }
    }
}

/// Each library reads what the next one made, for every algorithm: when a scene fails later, it is not for this.
#[test]
fn foreign_libraries_understand_each_other_in_every_algorithm() {
    let peers = Peers::start();
    for library in LIBRARIES {
        let about = peers.ask(library, json!({ "op": "about" })).unwrap();
        assert_eq!(about["lacks"][library], json!([]), "a gap must be known to the scenes");
    }
    for alg in signing_algorithms() {
        let (private, public) = peers.keygen("jwcrypto", alg, &json!({}));
        let sign = json!({ "op": "sign", "alg": alg, "key": private, "claims": { "sub": "é" } });
        round(&peers, &sign, &json!({ "op": "read", "alg": alg, "key": public.unwrap_or(private) }));
    }
    for alg in key_algorithms() {
        for enc in content_encryptions() {
            for crv in curves(alg) {
                let (private, public) = peers.keygen("jwcrypto", alg, &json!({ "enc": enc, "crv": crv }));
                let key = public.unwrap_or(private.clone());
                let encrypt = json!({ "op": "encrypt", "alg": alg, "enc": enc, "key": key, "claims": { "sub": "é" } });
                round(&peers, &encrypt, &json!({ "op": "read", "alg": alg, "enc": enc, "key": private }));
            }
        }
    }
}

fn round(peers: &Peers, mint: &Value, read: &Value) {
    for (at, maker) in LIBRARIES.into_iter().enumerate() {
        let reader = LIBRARIES[(at + 1) % LIBRARIES.len()];
        let mut read = read.clone();
        read["token"] = json!(peers.token(maker, mint));
        let answer = peers.ask(reader, read).unwrap_or_else(|fault| panic!("{mint}: {maker} to {reader}: {fault}"));
        let claims: Value = serde_json::from_str(answer["payload"].as_str().unwrap()).unwrap();
        assert_eq!(claims, mint["claims"], "{mint}: {maker} to {reader}");
    }
}
