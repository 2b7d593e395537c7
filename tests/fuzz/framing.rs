//! What the readers of heads and chunks promise: another reader finds the same message in the same bytes.

use super::Seen::{self, Accepted, Refused};
use tollgate::request::chunks::Chunks;
use tollgate::request::framing::{self, Body, HeadLimits};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, line: 1024, fields: 20 };

/// A head that passes is made of lines that end with CRLF, says once whom it is for, and at most once how long its body
/// is; the parser that reads it next finds the same request in it. However its bytes came in, its end is found at the
/// same place, and it is never refused before.
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
    assert!((0..end).all(|some| framing::check_partial(&head[..some], &LIMITS).is_ok()));
    assert!(head.len() <= LIMITS.bytes && !head.contains(&0));
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let text = text.strip_suffix("\r\n\r\n").unwrap();
    let mut lines = text.split("\r\n");
    let line: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let [method, target, version] = line[..] else { panic!("{line:?}") };
    assert!(!method.is_empty() && !["CONNECT", "TRACE"].contains(&method), "{method}");
    assert!(["HTTP/1.0", "HTTP/1.1"].contains(&version), "{version}");
    assert!(!target.is_empty() && !target.contains(|it: char| it.is_ascii_control() || it == '#'), "{target:?}");
    let fields: Vec<(String, &str)> = lines.map(field).collect();
    assert!(fields.len() <= LIMITS.fields);
    let values = |name: &str| fields.iter().filter(|field| field.0 == name).map(|field| field.1).collect::<Vec<_>>();
    let (hosts, lengths, codings) = (values("host"), values("content-length"), values("transfer-encoding"));
    assert!(hosts.len() == 1 || hosts.is_empty() && version == "HTTP/1.0", "{hosts:?}");
    assert!(lengths.len() + codings.len() <= 1, "{lengths:?} {codings:?}");
    assert!(lengths.iter().all(|length| length.parse::<u64>().is_ok_and(|number| number.to_string() == **length)));
    assert!(codings.iter().all(|coding| coding.eq_ignore_ascii_case("chunked") && version == "HTTP/1.1"));
    assert_eq!(body == Body::Chunked, !codings.is_empty());
    if let Some((_, authority)) = target.split_once("://").filter(|_| !target.starts_with('/')) {
        let authority = authority.split(['/', '?']).next().unwrap();
        assert!(hosts.iter().all(|host| *host == authority), "{target} at {hosts:?}");
    }
    parses_as(head, method, target, &fields);
    Accepted
}

/// What the engine's parser makes of `head` is this.
fn parses_as(head: &[u8], method: &str, target: &str, fields: &[(String, &str)]) {
    let mut room = [httparse::EMPTY_HEADER; LIMITS.fields];
    let mut request = httparse::Request::new(&mut room);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())), "{target}");
    let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    assert_eq!(
        (request.method, request.path.map(|path| latin(path.as_bytes()))),
        (Some(method), Some(target.to_owned()))
    );
    let found: Vec<_> =
        request.headers.iter().map(|field| (field.name.to_ascii_lowercase(), latin(field.value))).collect();
    let meant: Vec<_> = fields.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect();
    assert_eq!(found, meant);
}

/// Name and value; neither holds anything at which some reader would end it.
fn field(line: &str) -> (String, &str) {
    let (name, value) = line.split_once(':').unwrap();
    assert!(!name.is_empty() && !name.contains([' ', '\t']), "{line:?}");
    assert!(!line.contains(|it: char| it.is_ascii_control() && it != '\t'), "{line:?}");
    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))
}

/// A body that passes is the same to a reader that knows nothing but sizes and line ends, and it passes byte by byte too.
/// No trailer says how the message ends, or where it goes.
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
        let digits = line.split(|byte| *byte == b';').next().unwrap();
        assert!(
            (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit),
            "{}",
            line.escape_ascii()
        );
        let size = usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        let (_, behind) = rest.split_at(size);
        rest = behind.strip_prefix(b"\r\n").expect("a chunk ends with its line");
    }
    loop {
        let trailer: String = line(&mut rest).iter().map(|byte| char::from(*byte)).collect();
        if trailer.is_empty() {
            break;
        }
        let (name, _) = field(&trailer);
        let frames = ["content-length", "transfer-encoding", "host", "connection", "trailer", "upgrade"];
        assert!(!frames.contains(&name.as_str()), "{name}");
    }
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
