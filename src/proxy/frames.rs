//! What is seen of HTTP/2 in the bytes of a connection, before the engine reads them (RFC 9113 §3.4, §4).
//!
//! The engine waits for the preface, and for the rest of a header block, as long as it takes; and it answers or resets
//! what is malformed before any code of ours hears of it. What it hands us has no place for either, but the bytes have:
//! here they get the time of a head, and the requests are counted.

use super::watched::Watch;
use prometheus::IntCounter;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// The bytes of the preface.
const PREFACE: usize = 24;
/// The bytes before the payload of each frame.
const FRAME_HEAD: usize = 9;
/// The types of frames that header blocks come in.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// The flag of the last of them.
const END_HEADERS: u8 = 4;

/// Where it is counted.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    /// Connections that were ended because their preface or a header block took too long.
    pub slow: IntCounter,
    /// Requests that never reached us.
    pub unheard: IntCounter,
}

/// Watches the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// How much of the preface is still to come.
    preface: usize,
    head: [u8; FRAME_HEAD],
    head_read: usize,
    /// How much of the frame is still to come.
    payload: usize,
    /// True within a header block.
    in_block: bool,
    /// True while its last frame is still to come, or another one.
    block_goes_on: bool,
    newest_stream: u32,
    opened: usize,
    /// How many of the requests have reached us.
    heard: Arc<AtomicUsize>,
    patience: Duration,
    end: Option<Pin<Box<Sleep>>>,
    counters: Counters,
}

impl Frames {
    /// The preface, and each header block, must come within `patience`.
    pub(super) fn new(patience: Duration, heard: Arc<AtomicUsize>, counters: &Counters) -> Self {
        Self {
            preface: PREFACE,
            head: [0; FRAME_HEAD],
            head_read: 0,
            payload: 0,
            in_block: false,
            block_goes_on: false,
            newest_stream: 0,
            opened: 0,
            heard,
            patience,
            end: Some(Box::pin(sleep(patience))),
            counters: counters.clone(),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let read = if self.preface > 0 {
                let read = rest.len().min(self.preface);
                self.preface -= read;
                read
            } else if self.payload > 0 {
                let read = rest.len().min(self.payload);
                self.payload -= read;
                read
            } else {
                self.take_head(rest)
            };
            self.in_block &= self.payload > 0 || self.block_goes_on;
            rest = rest.get(read..).unwrap_or_default();
        }
    }

    /// Takes what there is of the head of a frame; answers how many bytes that was.
    fn take_head(&mut self, bytes: &[u8]) -> usize {
        let missing = self.head.iter_mut().skip(self.head_read);
        let read = missing.zip(bytes).map(|(place, byte)| *place = *byte).count();
        self.head_read += read;
        if self.head_read == FRAME_HEAD {
            self.head_read = 0;
            self.begin();
        }
        read
    }

    fn begin(&mut self) {
        let [long, length, short, kind, flags, stream @ ..] = self.head;
        self.payload = usize::from(long) << 16 | usize::from(length) << 8 | usize::from(short);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = true;
            self.block_goes_on = flags & END_HEADERS == 0;
        }
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        // Further blocks of a stream are its trailers.
        if kind == HEADERS && stream > self.newest_stream {
            self.newest_stream = stream;
            self.opened += 1;
        }
    }

    /// True where something has begun that must not take long.
    fn is_urgent(&self) -> bool {
        self.preface > 0 || self.head_read > 0 || self.in_block
    }
}

