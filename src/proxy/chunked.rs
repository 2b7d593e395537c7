//! A body in chunks, read strictly under the engine, which takes a chunk without a size for the last one, and looks at no
//! trailer.

use super::watched::Watch;
use crate::request::chunks::Chunks;
use pingora::{Error, ErrorType};
use std::io;

impl Watch for Chunks {
    fn after(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.read(bytes).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
    }
}

/// True when `error` is what reading such a body ended with.
pub(super) fn is_faulty(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    *error.etype() == ErrorType::ReadError && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::watched::Watched;
    use crate::request::framing::HeadLimits;
    use pingora::protocols::Stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_stream_is_given_back_with_what_was_read_of_the_body() {
        let limits = HeadLimits { bytes: 100, line: 100, fields: 3 };
        let (mut client, server) = tokio::io::duplex(64);
        let mut stream: Stream = Box::new(Watched::new(Box::new(server), Chunks::new(limits)));
        client.write_all(b"1\r\na\r\n0\r\n\r\nGET").await.unwrap();
        let mut bytes = [0; 14];
        stream.read_exact(&mut bytes).await.unwrap();
        let (mut stream, chunks) = Watched::<Chunks>::relieve(stream).unwrap();
        assert!(chunks.is_done());
        drop(client);
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert!(Watched::<Chunks>::relieve(stream).is_none(), "under no watch");
    }
}
