//! The list of revocations in Redis.
//!
//! The records are lines in one sorted set, by the moment at which they are over; beside it stands the list's epoch and
//! how often it grew. In a cluster both lie in the slot of the first group. Adding is one script: it begins a new epoch if the store has
//! none (it was emptied, or is new), adds what is new, counts it, and tells every replica what was added and where the
//! list stood before, so that a replica sees what it has missed.

use super::fault::{Fault, OpenError};
use super::lane::Answers;
use super::script::{Call, Script};
use super::session::Session;
use super::subscription::Subscription;
use super::{Inner, RedisStore};
use crate::clock::{Stopwatch, UnixTime};
use crate::store::{Change, KEPT_BEYOND, Mark, Page, RevocationStore, StoreError, Watched};
use async_trait::async_trait;
use redis::{Cmd, Pipeline, Value};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// The group of claims in whose slot the list lies.
const GROUP: u16 = 0;
/// Records in one answer of a reading: small, so that no claim waits behind it for long.
const PAGE: usize = 1_000;

/// Adds lines. `KEYS`: the set, the state. `ARGV`: the channel, then a score and a line for each record.
const APPEND: &str = r"
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  local time = redis.call('TIME')
  epoch = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local new = {}
for i = 2, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1]) == 1 then
    new[#new + 1] = ARGV[i + 1]
  end
end
if #new > 0 then
  local after = redis.call('HINCRBY', KEYS[2], 'changes', #new)
  local head = epoch .. ' ' .. string.format('%.0f %.0f', after - #new, after)
  redis.call('PUBLISH', ARGV[1], head .. '\n' .. table.concat(new, '\n'))
end
return #new
";

/// The list of revocations of a [`RedisStore`].
pub struct RedisRevocations {
    inner: Arc<Inner>,
    append: Script,
    set: Vec<u8>,
    state: Vec<u8>,
    channel: String,
    /// One follower at a time.
    watcher: Mutex<Option<Watcher>>,
}

/// What a follower listens on.
struct Watcher {
    /// The connections whose server is listened to: another primary is another server.
    session: Arc<Session>,
    subscription: Subscription,
    /// Where the list stood when last heard of.
    heard: Option<Mark>,
}

impl RedisStore {
    /// The list of revocations beside the claims, over the same connections.
    #[must_use]
    pub fn revocations(&self) -> RedisRevocations {
        let settings = &self.inner.settings;
        let prefix = &settings.key_prefix;
        // Channels know no databases, keys do.
        let database = settings.servers.urls().first().map_or(0, |url| url.database);
        RedisRevocations {
            inner: Arc::clone(&self.inner),
            append: Script::new(APPEND),
            set: self.inner.keys.named(GROUP, "revocations"),
            state: self.inner.keys.named(GROUP, "revoked"),
            channel: format!("{prefix}:revocations:{database}"),
            watcher: Mutex::new(None),
        }
    }
}

#[async_trait]
impl RevocationStore for RedisRevocations {
    async fn append(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.timed("revoke", self.add(changes)).await
    }

    async fn page(&self, next: Option<&str>) -> Result<Page, StoreError> {
        let session = self.timed("revocations", self.session()).await?;
        if next.is_none() {
            self.timed("revocations", self.drop_old(&session)).await?;
        }
        self.timed("revocations", self.scan(&session, next.unwrap_or("0"))).await
    }

    async fn watch(&self, patience: Duration) -> Result<Watched, StoreError> {
        let watch = Stopwatch::start();
        let watched = self.listen(patience).await;
        if watched.is_err() {
            sleep(patience.saturating_sub(watch.elapsed())).await;
        }
        watched
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl RedisRevocations {
    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        self.inner.session(GROUP).await
    }

    async fn add(&self, changes: &[Change]) -> Result<(), StoreError> {
        let session = self.session().await?;
        let mut arguments = vec![self.channel.clone()];
        for change in changes {
            arguments.push(change.expires_at().as_millis().to_string());
            arguments.push(change.to_string());
        }
        let call = Call { keys: vec![self.set.clone(), self.state.clone()], arguments };
        match self.append.run(&mut session.lane(), call).await {
            Ok((Value::Int(_), _)) => Ok(()),
            Ok(_) => Err(StoreError::Refused),
            Err(fault) => Err(self.failed(&session, fault)),
        }
    }

    async fn mark(&self, session: &Session) -> Result<Mark, StoreError> {
        let [mark] = self.run(session, [self.ask_mark()]).await?;
        parse_mark(&mark).ok_or(StoreError::Refused)
    }

    fn ask_mark(&self) -> Cmd {
        let mut ask = redis::cmd("HMGET");
        ask.arg(&self.state).arg("epoch").arg("changes");
        ask
    }

    /// Drops records that are over, well after every replica has: one that still had them would write them back.
    async fn drop_old(&self, session: &Session) -> Result<(), StoreError> {
        let over = self.inner.clock.now().minus(KEPT_BEYOND * 2);
        let mut drop_old = redis::cmd("ZREMRANGEBYSCORE");
        drop_old.arg(&self.set).arg("-inf").arg(over.as_millis());
        self.run(session, [drop_old]).await.map(|_| ())
    }

    async fn scan(&self, session: &Session, cursor: &str) -> Result<Page, StoreError> {
        let mut scan = redis::cmd("ZSCAN");
        scan.arg(&self.set).arg(cursor).arg("COUNT").arg(PAGE);
        let [mark, found] = self.run(session, [self.ask_mark(), scan]).await?;
        parse_page(&mark, &found).ok_or(StoreError::Refused)
    }

    async fn listen(&self, patience: Duration) -> Result<Watched, StoreError> {
        let session = self.timed("revocations", self.session()).await?;
        let mut place = self.watcher.lock().await;
        let current = place.as_ref().is_some_and(|watcher| Arc::ptr_eq(&watcher.session, &session));
        if !current {
            *place = None;
            *place = Some(self.timed("revocations", self.subscribe()).await?);
            return Ok(Watched::Reconnected);
        }
        let Some(watcher) = place.as_mut() else { return Err(StoreError::Connection) };
        let told = match timeout(patience, watcher.subscription.next()).await {
            Ok(Some(message)) => Ok(parse(&message).unwrap_or(Watched::Reconnected)),
            Ok(None) => Err(StoreError::Connection),
            Err(_) => self.timed("revocations", self.mark(&watcher.session)).await.map(Watched::Stands),
        };
        if !watcher.is_sound_after(&told) {
            *place = None;
        }
        told
    }

    /// Listens at the primary that we are connected to.
    async fn subscribe(&self) -> Result<Watcher, StoreError> {
        let inner = &self.inner;
        let primary = inner.fleet.primary(GROUP).ok_or(StoreError::Connection)?;
        let (address, session) = primary.ready_at().ok_or(StoreError::Connection)?;
        let subscription = Subscription::open(&inner.dialer, &address, &inner.settings, &self.channel).await;
        Ok(Watcher { session, subscription: subscription.map_err(OpenError::as_store_error)?, heard: None })
    }

    /// Runs `commands` in one write, in their order.
    async fn run<const N: usize>(&self, session: &Session, commands: [Cmd; N]) -> Result<[Value; N], StoreError> {
        let mut pipeline = Pipeline::with_capacity(N);
        for command in commands {
            pipeline.add_command(command);
        }
        let answers = session.lane().send(pipeline).await.and_then(|Answers { values, .. }| {
            let refused = values.iter().find_map(|value| match value {
                Value::ServerError(error) => Some(Fault::from(error)),
                _ => None,
            });
            refused.map_or_else(|| values.try_into().map_err(|_| Fault::NONSENSE), Err)
        });
        answers.map_err(|fault| self.failed(session, fault))
    }

    /// A server that is not the one to ask any more is left, and looked for anew.
    fn failed(&self, session: &Session, fault: Fault) -> StoreError {
        if fault.broken {
            session.close();
            self.inner.fleet.look_again();
        }
        fault.error
    }

    /// Waits as long as the store may be silent, and reports how long it took.
    async fn timed<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let watch = Stopwatch::start();
        let result = timeout(self.inner.patience(), answer).await.unwrap_or(Err(StoreError::Timeout));
        match &result {
            Ok(_) => self.inner.observer.store_answered(operation, watch.elapsed()),
            Err(error) => self.inner.observer.store_failed(error.label()),
        }
        result
    }
}

impl Watcher {
    fn is_sound_after(&mut self, told: &Result<Watched, StoreError>) -> bool {
        match told {
            Ok(Watched::Added { after, .. }) => {
                self.heard = Some(*after);
                true
            }
            // It grew and we were not told: the line we listen on may be dead without anybody having said so.
            Ok(Watched::Stands(mark)) => self.heard.replace(*mark).is_none_or(|heard| heard == *mark),
            Ok(Watched::Reconnected) | Err(_) => false,
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The two fields of the state; 0 where there is no list yet.
fn parse_mark(fields: &Value) -> Option<Mark> {
    let Value::Array(fields) = fields else { return None };
    let [epoch, changes] = fields.as_slice() else { return None };
    let number = |field: &Value| match field {
        Value::Nil => Some(0),
        field => text(field)?.parse::<i64>().ok(),
    };
    Some(Mark { epoch: UnixTime::from_millis(number(epoch)?), changes: u64::try_from(number(changes)?).ok()? })
}

/// The cursor, then members and scores in turn.
fn parse_page(mark: &Value, found: &Value) -> Option<Page> {
    let Value::Array(parts) = found else { return None };
    let [next, Value::Array(items)] = parts.as_slice() else { return None };
    let lines: Vec<Option<Change>> = items.iter().step_by(2).map(|line| text(line)?.parse().ok()).collect();
    let unreadable = lines.iter().filter(|line| line.is_none()).count();
    let next = Some(text(next)?.to_owned()).filter(|next| next != "0");
    Some(Page { mark: parse_mark(mark)?, changes: lines.into_iter().flatten().collect(), unreadable, next })
}

/// `EPOCH BEFORE AFTER`, then a record a line.
fn parse(message: &[u8]) -> Option<Watched> {
    let mut lines = std::str::from_utf8(message).ok()?.split('\n');
    let mut head = lines.next()?.split(' ');
    let epoch = UnixTime::from_millis(head.next()?.parse().ok()?);
    let mut mark = || Some(Mark { epoch, changes: head.next()?.parse().ok()? });
    let (before, after) = (mark()?, mark()?);
    let changes: Vec<Change> = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Watched::Added { before, after, changes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RevocationId;

    #[test]
    fn a_message_says_where_the_list_stood_and_what_was_added() {
        let change = Change::TakenBack { id: RevocationId::from_bits(1), expires_at: UnixTime::from_seconds(9) };
        let mark = |changes| Mark { epoch: UnixTime::from_millis(17), changes };
        let parsed = parse(format!("17 3 4\n{change}").as_bytes());
        assert_eq!(parsed, Some(Watched::Added { before: mark(3), after: mark(4), changes: vec![change] }));
        for text in ["", "17", "17 3", "17 3 x", "17 3 4\nwhat", "17 3 4\n"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