impl Watch for Frames {
    fn before(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            self.counters.slow.inc();
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn after(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes);
        if !self.is_urgent() {
            self.end = None;
        } else if self.end.is_none() {
            self.end = Some(Box::pin(sleep(self.patience)));
        }
        Ok(())
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let unheard = self.opened.saturating_sub(self.heard.load(Ordering::Relaxed));
        self.counters.unheard.inc_by(unheard as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::watched::Watched;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    const PATIENCE: Duration = Duration::from_secs(1);

    fn counters() -> Counters {
        let counter = |name: &str| IntCounter::new(name, name).unwrap();
        Counters { slow: counter("slow"), unheard: counter("unheard") }
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    }

    fn watched(heard: usize, counters: &Counters) -> (DuplexStream, Watched<Frames>) {
        let (client, server) = tokio::io::duplex(4096);
        let frames = Frames::new(PATIENCE, Arc::new(AtomicUsize::new(heard)), counters);
        (client, Watched::new(Box::new(server), frames))
    }

    /// Sends `bytes`, and tells whether the stream goes on when a minute has passed.
    async fn goes_on(bytes: &[u8]) -> bool {
        let counters = counters();
        let (mut client, mut server) = watched(0, &counters);
        client.write_all(bytes).await.unwrap();
        server.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        client.write_all(b"e").await.unwrap();
        let read = server.read_u8().await;
        assert_eq!(read.is_err(), counters.slow.get() == 1);
        read.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_and_must_not_take_long_ends_the_stream() {
        let preface = [b'p'; PREFACE];
        let after = |rest: &[u8]| [&preface[..], rest].concat();
        let data = frame(0, 0, 1, b"abc");
        for (what, bytes, expected) in [
            ("nothing", Vec::new(), false),
            ("half a preface", preface[..9].to_vec(), false),
            ("a preface", preface.to_vec(), true),
            ("half a head", after(&data[..4]), false),
            ("half of some data", after(&data[..10]), true),
            ("a block", after(&frame(HEADERS, END_HEADERS, 1, b"abc")), true),
            ("half a block", after(&frame(HEADERS, END_HEADERS, 1, b"abc")[..10]), false),
            ("an empty block", after(&frame(HEADERS, END_HEADERS, 1, b"")), true),
            ("a block that goes on", after(&frame(HEADERS, 0, 1, b"abc")), false),
            (
                "a block in two frames",
                after(&[frame(HEADERS, 0, 1, b"abc"), frame(CONTINUATION, END_HEADERS, 1, b"d")].concat()),
                true,
            ),
            (
                "a block that goes on and on",
                after(&[frame(HEADERS, 0, 1, b"abc"), frame(CONTINUATION, 0, 1, b"d")].concat()),
                false,
            ),
        ] {
            assert_eq!(goes_on(&bytes).await, expected, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_gets_no_more_time_for_coming_bit_by_bit() {
        let (mut client, mut server) = watched(0, &counters());
        client.write_all(&[&[b'p'; PREFACE][..], &frame(HEADERS, 0, 1, b"abc")].concat()).await.unwrap();
        server.read_exact(&mut [0; PREFACE + FRAME_HEAD + 3]).await.unwrap();
        for _ in 0..3 {
            tokio::time::advance(PATIENCE / 4).await;
            client.write_all(&frame(CONTINUATION, 0, 1, b"")).await.unwrap();
            server.read_exact(&mut [0; FRAME_HEAD]).await.unwrap();
        }
        tokio::time::advance(PATIENCE / 2).await;
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn requests_that_nobody_heard_of_are_counted_however_the_bytes_were_cut() {
        let request = |stream| frame(HEADERS, END_HEADERS, stream, b"abc");
        let trailers = request(3);
        let bytes = [&[b'p'; PREFACE][..], &request(1), &request(3), &frame(0, 0, 3, b"body"), &trailers, &request(5)];
        for size in [1, 2, 5, 9, 100] {
            let counters = counters();
            let mut frames = Frames::new(PATIENCE, Arc::new(AtomicUsize::new(1)), &counters);
            bytes.concat().chunks(size).for_each(|chunk| frames.after(chunk).unwrap());
            assert!(frames.end.is_none(), "{size}");
            drop(frames);
            assert_eq!(counters.unheard.get(), 2, "{size}");
        }
    }
}
