//! Why a request was refused: the client is not told, the operator is.

use serde_json::Value;

use super::answer::Answer;
use super::clock::until;
use super::gateway::Gateway;

/// The reason the access log of `gateway` gives for `answer`.
pub fn reason(gateway: &Gateway, answer: &Answer) -> String {
    let id = answer.header("X-Request-Id").expect("every answer has a request id").to_owned();
    until("the access log tells of the request", || {
        let log = gateway.log();
        let mut lines = log.lines().filter(|line| line.contains(&id));
        let line: Value = serde_json::from_str(lines.find(|line| line.contains("\"reason\""))?).ok()?;
        line["reason"].as_str().map(str::to_owned)
    })
}
