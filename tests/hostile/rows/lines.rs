//! What is a line, what is a field, whom is it for?

use crate::row::Expect::{Cut, Refused};
use crate::row::{Row, get, got, got_without, post, row};

pub fn rows() -> Vec<Row> {
    [request_lines(), line_ends(), fields(), hosts(), targets(), limits()].concat()
}

/// A request line of these bytes, with a sound rest.
fn line(name: &'static str, line: &str, status: u16) -> Row {
    row(name, format!("{line}\r\nHost: api.example.test\r\n\r\n"), Cut(status))
}

fn request_lines() -> Vec<Row> {
    vec![
        line("two spaces behind the method", "GET  /public/x HTTP/1.1", 400),
        line("two spaces before the version", "GET /public/x  HTTP/1.1", 400),
        line("a space behind the version", "GET /public/x HTTP/1.1 ", 400),
        line("a space before the method", " GET /public/x HTTP/1.1", 400),
        line("a tab for a space", "GET\t/public/x HTTP/1.1", 400),
        line("a space in the target", "GET /public/a b HTTP/1.1", 400),
        line("a second version", "GET /public/x HTTP/1.1 HTTP/1.1", 400),
        line("no version", "GET /public/x", 400),
        line("no target", "GET HTTP/1.1", 400),
        line("version 0.9", "GET /public/x HTTP/0.9", 400),
        line("version 1.2", "GET /public/x HTTP/1.2", 400),
        line("version 2.0", "GET /public/x HTTP/2.0", 400),
        line("version in small letters", "GET /public/x http/1.1", 400),
        line("version with more digits", "GET /public/x HTTP/1.10", 400),
        line("a method with a bracket", "GE(T /public/x HTTP/1.1", 400),
        line("a method with a null", "GE\u{0}T /public/x HTTP/1.1", 400),
        line("a method beyond ASCII", "G\u{c9}T /public/x HTTP/1.1", 400),
        line("CONNECT", "CONNECT api.example.test:443 HTTP/1.1", 405),
        line("TRACE", "TRACE /public/x HTTP/1.1", 405),
        line("the preface of HTTP/2", "PRI * HTTP/2.0", 400),
        row("one empty line before", [b"\r\n".to_vec(), get("/public/x", "")].concat(), got("/public/x")),
        row("two empty lines before", [b"\r\n\r\n".to_vec(), get("/public/x", "")].concat(), Cut(400)),
        row("an empty line of another kind before", [b"\n".to_vec(), get("/public/x", "")].concat(), Cut(400)),
        row("bytes of another protocol", b"\x16\x03\x01\x00\x05hello\r\n\r\n".to_vec(), Cut(400)),
    ]
}

fn line_ends() -> Vec<Row> {
    vec![
        row("bare line feeds", "GET /public/x HTTP/1.1\nHost: api.example.test\n\n", Cut(400)),
        row(
            "a bare line feed behind the request line",
            "GET /public/x HTTP/1.1\nHost: api.example.test\r\n\r\n",
            Cut(400),
        ),
        row("a bare line feed at the end", "GET /public/x HTTP/1.1\r\nHost: api.example.test\r\n\n", Cut(400)),
        row("a bare line feed before the end", "GET /public/x HTTP/1.1\r\nHost: api.example.test\n\r\n", Cut(400)),
        row("a carriage return too many", "GET /public/x HTTP/1.1\r\r\nHost: api.example.test\r\n\r\n", Cut(400)),
        row("a bare carriage return in a value", get("/public/x", "X: a\rb\r\n"), Cut(400)),
        row("a folded field", get("/public/x", "X: a\r\n b\r\n"), Cut(400)),
        row("a field folded with a tab", get("/public/x", "X: a\r\n\tb\r\n"), Cut(400)),
        row("a fold before any field", "GET /public/x HTTP/1.1\r\n X: a\r\nHost: api.example.test\r\n\r\n", Cut(400)),
    ]
}

fn fields() -> Vec<Row> {
    let field = |name, field: &str| row(name, get("/public/x", &format!("{field}\r\n")), Cut(400));
    vec![
        field("a field without a colon", "X"),
        field("a field without a name", ": a"),
        field("a name with a space", "X Y: a"),
        field("a name with a space behind", "X : a"),
        field("a name with a bracket", "X(Y): a"),
        field("a name with a quote", "\"X\": a"),
        field("a name with a slash", "X/Y: a"),
        field("a name with a null", "X\u{0}: a"),
        field("a name beyond ASCII", "X\u{e9}: a"),
        field("a value with a null", "X: a\u{0}b"),
        field("a value with an escape", "X: a\u{1b}b"),
        field("a value with a delete", "X: a\u{7f}b"),
    ]
}

