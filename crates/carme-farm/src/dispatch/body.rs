//! What a worker has sent of a body and the client has not read yet: in memory, then in a temporary file.
//!
//! A client that reads is followed: the worker may be a window ahead of it, which memory holds. Only when a worker has been
//! held up for a moment is its client one that reads slowly, and then the file takes what the client does not.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use carme_ring::{MAX_RECORD, WINDOW};

/// Bytes of one response that wait in memory before they go to a file.
const MEMORY: u64 = WINDOW as u64;
/// How many ticks of the queue a worker is held up for in one response before its client counts as slow.
const PATIENCE: u8 = 2;
/// Bytes that come back from the file at once.
const PIECE: u64 = 64 * 1024;

/// The body ends here, short of what it should have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response was cut off: {0}")]
pub struct Aborted(pub String);

#[derive(Debug)]
struct Spool {
    file: File,
    read: u64,
    written: u64,
}

#[derive(Debug)]
pub(super) struct BodyBuffer {
    /// Older than what the file holds.
    memory: VecDeque<Bytes>,
    /// Younger than what the file holds: what came when the disk took no more.
    after_spool: VecDeque<Bytes>,
    spool: Option<Spool>,
    /// The disk took no more: memory alone, and the worker waits.
    disk_failed: bool,
    /// Bytes that came from the worker, that the client has read, and that the worker may send beyond its first window.
    received: u64,
    read: u64,
    granted: u64,
    /// Ticks that found the worker without credit because the client had not read.
    held_up: u8,
    end: Option<Result<(), Aborted>>,
    end_read: bool,
    limit: u64,
}

