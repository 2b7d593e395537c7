//! Errors of Redis and of the way to it, without anything secret in them.

use crate::store::StoreError;
use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

/// A command that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Why.
    pub error: StoreError,
    /// Whether Redis may have carried it out all the same.
    pub maybe_done: bool,
    /// Whether to connect anew: the connection is gone or out of step, or the server is not the one to ask any more.
    pub broken: bool,
}

impl Fault {
    /// An answer that makes no sense. What was done is not known, and the next answer may belong to another question.
    pub(super) const NONSENSE: Self = Self { error: StoreError::Refused, maybe_done: true, broken: true };

    const fn refused(error: StoreError, broken: bool) -> Self {
        Self { error, maybe_done: false, broken }
    }
}

impl From<&ServerError> for Fault {
    fn from(error: &ServerError) -> Self {
        match error.kind() {
            Some(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::Moved) => {
                Self::refused(StoreError::Connection, true)
            }
            Some(ServerErrorKind::BusyLoading | ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain) => {
                Self::refused(StoreError::Connection, false)
            }
            None if error.code() == "OOM" => Self::refused(StoreError::Full, false),
            None if error.code() == "NOREPLICAS" => Self::refused(StoreError::Unreplicated, false),
            _ => Self::refused(StoreError::Refused, false),
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let first = error.into_server_errors().and_then(|errors| errors.first().cloned());
                first.map_or(Self::NONSENSE, |(_, error)| Self::from(&error))
            }
            ErrorKind::Io => Self { error: StoreError::Connection, maybe_done: true, broken: true },
            _ => Self::NONSENSE,
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    #[error("no answer in time")]
    Timeout,
    #[error("can't connect ({0})")]
    Dial(std::io::ErrorKind),
    #[error("the TLS handshake failed")]
    Tls,
    #[error("user name or password refused")]
    Login,
    #[error("it is not a primary")]
    NotPrimary,
    #[error("no Sentinel knows the service, or none answers")]
    NoSentinel,
    #[error(
        "INFO, TIME or the keys are not permitted, or lack what is needed; a user needs ~PREFIX* and +info +time +get \
         +set +incr +decr +del +pttl +pexpire +eval +evalsha (and +script|load +wait +cluster|nodes where they are used)"
    )]
    NoFacts,
    #[error("the connections reach different servers")]
    SeveralServers,
    #[error("the store answered: {0}")]
    Refused(StoreError),
}

impl OpenError {
    /// The same, as the failure of a claim that was already made.
    pub(super) const fn as_fault(self) -> Fault {
        let broken = matches!(self, Self::Dial(_) | Self::NotPrimary);
        Fault { error: self.as_store_error(), maybe_done: true, broken }
    }

    /// What a request is told.
    pub(super) const fn as_store_error(self) -> StoreError {
        match self {
            Self::Timeout => StoreError::Timeout,
            Self::Dial(_) | Self::Tls | Self::NotPrimary | Self::NoSentinel | Self::SeveralServers => {
                StoreError::Connection
            }
            Self::Login | Self::NoFacts => StoreError::Refused,
            Self::Refused(error) => error,
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault { broken: true, maybe_done: true, .. } => Self::Dial(std::io::ErrorKind::ConnectionReset),
            Fault { broken: true, .. } => Self::NotPrimary,
            Fault { error, .. } => Self::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn only_a_lost_answer_leaves_doubt() {
        let lost = Fault::from(RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert!(lost.maybe_done && lost.error == StoreError::Connection);
    }
}
