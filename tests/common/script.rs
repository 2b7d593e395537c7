//! A program of tests/peers that runs for as long as a scene needs it, and speaks in lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::process::{Process, peer, repository_file};

/// A running Python program; killed when dropped.
pub struct Script {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    process: Process,
}

impl Script {
    pub fn start(file: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(peer("venv/bin/python"));
        command.arg(repository_file("tests/peers").join(file)).args(arguments);
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = process.child().stdin.take().unwrap();
        let output = BufReader::new(process.child().stdout.take().unwrap());
        Self { input, output, process }
    }

    /// One that serves: waits until it says that it listens.
    pub fn serve(file: &str, arguments: &[&str]) -> Self {
        let mut script = Self::start(file, arguments);
        assert_eq!(script.line(), "listening", "{file} ended; its message stands above");
        script
    }

    /// Writes one line to it.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("a program that still runs");
    }

    /// The next line it says, as JSON.
    pub fn hear(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault} in `{line}`; a message may stand above"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
