//! Every file under `fixtures/config/bad` is a configuration named after its fault. It holds two or more, and lists
//! them at its end as `# expect: LINE: path: problem, remedy` (or `# expect: FILE:LINE: …` for another file). All of
//! them are reported, and nothing else.
//!
//! `TOLLGATE_BLESS=1 cargo test --test config_faults` writes the lists anew; read what it wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod config_support;

use config_support::{CANARY, SOUND, Workshop};
use std::fs;
use std::path::{Path, PathBuf};
use tollgate::config::unsupported::{Row, UNSUPPORTED};

const EXPECT: &str = "# expect: ";

fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/bad");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

/// The faults of a fixture as its expectations are written: those of gateway.yaml without the file's name.
fn found(workshop: &Workshop, text: &str) -> Vec<String> {
    let short = |line: String| line.strip_prefix("gateway.yaml:").map(str::to_owned).unwrap_or(line);
    workshop.faults(text).into_iter().map(short).collect()
}

fn expected(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix(EXPECT)).map(str::to_owned).collect()
}

fn bless(path: &Path, text: &str, found: &[String]) {
    let body = text.lines().filter(|line| !line.starts_with(EXPECT)).map(str::to_owned);
    let list = found.iter().map(|line| format!("{EXPECT}{line}"));
    fs::write(path, body.chain(list).collect::<Vec<_>>().join("\n") + "\n").unwrap();
}

#[test]
fn every_bad_configuration_reports_all_its_faults() {
    let workshop = Workshop::new();
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/bad/parts");
    for part in fs::read_dir(parts).unwrap() {
        let part = part.unwrap();
        workshop.write(&format!("routes.d/{}", part.file_name().to_str().unwrap()), fs::read(part.path()).unwrap());
    }
    let fixtures = fixtures();
    assert!(fixtures.len() >= 30, "{} fixtures", fixtures.len());
    let mut wrong = Vec::new();
    for path in &fixtures {
        let text = fs::read_to_string(path).unwrap();
        let found = found(&workshop, &text);
        if std::env::var_os("TOLLGATE_BLESS").is_some() {
            bless(path, &text, &found);
        } else if found != expected(&text) || found.len() < 2 {
            wrong.push(format!("{}:\n  {}", path.display(), found.join("\n  ")));
        }
        assert!(!found.iter().any(|line| line.contains(CANARY)), "{}: a secret shows", path.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_has_a_line_a_path_and_a_remedy() {
    let workshop = Workshop::new();
    for path in fixtures() {
        let Err(faults) = workshop.load(&fs::read_to_string(&path).unwrap()) else {
            panic!("{} loads", path.display())
        };
        for fault in faults.iter() {
            assert!(fault.line() > 0 && !fault.path().is_empty() && !fault.problem().is_empty(), "{fault}");
            let verb = fault.remedy().split(' ').next().unwrap_or_default();
            assert!(verb.len() > 2 && verb.bytes().all(|byte| byte.is_ascii_lowercase()), "no remedy: {fault}");
            let shown =
                format!("{}:{}: {}: {}, {}", fault.file(), fault.line(), fault.path(), fault.problem(), fault.remedy());
            assert_eq!(fault.to_string(), shown);
        }
    }
}

#[test]
fn every_unsupported_key_is_refused_as_such() {
    let workshop = Workshop::new();
    for row in UNSUPPORTED {
        let text = with_row(row);
        let lines = workshop.faults(&text);
        let refused = lines.iter().filter(|line| line.contains(": is not supported in this version, ")).count();
        assert_eq!((refused, lines.len()), (1, 1), "{}\n{text}\n{lines:#?}", row.path);
    }
}

#[test]
fn what_a_route_may_not_say_yet_its_defaults_may_not_either() {
    let workshop = Workshop::new();
    let shared = UNSUPPORTED
        .iter()
        .filter(|row| row.path.starts_with("routes[].access.") || row.path.starts_with("routes[].identity."));
    for row in shared {
        let path = row.path.replacen("routes[].", "defaults.", 1);
        let lines = workshop.faults(&format!("version: 1\nlisteners: []\n{}", written(&path, row.value)));
        assert!(lines.iter().any(|line| line.contains(": is not supported in this version, ")), "{path} {lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("unknown key")), "{path} {lines:#?}");
    }
}

/// A sound configuration with the key of `row` put into it.
fn with_row(row: &Row) -> String {
    let mut document: serde_json::Value = serde_json::from_str(BARE).unwrap();
    let mut node = &mut document;
    let segments: Vec<&str> = row.path.split('.').collect();
    for (position, segment) in segments.iter().enumerate() {
        let last = position + 1 == segments.len();
        let (key, listed) = segment.strip_suffix("[]").map_or((*segment, false), |key| (key, true));
        let value = || serde_json::Value::from(row.value.unwrap_or("x"));
        if last {
            node[key] = if listed { serde_json::json!([value()]) } else { value() };
            break;
        }
        node = if listed { &mut node[key][0] } else { &mut node[key] };
    }
    document.to_string()
}

/// `path` written out as YAML flow, with `value` or a word at its end.
fn written(path: &str, value: Option<&str>) -> String {
    let value = value.unwrap_or("x");
    path.split('.')
        .rev()
        .fold(value.to_owned(), |inner, segment| match segment.strip_suffix("[]") {
            Some(key) => format!("{{\"{key}\": [{inner}]}}"),
            None => format!("{{\"{segment}\": {inner}}}"),
        })
        .trim_start_matches('{')
        .trim_end_matches('}')
        .to_owned()
        + &"}".repeat(path.split('.').count() - 1)
}

/// A sound configuration as JSON, which is YAML too.
const BARE: &str = r#"{
  "version": 1,
  "listeners": [{"name": "a", "address": "127.0.0.1:1", "tls": {"certificates": [{"chain": "certs/edge.pem", "key": "file:certs/edge.key"}]}}],
  "admin": {"address": "127.0.0.1:2"},
  "store": {"redis": {"url": "redis://127.0.0.1:6379"}},
  "issuers": [{"name": "i", "issuer": "https://i", "audiences": ["a"], "keys": {"jwks_file": "keys/corp.jwks.json"}, "token": {"signing_algorithms": ["ES256"]}}],
  "upstreams": [{"name": "u", "endpoints": ["https://u.internal"], "tls": {}}],
  "routes": [{"name": "r", "match": {"path": "/"}, "upstream": "u", "access": {"issuers": ["i"], "scopes": ["s"], "replay": "once"}, "identity": {}}],
  "defaults": {"access": {}},
  "telemetry": {},
  "server": {}
}"#;

#[test]
fn the_bare_configuration_of_these_tests_is_sound() {
    let workshop = Workshop::new();
    assert_eq!(workshop.faults(BARE), Vec::<String>::new());
    assert_eq!(workshop.faults(SOUND), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_there_is_one_fault() {
    let workshop = Workshop::new();
    let faults = config_support::load(&workshop.path("none.yaml")).expect_err("no such file");
    assert_eq!(
        workshop.lines(&faults),
        ["none.yaml:1: (file): the file none.yaml does not exist, name a readable configuration file"]
    );
}
