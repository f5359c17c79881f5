//! Parts of a file as a response's body, read piece by piece on threads that may block.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::task::JoinHandle;

/// Bytes of a file that are read at a time.
const PIECE: u64 = 256 * 1024;

/// Parts of a file, perhaps with text between them. The next piece is read while the last one is sent.
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
    Idle(File),
    Busy(JoinHandle<(File, io::Result<Bytes>)>),
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
            reading: Reading::Idle(file),
        }
    }

    /// Bytes that are still to come.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(Part::Text(_)) = self.parts.front()
            && let Some(Part::Text(text)) = self.parts.pop_front()
        {
            self.left -= text.len() as u64;
            return Poll::Ready(Some(Ok(text)));
        }
        self.read_ahead();
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
        let read = piece.len() as u64;
        self.left -= read;
        match self.parts.front_mut() {
            Some(Part::Range { at, len }) if *len > read => {
                *at += read;
                *len -= read;
            }
            _ => drop(self.parts.pop_front()),
        }
        self.read_ahead();
        Poll::Ready(Some(Ok(piece)))
    }

    /// Starts to read what comes next, if that is in the file and not being read yet.
    fn read_ahead(&mut self) {
        let Some(&Part::Range { at, len }) = self.parts.front() else {
            return;
        };
        self.reading = match std::mem::replace(&mut self.reading, Reading::Failed) {
            Reading::Idle(file) => {
                let len = len.min(PIECE) as usize;
                Reading::Busy(tokio::task::spawn_blocking(move || read(file, at, len)))
            }
            other => other,
        };
    }
}

fn read(mut file: File, at: u64, len: usize) -> (File, io::Result<Bytes>) {
    let piece = read_part(&mut file, at, len);
    (file, piece)
}

/// At least a byte of the `len` ones from `at` on. Blocks.
pub(crate) fn read_part(file: &mut File, at: u64, len: usize) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(len);
    file.seek(SeekFrom::Start(at))?;
    match Read::by_ref(file).take(len as u64).read_to_end(&mut piece)? {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it is shorter than it was",
        )),
        _ => Ok(Bytes::from(piece)),
    }
}
