//! A ring of whole records from one process to another: one side writes, the other reads, neither waits in it.

use bytes::{Bytes, BytesMut};

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::layout::{copy_in, copy_out};

/// Payload bytes that one record can have.
pub const MAX_RECORD: usize = 64 * 1024;

/// Words before a record's payload: length, kind and flags; the stream.
const HEAD: u64 = 2;

/// There is no room for this record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the ring")]
pub struct Full;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u64,
}

/// The words that a byte ring consists of. Positions count words and never wrap; the place is the position modulo the
/// length.
pub(crate) struct ByteRing<'a> {
    pub(crate) head: &'a AtomicU64,
    pub(crate) tail: &'a AtomicU64,
    pub(crate) data: &'a [AtomicU64],
}

impl<'a> ByteRing<'a> {
    fn len(&self) -> u64 {
        self.data.len() as u64
    }

    /// The words from a position on, in the one or two pieces that they lie in.
    fn pieces(&self, position: u64, words: usize) -> (&'a [AtomicU64], &'a [AtomicU64]) {
        let at = (position & (self.len() - 1)) as usize;
        let first = words.min(self.data.len() - at);
        (&self.data[at..at + first], &self.data[..words - first])
    }

    /// Writes one record and shows it to the reader. `tail` is the writer's own count.
    pub(crate) fn push(&self, tail: &mut u64, head: RecordHead, parts: &[&[u8]]) -> Result<(), Full> {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        assert!(len <= MAX_RECORD, "a record of {len} bytes");
        let words = HEAD + len.div_ceil(8) as u64;
        let used = tail.wrapping_sub(self.head.load(Ordering::Acquire));
        if used.saturating_add(words) > self.len() {
            return Err(Full);
        }
        self.word(*tail).store(
            len as u64 | u64::from(head.kind) << 32 | u64::from(head.flags) << 40,
            Ordering::Relaxed,
        );
        self.word(*tail + 1).store(head.stream, Ordering::Relaxed);
        let mut to = Pour::new(self, *tail + HEAD);
        for part in parts {
            to.bytes(part);
        }
        to.end();
        *tail += words;
        self.tail.store(*tail, Ordering::Release);
        Ok(())
    }

    fn word(&self, position: u64) -> &'a AtomicU64 {
        &self.data[(position & (self.len() - 1)) as usize]
    }

    /// True when the reader would find a record. `head` is the reader's own count.
    pub(crate) fn has_record(&self, head: u64) -> bool {
        self.tail.load(Ordering::Acquire) != head
    }

    /// Copies the next record out and frees its place. `head` is the reader's own count.
    pub(crate) fn pop(
        &self,
        head: &mut u64,
        buffer: &mut BytesMut,
    ) -> Result<Option<(RecordHead, Bytes)>, &'static str> {
        let available = self.tail.load(Ordering::Acquire).wrapping_sub(*head);
        if available == 0 {
            return Ok(None);
        }
        if available > self.len() {
            return Err("a ring's tail is out of range");
        }
        let first = self.word(*head).load(Ordering::Relaxed);
        let len = first as u32 as usize;
        let words = HEAD + len.div_ceil(8) as u64;
        if len > MAX_RECORD || words > available {
            return Err("a record's length is out of range");
        }
        let record = RecordHead {
            kind: (first >> 32) as u8,
            flags: (first >> 40) as u8,
            stream: self.word(*head + 1).load(Ordering::Relaxed),
        };
        let (front, back) = self.pieces(*head + HEAD, len.div_ceil(8));
        buffer.clear();
        buffer.resize(len, 0);
        let split = len.min(front.len() * 8);
        let (a, b) = buffer.split_at_mut(split);
        copy_out(front, a);
        copy_out(back, b);
        *head += words;
        self.head.store(*head, Ordering::Release);
        Ok(Some((record, buffer.split().freeze())))
    }

    /// After reading: fences, so that a writer that saw no room and said so is heard.
    pub(crate) fn after_reading(&self, wanted: &AtomicU64) -> bool {
        fence(Ordering::SeqCst);
        wanted.load(Ordering::Relaxed) != 0 && wanted.swap(0, Ordering::AcqRel) != 0
    }
}

/// Pours parts of any length into words that wrap.
struct Pour<'r, 'a> {
    ring: &'r ByteRing<'a>,
    at: u64,
    partial: [u8; 8],
    filled: usize,
}

impl<'r, 'a> Pour<'r, 'a> {
    fn new(ring: &'r ByteRing<'a>, at: u64) -> Self {
        Self {
            ring,
            at,
            partial: [0; 8],
            filled: 0,
        }
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let take = bytes.len().min(8 - self.filled);
            self.partial[self.filled..self.filled + take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
            if self.filled < 8 {
                return;
            }
            self.end();
        }
        let whole = bytes.len() / 8;
        let (a, b) = self.ring.pieces(self.at, whole);
        copy_in(a, &bytes[..a.len() * 8]);
        copy_in(b, &bytes[a.len() * 8..whole * 8]);
        self.at += whole as u64;
        let rest = &bytes[whole * 8..];
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    fn end(&mut self) {
        if self.filled > 0 {
            self.partial[self.filled..].fill(0);
            self.ring
                .word(self.at)
                .store(u64::from_ne_bytes(self.partial), Ordering::Relaxed);
            self.at += 1;
            self.filled = 0;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_come_out_as_they_went_in(
            records in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4), 1..60)
        ) {
            let (head, tail) = (AtomicU64::new(0), AtomicU64::new(0));
            let data: Vec<AtomicU64> = (0..32).map(|_| AtomicU64::new(u64::MAX)).collect();
            let ring = ByteRing { head: &head, tail: &tail, data: &data };
            let (mut read, mut written, mut buffer) = (0, 0, BytesMut::new());
            let mut expected = std::collections::VecDeque::new();
            for (i, record) in records.iter().enumerate() {
                let parts: Vec<&[u8]> = record.iter().map(Vec::as_slice).collect();
                let head = RecordHead { kind: i as u8, flags: 1, stream: i as u64 };
                while ring.push(&mut written, head, &parts).is_err() {
                    let (got, bytes) = ring.pop(&mut read, &mut buffer).unwrap().expect("full, so there is one");
                    prop_assert_eq!(Some((got, bytes.to_vec())), expected.pop_front());
                }
                expected.push_back((head, record.concat()));
            }
            while let Some((got, bytes)) = ring.pop(&mut read, &mut buffer).unwrap() {
                prop_assert_eq!(Some((got, bytes.to_vec())), expected.pop_front());
            }
            prop_assert!(expected.is_empty());
        }

        #[test]
        fn no_scribble_makes_the_reader_panic(words in prop::collection::vec(any::<u64>(), 16), tail: u64) {
            let (head, tail) = (AtomicU64::new(0), AtomicU64::new(tail));
            let data: Vec<AtomicU64> = words.into_iter().map(AtomicU64::new).collect();
            let ring = ByteRing { head: &head, tail: &tail, data: &data };
            let (mut read, mut buffer) = (0, BytesMut::new());
            for _ in 0..20 {
                if !matches!(ring.pop(&mut read, &mut buffer), Ok(Some(_))) { break }
            }
        }
    }
}
