//! What a worker has sent of a body and the client has not read yet: in memory, then in a temporary file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use carme_ring::WINDOW;

/// Bytes of one response that wait in memory before they go to a file.
const MEMORY: usize = WINDOW as usize;
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
    in_memory: usize,
    spool: Option<Spool>,
    /// The disk took no more: memory alone, and the worker waits.
    disk_failed: bool,
    /// Bytes received that the worker has no credit for yet.
    owed: u32,
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
            in_memory: 0,
            spool: None,
            disk_failed: false,
            owed: 0,
            end: None,
            end_read: false,
            limit,
        }
    }

    fn spooled(&self) -> u64 {
        self.spool.as_ref().map_or(0, |s| s.written - s.read)
    }

    /// Takes bytes from the worker.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.owed = self.owed.saturating_add(bytes.len() as u32);
        if bytes.is_empty() {
            return;
        }
        let to_disk = self.spooled() > 0 || self.in_memory + bytes.len() > MEMORY;
        if to_disk && !self.disk_failed && self.limit > MEMORY as u64 {
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
        self.in_memory += bytes.len();
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
        if let Some(bytes) = self.memory.pop_front() {
            self.in_memory -= bytes.len();
            return Some(Ok(Some(bytes)));
        }
        if self.spooled() > 0 {
            let spool = self.spool.as_mut()?;
            return Some(
                Self::unspill(spool)
                    .map(Some)
                    .map_err(|e| Aborted(format!("temporary file: {e}"))),
            );
        }
        if let Some(bytes) = self.after_spool.pop_front() {
            self.in_memory -= bytes.len();
            return Some(Ok(Some(bytes)));
        }
        let end = self.end.clone()?;
        self.end_read = true;
        match end {
            Ok(()) => Some(Ok(None)),
            Err(aborted) => Some(Err(aborted)),
        }
    }

    /// Everything has been read, its end included.
    pub(super) fn is_read(&self) -> bool {
        self.end_read
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, end: Result<(), Aborted>) {
        self.end.get_or_insert(end);
    }

    /// Credit that the worker should get now, in bytes.
    pub(super) fn credit(&mut self) -> Option<u32> {
        let limit = if self.disk_failed {
            MEMORY as u64
        } else {
            self.limit
        };
        let unread = self.in_memory as u64 + self.spooled();
        let due = self.owed >= WINDOW / 2 || (self.owed > 0 && unread == 0);
        (due && unread < limit && self.end.is_none()).then(|| std::mem::take(&mut self.owed))
    }
}
