//! The epoch: the moment, on Redis' clock, since which the store has not forgotten a claim.
//!
//! It lies in a record of the store itself, beside what names the memory it speaks of: the process of the primary (run
//! id), its history of writes (replication id) and how many keys it has evicted. Every claim reads the record in its
//! own round trip, *after* the claim is made: whatever loses the claim also loses the record, or leaves one that names
//! another process. Then [`Settle`] writes it anew, and the epoch moves to now.

use super::fault::Fault;
use super::info::ServerInfo;
use super::script::Script;
use crate::clock::UnixTime;
use redis::Value;
use redis::aio::MultiplexedConnection;

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
}

impl<'a> Record<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(bytes).ok()?.split(' ');
        let epoch = parts.next()?.parse().ok()?;
        Some(Self { epoch: UnixTime::from_millis(epoch), run: parts.next()? })
    }
}

/// What the caller knows when it asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge<'a> {
    /// The latest epoch it has ever seen.
    pub seen: UnixTime,
    /// Its own time.
    pub wall: UnixTime,
    /// The replication id that this very connection saw before, if the server was not promoted since: then the id
    /// has changed because a first replica came or the last one went, and nothing was lost.
    pub replication: Option<&'a str>,
    /// The epoch under which its owner tag was handed out.
    pub owner_epoch: Option<UnixTime>,
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

    /// Settles the epoch recorded at `record` for the server that `info` speaks of. `owners`: the counter of owner tags.
    pub(super) async fn run(
        &self,
        lane: &mut MultiplexedConnection,
        record: &[u8],
        owners: Option<&[u8]>,
        info: &ServerInfo,
        knowledge: Knowledge<'_>,
    ) -> Result<Settled, Fault> {
        let keys: Vec<&[u8]> = std::iter::once(record).chain(owners).collect();
        let (evicted, seen) = (info.evicted_keys.to_string(), knowledge.seen.as_millis().to_string());
        let wall = knowledge.wall.as_millis().to_string();
        let owner_epoch = knowledge.owner_epoch.map(|epoch| epoch.as_millis().to_string()).unwrap_or_default();
        let known = knowledge.replication.unwrap_or_default();
        let arguments = [&info.run, &info.replication, &evicted, &seen, &wall, known, &owner_epoch];
        settled(&self.0.run(lane, &keys, &arguments).await?).ok_or(Fault::NONSENSE)
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
    fn a_record_is_read() {
        let record = Record::parse(b"1730000000000 0123456789abcdef fedcba9876543210 0");
        assert_eq!(record, Some(Record { epoch: UnixTime::from_millis(1_730_000_000_000), run: "0123456789abcdef" }));
    }

    #[test]
    fn what_is_no_record_is_not_taken_for_one() {
        for bytes in [&b""[..], b"now 0123456789abcdef", b"17", b"\xff\xff 01"] {
            assert_eq!(Record::parse(bytes), None);
        }
    }
}
