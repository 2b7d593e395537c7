//! One decision, as the audit log shows it.

use super::chain::ChainKey;
use super::settings::{AuditTerms, SubjectForm};
use crate::clock::UnixTime;
use crate::decision::{StageResult, Trace};
use crate::telemetry::Outcome;
use crate::telemetry::access::write_path;
use crate::telemetry::logs::{Text, Time};
use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// The most characters of a token's identifier that are written, and at most half of it.
const ID_PREFIX: usize = 8;

/// One decision.
#[derive(Clone, Copy, Debug)]
pub struct AuditRecord<'a> {
    /// When the request came.
    pub time: UnixTime,
    /// How it was decided.
    pub outcome: Outcome,
    /// Why it was refused, or would have been.
    pub reason: Option<&'static str>,
    /// The route's name, or `none`.
    pub route: &'a str,
    /// The issuer's name, or `none`.
    pub issuer: &'a str,
    /// The subject of a token whose signature was verified.
    pub subject: Option<&'a str>,
    /// The identifier of that token.
    pub token_id: Option<&'a str>,
    /// Why the claim rests on the route's `on_loss` and not on the store.
    pub unproven: Option<&'static str>,
    /// The request's identifier, which answer and access log carry too.
    pub request_id: &'a str,
    /// Who sent it.
    pub client: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The path as sent; the query is not written.
    pub path: &'a str,
    /// The stages it went through.
    pub trace: Option<&'a Trace>,
}

impl AuditRecord<'_> {
    /// True where the record tells of more than an ordinary request that passed.
    pub(super) fn is_notable(&self) -> bool {
        self.reason.is_some() || self.unproven.is_some()
    }

    /// The members behind `seq`, from the comma before them on.
    pub(super) fn members(&self, terms: AuditTerms, key: &ChainKey) -> String {
        let mut text = String::with_capacity(384);
        // Writing into memory can't fail.
        let _ = self.write(&mut text, terms, key);
        text
    }

    fn write(&self, text: &mut String, terms: AuditTerms, key: &ChainKey) -> fmt::Result {
        write!(text, r#","time":"{}","kind":"decision","outcome":"{}""#, Time(self.time), self.outcome.label())?;
        if let Some(reason) = self.reason {
            write!(text, r#","reason":"{reason}""#)?;
        }
        write!(text, r#","route":{},"issuer":{}"#, Text(self.route), Text(self.issuer))?;
        if let Some(subject) = self.subject {
            match terms.subject {
                SubjectForm::Clear => write!(text, r#","subject":{}"#, Text(subject))?,
                SubjectForm::Hash => match key.pseudonym(self.issuer, subject) {
                    Some(pseudonym) => write!(text, r#","subject_hash":"{pseudonym}""#)?,
                    None => text.push_str(r#","subject_hash":null"#),
                },
                SubjectForm::None => {}
            }
        }
        if let Some(id) = self.token_id {
            write!(text, r#","jti_prefix":{}"#, Text(prefix(id)))?;
        }
        if let Some(unproven) = self.unproven {
            write!(text, r#","store":"{unproven}""#)?;
        }
        write!(text, r#","request_id":{},"client":"{}""#, Text(self.request_id), self.client)?;
        write!(text, r#","method":{},"path":"#, Text(self.method))?;
        write_path(text, self.path)?;
        if let Some(trace) = self.trace.filter(|_| terms.trace) {
            write_trace(text, trace)?;
        }
        Ok(())
    }
}

/// Enough of an identifier to find a token in the issuer's own log, and too little to be one.
fn prefix(id: &str) -> &str {
    let half = id.chars().count().div_ceil(2).min(ID_PREFIX);
    let end = id.char_indices().nth(half).map_or(id.len(), |(at, _)| at);
    &id[..end]
}

/// The stages and their results; and what the stage saw that refused. What others saw may name the subject.
fn write_trace(text: &mut String, trace: &Trace) -> fmt::Result {
    text.push_str(r#","trace":["#);
    for (index, entry) in trace.entries().iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"stage":"{}","result":"{}""#, entry.stage.name(), entry.result.name())?;
        if entry.result == StageResult::Refused {
            write!(text, r#","seen":{}"#, Text(&entry.seen))?;
        }
        text.push('}');
    }
    text.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Stage;
    use crate::secret::Secret;
    use serde_json::Value;

    fn key() -> ChainKey {
        ChainKey::new(&Secret::new(vec![7; 32])).unwrap()
    }

    fn record(trace: Option<&Trace>) -> AuditRecord<'_> {
        AuditRecord {
            time: UnixTime::from_millis(1_700_000_000_123),
            outcome: Outcome::Denied,
            reason: Some("expired"),
            route: "orders",
            issuer: "corp",
            subject: Some("al\"ice"),
            token_id: Some("0123456789abcdef0123"),
            unproven: None,
            request_id: "r1",
            client: IpAddr::from([127, 0, 0, 1]),
            method: "GET",
            path: "/orders/17?token=x",
            trace,
        }
    }

    fn written(record: &AuditRecord<'_>, terms: AuditTerms) -> Value {
        serde_json::from_str(&format!("{{\"seq\":1{}}}", record.members(terms, &key()))).unwrap()
    }

    #[test]
    fn a_record_tells_what_was_decided_over_whom() {
        let json = written(&record(None), AuditTerms::default());
        assert_eq!(json["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!((&json["outcome"], &json["reason"]), (&"denied".into(), &"expired".into()));
        assert_eq!((&json["jti_prefix"], &json["path"]), (&"01234567".into(), &"/orders/17".into()));
        assert_eq!(json["subject"], Value::Null);
        assert_eq!(json["subject_hash"].as_str().unwrap().len(), 32);
    }

    #[test]
    fn a_subject_is_written_as_the_terms_say() {
        let clear = AuditTerms { subject: SubjectForm::Clear, ..AuditTerms::default() };
        assert_eq!(written(&record(None), clear)["subject"], "al\"ice");
        let none = written(&record(None), AuditTerms { subject: SubjectForm::None, ..AuditTerms::default() });
        assert!(none.get("subject").is_none() && none.get("subject_hash").is_none());
    }

    #[test]
    fn a_trace_names_nobody() {
        let mut trace = Trace::on();
        trace.note(Stage::Claims, StageResult::Passed, || "sub alice, exp 1");
        trace.note(Stage::Authorization, StageResult::Refused, || "asked: orders:read");
        let terms = AuditTerms { trace: true, ..AuditTerms::default() };
        let json = written(&record(Some(&trace)), terms);
        assert_eq!(json["trace"][0]["result"], "passed");
        assert_eq!(json["trace"][1]["seen"], "asked: orders:read");
        assert!(!json.to_string().contains("sub alice"));
        assert!(written(&record(Some(&trace)), AuditTerms::default()).get("trace").is_none());
    }

    #[test]
    fn short_identifiers_are_not_written_whole() {
        assert_eq!(prefix("0123456789abcdefg"), "01234567");
        assert_eq!(prefix("abcd"), "ab");
        assert_eq!(prefix("äöü"), "äö");
        assert_eq!(prefix(""), "");
    }
}
