//! No bytes make the configuration's reader panic or hang: some thousand files, each a sound or a bad one with a few
//! random changes, are loaded one after the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "the number of rounds comes from the environment")]

mod config_support;

use config_support::{SOUND, Workshop};
use std::fs;
use std::path::Path;

/// Pieces with a meaning in YAML, JSON Schema or the rooms' own grammars.
const PIECES: [&str; 40] = [
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "!x ",
    "---\n",
    "...\n",
    "? ",
    "- ",
    ": ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\u0000",
    "\u{feff}",
    "\u{2028}",
    "\r",
    "#",
    "%YAML 1.2\n",
    "~",
    "null",
    "-0",
    "1e999",
    "0x1F",
    ".inf",
    "env:",
    "file:",
    "{*rest}",
    "{id}",
    "999999999h",
    "18446744073709551616",
    "*.",
    "\u{0}",
    "🦀",
];

/// A small generator (xorshift64*): the same files on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound.max(1)
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/bad");
    let bad = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut seeds: Vec<Vec<u8>> = bad.map(|path| fs::read(path).unwrap()).collect();
    seeds.sort();
    // Every second file begins sound, so that changes reach the compiling of what is read, too.
    seeds.into_iter().flat_map(|seed| [seed, SOUND.as_bytes().to_vec()]).collect()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
        1 => {
            let end = (at + 1 + random.below(12)).min(bytes.len());
            bytes.drain(at..end);
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(random.below(256)).unwrap();
            }
        }
        3 => {
            let end = (at + random.below(80)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        4 => bytes.truncate(at),
        _ => {
            // A line moved elsewhere changes what belongs to what.
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut lines: Vec<&str> = text.lines().collect();
            if lines.len() > 1 {
                let line = lines.remove(random.below(lines.len()));
                lines.insert(random.below(lines.len()), line);
                *bytes = lines.join("\n").into_bytes();
            }
        }
    }
}

#[test]
fn mutated_files_are_refused_or_loaded_and_never_panic() {
    let workshop = Workshop::new();
    let path = workshop.path("gateway.yaml");
    let seeds = seeds();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut loaded, mut refused) = (0, 0);
    let rounds = std::env::var("TOLLGATE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3000);
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        fs::write(&path, &bytes).unwrap();
        match config_support::load(&path) {
            Ok(_) => loaded += 1,
            Err(faults) => {
                assert!(!faults.is_empty() && faults.iter().all(|fault| fault.line() > 0));
                refused += 1;
            }
        }
    }
    assert!(loaded > 10 && refused > 1000, "{loaded} loaded, {refused} refused");
}

#[test]
fn files_made_to_be_slow_are_refused() {
    let workshop = Workshop::new();
    let sizes = 100_000;
    for text in [
        "[".repeat(sizes),
        "{".repeat(sizes),
        "- ".repeat(sizes),
        "? ".repeat(sizes),
        "a: ".repeat(sizes),
        format!("routes: [{}]", "~,".repeat(sizes)),
        (0..30_000).map(|number| format!("k{number}: 1")).collect::<Vec<_>>().join("\n"),
        format!("version: \"{}\"", "\\u0041".repeat(sizes / 6)),
        "&a ".repeat(sizes),
        format!("a: |\n{}", " x\n".repeat(sizes / 3)),
        format!("routes: [{}]", "{name: a, match: {path: /}, upstream: u, access: public},".repeat(3000)),
        "#".repeat(sizes),
        "x".repeat(2 << 20),
    ] {
        assert!(workshop.load(&text).is_err());
    }
}
