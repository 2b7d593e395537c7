//! What a server says of itself in INFO.

use crate::clock::UnixTime;
use redis::Value;

/// How much of a run id or replication id is kept: 64 of its 160 random bits.
const ID_LENGTH: usize = 16;

/// The facts that decide whether the server's memory can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerInfo {
    /// Names this process of Redis: another one after a restart or a failover.
    pub run: String,
    /// Names this history of writes: another one when a replica was promoted.
    pub replication: String,
    /// Whether the server was promoted within the life of its replication backlog.
    pub promoted: bool,
    /// Whether it takes writes.
    pub primary: bool,
    /// How many live keys it threw away for want of memory.
    pub evicted_keys: u64,
    /// Whether it throws live keys away at all.
    pub evicting: bool,
    /// Bytes in use, and the most it may use (0: no limit).
    pub memory: (u64, u64),
    /// Replicas attached.
    pub replicas: u32,
    /// Its version.
    pub version: String,
}

impl ServerInfo {
    /// Reads INFO. `None` if it lacks what is needed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end);
        let number = |name: &str| field(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        Some(Self {
            run: short_id(field("run_id")?)?,
            replication: short_id(field("master_replid")?)?,
            promoted: field("master_replid2").is_some_and(|id| id.bytes().any(|byte| byte != b'0')),
            primary: field("role")? == "master",
            evicted_keys: field("evicted_keys")?.parse().ok()?,
            evicting: field("maxmemory_policy")? != "noeviction",
            memory: (number("used_memory"), number("maxmemory")),
            replicas: u32::try_from(number("connected_slaves")).unwrap_or(0),
            version: field("redis_version").unwrap_or("unknown").to_owned(),
        })
    }
}

fn short_id(id: &str) -> Option<String> {
    let short = id.get(..ID_LENGTH)?;
    short.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| short.to_ascii_lowercase())
}

/// Reads the answer of TIME.
pub(super) fn time(value: &Value) -> Option<UnixTime> {
    let Value::Array(parts) = value else { return None };
    let mut numbers = parts.iter().map(|part| redis::from_redis_value_ref::<i64>(part).ok());
    let (seconds, micros) = (numbers.next()??, numbers.next()??);
    Some(UnixTime::from_millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n\
        used_memory:1000\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nevicted_keys:3\r\nrole:master\r\n\
        connected_slaves:2\r\nmaster_replid:FEDCBA9876543210fedcba9876543210fedcba98\r\n\
        master_replid2:0000000000000000000000000000000000000000\r\n";

    #[test]
    fn info_is_read() {
        let info = ServerInfo::parse(INFO).unwrap();
        assert_eq!((info.run.as_str(), info.replication.as_str()), ("0123456789abcdef", "fedcba9876543210"));
        assert!(info.primary && !info.promoted && !info.evicting);
        assert_eq!((info.evicted_keys, info.replicas, info.memory), (3, 2, (1000, 0)));
    }

    #[test]
    fn an_info_without_a_run_id_is_refused() {
        assert_eq!(ServerInfo::parse(&INFO.replace("run_id", "process")), None);
        assert_eq!(ServerInfo::parse(&INFO.replace("0123456789abcdef0123", "not-hexadecimal-")), None);
    }

    #[test]
    fn time_is_read() {
        let value = Value::Array(vec![Value::BulkString(b"12".to_vec()), Value::BulkString(b"345678".to_vec())]);
        assert_eq!(time(&value), Some(UnixTime::from_millis(12_345)));
        assert_eq!(time(&Value::Nil), None);
    }
}
