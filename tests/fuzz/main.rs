//! A fuzz target for each parser that reads what a stranger, or a careless operator, wrote.
//!
//! Each target begins with the files of `tests/corpus/NAME`, replays them, and goes on with mutations of them, the same
//! ones on every run. `TOLLGATE_FUZZ_ROUNDS=1000000 cargo test --test fuzz NAME` looks further, `TOLLGATE_FUZZ_SEED`
//! elsewhere. What breaks a target, be it by a panic or by running out of stack, is then in `target/fuzz/NAME.input`;
//! the fix comes with that file in the corpus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "../config_support/mod.rs"]
mod config_support;
mod framing;
mod mutate;
mod targets;

use mutate::{Mutator, fnv};
use std::cell::RefCell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How many mutations a target is given where nobody asks for more.
const ROUNDS: usize = 4000;

/// What a target made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is well-formed, and every promise held.
    Accepted,
    /// The parser said no.
    Refused,
}

/// Runs `target` over its corpus and its mutations. It panics where the parser panics, or breaks one of its promises.
fn fuzz(name: &str, share: usize, target: impl Fn(&[u8]) -> Seen) {
    let corpus = corpus(name);
    assert!(corpus.len() >= 4, "{name}: a corpus of {} files", corpus.len());
    let accepted = corpus.iter().filter(|(path, bytes)| {
        let seen = guarded(name, &path.display(), bytes, &target);
        assert!(meant(path).is_none_or(|meant| meant == seen), "{}: {seen:?}", path.display());
        seen == Seen::Accepted
    });
    let accepted = accepted.count();
    assert!(
        accepted > 0 && accepted < corpus.len(),
        "{name}: a corpus of {accepted} good files out of {}",
        corpus.len()
    );
    let seeds: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(number("TOLLGATE_FUZZ_SEED").unwrap_or(fnv(name.as_bytes())), &seeds);
    let rounds = number("TOLLGATE_FUZZ_ROUNDS").map_or(ROUNDS / share, |rounds| usize::try_from(rounds).unwrap());
    for round in 0..rounds {
        let input = mutator.next_input(round);
        guarded(name, &format!("round {round}"), &input, &target);
    }
}

/// What a file of the corpus is meant to be, where its name says so.
fn meant(path: &Path) -> Option<Seen> {
    let name = path.file_name()?.to_str()?;
    let good = name.starts_with("good-").then_some(Seen::Accepted);
    good.or_else(|| name.starts_with("bad-").then_some(Seen::Refused))
}

/// Runs the target once. The input is kept beforehand: not every end can be caught.
fn guarded(name: &str, origin: &dyn std::fmt::Display, input: &[u8], target: &impl Fn(&[u8]) -> Seen) -> Seen {
    let kept = root("target/fuzz").join(format!("{name}.input"));
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, input).unwrap();
    catch_unwind(AssertUnwindSafe(|| target(input))).unwrap_or_else(|panic| {
        eprintln!("{name}: broken by {origin}; the input is in {}", kept.display());
        std::panic::resume_unwind(panic)
    })
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = root("tests/corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|fault| panic!("{}: {fault}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[allow(clippy::disallowed_methods, reason = "how far to look is the tester's choice")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[test]
fn compact() {
    fuzz("compact", 1, targets::compact);
}

#[test]
fn header() {
    fuzz("header", 1, targets::header);
}

#[test]
fn claims() {
    fuzz("claims", 1, targets::claims);
}

#[test]
fn jwk() {
    fuzz("jwk", 1, targets::jwk);
}

#[test]
fn jwks() {
    fuzz("jwks", 2, targets::jwks);
}

#[test]
fn path() {
    fuzz("path", 1, targets::path);
}

#[test]
fn authority() {
    fuzz("authority", 1, targets::authority);
}

#[test]
fn credentials() {
    fuzz("credentials", 1, targets::credentials);
}

#[test]
fn head() {
    fuzz("head", 1, framing::head);
}

#[test]
fn chunks() {
    fuzz("chunks", 1, framing::chunks);
}

#[test]
fn gateway() {
    let workshop = RefCell::new(config_support::Workshop::new());
    // Reading a configuration opens keys and certificates: each round costs a hundred of the others'.
    fuzz("gateway", 20, |input| targets::gateway(&workshop.borrow(), input));
}

#[test]
fn the_mutator_repeats_itself_and_changes_its_seeds() {
    let seeds = vec![b"{\"alg\":\"ES256\"}".to_vec(), b"a.b.c".to_vec()];
    let run = |seed| {
        let mut mutator = Mutator::new(seed, &seeds);
        (0..500).map(|round| mutator.next_input(round)).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let changed = run(1).iter().filter(|input| !seeds.contains(input)).count();
    assert!(changed > 450, "{changed}");
    assert!(run(1).iter().any(|input| input.len() > 1000) && run(1).iter().any(Vec::is_empty));
}
