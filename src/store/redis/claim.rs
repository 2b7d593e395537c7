//! The claim itself, on the wire: one round trip, and the epoch's record comes back with it.
//!
//! One nonce of one use, which is nearly every request, is `SET NX PX` and `GET` in one write: measured against a
//! script it costs Redis a third less. Order matters: the record is read *after* the claim, so that a memory lost in
//! between is noticed.

use super::fault::Fault;
use super::keys::Keys;
use super::lane::{Answers, Lane};
use super::script::{Call, Script};
use crate::clock::UnixTime;
use crate::store::recent::Due;
use crate::store::{MAX_USES, Nonce, StoreError};
use redis::{Cmd, Pipeline, Value};

/// No claim lives longer, whatever a token says: ten years, in milliseconds.
const MAX_TTL: i64 = 315_360_000_000;

/// Claims all of `KEYS[2..]` or none. `ARGV`: the owner tag, then uses and time to live of each.
const CLAIM: &str = r"
for i = #KEYS, 2, -1 do
  local uses, value = tonumber(ARGV[2 * i - 2]), redis.call('GET', KEYS[i])
  if value and (uses == 1 or tonumber(value) >= uses) then
    return {i - 1, redis.call('GET', KEYS[1])}
  end
end
for i = 2, #KEYS do
  local uses, ttl = tonumber(ARGV[2 * i - 2]), ARGV[2 * i - 1]
  if uses == 1 then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ttl)
  elseif redis.call('INCR', KEYS[i]) == 1 or redis.call('PTTL', KEYS[i]) < tonumber(ttl) then
    redis.call('PEXPIRE', KEYS[i], ttl)
  end
end
return {0, redis.call('GET', KEYS[1])}
";

/// Gives one claim back, if the memory is still the one it was made in and it is still the same claim. `ARGV`: the
/// epoch, and the owner tag, or `count` for a counted use.
const RELEASE: &str = r"
local record = redis.call('GET', KEYS[1])
local epoch = record and tonumber(string.match(record, '^(%d+) '))
local value = redis.call('GET', KEYS[2])
if not epoch or not value or epoch > tonumber(ARGV[1]) then
  return 0
end
if ARGV[2] ~= 'count' then
  return value == ARGV[2] and redis.call('DEL', KEYS[2]) or 0
end
local count = tonumber(value)
if count > 999 then
  return 0
elseif count > 1 then
  redis.call('DECR', KEYS[2])
else
  redis.call('DEL', KEYS[2])
end
return 1
";

/// Enters one claim that was made without the store; 1 if another replica had made it too. `ARGV`: owner tag, uses, time
/// to live.
const ENTER: &str = r"
local value, uses = redis.call('GET', KEYS[1]), tonumber(ARGV[2])
if uses == 1 then
  if not value then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  end
  return (value and value ~= ARGV[1]) and 1 or 0
end
if value and tonumber(value) > 999 then
  return 1
end
local count = redis.call('INCR', KEYS[1])
if count == 1 or redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return count > uses and 1 or 0
";

/// What the store said to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    /// The place of the last nonce that was used up; `None`: all were free and now are claimed.
    pub spent: Option<usize>,
    /// The epoch's record, as it stood after the claim.
    pub record: Option<Vec<u8>>,
    /// Whether enough replicas hold the claim.
    pub committed: bool,
}

/// The scripts for what takes more than one command.
#[derive(Debug)]
pub(super) struct Claims {
    claim: Script,
    release: Script,
    enter: Script,
}

impl Claims {
    pub(super) fn new() -> Self {
        Self { claim: Script::new(CLAIM), release: Script::new(RELEASE), enter: Script::new(ENTER) }
    }

    pub(super) fn scripts(&self) -> [&Script; 3] {
        [&self.claim, &self.release, &self.enter]
    }

    /// Claims all `nonces`, which are of one group, for `owner`; claims are kept from `now` to each nonce's end.
    pub(super) async fn claim(
        &self,
        lane: &mut Lane,
        keys: &Keys,
        nonces: &[Nonce],
        owner: u16,
        now: UnixTime,
    ) -> Result<Claimed, Fault> {
        let Some(group) = nonces.first().map(|nonce| keys.group(&nonce.key)) else {
            return Err(Fault { error: StoreError::Refused, maybe_done: false, broken: false });
        };
        if let [nonce @ Nonce { uses: 1, .. }] = nonces {
            // Room for the words and bytes, so that nothing is moved while the commands are written.
            let mut set = Cmd::with_capacity(6, 64);
            set.arg("SET").arg(keys.claim(&nonce.key).as_bytes()).arg(owner).arg("NX").arg("PX").arg(ttl(nonce, now));
            let mut get = Cmd::with_capacity(2, 32);
            get.arg("GET").arg(keys.record(group));
            let mut commands = Pipeline::with_capacity(2);
            commands.add_command(set).add_command(get);
            return claimed_once(lane.send(commands).await?);
        }
        let mut call = Call { keys: vec![keys.record(group).to_vec()], arguments: vec![owner.to_string()] };
        for nonce in nonces {
            call.keys.push(keys.claim(&nonce.key).as_bytes().to_vec());
            call.arguments.push(nonce.uses.min(MAX_USES).to_string());
            call.arguments.push(ttl(nonce, now).to_string());
        }
        let (reply, committed) = self.claim.run(lane, call).await?;
        claimed(reply, committed)
    }

