//! The quickstart, as a stranger meets it: the table of six tokens, and the commands it prints.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scene stops at the first surprise")]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use common::process::{Process, repository_file};
use common::{ports, until};

/// The shipped configuration on free ports, in a directory of its own.
fn shipped(directory: &Path) {
    let mut text = std::fs::read_to_string(repository_file("gateway.yaml")).unwrap();
    for port in ["8443", "8080", "9901", "9000"] {
        text = text.replace(&format!("127.0.0.1:{port}"), &ports::free().to_string());
    }
    std::fs::write(directory.join("gateway.yaml"), text).unwrap();
}

#[test]
fn the_table_shows_what_happens_to_six_tokens() {
    let directory = tempfile::tempdir().unwrap();
    shipped(directory.path());
    let output = common::tollgate(directory.path(), &["quickstart", "--check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let rows = [
        ("good", "200", "–"),
        ("replayed", "401", "replayed"),
        ("expired", "401", "expired"),
        ("forged", "401", "bad_signature"),
        ("unsigned", "401", "algorithm_refused"),
        ("encrypted", "200", "–"),
    ];
    for (what, status, reason) in rows {
        let row = text.lines().find(|line| line.trim_start().starts_with(what)).unwrap_or_else(|| panic!("{text}"));
        assert!(row.contains(status) && row.contains(reason), "{row}");
        let told = if status == "200" { "X-User-Id: alice, Authorization: absent" } else { "invalid_token" };
        assert!(row.contains(told), "{row}");
    }
}

#[test]
fn the_printed_commands_work_and_nothing_outlives_the_quickstart() {
    let directory = tempfile::tempdir().unwrap();
    shipped(directory.path());
    let log = directory.path().join("log");
    let output = File::create(&log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("quickstart").current_dir(directory.path()).stdin(Stdio::null()).stdout(output);
    let mut quickstart = Process::start(&mut command);
    let printed = until("the commands are printed", || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("/metrics\n").then_some(text)
    });
    let commands: String = printed
        .split("another terminal:")
        .nth(1)
        .unwrap()
        .lines()
        .fold(String::new(), |all, line| if line.starts_with("  ") { all + line.trim_start() + "\n" } else { all });
    let shell = Command::new("bash").args(["-euc", &commands]).current_dir(directory.path()).output().unwrap();
    let text = String::from_utf8(shell.stdout).unwrap();
    assert!(shell.status.success(), "{text}\n{}", String::from_utf8_lossy(&shell.stderr));
    assert!(text.contains("\"X-User-Id\": \"alice\""), "{text}");
    assert!(text.contains("\"status\":401"), "the second use: {text}");
    assert!(!text.contains("mallory"), "{text}");
    assert!(text.contains("tollgate_requests_total"), "{text}");
    quickstart.signal("TERM");
    quickstart.wait("the quickstart ends");
    let address = std::fs::read_to_string(directory.path().join("gateway.yaml")).unwrap();
    let admin = address.lines().skip_while(|line| !line.starts_with("admin:")).nth(1).unwrap();
    let admin: std::net::SocketAddr = admin.split_whitespace().nth(1).unwrap().parse().unwrap();
    until("the gateway has ended with it", || std::net::TcpStream::connect(admin).is_err().then_some(()));
}
