//! The corpus over HTTP/2.

use super::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, block, frame,
};
use crate::row::Expect::{self, Cut, Refused, Unheard};
use crate::row::{Heard, got};

/// Frames behind the preface, and what must become of stream 1. `Cut`: the stream or the connection is ended.
#[derive(Clone, Debug)]
pub struct Frames {
    pub name: &'static str,
    pub preface: &'static [u8],
    pub bytes: Vec<u8>,
    pub expect: Expect,
}

/// The corpus.
pub fn rows() -> Vec<Frames> {
    [pseudo(), fields(), paths(), bodies(), frames()].concat()
}

const CUT: Expect = Cut(0);
const WHOLE: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"api.example.test"), (b":path", b"/public/x")];

/// A request that has no route, so that the upstream hears nothing of it however it ends.
const NOWHERE: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"api.example.test"), (b":path", b"/nowhere")];

fn row(name: &'static str, frames: Vec<u8>, expect: Expect) -> Frames {
    let settings = frame(SETTINGS, 0, 0, b"");
    Frames { name, preface: PREFACE, bytes: [settings, frames].concat(), expect }
}

/// A request without a body whose header block is too long for one frame.
fn in_two_frames(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let block = block(fields);
    let (begin, rest) = block.split_at(block.len() / 2);
    [frame(HEADERS, END_STREAM, 1, begin), frame(CONTINUATION, END_HEADERS, 1, rest)].concat()
}

/// A request on `stream` whose body is still to come.
pub fn begun(stream: u32) -> Vec<u8> {
    let mut fields = WHOLE;
    fields[0].1 = b"POST";
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// One request without a body, of exactly these fields.
fn exactly(name: &'static str, fields: &[(&[u8], &[u8])], expect: Expect) -> Frames {
    row(name, frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields)), expect)
}

/// A sound request with these fields besides.
fn with(name: &'static str, more: &[(&[u8], &[u8])], expect: Expect) -> Frames {
    exactly(name, &[&WHOLE[..], more].concat(), expect)
}

/// A sound request with another value of one pseudo-header.
fn changed(name: &'static str, field: &[u8], value: &[u8], expect: Expect) -> Frames {
    let fields = WHOLE.map(|(known, sound)| if known == field { (known, value) } else { (known, sound) });
    exactly(name, &fields, expect)
}

fn without(name: &'static str, field: &[u8], expect: Expect) -> Frames {
    let fields: Vec<_> = WHOLE.into_iter().filter(|(known, _)| *known != field).collect();
    exactly(name, &fields, expect)
}

fn pseudo() -> Vec<Frames> {
    vec![
        exactly("a sound request", &WHOLE, got("/public/x")),
        without("no method", b":method", CUT),
        without("no path", b":path", CUT),
        without("no scheme", b":scheme", CUT),
        without("no authority", b":authority", Refused(400)),
        changed("an empty path", b":path", b"", CUT),
        changed("an empty method", b":method", b"", CUT),
        changed("a method with a space", b":method", b"GET /admin", CUT),
        changed("a method with a line end", b":method", b"GET\r\nX: y", CUT),
        changed("CONNECT", b":method", b"CONNECT", CUT),
        changed("TRACE", b":method", b"TRACE", Refused(405)),
        changed("another authority", b":authority", b"other.example.test", Refused(421)),
        changed("an authority with a user", b":authority", b"user@api.example.test", Refused(400)),
        changed("an authority with a path", b":authority", b"api.example.test/admin", CUT),
        changed("an authority with a line end", b":authority", b"api.example.test\r\nX: y", CUT),
        changed("a path with a line end", b":path", b"/public/x\r\nX: y", CUT),
        changed("a path that is a request", b":path", b"/public/x HTTP/1.1\r\nHost: x\r\n\r\nGET /admin", CUT),
        changed("a path with a null", b":path", b"/public/\0", CUT),
        with("two paths", &[(b":path", b"/admin")], CUT),
        with("two methods", &[(b":method", b"POST")], CUT),
        with("two authorities", &[(b":authority", b"other.example.test")], CUT),
        with("a pseudo-header nobody knows", &[(b":admin", b"1")], CUT),
        with("a pseudo-header of answers", &[(b":status", b"200")], CUT),
        with("a pseudo-header behind a field", &[(b"x", b"y"), (b":path", b"/admin")], CUT),
        with("another Host beside the authority", &[(b"host", b"other.example.test")], Refused(400)),
        with(
            "two Hosts beside the authority",
            &[(b"host", b"api.example.test"), (b"host", b"api.example.test")],
            Refused(400),
        ),
    ]
}

