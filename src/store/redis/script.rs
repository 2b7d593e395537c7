//! Scripts that Redis runs in one step.

use super::fault::Fault;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, ServerErrorKind, Value};
use std::fmt::Write as _;

/// A Lua script and the name under which Redis remembers it.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    pub(super) fn new(source: &'static str) -> Self {
        let digest = openssl::sha::sha1(source.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { source, digest }
    }

    /// The command that runs the script by its name.
    pub(super) fn by_name(&self, keys: &[&[u8]], arguments: &[&str]) -> Cmd {
        command("EVALSHA", &self.digest, keys, arguments)
    }

    /// The command that makes Redis remember the script.
    pub(super) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.source);
        load
    }

    /// Runs the script; with its whole text if Redis does not remember it.
    pub(super) async fn run(
        &self,
        lane: &mut MultiplexedConnection,
        keys: &[&[u8]],
        arguments: &[&str],
    ) -> Result<Value, Fault> {
        match answer(lane.send_packed_command(&self.by_name(keys, arguments)).await) {
            Err(None) => {
                let whole = command("EVAL", self.source, keys, arguments);
                answer(lane.send_packed_command(&whole).await).map_err(|fault| fault.unwrap_or(Fault::NONSENSE))
            }
            Err(Some(fault)) => Err(fault),
            Ok(value) => Ok(value),
        }
    }
}

fn command(verb: &str, script: &str, keys: &[&[u8]], arguments: &[&str]) -> Cmd {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// `Err(None)`: Redis does not know the script, and did nothing.
pub(super) fn answer(reply: redis::RedisResult<Value>) -> Result<Value, Option<Fault>> {
    match reply {
        Ok(Value::ServerError(error)) if error.kind() == Some(ServerErrorKind::NoScript) => Err(None),
        Ok(Value::ServerError(error)) => Err(Some(Fault::from(&error))),
        Ok(value) => Ok(value),
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => Err(None),
        Err(error) => Err(Some(Fault::from(error))),
    }
}
