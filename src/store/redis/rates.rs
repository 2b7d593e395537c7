//! Rates that all replicas share: the generic cell rate algorithm in one script, by the clock of Redis, so that replicas
//! whose clocks differ count alike.

use super::Inner;
use super::fault::Fault;
use super::keys::Keys;
use super::lane::Lane;
use super::script::{Call, Script};
use crate::clock::Stopwatch;
use crate::store::{CountAnswer, Counting, NonceKey, Pace, StoreError};
use redis::Value;
use std::sync::Arc;
use tokio::time::timeout;

/// `KEYS[1]`: the counter, the moment in µs when it will be empty again. `ARGV`: the time for one request and the time
/// for which requests may come ahead, in µs; `1` to count, `0` to look. Answers how long it is until the counter is
/// empty, and how much too early the request came.
const COUNT: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then
  arrival = now
end
local over = arrival + interval - now - burst
if over <= 0 then
  arrival = arrival + interval
  if ARGV[3] == '1' then
    redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
  end
end
return {arrival - now, over}
";

impl Inner {
    /// Counts one request, within the time-out. A count that was not answered may have been made: the request then is
    /// counted by its own process too, which harms nobody.
    pub(super) async fn count(self: &Arc<Self>, key: NonceKey, pace: Pace, how: Counting) -> CountAnswer {
        let watch = Stopwatch::start();
        match timeout(self.settings.timeout, self.count_there(key, pace, how)).await {
            Ok(Ok(answer)) => {
                self.observer.store_answered("count", watch.elapsed());
                answer
            }
            Ok(Err(error)) => self.uncounted(error),
            Err(_) => {
                if let Some(session) = self.fleet.primary(self.keys.group(&key)).and_then(|primary| primary.current()) {
                    session.line().stall(true);
                }
                self.uncounted(StoreError::Timeout)
            }
        }
    }

    async fn count_there(
        self: &Arc<Self>,
        key: NonceKey,
        pace: Pace,
        how: Counting,
    ) -> Result<CountAnswer, StoreError> {
        let session = self.session(self.keys.group(&key)).await?;
        let counted = self.rates.count(&mut session.lane(), &self.keys, key, pace, how).await;
        counted.map_err(|fault| {
            if fault.broken {
                session.close();
            }
            fault.error
        })
    }

    fn uncounted(&self, error: StoreError) -> CountAnswer {
        self.observer.store_failed(error.label());
        CountAnswer::Unknown(error)
    }
}

/// The script that counts.
#[derive(Debug)]
pub(super) struct RateScript(Script);

impl RateScript {
    pub(super) fn new() -> Self {
        Self(Script::new(COUNT))
    }

    pub(super) fn script(&self) -> &Script {
        &self.0
    }

    /// Counts one request under `key`.
    pub(super) async fn count(
        &self,
        lane: &mut Lane,
        keys: &Keys,
        key: NonceKey,
        pace: Pace,
        how: Counting,
    ) -> Result<CountAnswer, Fault> {
        let counts = if how == Counting::Count { "1" } else { "0" };
        let call = Call {
            keys: vec![keys.claim(&key).as_bytes().to_vec()],
            arguments: vec![pace.interval.to_string(), pace.burst.to_string(), counts.to_owned()],
        };
        let (reply, _) = self.0.run(lane, call).await?;
        counted(reply)
    }
}

fn counted(reply: Value) -> Result<CountAnswer, Fault> {
    let Value::Array(parts) = reply else { return Err(Fault::NONSENSE) };
    match <[Value; 2]>::try_from(parts) {
        Ok([Value::Int(busy), Value::Int(over)]) => Ok(CountAnswer::Counted { busy, over }),
        _ => Err(Fault::NONSENSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_are_an_answer() {
        let answer = counted(Value::Array(vec![Value::Int(7), Value::Int(-3)]));
        assert_eq!(answer, Ok(CountAnswer::Counted { busy: 7, over: -3 }));
        for nonsense in [Value::Nil, Value::Array(vec![Value::Int(1)]), Value::Array(vec![Value::Int(1), Value::Nil])] {
            assert!(counted(nonsense).is_err());
        }
    }
}
