//! What the readers of heads and chunks promise: another reader finds the same message in the same bytes.

use super::Seen::{self, Accepted, Refused};
use tollgate::request::chunks::Chunks;
use tollgate::request::framing::{self, Body, HeadLimits};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, line: 1024, fields: 20 };

/// A head that passes is made of lines that end with CRLF, says once whom it is for, and at most once how long its body
/// is. However its bytes came in, its end is found at the same place.
pub fn head(input: &[u8]) -> Seen {
    let end = framing::end_of_head(input, 0);
    for seen in 0..end.unwrap_or(input.len()) {
        assert_eq!(framing::end_of_head(input, seen), end, "of {seen} bytes it was known that there is no end");
    }
    let Some(end) = end else {
        let _ = framing::check_partial(input, &LIMITS);
        return Refused;
    };
    let head = &input[..end];
    let Ok(body) = framing::check(head, &LIMITS) else { return Refused };
    assert!(head.len() <= LIMITS.bytes && !head.contains(&0));
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let text = text.strip_suffix("\r\n\r\n").unwrap();
    let mut lines = text.split("\r\n");
    let line: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let [method, target, version] = line[..] else { panic!("{line:?}") };
    assert!(!method.is_empty() && !target.is_empty() && ["HTTP/1.0", "HTTP/1.1"].contains(&version));
    let fields: Vec<(String, &str)> = lines.map(field).collect();
    assert!(fields.len() <= LIMITS.fields);
    let values = |name: &str| fields.iter().filter(|field| field.0 == name).map(|field| field.1).collect::<Vec<_>>();
    let (hosts, lengths, codings) = (values("host"), values("content-length"), values("transfer-encoding"));
    assert!(hosts.len() == 1 || hosts.is_empty() && version == "HTTP/1.0", "{hosts:?}");
    assert!(lengths.len() + codings.len() <= 1, "{lengths:?} {codings:?}");
    assert!(lengths.iter().all(|length| length.bytes().all(|byte| byte.is_ascii_digit()) && !length.is_empty()));
    assert!(codings.iter().all(|coding| coding.eq_ignore_ascii_case("chunked")));
    assert_eq!(body == Body::Chunked, !codings.is_empty());
    Accepted
}

/// Name and value; neither holds anything at which some reader would end it.
fn field(line: &str) -> (String, &str) {
    let (name, value) = line.split_once(':').unwrap();
    assert!(!line.contains(['\r', '\n']) && !name.is_empty() && !name.contains([' ', '\t']), "{line:?}");
    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))
}

/// A body that passes is the same to a reader that knows nothing but sizes and line ends, and it passes byte by byte too.
pub fn chunks(input: &[u8]) -> Seen {
    let mut whole = Chunks::new(LIMITS);
    let read = whole.read(input);
    let mut slow = Chunks::new(LIMITS);
    let read_slowly = input.iter().try_for_each(|byte| slow.read(std::slice::from_ref(byte)));
    assert_eq!((read, whole.is_done()), (read_slowly, slow.is_done()));
    if read.is_err() || !whole.is_done() {
        return Refused;
    }
    let mut rest = input;
    loop {
        let line = line(&mut rest);
        let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        let (_, behind) = rest.split_at(size);
        rest = behind.strip_prefix(b"\r\n").expect("a chunk ends with its line");
    }
    while !line(&mut rest).is_empty() {}
    // Nothing but what follows is left: a byte less, and the body would not be at its end.
    let end = input.len() - rest.len();
    let mut shorter = Chunks::new(LIMITS);
    assert!(shorter.read(&input[..end - 1]).is_ok() && !shorter.is_done());
    Accepted
}

/// The next line, which ends with CRLF and holds neither alone.
fn line<'i>(rest: &mut &'i [u8]) -> &'i [u8] {
    let end = rest.windows(2).position(|two| two == b"\r\n").expect("a line has an end");
    let line = &rest[..end];
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "{}", line.escape_ascii());
    *rest = &rest[end + 2..];
    line
}
