//! Programs that judge what is shipped under deploy/: each was written by others, and says no by its exit code.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file of this repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// The program at `path` under tests/.peers; a missing one fails the test.
pub fn judge(path: &str) -> Command {
    let program = repository("tests/.peers").join(path);
    assert!(program.exists(), "{} is missing: run tests/run, which installs what the tests need", program.display());
    let mut command = Command::new(program);
    command.current_dir(repository("."));
    command
}

/// Runs `command`; what it wrote when it said yes, a panic with what it wrote when it said no.
pub fn passes(command: &mut Command) -> String {
    let (passed, text) = verdict(command);
    assert!(passed, "{command:?} says no:\n{text}");
    text
}

/// Whether `command` said yes, and all that it wrote.
pub fn verdict(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}
