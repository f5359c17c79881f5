//! Parts of a file as a response's body, piece by piece.
//!
//! What the system has in its cache is sent from there where the connection can do that, and read at once where it cannot.
//! Only the rest is read on threads that may block: on Linux what is on the disk alone, elsewhere all of it.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::page_cache;
use crate::state::ConnectionState;
use crate::transport::{self, FilePart, Piece};

/// Bytes of a file that another thread reads at a time: its own work is to be worth the way there.
const PIECE: u64 = 256 * 1024;

/// Bytes that are read at a time where there is no way: few enough to stay in the processor's cache until they are sent.
const CACHED_PIECE: usize = 64 * 1024;

/// Below this, bytes are cheaper than what there is to do for a file.
const WORTH_SENDING: usize = 16 * 1024;

/// Parts of a file, perhaps with text between them. What has to be waited for is read while the last piece is sent.
#[derive(Debug)]
pub(crate) struct FileBody {
    /// Bytes that are still to come.
    left: u64,
    parts: VecDeque<Part>,
    reading: Reading,
}

/// A part of a body.
#[derive(Debug)]
pub(crate) enum Part {
    /// Known already.
    Text(Bytes),
    /// Bytes of the file.
    Range {
        /// The first one's place.
        at: u64,
        /// How many.
        len: u64,
    },
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Part::Text(text) => text.len() as u64,
            Part::Range { len, .. } => *len,
        }
    }
}

#[derive(Debug)]
enum Reading {
    Idle(Arc<File>),
    Busy(JoinHandle<(Arc<File>, io::Result<Bytes>)>),
    Failed,
}

impl FileBody {
    /// One part of `file`.
    pub(crate) fn new(file: File, at: u64, len: u64) -> Self {
        Self::of_parts(file, [Part::Range { at, len }])
    }

    /// These parts one after the other.
    pub(crate) fn of_parts(file: File, parts: impl IntoIterator<Item = Part>) -> Self {
        let parts: VecDeque<_> = parts.into_iter().filter(|part| part.len() > 0).collect();
        FileBody {
            left: parts.iter().map(Part::len).sum(),
            parts,
            reading: Reading::Idle(Arc::new(file)),
        }
    }

    /// Bytes that are still to come.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next piece. Part of the file may be left with `connection`, to be sent from there.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        connection: Option<&ConnectionState>,
    ) -> Poll<Option<io::Result<Piece>>> {
        if let Some(piece) = self.at_once(connection) {
            self.pass(piece.len() as u64);
            return Poll::Ready(Some(Ok(piece)));
        }
        self.begin_to_read();
        let Reading::Busy(task) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let Poll::Ready(outcome) = Pin::new(task).poll(cx) else {
            return Poll::Pending;
        };
        self.reading = Reading::Failed;
        let (file, piece) = outcome.map_err(io::Error::other)?;
        let piece = piece?;
        self.reading = Reading::Idle(file);
        self.pass(piece.len() as u64);
        // The system may have read more than it was asked for.
        if !self.next_is_cached() {
            self.begin_to_read();
        }
        Poll::Ready(Some(Ok(Piece::Bytes(piece))))
    }

    /// What can be had without a wait.
    fn at_once(&self, connection: Option<&ConnectionState>) -> Option<Piece> {
        let (at, len) = match self.parts.front()? {
            Part::Text(text) => return Some(Piece::Bytes(text.clone())),
            Part::Range { at, len } => (*at, *len),
        };
        let Reading::Idle(file) = &self.reading else {
            return None;
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len >= WORTH_SENDING
            && let Some(connection) = connection
            && connection.takes_part()
        {
            let len = len.min(transport::LONGEST);
            if page_cache::holds(file, at, len) {
                connection.leave_part(FilePart {
                    file: Arc::clone(file),
                    at,
                    len,
                });
                return Some(Piece::Blank(len));
            }
            return None;
        }
        let bytes = page_cache::read(file, at, len.min(CACHED_PIECE)).ok()?;
        Some(Piece::Bytes(Bytes::from(bytes)))
    }

    fn next_is_cached(&self) -> bool {
        match (self.parts.front(), &self.reading) {
            (Some(&Part::Range { at, len }), Reading::Idle(file)) => {
                page_cache::holds(file, at, len.min(PIECE) as usize)
            }
            _ => false,
        }
    }

    /// The first `read` bytes are dealt with.
    fn pass(&mut self, read: u64) {
        self.left -= read;
        match self.parts.front_mut() {
            Some(Part::Range { at, len }) if *len > read => {
                *at += read;
                *len -= read;
            }
            _ => drop(self.parts.pop_front()),
        }
    }

    /// Has another thread read what comes next, if that is in the file and not being read yet.
    fn begin_to_read(&mut self) {
        let Some(&Part::Range { at, len }) = self.parts.front() else {
            return;
        };
        self.reading = match std::mem::replace(&mut self.reading, Reading::Failed) {
            Reading::Idle(file) => {
                let len = len.min(PIECE) as usize;
                Reading::Busy(tokio::task::spawn_blocking(move || {
                    let piece = read_part(&file, at, len);
                    (file, piece)
                }))
            }
            other => other,
        };
    }
}

/// At least a byte of the `len` ones from `at` on. Blocks.
pub(crate) fn read_part(mut file: &File, at: u64, len: usize) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(len);
    file.seek(SeekFrom::Start(at))?;
    match file.take(len as u64).read_to_end(&mut piece)? {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it is shorter than it was",
        )),
        _ => Ok(Bytes::from(piece)),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use rustix::fs::{Advice, fadvise};

    use super::*;
    use crate::pace::Pace;
    use crate::site::Limits;
    use crate::state::Ends;

    #[tokio::test]
    async fn only_what_is_in_the_systems_cache_is_left_to_the_socket() {
        let connection = ConnectionState::new(Arc::new(Pace::new(&Limits::default())), Ends::default());
        connection.send_files();
        let content = vec![7; 600_000];
        // Beside the test's program, and not where temporary files may be kept in memory alone.
        let program = std::env::current_exe().expect("a path");
        let mut file = tempfile::tempfile_in(program.parent().expect("a folder")).expect("a file");
        file.write_all(&content).expect("written");
        let mut body = FileBody::new(file.try_clone().expect("again"), 0, 600_000);
        let piece = poll_fn(|cx| body.poll_piece(cx, Some(&connection))).await;
        assert!(matches!(piece, Some(Ok(Piece::Blank(transport::LONGEST)))));
        let part = connection.part().expect("it is left there");
        assert_eq!((part.at, part.len), (0, transport::LONGEST));
        connection.part_sent(part.len);

        file.sync_all().expect("on the disk");
        fadvise(&file, 0, None, Advice::DontNeed).expect("forgotten");
        if page_cache::holds(&file, 0, content.len()) {
            return println!("skipped: this file system forgets nothing");
        }
        let mut body = FileBody::new(file, 0, 600_000);
        let piece = poll_fn(|cx| body.poll_piece(cx, Some(&connection))).await;
        match piece {
            Some(Ok(Piece::Bytes(bytes))) => assert!(content.starts_with(&bytes) && !bytes.is_empty()),
            other => panic!("{other:?}"),
        }
        assert!(connection.part().is_none());
    }
}
