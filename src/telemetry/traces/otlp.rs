//! Spans as OTLP 1 writes them: the protobuf of `ExportTraceServiceRequest`, and its answer.
//!
//! Of protobuf an exporter needs three kinds of fields, so they are written here by hand, by the numbers of
//! `opentelemetry/proto/{trace,common,resource}/v1`. The scene of traces reads them with the generated classes.

use super::span::{Span, Value};

/// The wire types of protobuf.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// The request that exports `spans`, all of the process that `resource` describes.
pub(super) fn request<'s>(resource: &[(&'static str, Value)], spans: impl Iterator<Item = &'s Span>) -> Vec<u8> {
    let mut request = Vec::with_capacity(16 << 10);
    message(&mut request, 1, |resource_spans| {
        message(resource_spans, 1, |out| attributes(out, 1, resource));
        message(resource_spans, 2, |scope_spans| {
            message(scope_spans, 1, |scope| {
                bytes(scope, 1, b"tollgate");
                bytes(scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                message(scope_spans, 2, |out| write(out, span));
            }
        });
    });
    request
}

fn write(out: &mut Vec<u8>, span: &Span) {
    bytes(out, 1, &span.context.trace.to_bytes());
    bytes(out, 2, &span.context.span.to_bytes());
    if let Some(parent) = span.parent {
        bytes(out, 4, &parent.to_bytes());
    }
    bytes(out, 5, span.name.as_bytes());
    number(out, 6, span.kind as u64);
    fixed64(out, 7, span.times.start);
    fixed64(out, 8, span.times.end);
    attributes(out, 9, &span.attributes);
    if span.failed {
        message(out, 15, |status| number(status, 3, ERROR));
    }
    let remote = if span.remote_parent { REMOTE } else { 0 };
    fixed32(out, 16, u32::from(span.context.flags()) | REMOTE_KNOWN | remote);
}

fn attributes(out: &mut Vec<u8>, field: u8, all: &[(&'static str, Value)]) {
    for (name, value) in all {
        message(out, field, |pair| {
            bytes(pair, 1, name.as_bytes());
            message(pair, 2, |any| match value {
                Value::Text(text) => bytes(any, 1, text.as_bytes()),
                Value::Word(word) => bytes(any, 1, word.as_bytes()),
                // Two's complement, as protobuf's int64 is written.
                Value::Number(value) => number(any, 3, value.cast_unsigned()),
            });
        });
    }
}

fn tag(out: &mut Vec<u8>, field: u8, wire: u8) {
    varint(out, u64::from(field) << 3 | u64::from(wire));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn fixed32(out: &mut Vec<u8>, field: u8, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A message within a message: its length stands before it, so it is written aside first.
fn message(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, field, &inner);
}

/// How many spans the collector says it did not take: `partial_success.rejected_spans` of its answer. What can't be read
/// as such an answer says nothing.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let Some(partial_success) = field(answer, 1).and_then(Field::bytes) else { return 0 };
    field(partial_success, 1).and_then(Field::number).unwrap_or(0)
}

/// A field that was read.
#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }
}

/// The field `wanted` of a message.
fn field(mut message: &[u8], wanted: u64) -> Option<Field<'_>> {
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        let found = match (tag & 7) as u8 {
            VARINT => Field::Number(read_varint(&mut message)?),
            BYTES => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                Field::Bytes(take(&mut message, length)?)
            }
            FIXED64 => Field::Bytes(take(&mut message, 8)?),
            FIXED32 => Field::Bytes(take(&mut message, 4)?),
            _ => return None,
        };
        if tag >> 3 == wanted {
            return Some(found);
        }
    }
    None
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traces::{SpanId, Times, TraceContext, TraceId};

    #[test]
    fn numbers_are_written_as_protobuf_writes_them() {
        for (value, written) in [(0, &[0][..]), (1, &[1]), (127, &[127]), (128, &[128, 1]), (300, &[0xac, 2])] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, written);
            assert_eq!(read_varint(&mut out.as_slice()), Some(value));
        }
        let mut out = Vec::new();
        varint(&mut out, u64::MAX);
        assert_eq!((out.len(), read_varint(&mut out.as_slice())), (10, Some(u64::MAX)));
    }

    #[test]
    fn a_span_stands_in_its_scope_and_resource() {
        let context = TraceContext::begin(TraceId::from_random(1), SpanId::from_random(2));
        let times = Times { start: 3, end: 4 };
        let mut span = Span::new(context, Some(SpanId::from_random(5)), "work", times);
        span.note("count", 7_u16);
        let written = request(&[("service.name", "tollgate".into())], [span].iter());
        let inner = |message, path: &[u64]| {
            path.iter().try_fold(message, |message, number| field(message, *number)?.bytes()).map(<[u8]>::to_vec)
        };
        let inner = |path: &[u64]| inner(&written, path).unwrap();
        assert_eq!(inner(&[1, 1, 1, 1]), b"service.name");
        assert_eq!(inner(&[1, 1, 1, 2, 1]), b"tollgate");
        assert_eq!(inner(&[1, 2, 1, 1]), b"tollgate");
        assert_eq!(inner(&[1, 2, 2, 1]), 1_u128.to_be_bytes());
        assert_eq!(inner(&[1, 2, 2, 2]), 2_u64.to_be_bytes());
        assert_eq!(inner(&[1, 2, 2, 4]), 5_u64.to_be_bytes());
        assert_eq!(inner(&[1, 2, 2, 5]), b"work");
        assert_eq!(inner(&[1, 2, 2, 8]), 4_u64.to_le_bytes());
        assert_eq!(field(&inner(&[1, 2, 2, 9, 2]), 3).and_then(Field::number), Some(7));
    }

    #[test]
    fn an_answer_says_how_many_spans_were_not_taken() {
        let mut answer = Vec::new();
        message(&mut answer, 1, |partial| {
            bytes(partial, 2, b"quota");
            number(partial, 1, 300);
        });
        assert_eq!(rejected(&answer), 300);
        for nothing in [&[][..], &[0xff], &[0x0a, 9, 1], &[0x0a, 0], &[0x0b]] {
            assert_eq!(rejected(nothing), 0, "{nothing:?}");
        }
    }
}
