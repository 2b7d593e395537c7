//! One process taking over from another, without a moment in which nobody listens.
//!
//! The running process waits on a socket in its runtime directory. The new one connects and gets the listening sockets,
//! makes everything ready, and says so. Then the running one stops accepting, and says when; only after that the new one
//! begins. In between, connections wait in the system's queue.
//!
//! ```text
//! new → old   tollgate upgrade 1
//! old → new   ADDRESS ADDRESS …     with one descriptor each
//! new → old   ready
//! old → new   stopped MILLISECONDS  (since 1970, by the clock of the machine both run on)
//! ```

use super::sockets::Socket;
use crate::clock::UnixTime;
use log::{info, warn};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The socket's name in the runtime directory.
const NAME: &str = "upgrade.sock";
const HELLO: &str = "tollgate upgrade 1";
const READY: &str = "ready";
const STOPPED: &str = "stopped";
/// The most sockets that can be handed over.
const MAX_SOCKETS: usize = 64;
/// The user who may do everything.
const ROOT: u32 = 0;
/// The longest list of their addresses.
const MAX_LIST: usize = 8192;
/// How long the other process may take for its next word; the new one reads its keys meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// The new processes that are ready to take over; there is never more than one. Dropped, it gives its sockets up: as
/// long as anybody holds them, the system lets clients connect.
pub(super) struct Successors {
    ready: mpsc::Receiver<Successor>,
    meeting: Option<JoinHandle<()>>,
}

impl Successors {
    /// The next one; `None` where there can't be any.
    pub(super) async fn next(&mut self) -> Option<Successor> {
        self.ready.recv().await
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        if let Some(meeting) = &self.meeting {
            meeting.abort();
        }
    }
}

/// The end of the running process.
pub(super) struct Successor {
    stream: UnixStream,
    /// The id of the new process, where the system tells it.
    pub(super) pid: Option<i32>,
}

/// The end of the new process.
pub(super) struct Predecessor(BufReader<UnixStream>);

/// Waits for a new process that asks for `sockets`. Where it can't, this process can only be restarted.
pub(super) fn wait(runtime_dir: &Path, sockets: Vec<Socket>) -> Successors {
    let (sender, ready) = mpsc::channel(1);
    let meeting = match listen(runtime_dir) {
        Ok((listener, owner)) => Some(tokio::spawn(meet(listener, owner, sockets.into(), sender))),
        Err(error) => {
            info!("`run --upgrade` is not possible: {}: {error}", runtime_dir.display());
            None
        }
    };
    Successors { ready, meeting }
}

/// Only the user of this process, whose id `owner` is, may take over, and whoever may do everything.
async fn meet(listener: UnixListener, owner: u32, sockets: Arc<[Socket]>, sender: mpsc::Sender<Successor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (sockets, peer) = (Arc::clone(&sockets), stream.peer_cred());
        let met = blocking(move || {
            let peer = peer?;
            if peer.uid() != owner && peer.uid() != ROOT {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("user {} may not", peer.uid())));
            }
            Successor::meet(stream.into_std()?, peer.pid(), &sockets)
        })
        .await;
        match met {
            Ok(successor) => {
                let _ = sender.send(successor).await;
                return;
            }
            Err(error) => warn!("another process asked to take over, and failed: {error}"),
        }
    }
}

