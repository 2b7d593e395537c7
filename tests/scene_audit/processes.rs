//! Two processes and one log, a file that may not grow, and routes that only report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::common::{Gateway, Issuer, Upstream, until};
use crate::log::{Log, assert_whole, config, counted, head_in, issuer, last_head};

/// Sets the largest size a file of the process may have.
fn limit_files(gateway: &Gateway, size: &str) {
    let (pid, size) = (gateway.pid().to_string(), format!("--fsize={size}:unlimited"));
    let set = Command::new("prlimit").args(["--pid", &pid, &size]).status().unwrap();
    assert!(set.success());
}

#[test]
fn a_file_that_may_not_grow_stops_nobody_and_goes_on_when_it_may() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), "", &issuer, &upstream).start();
    let mut connection = gateway.client().connect().unwrap();
    assert_eq!(connection.get("/again", None).unwrap().status, 401);
    until("it is written", || (counted(&gateway, "written") == 1).then_some(()));
    // Less than the file and the log have already: each further byte is refused, by a signal that would end the process.
    limit_files(&gateway, "64");
    for _ in 0..20 {
        assert_eq!(connection.get("/again", None).unwrap().status, 401);
    }
    until("every record is counted as failed", || (counted(&gateway, "failed") == 20).then_some(()));
    let lost = |gateway: &Gateway| gateway.admin().metrics().count("tollgate_log_lines_lost_total", &[]);
    until("lines of the log are counted too", || (lost(&gateway) >= 20).then_some(()));
    assert!(gateway.admin().get("/readyz").text().contains("the audit log can't be written"));
    limit_files(&gateway, "unlimited");
    until("it is written again", || {
        assert_eq!(connection.get("/again", None).unwrap().status, 401);
        (counted(&gateway, "written") > 1).then_some(())
    });
    drop(connection);
    assert!(gateway.stop().success());
    let gap = log.records().into_iter().find(|record| record["kind"] == "gap").unwrap();
    assert!(gap["lost"].as_u64().unwrap() >= 20, "{gap}");
    assert_whole(&log.verify(&["--head", &last_head(&gateway)]));
}

#[test]
fn an_upgrade_leaves_two_chains_and_loses_no_record() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), "", &issuer, &upstream).start();
    let client = gateway.client();
    let (done, answered) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = client.get("/again", None);
                    answered.lock().unwrap().push(answer.header("x-request-id").unwrap().to_owned());
                }
            });
        }
        let answered = |more: usize| {
            let before = answered.lock().unwrap().len();
            until("there is load", || (answered.lock().unwrap().len() > before + more).then_some(()));
        };
        answered(50);
        let mut old = gateway.upgrade();
        assert!(old.wait("the old process ends").success());
        answered(50);
        done.store(true, Ordering::Relaxed);
    });
    gateway.stop();
    let second = PathBuf::from(format!("{}.{}", log.file().display(), gateway.pid()));
    let ids = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter_map(|record| Some(record["request_id"].as_str()?.to_owned())).collect()
    };
    let (by_old, by_new) = (ids(&log.file()), ids(&second));
    assert!(by_old.len() >= 50 && by_new.len() >= 50, "{} and {}", by_old.len(), by_new.len());
    let mut written = [by_old, by_new].concat();
    let mut answered = answered.into_inner().unwrap();
    written.sort();
    answered.sort();
    assert_eq!(written, answered, "each answer has its record, in one of the two files");
    let old_log = fs::read_to_string(gateway.directory().join("gateway-0.log")).unwrap();
    assert_whole(&log.verify(&["--head", &head_in(&old_log)]));
    assert_whole(&log.verify_files(&[second], &["--head", &last_head(&gateway)]));
}

#[test]
fn a_route_that_only_reports_tells_whose_token_it_has_verified() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let report = "{ issuers: [corp], scopes: [rare], mode: report }";
    let mut gateway = config(&log.file(), ", subject: clear", &issuer, &upstream)
        .route(&format!("name: tried\nmatch: {{ path: \"/tried\" }}\nupstream: echo\naccess: {report}"))
        .start();
    let (client, token) = (gateway.client(), issuer.token("alice"));
    let mut scoped = issuer.claims("bob");
    scoped["scope"] = "rare".into();
    let forged = Issuer::new("corp", "ES256").token("mallory");
    for token in [Some(&token), Some(&issuer.sign(&scoped)), Some(&forged), None] {
        assert_eq!(client.get("/tried", token.map(String::as_str)).status, 200);
    }
    let admin = gateway.admin();
    gateway.rewrite(|text| text.replace("subject: clear", "subject: hash"));
    admin.reload();
    assert_eq!(client.get("/tried", Some(&token)).status, 200);
    assert_eq!(client.get("/again", Some(&token)).status, 200);
    gateway.rewrite(|text| text.replace("subject: hash", "subject: none"));
    admin.reload();
    assert_eq!(client.get("/tried", Some(&token)).status, 200);
    gateway.stop();
    let told: Vec<_> = log
        .decisions()
        .into_iter()
        .map(|record| json!([record["outcome"], record["reason"], record["subject"]]))
        .collect();
    let expected = [
        json!(["would_deny", "insufficient_scope", "alice"]),
        json!(["allowed", null, "bob"]),
        json!(["would_deny", "bad_signature", null]),
        json!(["would_deny", "no_credential", null]),
        json!(["would_deny", "insufficient_scope", null]),
        json!(["allowed", null, null]),
        json!(["would_deny", "insufficient_scope", null]),
    ];
    assert_eq!(told, expected);
    let hashes: Vec<Value> = log.decisions().iter().map(|record| record["subject_hash"].clone()).collect();
    assert!(hashes[4].is_string() && hashes[4] == hashes[5], "{hashes:?}");
    assert!(hashes[6].is_null() && hashes[2].is_null());
    assert!(upstream.take().iter().all(|seen| !String::from_utf8_lossy(&seen.raw_head).contains("alice")));
    assert_whole(&log.verify(&[]));
}
