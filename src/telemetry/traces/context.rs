//! W3C Trace Context (level 2): the headers `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName};
use std::fmt;

/// The header that says which trace a request belongs to, and which span it comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header in which tracing systems keep what is theirs.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The caller has recorded its part.
const SAMPLED: u8 = 0x01;
/// The identifier of the trace is random.
const RANDOM: u8 = 0x02;
/// The length of a `traceparent` of version 00; later versions may be longer.
const LENGTH: usize = 55;
/// The most entries of a `tracestate` (§3.3.1.1), and the most bytes we pass on.
const MOST_ENTRIES: usize = 32;
const MOST_STATE: usize = 1024;

/// The identifier of a trace; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The identifier of one span; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl TraceId {
    /// An identifier of these random bits.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(bits.max(1))
    }

    /// Its bytes, as they are sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// An identifier of these random bits.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(bits.max(1))
    }

    /// Its bytes, as they are sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a trace: the span from which a request comes.
///
/// Written, it is the value of `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    flags: u8,
}

impl TraceContext {
    /// The beginning of a trace, which is recorded.
    #[must_use]
    pub const fn begin(trace: TraceId, span: SpanId) -> Self {
        Self { trace, span, flags: SAMPLED }
    }

    /// The same trace, from `span` on.
    #[must_use]
    pub const fn at(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// True where the trace is recorded.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags, as they are sent: those we know.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// The context in the one `traceparent` of `headers`; `None` where there is none, several, or one that is none.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let only = fields.next().filter(|_| fields.next().is_none())?;
        Self::parse(only.as_bytes())
    }

    /// Reads the value of `traceparent` (§3.2). Of a version later than ours what we know is read.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let version = u8::try_from(hexadecimal(&known[..2])?).ok()?;
        let ends_well = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        if !ends_well || !dashes {
            return None;
        }
        let (trace, span) = (hexadecimal(&known[3..35])?, hexadecimal(&known[36..52])?);
        let flags = u8::try_from(hexadecimal(&known[53..])?).ok()? & (SAMPLED | RANDOM);
        let (trace, span) = (TraceId(trace), SpanId(u64::try_from(span).ok()?));
        (trace.0 != 0 && span.0 != 0).then_some(Self { trace, span, flags })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// The number that `digits` spell: lower-case hexadecimal ones only, at most 32.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// True where the `tracestate` fields of `headers` can be passed on (§3.3): entries of `key=value`, of which an empty one
/// counts for nothing. Which keys there are is the affair of those who wrote them.
#[must_use]
pub fn is_sound_state(headers: &HeaderMap) -> bool {
    let fields: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(http::HeaderValue::as_bytes).collect();
    let entries = fields.iter().flat_map(|field| field.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut keys: Vec<&[u8]> = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let Some(at) = entry.iter().position(|byte| *byte == b'=') else { return false };
        let (key, value) = (&entry[..at], &entry[at + 1..]);
        if keys.len() == MOST_ENTRIES || keys.contains(&key) || !is_key(key) || !is_value(value) {
            return false;
        }
        keys.push(key);
    }
    fields.iter().map(|field| field.len()).sum::<usize>() <= MOST_STATE
}

/// §3.3.1.3.1, as level 2 has it.
fn is_key(key: &[u8]) -> bool {
    let first = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(byte);
    first && key.len() <= 256 && key.iter().all(rest)
}

/// §3.3.1.3.2.
fn is_value(value: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b'=';
    (1..=256).contains(&value.len()) && value.iter().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn a_context_is_read_and_written_alike() {
        for flags in ["00", "01", "02", "03"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let context = parse(&text).unwrap();
            assert_eq!(context.to_string(), text);
            assert_eq!(context.is_sampled(), matches!(flags, "01" | "03"));
        }
    }

    /// The cases of the W3C's own test suite (`test_traceparent_*` in trace-context/test/test.py).
    #[test]
    fn what_is_no_context_is_none() {
        let sound = format!("00-{TRACE}-{SPAN}-01");
        for wrong in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01."),
            format!("00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
            format!("cc-{TRACE}-{SPAN}-01.what"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-.0"),
            format!("00-{TRACE}-{SPAN}-0."),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!(".0-{TRACE}-{SPAN}-01"),
            format!("0.-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-.{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{}.-{SPAN}-01", &TRACE[..31]),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{TRACE}-.{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{SPAN}0-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            sound.replace('-', "_"),
            format!(" {sound}"),
            format!("{sound} "),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong:?}");
        }
        assert!(parse(&sound).is_some());
    }

    #[test]
    fn of_later_versions_what_is_known_is_read() {
        for text in [
            format!("cc-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
            format!("01-{TRACE}-{SPAN}-ff"),
        ] {
            let context = parse(&text).unwrap();
            assert!(context.is_sampled(), "{text}");
            assert!(context.to_string().starts_with(&format!("00-{TRACE}-{SPAN}-0")), "{context}");
        }
    }

    #[test]
    fn two_contexts_are_none() {
        let (mut headers, one) = (HeaderMap::new(), format!("00-{TRACE}-{SPAN}-01"));
        assert_eq!(TraceContext::of(&headers), None);
        headers.append(TRACEPARENT, HeaderValue::from_str(&one).unwrap());
        assert!(TraceContext::of(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_str(&one).unwrap());
        assert_eq!(TraceContext::of(&headers), None);
    }

    fn is_sound(fields: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(TRACESTATE, HeaderValue::from_str(field).unwrap());
        }
        is_sound_state(&headers)
    }

    #[test]
    fn states_are_passed_on_whoever_wrote_them() {
        let most: Vec<String> = (0..MOST_ENTRIES).map(|number| format!("k{number}=1")).collect();
        let too_many = format!("{},more=1", most.join(","));
        for sound in [
            &[][..],
            &[""],
            &["foo=1"],
            &["foo=1,bar=2", "rojo=1"],
            &["foo=1 \t , \t bar=2, \t baz=3"],
            &["foo=1,,", ",bar=2"],
            &["fw529a3039@dt=x", "0=y", "a_-*/z= v"],
            &[&most.join(",")],
        ] {
            assert!(is_sound(sound), "{sound:?}");
        }
        for wrong in [
            &["foo"][..],
            &["foo=1=2"],
            &["foo=1,foo=2"],
            &["=1"],
            &["foo="],
            &["FOO=1"],
            &["foo =1"],
            &["foo.bar=1"],
            &[&too_many],
            &[&format!("foo={}", "v".repeat(257))],
            &[&format!("{}=1", "k".repeat(257))],
        ] {
            assert!(!is_sound(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn no_identifier_is_zero() {
        assert_ne!(TraceId::from_random(0).to_bytes(), [0; 16]);
        assert_ne!(SpanId::from_random(0).to_bytes(), [0; 8]);
    }
}
