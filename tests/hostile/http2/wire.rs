//! A connection that speaks HTTP/2 in raw frames (RFC 9113 §4), and reads just enough to see what became of a stream.

use crate::common::{Gateway, HOST};
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use openssl::x509::store::X509StoreBuilder;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What became of stream 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Status(u16),
    /// It, or the whole connection, was ended with an error.
    Reset,
    /// The connection was closed without a word.
    Closed,
}

/// One connection.
pub struct Wire(SslStream<TcpStream>);

impl Wire {
    /// Shakes hands, and sends `preface`.
    pub fn open(gateway: &Gateway, preface: &[u8]) -> io::Result<Self> {
        let socket = TcpStream::connect(gateway.https_address())?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(gateway.authority().certificate.clone()).unwrap();
        builder.set_cert_store(store.build());
        builder.set_alpn_protos(b"\x02h2").unwrap();
        let mut stream = builder.build().connect(HOST, socket).map_err(|fault| io::Error::other(fault.to_string()))?;
        assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(preface)?;
        Ok(Self(stream))
    }

    pub fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.0.write_all(frames)?;
        self.0.flush()
    }

    /// Reads until stream 1, or the connection, has come to its end.
    pub fn end(&mut self) -> End {
        loop {
            let Ok((kind, stream, payload)) = self.frame() else { return End::Closed };
            match (kind, stream) {
                (HEADERS, 1) => return End::Status(status(&payload)),
                (RST_STREAM, 1) | (GOAWAY, _) => return End::Reset,
                _ => {}
            }
        }
    }

    /// Reads until a stream is reset; answers which one, and the code of the error.
    pub fn first_reset(&mut self) -> io::Result<(u32, u32)> {
        loop {
            if let (RST_STREAM, stream, payload) = self.frame()? {
                return Ok((stream, u32::from_be_bytes(payload.try_into().unwrap())));
            }
        }
    }

    fn frame(&mut self) -> io::Result<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload)?;
        Ok((head[3], u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]), payload))
    }
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block of literal fields that are not indexed and not compressed (RFC 7541 §6.2.2).
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(u8::try_from(length % 128 + 128).unwrap());
        length /= 128;
    }
    block.push(u8::try_from(length).unwrap());
}

/// The status at the beginning of a header block: an indexed field, or three digits behind its indexed name.
fn status(block: &[u8]) -> u16 {
    // A change of the table's size may stand before (RFC 7541 §6.3).
    let block = &block[block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap()..];
    match block {
        [indexed, ..] if indexed & 0x80 != 0 => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed & 0x7f) - 8],
        [literal, length, value @ ..] if [0x48, 0x08, 0x18].contains(literal) => {
            let text = &value[..usize::from(length & 0x7f)];
            if length & 0x80 == 0 { std::str::from_utf8(text).unwrap().parse().unwrap() } else { huffman(text) }
        }
        other => panic!("no status in {other:x?}"),
    }
}

/// Three digits in the Huffman code of RFC 7541, appendix B: 0, 1 and 2 have five bits, the others six.
fn huffman(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u16, |number, bit| number * 2 + u16::from(*bit));
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let five = number(&bits[at..at + 5]);
        let (digit, length) = if five < 3 { (five, 5) } else { (number(&bits[at..at + 6]) - 0b01_1001 + 3, 6) };
        status = status * 10 + digit;
        at += length;
    }
    status
}
