//! README.md, as a newcomer follows it: every command is run, in its order, in one shell; every configuration loads; what
//! is said to come out comes out.
//!
//! A fenced block is tagged with what it is. `sh`: commands, run here. `yaml`: a configuration or a piece of one,
//! checked here. `text` and `mermaid`: to be looked at. A block without a tag, with another one, or indented instead of
//! fenced fails: a command could hide in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::process::repository_file;
use common::{Authority, tollgate};

/// What the shell says at its end when every command succeeded.
const THE_END: &str = "the README has been followed to its end";

/// Words that the commands bring to the screen, in this order.
const SHOWN: [&str; 10] = [
    // The table of six tokens.
    "good                   200",
    "replayed (the same)    401     replayed",
    "encrypted (JWE→JWS)    200",
    // The backend of one's own, without a token and with one.
    "\"status\":401",
    "Hello, alice!",
    // One-time: the second use, and why.
    "Hello, alice!",
    "\"status\":401",
    "replayed",
    // Revoked.
    "\"id\":",
    "\"status\":401",
];

/// A fenced block: its tag and its text.
struct Block {
    tag: String,
    text: String,
}

fn readme() -> String {
    std::fs::read_to_string(repository_file("README.md")).unwrap()
}

/// Every fenced block of `page`, and the lines outside of them.
fn blocks(page: &str) -> (Vec<Block>, Vec<&str>) {
    let (mut blocks, mut prose, mut open): (Vec<Block>, Vec<&str>, bool) = (vec![], vec![], false);
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(tag) if !open => blocks.push(Block { tag: tag.to_owned(), text: String::new() }),
            Some(rest) => assert_eq!(rest, "", "a fence within a fence: {line}"),
            None if open => blocks.last_mut().unwrap().text.extend([line, "\n"]),
            None => prose.push(line),
        }
        open ^= line.trim_start().starts_with("```");
    }
    assert!(!open, "a fence that never ends");
    (blocks, prose)
}

fn tagged(tag: &str) -> Vec<String> {
    blocks(&readme()).0.into_iter().filter(|block| block.tag == tag).map(|block| block.text).collect()
}

#[test]
fn every_block_says_what_it_is() {
    let page = readme();
    let (blocks, prose) = blocks(&page);
    for block in blocks {
        let known = ["sh", "yaml", "text", "mermaid"].contains(&&*block.tag);
        assert!(known, "a block tagged `{}`: it is not run, and could be a command:\n{}", block.tag, block.text);
    }
    for line in prose {
        assert!(!line.starts_with("    "), "an indented block: fence it, and say what it is:\n{line}");
    }
}

#[test]
fn every_command_works_and_shows_what_is_said() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("readme.sh");
    let mut text = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for commands in tagged("sh") {
        text += &commands;
    }
    std::fs::write(&script, format!("{text}\necho '{THE_END}'\n")).unwrap();
    let mut command = in_a_network_of_its_own();
    command.arg(&script).current_dir(repository_file(".")).env("HOME", home.path());
    command.env("CARGO_HOME", of_rust("CARGO_HOME", ".cargo")).env("RUSTUP_HOME", of_rust("RUSTUP_HOME", ".rustup"));
    // What the commands of a clone build is built already: by the run of tests that this one is of.
    command.env("CARGO_NET_OFFLINE", "true");
    let output = command.stdin(Stdio::null()).output().expect("bash");
    let shown = String::from_utf8_lossy(&output.stdout);
    let all = format!("{shown}\n--- on standard error:\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && shown.contains(THE_END), "{all}");
    let mut rest = &*shown;
    for words in SHOWN {
        let at = rest.find(words).unwrap_or_else(|| panic!("`{words}` was not shown, or not in its place:\n{all}"));
        rest = &rest[at + words.len()..];
    }
}

