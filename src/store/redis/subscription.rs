//! A connection on which the messages of one channel arrive.

use super::dialer::{Address, Dialer, Login, login_error};
use super::fault::OpenError;
use super::settings::RedisSettings;
use futures_util::StreamExt as _;
use redis::aio::PubSub;

/// What is told on one channel, from now on.
pub(super) struct Subscription(PubSub);

impl Subscription {
    /// Connects, logs in, and asks to be told. What is published after this returned arrives.
    pub(super) async fn open(
        dialer: &Dialer,
        address: &Address,
        settings: &RedisSettings,
        channel: &str,
    ) -> Result<Self, OpenError> {
        let stream = dialer.stream(address).await?;
        let opened = PubSub::new(&Login::Store.by(settings), stream).await;
        let mut messages = opened.map_err(|error| login_error(&error))?;
        messages.subscribe(channel).await.map_err(|error| login_error(&error))?;
        Ok(Self(messages))
    }

    /// The next message; `None` once the connection is gone.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        let message = self.0.on_message().next().await?;
        Some(message.get_payload_bytes().to_vec())
    }
}
