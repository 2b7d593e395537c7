//! Revocations of the embedded store: in a file that survives a restart, or not at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;
mod revocation;

use common::tollgate;
use revocation::{LENIENT, LOGOUT, STRICT, Scene, call, notify, post_form, revoke, status, take_back};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn what_was_revoked_is_refused_after_a_restart_and_a_torn_line_is_told_of() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("revocations");
    let scene = Scene::new(&format!("embedded: {{}}\nrevocations_file: {}", file.display()));
    let token = |jti: &str| scene.token("alice", &json!({ "jti": jti }));
    let [dead, restored, good] = ["dead", "restored", "good"].map(token);
    let mut gateway = scene.gateway();
    assert_eq!([&dead, &restored, &good].map(|token| status(&gateway, STRICT, token)), [200; 3]);
    revoke(&gateway, &json!({ "issuer": "corp", "jti": "dead" }));
    let id = revoke(&gateway, &json!({ "issuer": "corp", "jti": "restored" }));
    take_back(&gateway, &id);
    assert_eq!([&dead, &restored, &good].map(|token| status(&gateway, STRICT, token)), [401, 200, 200]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    gateway.signal("KILL");
    let _ = gateway.stop();
    let mut torn = fs::OpenOptions::new().append(true).open(&file).unwrap();
    torn.write_all(b"revoked 00000000000000").unwrap();
    let again = scene.gateway();
    assert_eq!([&dead, &restored, &good].map(|token| status(&again, STRICT, token)), [401, 200, 200]);
    assert!(again.log().contains("was torn"), "{}", again.log());
    assert_eq!(notify(&again, &format!("logout_token={}", scene.notice(&json!({ "sub": "alice" })))).status, 200);
    assert_eq!(status(&again, LENIENT, &good), 401);
}

#[test]
fn a_file_with_a_hole_keeps_the_gateway_from_starting() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("revocations");
    fs::write(&file, "rubbish\n").unwrap();
    let scene = Scene::new(&format!("embedded: {{}}\nrevocations_file: {}", file.display()));
    let config = scene.config();
    config.write();
    let output = tollgate(config.directory(), &["run", "-c", "gateway.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("line 1 is no record"), "{said}");
}

#[test]
fn without_a_file_nothing_can_be_revoked_and_nobody_is_told_otherwise() {
    let scene = Scene::new("embedded: {}");
    let gateway = scene.gateway();
    let token = scene.token("alice", &json!({ "jti": "t" }));
    let body = json!({ "issuer": "corp", "jti": "t" });
    for (method, body) in [("POST", &body), ("GET", &Value::Null)] {
        let refused = call(&gateway, method, "/api/revocations", body);
        assert!(refused.status == 409 && refused.text().contains("revocations_file"), "{}", refused.text());
    }
    assert_eq!(call(&gateway, "DELETE", "/api/revocations/00000000000000000000000000000001", &Value::Null).status, 409);
    assert_eq!(post_form(&gateway, "/api/revoke", &format!("token={token}")).status, 409);
    assert_eq!(notify(&gateway, &format!("logout_token={}", scene.notice(&json!({ "sub": "alice" })))).status, 400);
    assert_eq!([status(&gateway, LENIENT, &token), status(&gateway, STRICT, &token)], [200; 2]);
    assert!(LOGOUT.starts_with("/.tollgate/"));
}
