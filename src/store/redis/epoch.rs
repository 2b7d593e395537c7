//! The epoch: the moment, on Redis' clock, since which the store has not forgotten a claim.
//!
//! It lies in a record of the store itself, beside what names the memory it speaks of: the process of the primary (run
//! id), its history of writes (replication id) and how many keys it has evicted. Every claim reads the record in its
//! own round trip, *after* the claim is made: whatever loses the claim also loses the record, or leaves one that names
//! another process. Then [`Settle`] writes it anew, and the epoch moves to now.

use super::fault::Fault;
use super::info::ServerInfo;
use super::keys::Keys;
use super::lane::Lane;
use super::memory::Memory;
use super::script::{Call, Script};
use crate::clock::UnixTime;
use redis::Value;

/// The tag of a replica that has none yet. Tags lie above every count of uses, so that a one-time claim reads as used up
/// to whoever counts; and below 10,000, where Redis shares one object for each number.
pub(super) const NO_OWNER: u16 = 1000;

/// Reads the record, and writes it anew where it does not speak of this server's memory.
///
/// The new epoch is Redis' time, but never earlier than any epoch before it, nor than the caller's own clock where that
/// is at most 30 s ahead: a promoted server whose clock is behind must not date its memory back into the gap.
const SETTLE: &str = r"
local run, replication, evicted, seen, wall, known, owner_epoch = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('GET', KEYS[1])
local epoch, old_run, old_replication, old_evicted
if record then
  epoch, old_run, old_replication, old_evicted = string.match(record, '^(%d+) (%x+) (%x+) (%d+)$')
end
epoch, seen, evicted = tonumber(epoch), tonumber(seen), tonumber(evicted)
local reason = ''
if not epoch then
  reason = 'empty'
elseif old_run ~= run or (old_replication ~= replication and old_replication ~= known) then
  reason = 'primary'
elseif epoch < seen then
  reason = 'older'
elseif evicted > 0 and evicted ~= tonumber(old_evicted) then
  reason = 'evicted'
end
if reason ~= '' then
  epoch = math.max(now, math.min(tonumber(wall), now + 30000), (epoch or 0) + 1, seen + 1)
end
local text = string.format('%.0f', epoch)
local wanted = text .. ' ' .. run .. ' ' .. replication .. ' ' .. ARGV[3]
if wanted ~= record then
  redis.call('SET', KEYS[1], wanted)
end
local owner = -1
if KEYS[2] and owner_epoch ~= text then
  if not redis.call('GET', KEYS[2]) then
    redis.call('SET', KEYS[2], now % 8999)
  end
  owner = redis.call('INCR', KEYS[2]) % 8999
end
return {text, reason, owner}
";

/// The record, as one claim reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub epoch: UnixTime,
    pub run: &'a str,
    rest: &'a str,
}

impl<'a> Record<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (epoch, rest) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        let (run, rest) = rest.split_once(' ')?;
        Some(Self { epoch: UnixTime::from_millis(epoch.parse().ok()?), run, rest })
    }

    /// Whether it speaks of the memory that `info` speaks of.
    pub(super) fn is_of(&self, info: &ServerInfo) -> bool {
        let (replication, evicted) = self.rest.split_once(' ').unwrap_or_default();
        self.run == info.run && replication == info.replication && evicted.parse() == Ok(info.evicted_keys)
    }
}

/// What the caller knows when it asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge<'a> {
    /// Its own time.
    pub wall: UnixTime,
    /// The replication id that this very connection saw before, if the server was not promoted since: then the id
    /// has changed because a first replica came or the last one went, and nothing was lost.
    pub replication: Option<&'a str>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub epoch: UnixTime,
    /// Why the epoch has moved just now: `empty`, `primary`, `older`, `evicted`.
    pub moved: Option<String>,
    /// A new owner tag, if one was needed.
    pub owner: Option<u16>,
}

/// The script that settles the epoch.
#[derive(Debug)]
pub(super) struct Settle(Script);

impl Settle {
    pub(super) fn new() -> Self {
        Self(Script::new(SETTLE))
    }

    pub(super) fn script(&self) -> &Script {
        &self.0
    }

    /// Settles the epochs of `groups` for the server that `info` speaks of, and learns them.
    pub(super) async fn run(
        &self,
        lane: &mut Lane,
        keys: &Keys,
        memory: &Memory,
        groups: &[u16],
        info: &ServerInfo,
        knowledge: Knowledge<'_>,
    ) -> Result<Vec<Settled>, Fault> {
        let call = |group: &u16| {
            let owner_epoch = memory.owner_epoch().map(|epoch| epoch.as_millis().to_string());
            let arguments = vec![
                info.run.clone(),
                info.replication.clone(),
                info.evicted_keys.to_string(),
                memory.epoch(*group).unwrap_or_default().as_millis().to_string(),
                knowledge.wall.as_millis().to_string(),
                knowledge.replication.unwrap_or_default().to_owned(),
                owner_epoch.unwrap_or_default(),
            ];
            let keys = std::iter::once(keys.record(*group)).chain(keys.owners(*group));
            Call { keys: keys.map(<[u8]>::to_vec).collect(), arguments }
        };
        let calls: Vec<Call> = groups.iter().map(call).collect();
        let answers = self.0.run_all(lane, &calls).await;
        let mut all = Vec::with_capacity(answers.len());
        for (group, answer) in groups.iter().zip(answers) {
            let settled = settled(&answer?).ok_or(Fault::NONSENSE)?;
            memory.learn(*group, &settled);
            all.push(settled);
        }
        Ok(all)
    }
}

fn settled(value: &Value) -> Option<Settled> {
    let (epoch, moved, owner) = redis::from_redis_value_ref::<(i64, String, i64)>(value).ok()?;
    Some(Settled {
        epoch: UnixTime::from_millis(epoch),
        moved: Some(moved).filter(|reason| !reason.is_empty()),
        owner: u16::try_from(owner).ok().map(|owner| NO_OWNER.saturating_add(1).saturating_add(owner)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_and_compared() {
        let record = Record::parse(b"1730000000000 0123456789abcdef fedcba9876543210 7").unwrap();
        assert_eq!((record.epoch, record.run), (UnixTime::from_millis(1_730_000_000_000), "0123456789abcdef"));
        let info = ServerInfo {
            run: String::from("0123456789abcdef"),
            replication: String::from("fedcba9876543210"),
            promoted: false,
            primary: true,
            evicted_keys: 7,
            evicting: false,
            memory: (0, 0),
            replicas: 0,
            version: String::new(),
        };
        assert!(record.is_of(&info));
        assert!(!record.is_of(&ServerInfo { evicted_keys: 8, ..info.clone() }));
        assert!(!record.is_of(&ServerInfo { replication: String::from("0000000000000000"), ..info.clone() }));
        assert!(!record.is_of(&ServerInfo { run: String::from("0000000000000000"), ..info }));
    }

    #[test]
    fn what_is_no_record_is_not_taken_for_one() {
        for bytes in [&b""[..], b"now 0123456789abcdef 0", b"17", b"17 01", b"\xff\xff 01 2"] {
            assert_eq!(Record::parse(bytes), None);
        }
    }
}