fn hosts() -> Vec<Row> {
    let host = |name, fields: &str, expect| row(name, format!("GET /public/x HTTP/1.1\r\n{fields}\r\n"), expect);
    vec![
        host("no Host", "", Cut(400)),
        host("two Hosts", "Host: api.example.test\r\nHost: api.example.test\r\n", Cut(400)),
        host("two different Hosts", "Host: api.example.test\r\nHost: other.example.test\r\n", Cut(400)),
        host("an empty Host", "Host:\r\n", Cut(400)),
        host("a Host with a user", "Host: user@api.example.test\r\n", Cut(400)),
        host("a Host with a path", "Host: api.example.test/admin\r\n", Cut(400)),
        host("a Host with a space", "Host: api.example .test\r\n", Cut(400)),
        host("a list of Hosts", "Host: api.example.test, other.example.test\r\n", Cut(400)),
        host("a Host with port zero", "Host: api.example.test:0\r\n", Cut(400)),
        host("a Host with an odd port", "Host: api.example.test:+443\r\n", Cut(400)),
        host("a Host with two ports", "Host: api.example.test:443:443\r\n", Cut(400)),
        host("the Host of somebody else", "Host: other.example.test\r\n", Refused(421)),
        row("no Host in HTTP/1.0", "GET /public/x HTTP/1.0\r\n\r\n", Cut(400)),
        host("a Host that folds", "Host: api.example.test\r\nHost : other.example.test\r\n", Cut(400)),
        host("a Host with an underscore", "Host: api.example.test\r\nHo_st: other.example.test\r\n", got("/public/x")),
    ]
}

fn targets() -> Vec<Row> {
    vec![
        line("a URL of another host", "GET https://other.example.test/public/x HTTP/1.1", 400),
        line("a URL with a user", "GET https://user@api.example.test/public/x HTTP/1.1", 400),
        line("a URL whose user looks like us", "GET https://api.example.test@evil.test/public/x HTTP/1.1", 400),
        line("a URL of another scheme", "GET ftp://api.example.test/public/x HTTP/1.1", 400),
        line("a URL with a backslash", "GET https:\\\\api.example.test/public/x HTTP/1.1", 400),
        line("a URL without slashes", "GET https:api.example.test/public/x HTTP/1.1", 400),
        line("a target without a slash", "GET public/x HTTP/1.1", 400),
        line("an asterisk with GET", "GET * HTTP/1.1", 400),
        line("a fragment", "GET /public/x#/admin HTTP/1.1", 400),
        line("a fragment behind a query", "GET /public/x?a#b HTTP/1.1", 400),
        line("a quote in the path", "GET /public/\"x\" HTTP/1.1", 400),
        line("angle brackets in the path", "GET /public/<x> HTTP/1.1", 400),
        line("a backslash in the path", "GET /public\\admin HTTP/1.1", 400),
        line("a byte beyond ASCII in the path", "GET /public/\u{e9} HTTP/1.1", 400),
        line("a control byte in the query", "GET /public/x?a=\u{1} HTTP/1.1", 400),
        line("quotes in the query", "GET /public/x?a=\"b\" HTTP/1.1", 400),
        line("brackets in the query", "GET /public/x?a=<b> HTTP/1.1", 400),
        row("a query that is no UTF-8", b"GET /public/x?a=\xbb HTTP/1.1\r\nHost: api.example.test\r\n\r\n", Cut(400)),
        row("a letter beyond ASCII in the query", get("/public/x?a=\u{e9}", ""), got("/public/x?a=\u{e9}")),
        row(
            "a URL of this host",
            "GET https://api.example.test/public/x?q HTTP/1.1\r\nHost: api.example.test\r\n\r\n",
            got("/public/x?q"),
        ),
        row(
            "a URL of this host, in the clear",
            "GET http://api.example.test/public/x HTTP/1.1\r\nHost: api.example.test\r\n\r\n",
            got("/public/x"),
        ),
        row(
            "a URL with a trick",
            "GET https://api.example.test/public/../admin HTTP/1.1\r\nHost: api.example.test\r\n\r\n",
            Refused(400),
        ),
        row("a target that looks like a host", get("//evil.test/admin", ""), Refused(400)),
        row("an asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: api.example.test\r\n\r\n", Refused(400)),
    ]
}

fn limits() -> Vec<Row> {
    let long = "a".repeat(9000);
    vec![
        row("a request line too long", get(&format!("/public/x?{long}"), ""), Cut(414)),
        row("a request line without an end", format!("GET /public/x?{}", "a".repeat(20_000)), Cut(414)),
        row("a field too long", get("/public/x", &format!("X: {}\r\n", "a".repeat(20_000))), Cut(431)),
        row("a field without an end", format!("GET /public/x HTTP/1.1\r\nX: {}", "a".repeat(40_000)), Cut(431)),
        row("too many fields", get("/public/x", &"X: a\r\n".repeat(150)), Cut(431)),
        row(
            "fields within the bounds",
            get("/public/x", &format!("X: {}\r\n", "a".repeat(5000))),
            got_without(&[], &[]),
        ),
        row("a body that says it is too large", post("Content-Length: 5000\r\n", ""), Refused(413)),
        row(
            "a body that says so and waits",
            post("Content-Length: 5000\r\nExpect: 100-continue\r\n", ""),
            Refused(413),
        ),
        row(
            "a body that grows too large",
            post(
                "Transfer-Encoding: chunked\r\n",
                &format!(
                    "{}0\r\n\r\n",
                    "400\r\n".to_owned() + &"a".repeat(1024) + "\r\n" + "400\r\n" + &"a".repeat(1024) + "\r\n"
                ),
            ),
            crate::row::Expect::Unheard,
        ),
    ]
}
