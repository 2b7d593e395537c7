//! Scripts that Redis runs in one step.

use super::fault::Fault;
use super::lane::{Answers, Lane};
use redis::{Cmd, Pipeline, ServerErrorKind, Value};
use std::fmt::Write as _;

/// A Lua script and the name under which Redis remembers it.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    digest: String,
}

/// What one run of a script is about.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub keys: Vec<Vec<u8>>,
    pub arguments: Vec<String>,
}

impl Script {
    pub(super) fn new(source: &'static str) -> Self {
        let digest = openssl::sha::sha1(source.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { source, digest }
    }

    /// The command that makes Redis remember the script.
    pub(super) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.source);
        load
    }

    /// Runs the script once. Also tells whether enough replicas hold what it wrote.
    pub(super) async fn run(&self, lane: &mut Lane, call: Call) -> Result<(Value, bool), Fault> {
        let (mut values, committed) = self.send(lane, std::slice::from_ref(&call)).await?;
        values.pop().unwrap_or(Err(Fault::NONSENSE)).map(|value| (value, committed))
    }

    /// Runs the script for each of `calls`, in one write.
    pub(super) async fn run_all(&self, lane: &mut Lane, calls: &[Call]) -> Vec<Result<Value, Fault>> {
        match self.send(lane, calls).await {
            Ok((values, _)) => values,
            Err(fault) => vec![Err(fault); calls.len()],
        }
    }

    /// By its name; and those that Redis did not run, because it does not know the name, once more with the text.
    async fn send(&self, lane: &mut Lane, calls: &[Call]) -> Result<(Vec<Result<Value, Fault>>, bool), Fault> {
        let Answers { values, mut committed } =
            lane.send(commands(calls.iter().map(|call| call.command("EVALSHA", &self.digest)))).await?;
        let unknown: Vec<usize> = (0..values.len()).filter(|place| is_unknown(&values[*place])).collect();
        let mut values: Vec<_> = values.into_iter().map(outcome).collect();
        if !unknown.is_empty() {
            let whole = unknown.iter().map(|place| calls[*place].command("EVAL", self.source));
            let answers = lane.send(commands(whole)).await?;
            committed = answers.committed;
            for (place, value) in unknown.into_iter().zip(answers.values) {
                values[place] = outcome(value);
            }
        }
        Ok((values, committed))
    }
}

impl Call {
    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(&key[..]);
        }
        for argument in &self.arguments {
            command.arg(argument);
        }
        command
    }
}

fn commands(each: impl Iterator<Item = Cmd>) -> Pipeline {
    let mut commands = Pipeline::with_capacity(each.size_hint().0);
    for command in each {
        commands.add_command(command);
    }
    commands
}

fn is_unknown(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

fn outcome(value: Value) -> Result<Value, Fault> {
    match value {
        Value::ServerError(error) => Err(Fault::from(&error)),
        value => Ok(value),
    }
}
