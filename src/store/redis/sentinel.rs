//! Finding the primary through Sentinels.
//!
//! All of them are asked at once, and the answer of the latest failover counts: one Sentinel that was cut off from the
//! others still names the old primary.

use super::Inner;
use super::dialer::{Address, Dialer, Login};
use super::fault::OpenError;
use super::lane::Lane;
use super::settings::RedisSettings;
use redis::{Pipeline, Value};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// The Sentinels of one service.
pub(super) struct Sentinels {
    service: String,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    address: Address,
    connection: Mutex<Option<Connection>>,
}

/// A connection that ends when it is dropped.
struct Connection {
    lane: Lane,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What a Sentinel says: the primary, and the number of the failover that made it one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    epoch: u64,
    address: Address,
}

impl Sentinels {
    pub(super) fn new(service: &str, addresses: Vec<Address>) -> Self {
        let sentinel = |address| Sentinel { address, connection: Mutex::new(None) };
        Self { service: service.to_owned(), sentinels: addresses.into_iter().map(sentinel).collect() }
    }

    /// The primary, by the Sentinel that knows the latest failover of those that answer in time.
    pub(super) async fn locate(self: &Arc<Self>, inner: &Arc<Inner>) -> Result<Address, OpenError> {
        let mut asked = JoinSet::new();
        for place in 0..self.sentinels.len() {
            let (sentinels, inner) = (Arc::clone(self), Arc::clone(inner));
            asked.spawn(async move {
                let answer = sentinels.sentinels[place].ask(&sentinels.service, &inner.dialer, &inner.settings);
                timeout(inner.settings.timeout * 2, answer).await.ok().flatten()
            });
        }
        let mut latest: Option<Named> = None;
        while let Some(answer) = asked.join_next().await {
            if let Ok(Some(named)) = answer
                && latest.as_ref().is_none_or(|latest| latest.epoch < named.epoch)
            {
                latest = Some(named);
            }
        }
        latest.map(|named| named.address).ok_or(OpenError::NoSentinel)
    }
}

impl Sentinel {
    /// Most Sentinels want no password, and one must not be sent to whoever does not want it.
    async fn ask(&self, service: &str, dialer: &Dialer, settings: &RedisSettings) -> Option<Named> {
        let mut place = self.connection.lock().await;
        for login in [Login::Nobody, Login::Sentinel] {
            let mut connection = match place.take() {
                Some(connection) => connection,
                None => self.connect(dialer, settings, login).await?,
            };
            // An error: the connection from the last time is gone; once more, on a new one.
            let Ok(answers) = connection.lane.send(question(service)).await else { continue };
            let [address, facts] = &answers.values[..] else { return None };
            if !matches!(address, Value::ServerError(error) if error.code() == "NOAUTH") {
                let named = named(address, facts);
                *place = Some(connection);
                return named;
            }
        }
        None
    }

    async fn connect(&self, dialer: &Dialer, settings: &RedisSettings, login: Login) -> Option<Connection> {
        let (connection, driver) = dialer.open(&self.address, settings, login).await.ok()?;
        Some(Connection { lane: Lane::Plain(connection), driver: tokio::spawn(driver) })
    }
}

/// The address comes from the one command that already tells the new primary while a failover is under way; how recent
/// that is, from the other.
fn question(service: &str) -> Pipeline {
    let mut question = Pipeline::with_capacity(2);
    question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    question.cmd("SENTINEL").arg("MASTER").arg(service);
    question
}

fn named(address: &Value, facts: &Value) -> Option<Named> {
    let (host, port) = redis::from_redis_value_ref(address).ok()?;
    let facts: HashMap<String, String> = redis::from_redis_value_ref(facts).ok()?;
    let epoch = facts.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Some(Named { epoch, address: Address { host, port } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(words: &[&str]) -> Value {
        Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
    }

    #[test]
    fn what_a_sentinel_names_is_read() {
        let (place, facts) = (reply(&["10.0.0.5", "6380"]), reply(&["ip", "10.0.0.4", "config-epoch", "3"]));
        let address = Address { host: String::from("10.0.0.5"), port: 6380 };
        assert_eq!(named(&place, &facts), Some(Named { epoch: 3, address }));
        assert_eq!(named(&Value::Nil, &facts), None, "a service that it does not know");
    }
}
