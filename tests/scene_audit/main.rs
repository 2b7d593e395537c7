//! The audit log: every decision is in it, nobody can change it unseen, and a disk that fails stops no request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
mod log;
mod processes;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::{Upstream, until};
use log::{KEY, Log, assert_names, assert_whole, config, counted, issuer, last_head};

#[test]
fn every_decision_is_written_with_its_reason_and_without_a_secret() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), ", trace: true", &issuer, &upstream).start();
    let (client, token) = (gateway.client(), issuer.token("alice"));
    assert_eq!(client.get("/again", Some(&token)).status, 200);
    assert_eq!(client.get("/scoped", Some(&token)).status, 403);
    assert_eq!(client.get("/again", None).status, 401);
    assert_eq!(client.get("/public?secret=of-the-query", None).status, 200);
    let plain = gateway.plain_client().get("/again", Some(&token));
    assert_eq!(plain.status, 403);
    gateway.stop();
    let decisions = log.decisions();
    let told: Vec<_> = decisions
        .iter()
        .map(|record| {
            (record["outcome"].as_str().unwrap(), record["reason"].as_str(), record["route"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("allowed", None, "again"),
        ("denied", Some("insufficient_scope"), "scoped"),
        ("denied", Some("no_credential"), "again"),
        ("public", None, "public"),
        ("denied", Some("plaintext_token"), "none"),
    ];
    assert_eq!(told, expected);
    let (allowed, scoped) = (&decisions[0], &decisions[1]);
    assert_eq!(allowed["issuer"], "corp");
    assert_eq!(allowed["subject_hash"], scoped["subject_hash"], "a refused token whose signature holds has a subject");
    assert_eq!(allowed["subject_hash"].as_str().unwrap().len(), 32);
    assert_eq!(allowed["jti_prefix"].as_str().unwrap().len(), 8);
    let refused = scoped["trace"].as_array().unwrap().last().unwrap();
    assert_eq!((&refused["stage"], &refused["result"]), (&"authorization".into(), &"refused".into()));
    let text = log.text();
    for secret in token.split('.').skip(1).chain(["alice", KEY, "of-the-query"]) {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_whole(&log.verify(&["--head", &last_head(&gateway)]));
}

#[test]
fn a_changed_byte_and_a_missing_end_are_named() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), "", &issuer, &upstream).start();
    for _ in 0..5 {
        gateway.client().get("/again", None);
    }
    gateway.stop();
    let (text, head) = (log.text(), last_head(&gateway));
    assert_whole(&log.verify(&["--head", &head]));
    let lines: Vec<&str> = text.lines().collect();
    let number = lines.len();

    let changed = lines[3].replacen("no_credential", "no_kredential", 1);
    fs::write(log.file(), text.replacen(lines[3], &changed, 1)).unwrap();
    assert_names(&log.verify(&[]), "audit.jsonl:4: record 4 was changed");

    fs::write(log.file(), text.replacen(&format!("{}\n", lines[2]), "", 1)).unwrap();
    assert_names(&log.verify(&[]), "audit.jsonl:3: record 3 was changed, or records before it are missing");

    fs::write(log.file(), &text[..text.len() - 20]).unwrap();
    assert_names(&log.verify(&[]), &format!("audit.jsonl:{number}: record {number} is cut off"));

    let cut = lines[..number - 2].join("\n") + "\n";
    fs::write(log.file(), cut).unwrap();
    assert_whole(&log.verify(&[]));
    let missing = format!("the end is cut off: record {number} was written, {} is the last there is", number - 2);
    assert_names(&log.verify(&["--head", &head]), &missing);
    assert_names(&log.verify(&["--head", &number.to_string()]), &missing);

    fs::write(log.file(), text).unwrap();
    fs::write(log.directory.path().join("key"), "another key, of thirty-two bytes or more").unwrap();
    assert_names(&log.verify(&[]), "audit.jsonl:1: record 1 was changed");
}

#[test]
fn a_killed_gateway_loses_at_most_its_tail_and_the_chain_goes_on() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let gateway = config(&log.file(), "", &issuer, &upstream).start();
    let (answered, killed) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut connection = gateway.client().connect().unwrap();
                while !killed.load(Ordering::Relaxed) && connection.get("/again", None).is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("there is load", || (answered.load(Ordering::Relaxed) > 300).then_some(()));
        gateway.signal("KILL");
        killed.store(true, Ordering::Relaxed);
    });
    let answered = answered.load(Ordering::Relaxed);
    let before = log.text();
    let kept = before.lines().filter(|line| line.contains("\"decision\"")).count();
    // What is lost is what was on its way: a batch at most, on a machine that writes at all.
    assert!(kept + 600 >= answered && kept > 0, "{kept} records of {answered} answers");
    // As if the system had gone down in the middle of a record.
    OpenOptions::new().append(true).open(log.file()).unwrap().write_all(b"{\"seq\":9999,\"ti").unwrap();
    assert_names(&log.verify(&[]), "is cut off");

    let mut second = config(&log.file(), "", &issuer, &upstream).start();
    second.client().get("/again", None);
    second.stop();
    let start = log.records().into_iter().rfind(|record| record["kind"] == "start").unwrap();
    assert_eq!(start["torn_bytes"], 15);
    assert!(log.text().starts_with(before.trim_end_matches(|c| c != '\n')), "nothing whole was taken away");
    assert_whole(&log.verify(&["--head", &last_head(&second)]));
    assert_eq!(log.files().len(), 1);
}

