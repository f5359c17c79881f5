//! What carries a client's bytes, and sends files where the system can do that by itself.
//!
//! `sendfile` gives the socket the pages of the system's cache. Nothing of them comes through this process, which saves
//! half of the work of a large file. But hyper sends bytes and no files. So the body gives it a [`Piece`] that has the
//! length of a part of the file and no content: for bytes hyper gets [`BLANK`], which lies at an address of its own. The
//! part itself is left with the connection ([`FilePart`]). When the guard meets the blank's address in a write it has the
//! part sent in its place, and tells hyper how much of that the socket took.
//!
//! No byte of the blank can reach a client: a write that has the blank in it is never passed on; and while a part is
//! waiting, a write without the blank ends the connection, since then somebody has copied it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};

/// The longest part of a file that is sent at a time.
pub(crate) const LONGEST: usize = 256 * 1024;

/// Stands in a write for bytes of a file. Nobody reads it, so it takes no memory.
static BLANK: [u8; LONGEST] = [0; LONGEST];

/// Whether these bytes are only there to be replaced.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    BLANK.as_ptr_range().contains(&bytes.as_ptr())
}

/// A piece of a response's body.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// As many bytes as are left of the [`FilePart`] that waits with the connection.
    Blank(usize),
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Blank(len) => *len,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Blank(len) => &BLANK[..(*len).min(LONGEST)],
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Piece::Bytes(bytes) => bytes.advance(count),
            Piece::Blank(len) => *len -= count,
        }
    }
}

/// FilePart of a file that is to be sent in place of a blank.
#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "no socket sends files there")
    )]
    pub(crate) file: Arc<File>,
    pub(crate) at: u64,
    /// At most [`LONGEST`].
    pub(crate) len: usize,
}

/// A client's byte stream.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Whether the two functions below may be called.
    fn sends_files(&self) -> bool {
        false
    }

    /// Writes what is right ahead of a file, as far as the socket takes it; it may wait there for the file's first bytes.
    fn poll_write_ahead(&mut self, _cx: &mut Context<'_>, _bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Sends the beginning of a part, and says how much of it. Nothing is left of the file if that is nothing.
    fn poll_send_file(&mut self, _cx: &mut Context<'_>, _part: &FilePart) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(not(target_os = "linux"))]
impl Transport for tokio::net::TcpStream {}

#[cfg(all(unix, not(target_os = "linux")))]
impl Transport for tokio::net::UnixStream {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;
    use std::task::{Context, Poll, ready};

    use rustix::fs::sendfile;
    use rustix::io::Errno;
    use rustix::net::{SendFlags, send};
    use tokio::io::Interest;
    use tokio::net::{TcpStream, UnixStream};

    use super::{FilePart, Transport};

    /// Where a file system has no `sendfile`, this much is read at a time.
    const READ: usize = 64 * 1024;

    fn ahead(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(send(socket, bytes, flags)?)
    }

    fn file(socket: impl AsFd, part: &FilePart) -> io::Result<usize> {
        let mut at = part.at;
        match sendfile(&socket, &*part.file, Some(&mut at), part.len) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let mut bytes = vec![0; part.len.min(READ)];
                let read = part.file.read_at(&mut bytes, part.at)?;
                Ok(send(
                    &socket,
                    &bytes[..read],
                    SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
                )?)
            }
            sent => Ok(sent?),
        }
    }

    macro_rules! transport {
        ($Socket:ty) => {
            impl Transport for $Socket {
                fn sends_files(&self) -> bool {
                    true
                }

                fn poll_write_ahead(
                    &mut self,
                    cx: &mut Context<'_>,
                    bytes: &[u8],
                ) -> Poll<io::Result<usize>> {
                    loop {
                        ready!(self.poll_write_ready(cx))?;
                        match self.try_io(Interest::WRITABLE, || ahead(&*self, bytes)) {
                            Err(error) if is_not_yet(&error) => {}
                            done => return Poll::Ready(done),
                        }
                    }
                }

                fn poll_send_file(
                    &mut self,
                    cx: &mut Context<'_>,
                    part: &FilePart,
                ) -> Poll<io::Result<usize>> {
                    loop {
                        ready!(self.poll_write_ready(cx))?;
                        match self.try_io(Interest::WRITABLE, || file(&*self, part)) {
                            Err(error) if is_not_yet(&error) => {}
                            done => return Poll::Ready(done),
                        }
                    }
                }
            }
        };
    }

    transport!(TcpStream);
    transport!(UnixStream);

    fn is_not_yet(error: &io::Error) -> bool {
        matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_is_known_by_its_place_and_not_by_its_content() {
        let mut piece = Piece::Blank(LONGEST);
        assert!(is_blank(piece.chunk()));
        assert_eq!((piece.remaining(), piece.chunk().len()), (LONGEST, LONGEST));
        piece.advance(LONGEST - 10);
        assert!(is_blank(piece.chunk()) && piece.chunk().len() == 10);
        let copy = piece.chunk().to_vec();
        assert!(!is_blank(&copy), "a copy is bytes like any others");
        assert!(!is_blank(Piece::Bytes(Bytes::from_static(&[0; 10])).chunk()));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod linux_tests {
    use std::future::poll_fn;
    use std::io::Write;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;

    /// A socket in the mode for appending is one that `sendfile` refuses, as it refuses files of some file systems.
    #[tokio::test]
    async fn what_the_system_does_not_send_is_read_and_sent() {
        let content: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&content).expect("written");
        let file = Arc::new(file);
        for is_refused in [false, true] {
            let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
            if is_refused {
                let flags = fcntl_getfl(&ours).expect("its flags");
                fcntl_setfl(&ours, flags | OFlags::APPEND).expect("its flags are set");
                let refused = rustix::fs::sendfile(&ours, &*file, Some(&mut 0), 1);
                assert_eq!(refused, Err(rustix::io::Errno::INVAL));
            }
            let received = tokio::spawn(async move {
                let mut received = Vec::new();
                theirs.read_to_end(&mut received).await.expect("received");
                received
            });
            let mut part = FilePart {
                file: Arc::clone(&file),
                at: 1_000,
                len: 250_000,
            };
            while part.len > 0 {
                let sent = poll_fn(|cx| ours.poll_send_file(cx, &part)).await.expect("sent");
                assert!((1..=part.len).contains(&sent), "{sent}");
                part.at += sent as u64;
                part.len -= sent;
            }
            // Nothing is left of a file that is shorter than it was.
            let beyond = FilePart {
                at: content.len() as u64,
                len: 1,
                ..part
            };
            let sent = poll_fn(|cx| ours.poll_send_file(cx, &beyond)).await;
            assert_eq!(sent.expect("an end"), 0);
            drop(ours);
            assert!(
                received.await.expect("no panic") == content[1_000..251_000],
                "{is_refused}"
            );
        }
    }
}
