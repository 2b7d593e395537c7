//! One audit log, the gateway that writes it, and what `audit verify` says of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Config, Gateway, Issuer, Upstream, tollgate};

pub const KEY: &str = "the-key-of-the-audit-log-in-this-scene";

/// The directory of one log, which outlives gateways.
pub struct Log {
    pub directory: TempDir,
}

impl Log {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("key"), KEY).unwrap();
        Self { directory }
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("audit.jsonl")
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    pub fn records(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn decisions(&self) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["kind"] == "decision").collect()
    }

    /// The files that were set aside, the oldest first, and the last one.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_aside = |path: &PathBuf| path.to_str().unwrap().contains("audit.jsonl.before-");
        let mut files: Vec<PathBuf> = entries.filter(is_aside).collect();
        files.sort();
        files.push(self.file());
        files
    }

    pub fn verify(&self, more: &[&str]) -> Output {
        self.verify_files(&[self.file()], more)
    }

    pub fn verify_files(&self, files: &[PathBuf], more: &[&str]) -> Output {
        let mut arguments = vec!["audit", "verify", "--key", "file:key"];
        arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
        arguments.extend(more);
        tollgate(self.directory.path(), &arguments)
    }
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub fn assert_whole(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
}

pub fn assert_names(output: &Output, what: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains(what), "{what} in: {}", said(output));
}

/// A gateway that writes `file`, with a guarded, a one-time and a public route.
pub fn config(file: &Path, more: &str, issuer: &Issuer, upstream: &Upstream) -> Config {
    let route = |name: &str, access: &str| {
        format!("name: {name}\nmatch: {{ path: \"/{name}\" }}\nupstream: echo\naccess: {access}")
    };
    let audit = format!("file: \"{}\", key: \"env:AUDIT_KEY\"{more}", file.display());
    Config::new()
        .environment("AUDIT_KEY", KEY)
        .block(&format!("telemetry: {{ log: {{ level: info }}, audit: {{ {audit} }} }}"))
        .issuer(issuer)
        .upstream("echo", upstream)
        .route(&route("again", "{ issuers: [corp] }"))
        .route(&route("scoped", "{ issuers: [corp], scopes: [rare] }"))
        .route(&route("once", "{ issuers: [corp], replay: once }"))
        .route(&route("public", "public"))
}

pub fn issuer() -> Issuer {
    Issuer::new("corp", "ES256").with("leeway: 0s")
}

/// The records the gateway counted, by what became of them.
pub fn counted(gateway: &Gateway, result: &str) -> u64 {
    gateway.admin().metrics().count("tollgate_audit_records_total", &[("result", result)])
}

/// The head the gateway told last.
pub fn last_head(gateway: &Gateway) -> String {
    head_in(&gateway.log())
}

pub fn head_in(log: &str) -> String {
    let line = log.lines().rfind(|line| line.contains("audit: head ")).unwrap();
    let message = serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned();
    message.strip_prefix("audit: head ").unwrap().to_owned()
}