#[test]
fn a_full_disk_stops_nobody_and_is_counted() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let gateway = config(Path::new("/dev/full"), ", overflow: block", &issuer, &upstream).start();
    for _ in 0..20 {
        assert_eq!(gateway.client().get("/again", Some(&issuer.token("alice"))).status, 200);
    }
    until("every record is counted as failed", || (counted(&gateway, "failed") == 20).then_some(()));
    assert_eq!((counted(&gateway, "written"), counted(&gateway, "dropped")), (0, 0));
    let status = gateway.admin().ask("/api/status");
    assert_eq!(status["audit"]["lost"], 20);
    assert!(status["audit"]["error"].as_str().unwrap().contains("space"), "{status}");
    assert_eq!(gateway.admin().status("/readyz"), Some(200));
    assert!(gateway.admin().get("/readyz").text().contains("the audit log can't be written"));
    assert!(gateway.log().contains("audit: /dev/full can't be written"));
    drop(log);
}

#[test]
fn a_file_that_can_be_written_again_tells_what_it_lacks() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let (directory, kept) = (log.directory.path().join("later"), log.file());
    let mut gateway = config(&directory.join("audit.jsonl"), "", &issuer, &upstream).start();
    for _ in 0..3 {
        gateway.client().get("/again", None);
    }
    until("three records are lost", || (counted(&gateway, "failed") == 3).then_some(()));
    fs::create_dir(&directory).unwrap();
    until("the file is written again", || {
        gateway.client().get("/again", None);
        (counted(&gateway, "written") > 0).then_some(())
    });
    gateway.stop();
    fs::rename(directory.join("audit.jsonl"), kept).unwrap();
    let gap = log.records().into_iter().find(|record| record["kind"] == "gap").unwrap();
    assert!(gap["lost"].as_u64().unwrap() >= 3);
    assert_whole(&log.verify(&[]));
}

#[test]
fn a_file_that_was_moved_is_followed_by_one_in_which_the_chain_goes_on() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), "", &issuer, &upstream).start();
    gateway.client().get("/again", None);
    until("it is written", || (counted(&gateway, "written") == 1).then_some(()));
    let moved = log.directory.path().join("audit.jsonl.before-moved");
    fs::rename(log.file(), &moved).unwrap();
    until("there is a new file", || log.file().exists().then_some(()));
    gateway.client().get("/again", None);
    gateway.stop();
    assert_eq!(log.records()[0]["kind"], "continue");
    assert_whole(&log.verify_files(&log.files(), &["--head", &last_head(&gateway)]));
    assert_names(&log.verify_files(&[log.file(), moved], &[]), "this is not where a chain begins");
}

#[test]
fn a_full_file_is_set_aside_and_the_chain_goes_on() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), ", rotate: 64KiB", &issuer, &upstream).start();
    let mut connection = gateway.client().connect().unwrap();
    for _ in 0..500 {
        assert_eq!(connection.get("/again", None).unwrap().status, 401);
    }
    gateway.stop();
    let files = log.files();
    assert!(files.len() > 2, "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 64 * 1024 + 2048));
    let decisions = files.iter().map(|file| fs::read_to_string(file).unwrap().matches("\"decision\"").count());
    assert_eq!(decisions.sum::<usize>(), 500);
    assert_whole(&log.verify_files(&files, &["--head", &last_head(&gateway)]));
    let gone: Vec<PathBuf> =
        files.iter().enumerate().filter(|(index, _)| *index != 1).map(|(_, file)| file.clone()).collect();
    assert_names(&log.verify_files(&gone, &[]), "not where the file before it ends");
}

#[test]
fn a_reload_changes_what_is_written_and_not_where() {
    let (log, issuer, upstream) = (Log::new(), issuer(), Upstream::start());
    let mut gateway = config(&log.file(), "", &issuer, &upstream).start();
    let (client, admin, token) = (gateway.client(), gateway.admin(), issuer.token("alice"));
    client.get("/again", Some(&token));
    let other = log.directory.path().join("other.jsonl");
    gateway.rewrite(|text| {
        text.replace("key: \"env:AUDIT_KEY\"", "key: \"env:AUDIT_KEY\", events: denials, subject: clear")
            .replace(log.file().to_str().unwrap(), other.to_str().unwrap())
    });
    let report = admin.reload();
    assert_eq!(report["needs_restart"], serde_json::json!(["telemetry.audit.file"]), "{report}");
    client.get("/again", Some(&token));
    client.get("/scoped", Some(&token));
    gateway.stop();
    let decisions = log.decisions();
    assert_eq!(decisions.len(), 2);
    assert_eq!((&decisions[1]["outcome"], &decisions[1]["subject"]), (&"denied".into(), &"alice".into()));
    assert!(!other.exists());
    assert_whole(&log.verify(&[]));
}
