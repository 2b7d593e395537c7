//! Spans: what one piece of work was, how long it took and how it ended.

use super::context::{SpanId, TraceContext};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;

/// A span's part in a conversation (`SpanKind` of OTLP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within the process.
    Internal = 1,
    /// The answer to a request.
    Server = 2,
    /// A request of ours to somebody else.
    Client = 3,
}

/// What an attribute says. There is none for bytes of a client: what is said is a name of ours or of gateway.yaml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Arc<str>),
    /// A word of a list in the code.
    Word(&'static str),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

/// When a span began and ended, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The beginning.
    pub start: u64,
    /// The end.
    pub end: u64,
}

impl Times {
    /// From `begun` to `ended`, both counted from `origin`.
    #[must_use]
    pub fn of(origin: UnixTime, begun: Duration, ended: Duration) -> Self {
        let origin = u64::try_from(origin.as_millis()).unwrap_or_default().saturating_mul(1_000_000);
        let after = |span: Duration| origin.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        Self { start: after(begun), end: after(ended.max(begun)) }
    }
}

/// One span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its trace and its own identifier.
    pub context: TraceContext,
    /// The span it is a part of.
    pub parent: Option<SpanId>,
    /// True where that is another process's.
    pub remote_parent: bool,
    /// What was done.
    pub name: Cow<'static, str>,
    /// Its part.
    pub kind: SpanKind,
    /// When.
    pub times: Times,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// True where it failed, and not by the client's fault.
    pub failed: bool,
}

impl Span {
    /// A span of which nothing more is known.
    #[must_use]
    pub fn new(
        context: TraceContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        times: Times,
    ) -> Self {
        Self {
            context,
            parent,
            remote_parent: false,
            name: name.into(),
            kind: SpanKind::Internal,
            times,
            attributes: Vec::new(),
            failed: false,
        }
    }

    /// Notes one more thing.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// Notes one more thing, where there is one.
    pub fn note_any(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        self.attributes.extend(value.map(|value| (name, value.into())));
    }
}
