//! What HTTP/2's frames say of a member: more than its library tells, which has no way to ask it whether it is there.
//!
//! A connection may end while requests are on their way. `GOAWAY` names the last stream that the member has done something
//! with (RFC 9113, 6.8); what was opened after that may be sent again, what was opened before may not.
//!
//! A member that has been silent is asked by a `PING` between two frames of the library, which passes over the answer.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::stream::Stream;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// No `CONTINUATION` follows.
const END_HEADERS: u8 = 4;
/// Length, type, no flags, the connection as a whole, and what comes back.
const PING: &[u8] = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00carme-up";
/// A member that has said something within that time is there.
const SILENCE: Duration = Duration::from_secs(1);
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
    /// When it said anything last.
    heard: Mutex<Option<Instant>>,
    /// It says something, or the connection ends.
    stirred: Notify,
    /// It is to be asked whether it is there.
    asks: AtomicBool,
    /// Of the task that reads.
    reader: Mutex<Option<Waker>>,
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

    /// Whether the member is there: it has said something just now, or does so within that time when it is asked.
    pub(crate) async fn is_alive(&self, patience: Duration) -> bool {
        if lock(&self.heard).is_some_and(|at| at.elapsed() < SILENCE) {
            return true;
        }
        let mut stirred = std::pin::pin!(self.stirred.notified());
        stirred.as_mut().enable();
        self.asks.store(true, Relaxed);
        if let Some(reader) = lock(&self.reader).take() {
            reader.wake();
        }
        tokio::time::timeout(patience, stirred).await.is_ok()
    }

    /// Whether a stream that was begun when `before` was the last one opened has certainly done nothing at the member.
    pub(crate) fn is_unseen(&self, before: u32) -> bool {
        self.opened() == before || self.last.load(Relaxed) <= before
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that is looked at on the way.
pub(crate) struct Watched {
    stream: Stream,
    /// The member is asked whether it is there; else nobody wants to know when it spoke.
    is_asked: bool,
    /// What is left of a question.
    question: &'static [u8],
    read: Scanner,
    written: Scanner,
    course: Arc<Course>,
}

impl Watched {
    /// `is_asked`: [`Course::is_alive`] is called.
    pub(crate) fn new(stream: Stream, is_asked: bool) -> (Self, Arc<Course>) {
        let course = Arc::new(Course {
            opened: AtomicU32::new(0),
            last: AtomicU32::new(u32::MAX),
            settled: AtomicBool::new(false),
            heard: Mutex::new(None),
            stirred: Notify::new(),
            asks: AtomicBool::new(false),
            reader: Mutex::new(None),
        });
        let watched = Watched {
            stream,
            is_asked,
            question: &[],
            read: Scanner::after(0),
            written: Scanner::after(PREFACE),
            course: Arc::clone(&course),
        };
        (watched, course)
    }

    /// Asks the member if it is to be asked, where a frame may stand. Ready when nothing is in the way of another one.
    fn poll_question(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.question.is_empty() && self.written.is_between() && self.course.asks.swap(false, Relaxed) {
            self.question = PING;
        }
        while !self.question.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.question))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.question = &self.question[written..];
            if self.question.is_empty() {
                // Whoever reads looks at the connection again anyway.
                let _ = Pin::new(&mut self.stream).poll_flush(cx)?;
            }
        }
        Poll::Ready(Ok(()))
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
    /// There was a frame: the first one is `SETTINGS`.
    has_begun: bool,
    /// A header section goes on in the next frame, and nothing may come in between.
    in_section: bool,
}

impl Scanner {
    fn after(skip: usize) -> Self {
        Scanner {
            skip,
            head: [0; HEAD + 4],
            filled: 0,
            has_begun: false,
            in_section: false,
        }
    }

    /// Another frame may stand here.
    fn is_between(&self) -> bool {
        self.has_begun && !self.in_section && self.skip == 0 && self.filled == 0
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
            self.has_begun = true;
            if matches!(self.kind(), HEADERS | CONTINUATION) {
                self.in_section = self.head[4] & END_HEADERS == 0;
            }
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
        if this.is_asked {
            match &mut *lock(&this.course.reader) {
                Some(reader) => reader.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            // Reading tells if the connection is over.
            let _ = this.poll_question(cx);
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let course = &this.course;
        if this.is_asked && polled.is_ready() {
            if buf.filled().len() > before {
                *lock(&course.heard) = Some(Instant::now());
            }
            course.stirred.notify_waiters();
        }
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
        ready!(self.poll_question(cx))?;
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
        ready!(self.poll_question(cx))?;
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
        ready!(self.poll_question(cx))?;
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

    /// After the first one, and not within one or a header section.
    #[test]
    fn another_frame_has_its_place() {
        let mut scanner = Scanner::after(PREFACE);
        let mut ends = Vec::new();
        let mut pass = |bytes: &[u8]| {
            for byte in bytes {
                scanner.scan(&[*byte], |_, _, _| {});
                ends.push(scanner.is_between());
            }
            let end = ends.pop();
            assert!(ends.drain(..).all(|within| !within));
            end
        };
        let section = |kind: u8, flags: u8| {
            let mut bytes = frame(kind, 1, b"abc");
            bytes[4] = flags;
            bytes
        };
        assert_eq!(pass(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(false));
        assert_eq!(pass(&frame(SETTINGS, 0, b"abcdef")), Some(true));
        assert_eq!(pass(&section(HEADERS, 0)), Some(false));
        assert_eq!(pass(&section(CONTINUATION, 0)), Some(false));
        assert_eq!(pass(&section(CONTINUATION, END_HEADERS)), Some(true));
        assert_eq!(pass(&frame(0, 1, &[7; 300])), Some(true));
        assert_eq!(pass(&section(HEADERS, END_HEADERS)), Some(true));
    }
}