/// bash in a network of its own, so that the ports the README names are free whatever else runs here. Where the system
/// gives nobody one, they have to be free.
fn in_a_network_of_its_own() -> Command {
    let isolated = ["--user", "--map-root-user", "--net", "--kill-child"];
    let possible = Command::new("unshare").args(isolated).args(["ip", "link", "set", "lo", "up"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return Command::new("bash");
    }
    let mut command = Command::new("unshare");
    command.args(isolated).args(["bash", "-c", "ip link set lo up && exec bash \"$0\""]);
    command
}

/// Where cargo and rustup keep what they have, once HOME is another.
fn of_rust(name: &str, within_home: &str) -> PathBuf {
    std::env::var_os(name)
        .map_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(within_home), PathBuf::from)
}
/// One block is a whole configuration; every other is a piece that can stand at its end: of its last route, or a section.
#[test]
fn every_configuration_loads() {
    let is_whole = |text: &String| text.starts_with("version:");
    let (whole, pieces): (Vec<String>, Vec<String>) = tagged("yaml").into_iter().partition(is_whole);
    assert_eq!(whole.len(), 1, "one configuration that the pieces belong to");
    for configuration in pieces.iter().map(|piece| format!("{}{piece}", whole[0])).chain([whole[0].clone()]) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("certs")).unwrap();
        Authority::new("README").write(&directory.path().join("certs"), "edge", &["api.example.com"]);
        std::fs::write(directory.path().join("gateway.yaml"), with_secrets(&configuration)).unwrap();
        let output = tollgate(directory.path(), &["check"]);
        assert!(output.status.success(), "{configuration}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The configuration with every `env:NAME` naming the one variable that a test's command has.
fn with_secrets(configuration: &str) -> String {
    let mut parts = configuration.split("env:");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let name = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len());
        text + "env:TOLLGATE_ADMIN_TOKEN" + &part[name..]
    })
}

/// Commands within sentences and tables: those of tollgate exist, and so do the scripts.
#[test]
fn every_command_that_is_named_exists() {
    let page = readme();
    let (_, prose) = blocks(&page);
    let (mut commands, mut scripts) = (0, 0);
    for code in prose.iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let words: Vec<&str> = code.split_whitespace().collect();
        match words[..] {
            ["tollgate", command, ..] => {
                let help = tollgate(Path::new("."), &[command, "--help"]);
                assert!(help.status.success(), "there is no `tollgate {command}`");
                commands += 1;
            }
            [script, ..] if ["deploy/", "tests/"].iter().any(|place| script.starts_with(place)) => {
                assert!(repository_file(script).exists(), "there is no {script}");
                scripts += 1;
            }
            _ => {}
        }
    }
    assert!(commands > 5 && scripts > 1, "{commands} commands, {scripts} scripts");
}

#[test]
fn the_figures_are_those_of_the_last_run() {
    let measured = std::fs::read_to_string(repository_file("benches/results/side_by_side.md")).unwrap();
    assert!(readme().contains(measured.trim()), "benches/side_by_side/run --save writes both");
}

#[test]
fn the_manual_judges_the_figures_of_the_last_run() {
    let numbers = std::fs::read_to_string(repository_file("benches/results/side_by_side.json")).unwrap();
    let numbers: serde_json::Value = serde_json::from_str(&numbers).unwrap();
    let page = std::fs::read_to_string(repository_file("src/manual/speed.rs")).unwrap();
    let judged: Vec<_> = numbers["cases"].as_array().unwrap().iter().filter(|case| !case["goal"].is_null()).collect();
    assert!(judged.len() >= 6, "{} cases with a goal", judged.len());
    for case in judged {
        let [ratio, goal, at_rate] = ["ratio", "goal", "ratio_at_rate"].map(|key| case[key].as_f64().unwrap());
        let verdict = if ratio <= goal { "met" } else { "missed" };
        let name = case["case"].as_str().unwrap().trim_start_matches("tollgate: ");
        let row = format!("//! | {name} | {ratio:.2} | {goal} | {verdict} | {at_rate:.2} |\n");
        assert!(page.contains(&row), "src/manual/speed.rs lacks {row}");
    }
}
