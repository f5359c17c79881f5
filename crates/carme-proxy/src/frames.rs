//! What HTTP/2's frames say of which requests a member has seen: more than its library tells.
//!
//! A connection may end while requests are on their way. `GOAWAY` names the last stream that the member has done something
//! with (RFC 9113, 6.8); what was opened after that may be sent again, what was opened before may not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Length, type, flags, stream.
const HEAD: usize = 9;
/// What a client begins with, before any frame.
const PREFACE: usize = 24;
/// The highest bit of a stream's number is reserved.
const STREAM: u32 = 0x7fff_ffff;

/// How far a connection has come.
#[derive(Debug)]
pub(crate) struct Course {
    /// The last stream that was opened.
    opened: AtomicU32,
    /// The last one that the member will have done something with.
    last: AtomicU32,
    /// The member has said how it wants things (`SETTINGS`).
    settled: AtomicBool,
}

impl Course {
    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Relaxed)
    }

    /// It is known how many streams the member takes.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Relaxed)
    }

    /// The member takes no more streams.
    pub(crate) fn is_ending(&self) -> bool {
        self.last.load(Relaxed) != u32::MAX
    }

    /// Whether a stream that was begun when `before` was the last one opened has certainly done nothing at the member.
    pub(crate) fn is_unseen(&self, before: u32) -> bool {
        self.opened() == before || self.last.load(Relaxed) <= before
    }
}

/// A connection that is looked at on the way.
pub(crate) struct Watched {
    stream: Stream,
    read: Scanner,
    written: Scanner,
    course: Arc<Course>,
}

impl Watched {
    pub(crate) fn new(stream: Stream) -> (Self, Arc<Course>) {
        let course = Arc::new(Course {
            opened: AtomicU32::new(0),
            last: AtomicU32::new(u32::MAX),
            settled: AtomicBool::new(false),
        });
        let watched = Watched {
            stream,
            read: Scanner::after(0),
            written: Scanner::after(PREFACE),
            course: Arc::clone(&course),
        };
        (watched, course)
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let course = &self.course;
        self.written.scan(bytes, |kind, stream, _| {
            if kind == HEADERS {
                course.opened.fetch_max(stream, Relaxed);
            }
        });
    }
}

/// Finds the frames in what passes.
struct Scanner {
    /// Bytes that are not looked at.
    skip: usize,
    head: [u8; HEAD + 4],
    filled: usize,
}

impl Scanner {
    fn after(skip: usize) -> Self {
        Scanner {
            skip,
            head: [0; HEAD + 4],
            filled: 0,
        }
    }

    /// Tells of each frame its type, its stream, and what a `GOAWAY` begins with.
    fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(u8, u32, Option<u32>)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let is_end = self.filled >= HEAD && self.kind() == GOAWAY && self.length() >= 4;
            let wanted = if is_end { HEAD + 4 } else { HEAD };
            let step = (wanted - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + step].copy_from_slice(&bytes[..step]);
            self.filled += step;
            bytes = &bytes[step..];
            if self.filled < wanted || (!is_end && self.kind() == GOAWAY && self.length() >= 4) {
                continue;
            }
            let last = is_end.then(|| self.word(HEAD) & STREAM);
            found(self.kind(), self.word(5) & STREAM, last);
            self.skip = self.length() - (self.filled - HEAD);
            self.filled = 0;
        }
    }

    fn kind(&self) -> u8 {
        self.head[3]
    }

    fn length(&self) -> usize {
        (self.word(0) >> 8) as usize
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = &self.head[at..at + 4];
        bytes.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let course = &this.course;
        this.read.scan(&buf.filled()[before..], |kind, _, last| {
            if kind == SETTINGS {
                course.settled.store(true, Relaxed);
            }
            if let Some(last) = last {
                course.last.fetch_min(last, Relaxed);
            }
        });
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.wrote(&buf[..written]);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(mut written)) = polled {
            for buf in bufs {
                let step = written.min(buf.len());
                self.wrote(&buf[..step]);
                written -= step;
            }
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// However the bytes are cut.
    #[test]
    fn frames_are_found() {
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, &[]),
            frame(HEADERS, 0x8000_0001, b"abc"),
            frame(0, 1, &[7; 300]),
            frame(GOAWAY, 0, &[0, 0, 0, 5, 0, 0, 0, 0, 7, 7]),
            // Too short to be one.
            frame(GOAWAY, 0, &[9]),
            frame(HEADERS, 3, &[]),
        ]
        .concat();
        for step in 1..40 {
            let mut scanner = Scanner::after(PREFACE);
            let mut frames = Vec::new();
            for piece in bytes.chunks(step) {
                scanner.scan(piece, |kind, stream, last| {
                    frames.push((kind, stream, last));
                });
            }
            assert_eq!(frames.len(), 6, "{step}");
            assert_eq!(frames[1], (HEADERS, 1, None));
            assert_eq!(frames[3], (GOAWAY, 0, Some(5)));
            assert_eq!(frames[4], (GOAWAY, 0, None));
            assert_eq!(frames[5], (HEADERS, 3, None));
        }
    }
}