    /// Gives claims back, in one write. Each answer: whether the claim was still ours to give back.
    pub(super) async fn release(&self, lane: &mut Lane, keys: &Keys, dues: &[Due]) -> Vec<Result<bool, Fault>> {
        let call = |due: &Due| {
            let owner = if due.nonce.uses == 1 { due.owner.to_string() } else { String::from("count") };
            let (record, key) = (keys.record(keys.group(&due.nonce.key)), keys.claim(&due.nonce.key));
            Call {
                keys: vec![record.to_vec(), key.as_bytes().to_vec()],
                arguments: vec![due.epoch.as_millis().to_string(), owner],
            }
        };
        let calls: Vec<Call> = dues.iter().map(call).collect();
        let answers = self.release.run_all(lane, &calls).await;
        answers.into_iter().map(|answer| answer.map(|value| value == Value::Int(1))).collect()
    }

    /// Enters claims that were made without the store, in one write. Each answer: whether another replica had made it
    /// too.
    pub(super) async fn enter(
        &self,
        lane: &mut Lane,
        keys: &Keys,
        nonces: &[Nonce],
        owner: u16,
        now: UnixTime,
    ) -> Vec<Result<bool, Fault>> {
        let call = |nonce: &Nonce| Call {
            keys: vec![keys.claim(&nonce.key).as_bytes().to_vec()],
            arguments: vec![owner.to_string(), nonce.uses.min(MAX_USES).to_string(), ttl(nonce, now).to_string()],
        };
        let calls: Vec<Call> = nonces.iter().map(call).collect();
        let answers = self.enter.run_all(lane, &calls).await;
        answers.into_iter().map(|answer| answer.map(|value| value == Value::Int(1))).collect()
    }
}

fn ttl(nonce: &Nonce, now: UnixTime) -> i64 {
    nonce.keep_until.as_millis().saturating_sub(now.as_millis()).clamp(1, MAX_TTL)
}

fn claimed_once(answers: Answers) -> Result<Claimed, Fault> {
    let committed = answers.committed;
    let [claim, record] = <[Value; 2]>::try_from(answers.values).map_err(|_| Fault::NONSENSE)?;
    let spent = match claim {
        Value::Okay => None,
        Value::Nil => Some(0),
        Value::ServerError(error) => return Err(Fault::from(&error)),
        _ => return Err(Fault::NONSENSE),
    };
    Ok(Claimed { spent, record: bytes(record)?, committed })
}

fn claimed(reply: Value, committed: bool) -> Result<Claimed, Fault> {
    let Value::Array(parts) = reply else { return Err(Fault::NONSENSE) };
    let [place, record] = <[Value; 2]>::try_from(parts).map_err(|_| Fault::NONSENSE)?;
    let Value::Int(place) = place else { return Err(Fault::NONSENSE) };
    let spent = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
    Ok(Claimed { spent, record: bytes(record)?, committed })
}

fn bytes(value: Value) -> Result<Option<Vec<u8>>, Fault> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        Value::ServerError(error) => Err(Fault { maybe_done: true, ..Fault::from(&error) }),
        _ => Err(Fault::NONSENSE),
    }
}

/// The commands that ask whether `nonces`, which are of one group, are free, and for the epoch's record.
pub(super) fn look(keys: &Keys, group: u16, nonces: &[Nonce]) -> Pipeline {
    let mut commands = Pipeline::with_capacity(nonces.len() + 1);
    for nonce in nonces {
        commands.cmd("GET").arg(keys.claim(&nonce.key).as_bytes());
    }
    commands.cmd("GET").arg(keys.record(group));
    commands
}

/// Reads the answer to [`look`].
pub(super) fn looked(nonces: &[Nonce], answers: Answers) -> Result<Claimed, Fault> {
    let Answers { mut values, committed } = answers;
    let record = bytes(values.pop().unwrap_or_default())?;
    let mut spent = None;
    for (place, (nonce, value)) in nonces.iter().zip(values).enumerate() {
        let used = bytes(value)?.map(|used| std::str::from_utf8(&used).ok().and_then(|used| used.parse::<u32>().ok()));
        let is_spent = match used {
            None => false,
            // Whatever is there that is not a number is nothing a counted use could be added to.
            Some(None) => true,
            Some(Some(used)) => nonce.uses == 1 || used >= nonce.uses.min(MAX_USES),
        };
        if is_spent {
            spent = Some(place);
        }
    }
    Ok(Claimed { spent, record, committed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NonceKey;

    fn nonce(keep_until: i64) -> Nonce {
        Nonce { key: NonceKey::new("jti", "a", "b"), uses: 1, keep_until: UnixTime::from_millis(keep_until) }
    }

    #[test]
    fn a_claim_lives_at_least_a_millisecond_and_at_most_ten_years() {
        let now = UnixTime::from_millis(1000);
        assert_eq!(ttl(&nonce(4000), now), 3000);
        assert_eq!(ttl(&nonce(500), now), 1);
        assert_eq!(ttl(&nonce(i64::MAX), now), MAX_TTL);
    }

    #[test]
    fn an_answer_that_makes_no_sense_leaves_doubt() {
        let once = |values| claimed_once(Answers { values, committed: true });
        assert_eq!(once(vec![Value::Okay]), Err(Fault::NONSENSE));
        assert_eq!(once(vec![Value::Int(1), Value::Nil]), Err(Fault::NONSENSE));
        assert_eq!(claimed(Value::Okay, true), Err(Fault::NONSENSE));
        let spent = Claimed { spent: Some(0), record: None, committed: true };
        assert_eq!(once(vec![Value::Nil, Value::Nil]), Ok(spent));
    }
}
