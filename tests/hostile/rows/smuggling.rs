//! Where does the body end? Every way to make two programs disagree.

use crate::row::Expect::{self, Cut, Unheard};
use crate::row::{Heard, Row, get, post, posted, row};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const HIDDEN: &str = "GET /admin HTTP/1.1\r\nHost: api.example.test\r\n\r\n";

pub fn rows() -> Vec<Row> {
    [lengths(), codings(), spellings(), chunks(), trailers(), hidden()].concat()
}

fn lengths() -> Vec<Row> {
    let length = |name, value: &str| row(name, post(&format!("Content-Length: {value}\r\n"), "hello"), Cut(400));
    let both = |name, fields: &str| row(name, post(fields, "5\r\nhello\r\n0\r\n\r\n"), Cut(400));
    vec![
        both("length before coding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        both("coding before length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        both("length zero beside coding", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        both("two equal lengths", "Content-Length: 5\r\nContent-Length: 5\r\n"),
        both("two different lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        length("list of equal lengths", "5, 5"),
        length("list of different lengths", "5, 6"),
        length("length with a sign", "+5"),
        length("negative length", "-1"),
        length("hexadecimal length", "0x5"),
        length("length with a leading zero", "05"),
        length("length in two words", "5 5"),
        length("empty length", ""),
        length("quoted length", "\"5\""),
        length("length with a parameter", "5;x"),
        length("length with a decimal point", "5.0"),
        length("length with an exponent", "5e0"),
        length("length beyond 64 bits", "18446744073709551621"),
        length("length beyond reason", "9999999999999999999999999999999999999999"),
        length("length with a vertical tab", "\u{b}5"),
        length("length with letters", "five"),
        row(
            "length in HTTP/1.0",
            "POST /public/x HTTP/1.0\r\nHost: api.example.test\r\nContent-Length: 5\r\n\r\nhello",
            posted(b"hello"),
        ),
    ]
}

fn codings() -> Vec<Row> {
    let coding = |name, value: &str| {
        row(name, post(&format!("Transfer-Encoding: {value}\r\n"), "5\r\nhello\r\n0\r\n\r\n"), Cut(400))
    };
    vec![
        coding("coding gzip", "gzip"),
        coding("coding identity", "identity"),
        coding("chunked twice in a list", "chunked, chunked"),
        coding("gzip before chunked", "gzip, chunked"),
        coding("chunked before gzip", "chunked, gzip"),
        coding("identity before chunked", "identity, chunked"),
        coding("a word that ends with chunked", "xchunked"),
        coding("a word that begins with chunked", "chunkedx"),
        coding("quoted chunked", "\"chunked\""),
        coding("chunked with a parameter", "chunked;q=1"),
        coding("chunked behind a vertical tab", "\u{b}chunked"),
        coding("chunked behind a form feed", "\u{c}chunked"),
        coding("chunked before a carriage return", "chunked\r"),
        coding("chunked behind a null", "\u{0}chunked"),
        coding("chunked with a comma behind", "chunked,"),
        coding("chunked with a comma before", ",chunked"),
        coding("empty coding", ""),
        row(
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            Cut(400),
        ),
        row(
            "chunked and identity",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            Cut(400),
        ),
        row(
            "chunked in HTTP/1.0",
            "POST /public/x HTTP/1.0\r\nHost: api.example.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Cut(400),
        ),
        row("chunked in any case", post("TRANSFER-ENCODING: ChUnKeD\r\n", "5\r\nhello\r\n0\r\n\r\n"), posted(b"hello")),
    ]
}

fn spellings() -> Vec<Row> {
    let spelled = |name, fields: &str| row(name, post(&format!("Content-Length: 5\r\n{fields}"), "hello"), Cut(400));
    vec![
        spelled("coding with a space before its colon", "Transfer-Encoding : chunked\r\n"),
        spelled("coding with a tab before its colon", "Transfer-Encoding\t: chunked\r\n"),
        spelled("coding behind a space", " Transfer-Encoding: chunked\r\n"),
        spelled("coding behind a tab", "\tTransfer-Encoding: chunked\r\n"),
        spelled("folded coding", "Transfer-Encoding:\r\n chunked\r\n"),
        spelled("coding behind a bare line feed", "X: y\nTransfer-Encoding: chunked\r\n"),
        spelled("coding behind a bare carriage return", "X: y\rTransfer-Encoding: chunked\r\n"),
        spelled("coding with a null in its name", "Transfer-Encoding\u{0}: chunked\r\n"),
        spelled("coding folded by a bare line feed", "Transfer-Encoding:\n chunked\r\n"),
        spelled("length with a space before its colon", "Content-Length : 6\r\n"),
        row(
            "coding with an underscore",
            post("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", "hello"),
            posted(b"hello"),
        ),
        row(
            "length with an underscore",
            post("Content-Length: 5\r\nContent_Length: 50\r\n", "hello"),
            posted(b"hello"),
        ),
        row(
            "coding with a dot",
            post("Content-Length: 5\r\nTransfer.Encoding: chunked\r\n", "hello"),
            posted(b"hello"),
        ),
        row("length of which less comes than it says", post("Content-Length: 50\r\n", "hello"), Unheard),
    ]
}

fn chunks() -> Vec<Row> {
    let faulty = |name, body: &str| row(name, post(CHUNKED, body), Cut(400));
    let short = |name, body: &str| row(name, post(CHUNKED, body), Unheard);
    let sound = |name, body: &str| row(name, post(CHUNKED, body), posted(b"hello"));
    let large = format!("{:x}\r\n{}\r\n", 1000, "a".repeat(1000));
    vec![
        sound("a chunk extension", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        sound("a quoted chunk extension", "5;a=\"b; c\"\r\nhello\r\n0;d\r\n\r\n"),
        sound("chunk size with leading zeros", "0005\r\nhello\r\n000\r\n\r\n"),
        faulty("chunk size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        faulty("negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size behind a space", " 5\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size before a space", "5 \r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size before a tab", "5\t\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size in two words", "5 5\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size of more than sixteen digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size beyond 64 bits", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size of all bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size that is no number", "g\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk without a size", "\r\nhello\r\n0\r\n\r\n"),
        faulty("last chunk without a size", "5\r\nhello\r\n\r\n\r\n"),
        faulty("chunk with an extension for a size", ";5\r\nhello\r\n0\r\n\r\n"),
        faulty("chunk size that ends with a bare line feed", "5\nhello\r\n0\r\n\r\n"),
        faulty("chunk size that ends with a bare carriage return", "5\rhello\r\n0\r\n\r\n"),
        faulty("chunk that ends with a bare line feed", "5\r\nhello\n0\r\n\r\n"),
        faulty("chunk that ends with two bytes of another kind", "5\r\nhelloxx0\r\n\r\n"),
        faulty("chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension with a bare line feed", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension with a bare carriage return", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension with a null", "5;a\0\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension that hides a chunk", "5;\n0\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension without a name", "5;\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension behind a space", "5 ;a\r\nhello\r\n0\r\n\r\n"),
        faulty("an extension whose quote never ends", "5;a=\"b\r\nhello\r\n0\r\n\r\n"),
        faulty("too long an extension", &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(2000))),
        // What came before is on its way already, and stays without an end.
        faulty("a faulty chunk behind a large one", &format!("{large}+5\r\nhello\r\n0\r\n\r\n")),
        short("chunk shorter than its size", "6\r\nhello\r\n0\r\n\r\n"),
        short("chunks that never end", "5\r\nhello\r\n"),
    ]
}

fn trailers() -> Vec<Row> {
    let body = |trailers: &str| post(CHUNKED, &format!("5\r\nhello\r\n0\r\n{trailers}\r\n"));
    let faulty = |name, trailers: &str| row(name, body(trailers), Cut(400));
    let dropped = |name, trailer: &str, absent| {
        let heard = Heard { method: "POST", target: "/public/x", body: b"hello", absent, ..Heard::default() };
        row(name, body(&format!("{trailer}\r\n")), Expect::Forwarded(heard))
    };
    vec![
        dropped("a trailer", "X-Checksum: 1", &["X-Checksum"]),
        dropped("a trailer that tells an identity", "X-User-Id: mallory", &["X-User-Id"]),
        dropped("a trailer that tells a client", "X-Real-IP: 10.0.0.1", &["X-Real-IP"]),
        dropped("a trailer with a credential", "Authorization: Bearer a", &["Authorization"]),
        faulty("a trailer with a length", "Content-Length: 9\r\n"),
        faulty("a trailer with a coding", "Transfer-Encoding: chunked\r\n"),
        faulty("a trailer with a host", "Host: other.example.test\r\n"),
        faulty("a trailer with connection options", "Connection: X-User-Id\r\n"),
        faulty("a trailer without a colon", "hello\r\n"),
        faulty("a trailer that is a request", "GET /admin HTTP/1.1\r\n"),
        faulty("a trailer with a space before its colon", "X : y\r\n"),
        faulty("a folded trailer", "X: y\r\n z\r\n"),
        faulty("a trailer that ends with a bare line feed", "X: y\n"),
        faulty("a trailer with a bare carriage return", "X: y\rZ: w\r\n"),
        faulty("a trailer with a null", "X: \0\r\n"),
        faulty("an end of trailers that is a bare line feed", "X: y\r\n\n"),
        faulty("too many trailers", &"X: y\r\n".repeat(150)),
        faulty("too large a trailer", &format!("X: {}\r\n", "y".repeat(17_000))),
    ]
}

fn hidden() -> Vec<Row> {
    let with_length = |fields: &str, body: &str| post(&format!("Content-Length: {}\r\n{fields}", body.len()), body);
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    vec![
        row("a request inside a body", with_length("", HIDDEN), posted(HIDDEN.as_bytes())),
        row("a request inside a chunk", post(CHUNKED, &chunk), posted(HIDDEN.as_bytes())),
        row("a request behind one without a body", [get("/public/x", ""), HIDDEN.into()].concat(), crate::row::got("/public/x")),
        row("a request behind a length of zero", [post("Content-Length: 0\r\n", ""), HIDDEN.into()].concat(), posted(b"")),
        row("a request behind the last chunk", post(CHUNKED, &format!("0\r\n\r\n{HIDDEN}")), posted(b"")),
        row("a request behind a body", with_length("", "hello").into_iter().chain(HIDDEN.bytes()).collect::<Vec<u8>>(), posted(b"hello")),
        row("a WebSocket handshake with a body", get("/public/x", &format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nContent-Length: {}\r\n", HIDDEN.len())).into_iter().chain(HIDDEN.bytes()).collect::<Vec<u8>>(), Cut(400)),
    ]
}
