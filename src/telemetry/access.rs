//! The access log: one line a request, without its query, its headers or its token.

use super::Outcome;
use super::logs::{ACCESS, Text, Time};
use super::traces::TraceId;
use crate::clock::UnixTime;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The longest path segment that is logged. Longer ones are seldom names and sometimes secrets.
const MAX_SEGMENT: usize = 48;
/// The most segments of a path that are logged.
const MAX_SEGMENTS: usize = 12;

/// One request, as the access log shows it.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// When the request came.
    pub time: UnixTime,
    /// Its identifier.
    pub request_id: &'a str,
    /// The trace it is recorded in.
    pub trace: Option<TraceId>,
    /// Who sent it.
    pub client: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// The route's name, or `none`.
    pub route: &'a str,
    /// The issuer's name, or `none`.
    pub issuer: &'a str,
    /// The status of the answer; 0 when the client was gone before there was one.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<&'static str>,
    /// The upstream's name, where one was asked.
    pub upstream: Option<&'a str>,
    /// From the request's header to the end of the answer.
    pub duration: Duration,
}

impl AccessLine<'_> {
    /// Writes the line to the log.
    pub fn write(&self) {
        log::info!(target: ACCESS, "{self}");
    }
}

impl fmt::Display for AccessLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"time":"{}","kind":"access","request_id":{}"#, Time(self.time), Text(self.request_id))?;
        if let Some(trace) = self.trace {
            write!(f, r#","trace_id":"{trace}""#)?;
        }
        write!(f, r#","client":"{}","method":{},"path":"#, self.client, Text(self.method))?;
        write_path(f, self.path)?;
        write!(f, r#","route":{},"status":{},"outcome":"{}""#, Text(self.route), self.status, self.outcome.label())?;
        if let Some(reason) = self.reason {
            write!(f, r#","reason":"{reason}""#)?;
        }
        if self.issuer != "none" {
            write!(f, r#","issuer":{}"#, Text(self.issuer))?;
        }
        if let Some(upstream) = self.upstream {
            write!(f, r#","upstream":{}"#, Text(upstream))?;
        }
        write!(f, r#","duration_ms":{:.3}}}"#, self.duration.as_secs_f64() * 1000.0)
    }
}

/// The path as a JSON string, long segments cut: a token in a path must not reach the log whole.
pub(super) fn write_path(f: &mut impl fmt::Write, path: &str) -> fmt::Result {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut shown = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > MAX_SEGMENTS {
            shown.push_str("/…");
            break;
        }
        if index > 0 {
            shown.push('/');
        }
        if segment.len() > MAX_SEGMENT {
            shown.push('…');
        } else {
            shown.push_str(segment);
        }
    }
    write!(f, "{}", Text(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn line(path: &str) -> AccessLine<'_> {
        AccessLine {
            time: UnixTime::from_millis(1_700_000_000_123),
            request_id: "r1",
            trace: Some(TraceId::from_random(1)),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            method: "GET",
            path,
            route: "orders",
            issuer: "corp",
            status: 401,
            outcome: Outcome::Denied,
            reason: Some("expired"),
            upstream: None,
            duration: Duration::from_micros(1500),
        }
    }

    #[test]
    fn a_line_is_one_json_object() {
        let text = line("/orders/17").to_string();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["path"], "/orders/17");
        assert_eq!(json["trace_id"], "00000000000000000000000000000001");
        assert_eq!(json["status"], 401);
        assert_eq!(json["reason"], "expired");
        assert_eq!(json["duration_ms"], 1.5);
    }

    #[test]
    fn queries_and_long_segments_stay_out() {
        let secret = "s".repeat(60);
        let text = line(&format!("/a/{secret}/b?token={secret}")).to_string();
        assert!(text.contains(r#""path":"/a/…/b""#), "{text}");
        assert!(!text.contains(&secret));
    }

    #[test]
    fn a_path_cannot_break_the_line() {
        let text = line("/a\"\n\u{7}b").to_string();
        assert!(!text.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["path"], "/a\"\n\u{7}b");
    }
}
