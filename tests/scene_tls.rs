//! The TLS side as others see it: what scanners find, which key exchanges are offered, what is stapled.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Config, Gateway, HOST, Issuer, Upstream, peer, repository_file};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use serde_json::Value;

/// What is wrong with a response, as `tests/peers/ocsp.py` names its file, and what is said of it.
const NOT_STAPLED: [(&str, &str); 10] = [
    ("nonsense", "no OCSP response"),
    ("busy", "gave no answer"),
    ("foreign", "another certificate"),
    ("forged", "not signed by the authority"),
    ("usurped", "not signed by the authority"),
    ("revoked", "not call the certificate good"),
    ("unknown", "not call the certificate good"),
    ("endless", "nextUpdate"),
    ("stale", "its time is over"),
    ("early", "its time is over"),
];

fn config(issuer: &Issuer, upstream: &Upstream) -> Config {
    let route = "name: all\nmatch: { path: \"/{*rest}\" }\nupstream: far\naccess: { issuers: [corp] }";
    Config::new().issuer(issuer).upstream("far", upstream).route(route)
}

/// A gateway with a certificate, an authority and OCSP responses made by `cryptography`.
fn gateway() -> (Gateway, Upstream) {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let config = config(&issuer, &upstream).tls("ocsp_staple: staple.der").file("staple.der", "nothing yet");
    let gateway = config.start();
    assert!(gateway.log().contains("the OCSP response is not stapled"), "a bad one is told of, and stops nothing");
    let made = Command::new(peer("venv/bin/python"))
        .arg(repository_file("tests/peers/ocsp.py"))
        .args([gateway.directory().to_str().unwrap(), HOST])
        .status();
    assert!(made.unwrap().success());
    for kind in ["pem", "key"] {
        let file = |name: &str| gateway.directory().join(format!("{name}.{kind}"));
        fs::rename(file("new"), file("edge")).unwrap();
    }
    staple(&gateway, "good");
    (gateway, upstream)
}

/// Puts the response of this case in its place, and has it read.
fn staple(gateway: &Gateway, case: &str) {
    let directory = gateway.directory();
    fs::copy(directory.join(format!("{case}.der")), directory.join("staple.new")).unwrap();
    fs::rename(directory.join("staple.new"), directory.join("staple.der")).unwrap();
    let report = gateway.admin().reload();
    assert_eq!(report["outcome"], "applied", "{report}");
}

/// What OpenSSL's own client says of a handshake in which it asks for a staple.
fn handshake(gateway: &Gateway) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-status", "-servername", HOST, "-verify_return_error", "-CAfile", "ca.pem", "-connect"])
        .arg(gateway.https_address().to_string())
        .current_dir(gateway.directory())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Verify return code: 0"), "{said}");
    said
}

#[test]
fn a_response_is_stapled_while_it_helps_and_told_of_when_it_does_not() {
    let (gateway, _upstream) = gateway();
    for case in ["good", "delegated"] {
        staple(&gateway, case);
        let said = handshake(&gateway);
        assert!(said.contains("OCSP Response Status: successful") && said.contains("Cert Status: good"), "{said}");
    }
    for (case, reason) in NOT_STAPLED {
        staple(&gateway, case);
        let said = handshake(&gateway);
        assert!(said.contains("OCSP response: no response sent"), "{case}: {said}");
        let log = gateway.log();
        let last = log.lines().rfind(|line| line.contains("is not stapled")).unwrap_or_default();
        assert!(last.contains(reason), "{case}: {last}");
    }
}

/// Whether a client that can do nothing but `groups` gets through.
fn agrees(gateway: &Gateway, groups: &str) -> bool {
    let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_groups_list(groups).unwrap();
    builder.build().connect(HOST, TcpStream::connect(gateway.https_address()).unwrap()).is_ok()
}

#[test]
fn the_key_exchange_is_hybrid_where_the_library_knows_it_and_never_weak() {
    let (issuer, upstream) = (Issuer::new("corp", "ES256"), Upstream::start());
    let gateway = config(&issuer, &upstream).start();
    for groups in ["X25519", "P-256", "P-384"] {
        assert!(agrees(&gateway, groups), "{groups}");
    }
    assert!(!agrees(&gateway, "P-521") && !agrees(&gateway, "ffdhe2048"));
    // OpenSSL 3.5 brought it. The client here is built with the same library as the gateway.
    if openssl::version::number() >= 0x3050_0000 {
        assert!(agrees(&gateway, "X25519MLKEM768"), "{}", openssl::version::version());
    }
}

#[test]
fn sslyze_finds_mozillas_intermediate_profile_but_for_the_private_authority() {
    let (gateway, _upstream) = gateway();
    let output = Command::new(peer("sslyze/bin/python"))
        .args(["-m", "sslyze", "--mozilla_config", "intermediate"])
        .arg(format!("{HOST}:{}{{127.0.0.1}}", gateway.https_address().port()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let (_, verdict) = said.split_once("COMPLIANCE AGAINST TLS CONFIGURATION").unwrap_or_else(|| panic!("{said}"));
    let faults: Vec<&str> = verdict.lines().map(str::trim).filter(|line| line.starts_with('*')).collect();
    assert!(verdict.contains("OK - Compliant") || !faults.is_empty(), "{verdict}");
    let private = |fault: &&str| fault.starts_with("* certificate_path_validation:");
    assert!(faults.iter().all(private), "{faults:#?}");
    // What it checks one by one and does not judge by the profile.
    assert!(!said.contains("VULNERABLE") && !said.contains("NOT OK"), "{said}");
}

#[test]
fn testssl_finds_nothing_above_low() {
    let (gateway, _upstream) = gateway();
    let report = gateway.directory().join("testssl.json");
    let status = Command::new("testssl")
        .args(["--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--headers", "--vulnerable"])
        .args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--add-ca", "ca.pem"])
        .arg("--jsonfile")
        .arg(&report)
        .arg(format!("{HOST}:{}", gateway.https_address().port()))
        .current_dir(gateway.directory())
        .stdout(Stdio::null())
        .status()
        .expect("testssl: run tests/run, which installs what the tests need");
    let found = findings(&report);
    assert!(found.len() > 60, "{status}: it looked at {} things", found.len());
    let serious = |finding: &&Value| matches!(finding["severity"].as_str(), Some("MEDIUM" | "HIGH" | "CRITICAL"));
    let serious: Vec<_> = found.iter().filter(serious).collect();
    assert!(serious.is_empty(), "{status}: {serious:#?}");
}

fn findings(report: &Path) -> Vec<Value> {
    let text = fs::read_to_string(report).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{fault} in {text}"))
}