/// Asks the process that serves for its sockets.
pub(super) async fn ask(runtime_dir: &Path) -> Result<(Predecessor, Vec<Socket>), UpgradeError> {
    let directory = runtime_dir.to_owned();
    blocking(move || Predecessor::ask(&directory)).await.map_err(|error| UpgradeError::new(runtime_dir, error))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The place where a new process asks, and whose it is.
fn listen(runtime_dir: &Path) -> io::Result<(UnixListener, u32)> {
    fs::create_dir_all(runtime_dir)?;
    let path = runtime_dir.join(NAME);
    // Put in its place when it is ready, over that of the process before.
    let draft = runtime_dir.join(format!(".{NAME}.{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft)?;
    fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    let owner = fs::metadata(&draft)?.uid();
    fs::rename(&draft, &path)?;
    Ok((listener, owner))
}

impl Successor {
    /// Hands `sockets` to the new process behind `stream`, and waits until it is ready to serve. Blocks.
    fn meet(stream: UnixStream, pid: Option<i32>, sockets: &[Socket]) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut words = BufReader::new(stream);
        expect(&mut words, HELLO)?;
        let list: Vec<String> = sockets.iter().map(|(address, _)| address.to_string()).collect();
        let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        send(words.get_ref(), &format!("{}\n", list.join(" ")), &descriptors)?;
        expect(&mut words, READY)?;
        Ok(Self { stream: words.into_inner(), pid })
    }

    /// Tells the new process that this one has stopped accepting at `at`.
    pub(super) async fn begin(mut self, at: UnixTime) -> io::Result<()> {
        blocking(move || writeln!(self.stream, "{STOPPED} {}", at.as_millis())).await
    }
}

impl Predecessor {
    /// Asks the process that serves for its sockets. Blocks.
    fn ask(runtime_dir: &Path) -> io::Result<(Self, Vec<Socket>)> {
        let mut stream = UnixStream::connect(runtime_dir.join(NAME))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        writeln!(stream, "{HELLO}")?;
        let (list, descriptors) = receive(&stream)?;
        let addresses: Vec<SocketAddr> = list.split_ascii_whitespace().filter_map(|one| one.parse().ok()).collect();
        if addresses.is_empty() || addresses.len() != descriptors.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the running process sent no usable sockets"));
        }
        let sockets = addresses.into_iter().zip(descriptors.into_iter().map(TcpListener::from)).collect();
        Ok((Self(BufReader::new(stream)), sockets))
    }

    /// Says that this process is ready, and waits until the other one has stopped accepting; answers when that was.
    pub(super) async fn relieve(self, runtime_dir: &Path) -> Result<UnixTime, UpgradeError> {
        blocking(move || self.ready()).await.map_err(|error| UpgradeError::new(runtime_dir, error))
    }

    fn ready(mut self) -> io::Result<UnixTime> {
        writeln!(self.0.get_mut(), "{READY}")?;
        let line = read(&mut self.0)?;
        let at = line.strip_prefix(STOPPED).and_then(|rest| rest.trim().parse().ok());
        at.map(UnixTime::from_millis).ok_or_else(|| unexpected(&line))
    }
}

fn send(stream: &UnixStream, text: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if text.len() > MAX_LIST || !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many listeners to hand over"));
    }
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty())?;
    let mut stream = stream;
    stream.write_all(text.as_bytes().get(sent..).unwrap_or_default())
}

fn receive(stream: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let (mut list, mut descriptors) = (Vec::new(), Vec::new());
    while !list.ends_with(b"\n") && list.len() <= MAX_LIST {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 1024];
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let received = rustix::net::recvmsg(stream, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        list.extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
    }
    String::from_utf8(list).map(|list| (list, descriptors)).map_err(io::Error::other)
}

fn expect(words: &mut BufReader<UnixStream>, wanted: &str) -> io::Result<()> {
    let line = read(words)?;
    if line == wanted { Ok(()) } else { Err(unexpected(&line)) }
}

fn read(words: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    match words.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

fn unexpected(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other process said {line:?}"))
}

/// Why a process can't take over.
#[derive(Debug, thiserror::Error)]
#[error("can't take over from the process that serves ({})", .0.display())]
pub struct UpgradeError(PathBuf, #[source] io::Error);

impl UpgradeError {
    fn new(runtime_dir: &Path, error: io::Error) -> Self {
        Self(runtime_dir.join(NAME), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Socket {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    #[tokio::test]
    async fn sockets_are_handed_over_in_order_and_nobody_begins_before_the_other_has_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let (listener, _) = listen(directory.path()).unwrap();
        let mode = fs::metadata(directory.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (sockets, path) = ([socket(), socket()], directory.path().to_owned());
        let addresses = sockets.each_ref().map(|(address, _)| *address);
        let new = tokio::task::spawn_blocking(move || {
            let (old, sockets) = Predecessor::ask(&path).unwrap();
            (old.ready().unwrap(), sockets)
        });
        let stream = listener.accept().await.unwrap().0.into_std().unwrap();
        let successor =
            tokio::task::spawn_blocking(move || Successor::meet(stream, None, &sockets).unwrap()).await.unwrap();
        assert!(!new.is_finished(), "the new one waits");
        successor.begin(UnixTime::from_millis(1234)).await.unwrap();
        let (at, handed) = new.await.unwrap();
        assert_eq!((at, handed.len()), (UnixTime::from_millis(1234), 2));
        for ((address, socket), expected) in handed.iter().zip(addresses) {
            assert_eq!((*address, socket.local_addr().unwrap()), (expected, expected));
        }
    }

    #[tokio::test]
    async fn who_says_something_else_gets_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (listener, _) = listen(directory.path()).unwrap();
        let mut stranger = UnixStream::connect(directory.path().join(NAME)).unwrap();
        writeln!(stranger, "GET / HTTP/1.1").unwrap();
        let stream = listener.accept().await.unwrap().0.into_std().unwrap();
        let met =
            tokio::task::spawn_blocking(move || Successor::meet(stream, None, &[socket()]).map(|_| ())).await.unwrap();
        assert_eq!(met.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(Predecessor::ask(Path::new("/nowhere")).is_err());
    }
}
