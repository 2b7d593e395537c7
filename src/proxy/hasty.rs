//! The time for the first bytes of a connection.
//!
//! The engine waits for the preface of HTTP/2 (RFC 9113 §3.4) as long as it takes; what it hands us has no place for a
//! time-out there.

use super::watched::Watch;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::Sleep;

/// The bytes of the preface of HTTP/2.
pub(super) const PREFACE: usize = 24;

/// Ends a stream unless its first bytes come in time.
#[derive(Debug)]
pub(super) struct Hasty {
    /// The bytes that are still to come, and the end of the time for them.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Hasty {
    /// The first `bytes` must come within `time`.
    pub(super) fn new(bytes: usize, time: Duration) -> Self {
        Self { awaited: Some((bytes, Box::pin(tokio::time::sleep(time)))) }
    }
}

impl Watch for Hasty {
    fn before(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some((_, end)) = &mut self.awaited
            && end.as_mut().poll(cx).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn after(&mut self, bytes: &[u8]) -> io::Result<()> {
        let read = bytes.len();
        self.awaited =
            self.awaited.take().filter(|(missing, _)| *missing > read).map(|(missing, end)| (missing - read, end));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::watched::Watched;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_stream_that_keeps_silent_ends() {
        let (_client, server) = tokio::io::duplex(64);
        let mut hasty = Watched::new(Box::new(server), Hasty::new(PREFACE, Duration::from_millis(1)));
        assert_eq!(hasty.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_stream_whose_first_bytes_came_may_take_its_time() {
        tokio::time::pause();
        let (mut client, server) = tokio::io::duplex(64);
        let mut hasty = Watched::new(Box::new(server), Hasty::new(4, Duration::from_secs(1)));
        client.write_all(b"abcd").await.unwrap();
        let mut bytes = [0; 4];
        hasty.read_exact(&mut bytes).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        client.write_all(b"e").await.unwrap();
        assert_eq!(hasty.read_u8().await.unwrap(), b'e');
    }
}