impl BodyBuffer {
    /// A buffer that holds the worker up only beyond `limit` unread bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            memory: VecDeque::new(),
            after_spool: VecDeque::new(),
            spool: None,
            disk_failed: false,
            received: 0,
            read: 0,
            granted: 0,
            held_up: 0,
            end: None,
            end_read: false,
            limit,
        }
    }

    fn spooled(&self) -> u64 {
        self.spool.as_ref().map_or(0, |s| s.written - s.read)
    }

    fn unread(&self) -> u64 {
        self.received - self.read
    }

    /// Takes bytes from the worker.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.received += bytes.len() as u64;
        if bytes.is_empty() {
            return;
        }
        let to_disk = self.spooled() > 0 || self.unread() > MEMORY;
        if to_disk && !self.disk_failed && self.limit > MEMORY {
            match self.spill(&bytes) {
                Ok(()) => return,
                Err(error) => {
                    self.disk_failed = true;
                    tracing::error!(
                        "a response cannot be buffered in a temporary file, its worker waits for the client: {error}"
                    );
                }
            }
        }
        if self.spooled() > 0 {
            &mut self.after_spool
        } else {
            &mut self.memory
        }
        .push_back(bytes);
    }

    fn spill(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(Spool {
                file: tempfile::tempfile()?,
                read: 0,
                written: 0,
            }),
        };
        spool.file.seek(SeekFrom::Start(spool.written))?;
        spool.file.write_all(bytes)?;
        spool.written += bytes.len() as u64;
        Ok(())
    }

    fn unspill(spool: &mut Spool) -> io::Result<Bytes> {
        let mut piece = vec![0; (spool.written - spool.read).min(PIECE) as usize];
        spool.file.seek(SeekFrom::Start(spool.read))?;
        spool.file.read_exact(&mut piece)?;
        spool.read += piece.len() as u64;
        if spool.read == spool.written {
            spool.file.set_len(0)?;
            (spool.read, spool.written) = (0, 0);
        }
        Ok(piece.into())
    }

    /// The next piece for the client; `None` when there is none now.
    pub(super) fn pop(&mut self) -> Option<Result<Option<Bytes>, Aborted>> {
        let piece = if let Some(bytes) = self.memory.pop_front() {
            bytes
        } else if self.spooled() > 0 {
            match Self::unspill(self.spool.as_mut()?) {
                Ok(bytes) => bytes,
                Err(e) => return Some(Err(Aborted(format!("temporary file: {e}")))),
            }
        } else if let Some(bytes) = self.after_spool.pop_front() {
            bytes
        } else {
            let end = self.end.clone()?;
            self.end_read = true;
            return Some(end.map(|()| None));
        };
        self.read += piece.len() as u64;
        Some(Ok(Some(piece)))
    }

    /// Everything has been read, its end included.
    pub(super) fn is_read(&self) -> bool {
        self.end_read
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, end: Result<(), Aborted>) {
        self.end.get_or_insert(end);
    }

    /// Whether its worker may be waiting for credit: then it is not the app that pauses.
    pub(super) fn may_hold_up(&self) -> bool {
        u64::from(WINDOW) + self.granted < self.received + MAX_RECORD as u64
    }

    /// Credit that the worker should get now, in bytes.
    pub(super) fn credit(&mut self) -> Option<u32> {
        if self.end.is_some() {
            return None;
        }
        let spools = self.held_up >= PATIENCE && !self.disk_failed && self.unread() < self.limit;
        let due = self.due(if spools { self.received } else { self.read });
        self.granted += due;
        (due > 0).then_some(due as u32)
    }

    /// Bytes to grant when the worker is done with so many: not a few at a time, but before it has to wait.
    fn due(&self, done: u64) -> u64 {
        let due = done.saturating_sub(self.granted).min(u32::MAX.into());
        if due >= u64::from(WINDOW) / 2 || self.unread() == 0 {
            due
        } else {
            0
        }
    }

    /// A tick of the queue: a worker that waits for the client does so for a moment only.
    pub(super) fn tick(&mut self) {
        if self.held_up < PATIENCE && self.due(self.received) > self.due(self.read) {
            self.held_up += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: usize = WINDOW as usize / 2;

    fn push(buffer: &mut BodyBuffer, len: usize) {
        buffer.push(Bytes::from(vec![b'x'; len]));
    }

    fn pop(buffer: &mut BodyBuffer) -> usize {
        buffer.pop().map_or(0, |piece| piece.unwrap().unwrap().len())
    }

    fn tick(buffer: &mut BodyBuffer) -> Option<u32> {
        buffer.tick();
        buffer.credit()
    }

    #[test]
    fn a_client_that_reads_is_followed_without_a_file() {
        let mut buffer = BodyBuffer::new(1 << 30);
        let (mut window, mut read) = (WINDOW as usize, 0);
        for _ in 0..40 {
            while window >= HALF / 2 {
                push(&mut buffer, HALF / 2);
                window -= HALF / 2;
                window += buffer.credit().unwrap_or(0) as usize;
            }
            read += pop(&mut buffer);
            window += buffer.credit().unwrap_or(0) as usize;
            assert!(buffer.spool.is_none());
        }
        assert_eq!(read, 40 * HALF / 2);
    }

    #[test]
    fn a_worker_waits_for_a_client_for_a_moment_only() {
        let mut buffer = BodyBuffer::new(4 * u64::from(WINDOW));
        push(&mut buffer, HALF);
        push(&mut buffer, HALF);
        assert_eq!(buffer.credit(), None);
        assert_eq!(tick(&mut buffer), None);
        assert_eq!(tick(&mut buffer), Some(WINDOW), "the moment is over");
        for _ in 0..5 {
            push(&mut buffer, HALF);
            assert_eq!(buffer.credit(), Some(HALF as u32));
        }
        assert!(buffer.spool.is_some());
        push(&mut buffer, HALF);
        assert_eq!(buffer.credit(), None, "the limit is reached");
        assert_eq!(tick(&mut buffer), None);
        let mut read = 0;
        while buffer.unread() > 0 {
            read += pop(&mut buffer);
        }
        assert_eq!(read, 8 * HALF);
        assert_eq!(buffer.credit(), Some(HALF as u32));
    }

    #[test]
    fn a_small_piece_is_paid_back_when_it_has_been_read() {
        let mut buffer = BodyBuffer::new(1 << 30);
        push(&mut buffer, 10);
        assert_eq!(buffer.credit(), None);
        assert_eq!(pop(&mut buffer), 10);
        assert_eq!(buffer.credit(), Some(10));
        assert_eq!(buffer.credit(), None);
        buffer.finish(Ok(()));
        assert_eq!(tick(&mut buffer), None);
    }
}
