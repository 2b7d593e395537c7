//! Connections that requests take turns on.
//!
//! A plain lane carries any number of requests at once. A committing lane is for `replica_acks`: WAIT holds up the
//! connection it is sent on, so claims go in batches, each batch with one WAIT behind it, on connections of their own.

use super::fault::Fault;
use crate::store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Claims in one batch.
const BATCH: usize = 256;
/// Claims that may wait for the next batch.
const QUEUE: usize = 4096;

const GONE: Fault = Fault { error: StoreError::Connection, maybe_done: true, broken: true };

/// A connection to send commands on.
#[derive(Clone)]
pub(super) enum Lane {
    /// Sends at once.
    Plain(MultiplexedConnection),
    /// Sends with the next batch, and waits until enough replicas hold it.
    Committing(mpsc::Sender<Job>),
}

/// The answers to some commands.
#[derive(Debug)]
pub(super) struct Answers {
    pub values: Vec<Value>,
    /// Whether enough replicas hold what was written.
    pub committed: bool,
}

/// Commands that wait for the next batch.
pub(super) struct Job {
    commands: Pipeline,
    reply: oneshot::Sender<Result<Answers, Fault>>,
}

impl Lane {
    /// Sends `commands` in one write, and waits for as many answers.
    pub(super) async fn send(&mut self, commands: Pipeline) -> Result<Answers, Fault> {
        match self {
            Self::Plain(connection) => {
                let values = connection.send_packed_commands(&commands, 0, commands.len()).await?;
                if values.len() == commands.len() {
                    Ok(Answers { values, committed: true })
                } else {
                    Err(Fault::NONSENSE)
                }
            }
            Self::Committing(jobs) => {
                let (reply, answer) = oneshot::channel();
                jobs.send(Job { commands, reply }).await.map_err(|_| Fault { maybe_done: false, ..GONE })?;
                answer.await.unwrap_or(Err(GONE))
            }
        }
    }
}

/// A committing lane on `connection`, and the task that serves it. `replicas` must hold a batch within `limit`.
pub(super) fn committing(
    connection: MultiplexedConnection,
    replicas: u32,
    limit: Duration,
) -> (Lane, impl Future<Output = ()> + Send + 'static) {
    let (sender, jobs) = mpsc::channel(QUEUE);
    (Lane::Committing(sender), commit(connection, jobs, replicas, limit))
}

async fn commit(mut connection: MultiplexedConnection, mut jobs: mpsc::Receiver<Job>, replicas: u32, limit: Duration) {
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.recv_many(&mut batch, BATCH).await > 0 {
        let mut commands = Pipeline::with_capacity(batch.len() * 2 + 1);
        for job in &batch {
            for command in job.commands.cmd_iter() {
                commands.add_command(command.clone());
            }
        }
        commands.cmd("WAIT").arg(replicas).arg(millis);
        let reply = connection.send_packed_commands(&commands, 0, commands.len()).await.map_err(Fault::from);
        distribute(&mut batch, reply.and_then(|values| committed(values, commands.len(), replicas)));
    }
}

/// The answers of a whole batch, from those that came with WAIT's.
fn committed(mut values: Vec<Value>, expected: usize, replicas: u32) -> Result<Answers, Fault> {
    if values.len() != expected {
        return Err(Fault::NONSENSE);
    }
    let committed = matches!(values.pop(), Some(Value::Int(holders)) if holders >= i64::from(replicas));
    Ok(Answers { values, committed })
}

fn distribute(batch: &mut Vec<Job>, answers: Result<Answers, Fault>) {
    match answers {
        Ok(Answers { values, committed }) => {
            let mut values = values.into_iter();
            for job in batch.drain(..) {
                let own = values.by_ref().take(job.commands.len()).collect();
                // Nobody waits any more when the connection was given up; then there is nobody to tell.
                let _ = job.reply.send(Ok(Answers { values: own, committed }));
            }
        }
        Err(fault) => {
            for job in batch.drain(..) {
                let _ = job.reply.send(Err(fault));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_only_with_enough_replicas() {
        let answers =
            |holders| committed(vec![Value::Okay, Value::Int(holders)], 2, 2).map(|answers| answers.committed);
        assert_eq!((answers(1), answers(2), answers(3)), (Ok(false), Ok(true), Ok(true)));
        assert_eq!(committed(vec![Value::Okay, Value::Nil], 2, 2).map(|answers| answers.committed), Ok(false));
        assert!(committed(vec![Value::Okay], 2, 1).is_err());
    }

    #[test]
    fn everybody_in_a_batch_gets_his_own_answers() {
        let (mut batch, mut answers) = (Vec::new(), Vec::new());
        for length in [1, 2] {
            let (reply, answer) = oneshot::channel();
            let mut commands = Pipeline::new();
            (0..length).for_each(|_| _ = commands.cmd("GET"));
            batch.push(Job { commands, reply });
            answers.push(answer);
        }
        let values = vec![Value::Int(1), Value::Int(2), Value::Int(3)];
        distribute(&mut batch, Ok(Answers { values, committed: true }));
        let got: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap().unwrap().values).collect();
        assert_eq!(got, [vec![Value::Int(1)], vec![Value::Int(2), Value::Int(3)]]);
    }
}