fn fields() -> Vec<Frames> {
    let absent =
        |names| Expect::Forwarded(Heard { method: "GET", target: "/public/x", absent: names, ..Heard::default() });
    vec![
        with("a coding", &[(b"transfer-encoding", b"chunked")], CUT),
        with("Connection", &[(b"connection", b"close")], CUT),
        with("Keep-Alive", &[(b"keep-alive", b"timeout=5")], CUT),
        with("Proxy-Connection", &[(b"proxy-connection", b"keep-alive")], CUT),
        with("Upgrade", &[(b"upgrade", b"websocket")], CUT),
        with("TE with a coding", &[(b"te", b"gzip")], CUT),
        with("TE with trailers", &[(b"te", b"trailers")], absent(&["TE"])),
        with("a name in capitals", &[(b"X-Upper", b"y")], CUT),
        with("a name with a space", &[(b"x y", b"z")], CUT),
        with("a name with a colon", &[(b"x:y", b"z")], CUT),
        with("a name with a line end", &[(b"x\r\ny", b"z")], CUT),
        with("an empty name", &[(b"", b"z")], CUT),
        with("a value with a line end", &[(b"x", b"y\r\nX-User-Id: mallory")], CUT),
        with("a value with a null", &[(b"x", b"y\0")], CUT),
        with("an identity header", &[(b"x-user-id", b"mallory")], absent(&["X-User-Id"])),
        with("an identity header with an underscore", &[(b"x_user_id", b"mallory")], absent(&["X-User-Id"])),
        with("a coding with an underscore", &[(b"transfer_encoding", b"chunked")], absent(&["Transfer-Encoding"])),
        with("too many fields", &[(&b"x"[..], &b"y"[..]); 150], Refused(431)),
        with("too large a field for its frame", &[(b"x", &[b'y'; 17_000])], Unheard),
        row(
            "fields too large together",
            in_two_frames(&[&WHOLE[..], &[(&b"x"[..], &[b'y'; 7000][..]); 3]].concat()),
            Refused(431),
        ),
    ]
}

fn paths() -> Vec<Frames> {
    let path = |name, path: &[u8], status| changed(name, b":path", path, Refused(status));
    vec![
        path("dot segments", b"/public/../admin", 400),
        path("escaped dot segments", b"/public/%2e%2e/admin", 400),
        path("an escaped slash", b"/public%2fadmin", 400),
        path("two slashes", b"//admin", 400),
        path("a needless escape", b"/%61dmin", 400),
        path("a backslash", b"/public\\admin", 400),
        path("a semicolon", b"/public/..;/admin", 400),
        changed("a URL", b":path", b"https://api.example.test/admin", Unheard),
        path("an asterisk", b"*", 400),
        path("too long a path", &[b"/public/x?".as_slice(), &[b'a'; 9000]].concat(), 414),
        changed("a path without a slash", b":path", b"admin", Unheard),
        changed("a path with a space", b":path", b"/public/a b", Unheard),
        // The library of frames cuts it off before anybody matches the path: what is matched is what goes on.
        changed("a fragment", b":path", b"/public/x#/admin", got("/public/x")),
        changed("a fragment behind a query", b":path", b"/public/x?a=b#/admin?c", got("/public/x?a=b")),
        changed("a fragment with dot segments", b":path", b"/public/x#/../../admin", got("/public/x")),
        path("a guarded path before a fragment", b"/admin#/../public/x", 401),
        path("dot segments before a fragment", b"/public/../admin#/x", 400),
    ]
}

fn bodies() -> Vec<Frames> {
    let post = |length: Option<&'static [u8]>| -> Vec<u8> {
        let mut fields = WHOLE.to_vec();
        fields[0].1 = b"POST";
        fields.extend(length.map(|length| (&b"content-length"[..], length)));
        frame(HEADERS, END_HEADERS, 1, &block(&fields))
    };
    let data = |body: &[u8], flags| frame(DATA, flags, 1, body);
    let whole = |name, length, body: &[u8], expect| row(name, [post(length), data(body, END_STREAM)].concat(), expect);
    let hello = || Expect::Forwarded(Heard { method: "POST", target: "/public/x", body: b"hello", ..Heard::default() });
    vec![
        whole("a body of its length", Some(b"5"), b"hello", hello()),
        whole("a body without a length", None, b"hello", hello()),
        whole("a body longer than its length", Some(b"3"), b"hello", Unheard),
        whole("a body shorter than its length", Some(b"9"), b"hello", Unheard),
        whole("a length with a sign", Some(b"+5"), b"hello", Unheard),
        whole("a length that is a list", Some(b"5, 6"), b"hello", Unheard),
        row("a body that says it is too large", post(Some(b"5000")), Refused(413)),
        whole("a body that grows too large", None, &[b'a'; 5000], Refused(413)),
        row(
            "a body that is abandoned",
            [post(Some(b"5")), data(b"he", 0), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), frame(GOAWAY, 0, 0, &[0; 8])]
                .concat(),
            Unheard,
        ),
        row(
            "a body that hides a request",
            [post(None), data(b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", END_STREAM)].concat(),
            Expect::Forwarded(Heard {
                method: "POST",
                target: "/public/x",
                body: b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
                ..Heard::default()
            }),
        ),
        row(
            "a trailer with a pseudo-header",
            [
                post(None),
                data(b"hello", 0),
                frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[(b":path", b"/admin")])),
            ]
            .concat(),
            // No trailer goes on to an upstream over HTTP/1.1.
            hello(),
        ),
    ]
}

fn frames() -> Vec<Frames> {
    let sound = block(&WHOLE);
    let endless = frame(9, 0, 1, &block(&[(b"x", &[b'y'; 1000])])).repeat(500);
    let reset = |stream| {
        let opened = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&NOWHERE));
        [opened, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    let reset = (0..3000).flat_map(|n| reset(2 * n + 1)).collect();
    let preface = |name, preface| Frames { name, preface, bytes: Vec::new(), expect: CUT };
    vec![
        preface("another preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        preface("a request of HTTP/1 for a preface", b"GET /public/x HTTP/1.1\r\nHost: api.example.test\r\n\r\n"),
        row("data on no stream", frame(DATA, 0, 0, b"x"), CUT),
        row("data on a stream that is not open", frame(DATA, END_STREAM, 1, b"x"), CUT),
        row("a header block on no stream", frame(HEADERS, END_STREAM | END_HEADERS, 0, &sound), CUT),
        row("a stream with an even number", frame(HEADERS, END_STREAM | END_HEADERS, 2, &sound), CUT),
        row("a promise by a client", frame(5, END_HEADERS, 1, &[0; 4]), CUT),
        row("a continuation of nothing", frame(9, END_HEADERS, 1, &sound), CUT),
        row(
            "another frame inside a header block",
            [frame(HEADERS, END_STREAM, 1, &sound[..5]), frame(6, 0, 0, &[0; 8])].concat(),
            CUT,
        ),
        row("a header block that is none", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20]), CUT),
        row("an index that is not there", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xfe]), CUT),
        row("settings of a wrong size", frame(SETTINGS, 0, 0, &[0; 5]), CUT),
        row("a window grown by nothing", frame(8, 0, 0, &[0; 4]), CUT),
        row("a window grown too far", frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), CUT),
        row("a reset of a stream that is not open", frame(RST_STREAM, 0, 1, &[0; 4]), CUT),
        row("a ping of a wrong size", frame(6, 0, 0, &[0; 7]), CUT),
        row("a frame larger than is allowed", frame(DATA, 0, 1, &[0; 17_000]), CUT),
        row("padding longer than its frame", frame(DATA, 8, 1, &[255, 0]), CUT),
        row("a header block without an end", frame(HEADERS, END_STREAM, 1, &sound), CUT),
        row("a header block continued for ever", [frame(HEADERS, 0, 1, &sound), endless].concat(), CUT),
        row("streams reset as fast as they are opened", reset, CUT),
    ]
}
