//! The guard on the bytes before hyper: every request head is judged here first, so that no malformed request is
//! answered without a log line, a reason and a request id.
//!
//! hyper answers parse errors by itself, before any handler, and forgives what request smuggling lives on: it drops a
//! `Content-Length` beside `Transfer-Encoding` or a repeated one without a trace. So the guard passes on only heads
//! that are complete and sound, and follows the bodies to know where the next head starts. In place of a bad head hyper
//! gets a stand-in that is valid; the service finds the [`Refusal`] in the queue of heads and answers it as it answers
//! everything else: in its turn behind pipelined requests, logged, and with the connection closed after it. An error in
//! a chunked body comes to whoever reads that body as an [`io::Error`] that carries the `Refusal`.
//!
//! Cost: one httparse pass over a head that hyper parses again, in hyper's own buffer. Only a head that arrives in
//! pieces is copied.

mod chunked;
mod head;
mod refusal;
mod target;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::refused::Refused;
use crate::state::{ConnectionState, NextHead};
use crate::transport::{Transport, is_blank};
use chunked::{Extent, Scanner};
use head::Verdict;

/// What the fuzzer drives by itself.
pub(crate) mod fuzzing {
    pub(crate) use super::chunked::{Extent, Scanner};
    pub(crate) use super::head::{HeadLimits, Verdict, examine};
}

pub(crate) use head::{Framing, HeadLimits, Notes, ROOM_BYTES, STACK_FIELDS};
pub(crate) use refusal::Refusal;
pub(crate) use target::is_authority;

/// After a refusal, this much of what the client still sends is read and dropped before the socket is closed; closing
/// it earlier resets the connection, and the client may never see the answer.
const LINGER_BYTES: usize = 512 * 1024;

/// A response up to this size goes to the kernel in one piece, which is cheaper there than gathering it.
const ONE_PIECE: usize = 4 * 1024;

/// A client's byte stream with the guard on its reading half.
pub(crate) struct Guard<S> {
    io: S,
    state: Arc<ConnectionState>,
    /// What hyper can take in: it is told so when it is called in, and limits may grow while it is there.
    room: HeadLimits,
    stage: Stage,
    /// The start of a head that has not arrived completely, and what came with its end.
    held: Vec<u8>,
    /// The request line in `held` was whole when it was last judged.
    has_line: bool,
    /// Bytes for hyper, ahead of anything else; `ready_at` of them are delivered.
    ready: Vec<u8>,
    ready_at: usize,
    lingered: usize,
    shut: bool,
}

/// Why a parked connection is parked no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awoken {
    /// It has said something.
    ByClient,
    /// It ended, or the server has had enough of it.
    ByServer,
}

/// What the next byte belongs to.
enum Stage {
    Head,
    Body(u64),
    /// With the count of its bytes.
    Chunked(Scanner, Arc<AtomicU64>),
    /// A refused head: nothing more is read as HTTP.
    Refused,
    /// A chunked body broke its framing.
    Broken(Refusal),
}

/// What became of some bytes: the first `pass` of them are hyper's.
struct Judged {
    pass: usize,
    rest: Rest,
}

/// What the others are.
enum Rest {
    Nothing,
    /// The start of a head.
    Held,
    Refused(Refusal),
    Broken(Refusal),
}

impl<S> Guard<S> {
    pub(crate) fn new(io: S, state: Arc<ConnectionState>) -> Self {
        Guard {
            io,
            room: state.pace.head().room(),
            state,
            stage: Stage::Head,
            held: Vec::new(),
            has_line: false,
            ready: Vec::new(),
            ready_at: 0,
            lingered: 0,
            shut: false,
        }
    }

    /// What hyper has to be able to take in.
    pub(crate) fn room(&self) -> HeadLimits {
        self.room
    }

    /// What holds for the next head.
    fn limits(&self) -> HeadLimits {
        self.state.pace.head().within(self.room)
    }

    /// Follows heads and bodies through `bytes`.
    fn judge(&mut self, bytes: &[u8]) -> Judged {
        let mut pass = 0;
        while pass < bytes.len() {
            let rest = &bytes[pass..];
            match &mut self.stage {
                Stage::Head => match head::examine(rest, self.state.pace.head().within(self.room)) {
                    Verdict::Complete(head) => {
                        pass += head.len;
                        let mut chunked = None;
                        self.stage = match head.framing {
                            Framing::Empty => Stage::Head,
                            Framing::Length(length) => Stage::Body(length),
                            Framing::Chunked => {
                                let count = chunked.insert(Arc::default());
                                Stage::Chunked(Scanner::new(), Arc::clone(count))
                            }
                        };
                        self.state.push_head(NextHead {
                            len: head.len,
                            framing: head.framing,
                            notes: head.notes,
                            raw_target: head.raw_target,
                            refused: None,
                            chunked,
                        });
                    }
                    Verdict::Partial => {
                        return Judged {
                            pass,
                            rest: Rest::Held,
                        };
                    }
                    Verdict::Refused(refusal) => {
                        return Judged {
                            pass,
                            rest: Rest::Refused(refusal),
                        };
                    }
                },
                Stage::Body(left) => {
                    let step = (*left).min(rest.len() as u64);
                    pass += step as usize;
                    *left -= step;
                    if *left == 0 {
                        self.stage = Stage::Head;
                    }
                }
                Stage::Chunked(scanner, count) => match scanner.follow(rest) {
                    Ok(Extent::All) => {
                        count.fetch_add(rest.len() as u64, Relaxed);
                        pass = bytes.len();
                    }
                    Ok(Extent::Ends(at)) => {
                        count.fetch_add(at as u64, Relaxed);
                        pass += at;
                        self.stage = Stage::Head;
                    }
                    Err(refusal) => {
                        count.fetch_add(rest.len() as u64, Relaxed);
                        return Judged {
                            pass,
                            rest: Rest::Broken(refusal),
                        };
                    }
                },
                Stage::Refused | Stage::Broken(_) => break,
            }
        }
        Judged {
            pass,
            rest: Rest::Nothing,
        }
    }

    /// Queues the refusal for the service and a request for hyper to hand it over with.
    #[cold]
    fn refuse(&mut self, refusal: Refusal, bytes: &[u8]) {
        let line = head::first_line(bytes);
        let line = &line[..line.len().min(self.limits().target_bytes + 64)];
        let method: &[u8] = if line.starts_with(b"HEAD ") {
            b"HEAD"
        } else {
            b"GET"
        };
        self.ready.clear();
        self.ready.extend_from_slice(method);
        self.ready
            .extend_from_slice(b" / HTTP/1.1\r\nconnection: close\r\n\r\n");
        self.ready_at = 0;
        self.stage = Stage::Refused;
        self.state.push_head(NextHead {
            len: bytes.len(),
            framing: Framing::Empty,
            notes: Notes {
                close: true,
                ..Notes::default()
            },
            raw_target: None,
            refused: Some(Box::new(Refused::new(
                refusal,
                line,
                bytes,
                self.limits().header_bytes,
            ))),
            chunked: None,
        });
    }

    /// Settles what follows the bytes that pass; true if hyper can be given something now.
    fn settle(&mut self, rest: Rest, bytes: &[u8]) {
        match rest {
            Rest::Nothing => {}
            Rest::Held => {
                self.held = bytes.to_vec();
                self.has_line = head::has_line(bytes);
            }
            Rest::Refused(refusal) => self.refuse(refusal, bytes),
            Rest::Broken(refusal) => self.stage = Stage::Broken(refusal),
        }
    }

    /// Some more of a head that is being held. Judged when it may be whole, and once before that: who speaks some other
    /// protocol may wait for an answer to its first line.
    fn resume(&mut self, from: usize) {
        let is_first_line = !self.has_line && head::has_line(&self.held);
        if is_first_line || head::has_end(&self.held, from) || self.held.len() > self.limits().header_bytes {
            self.has_line = true;
            self.judge_held();
        }
    }

    fn judge_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let Judged { pass, rest } = self.judge(&held);
        if pass > 0 {
            // Only one of these is in use at a time: what is ready was delivered before more was read.
            self.ready = held[..pass].to_vec();
            self.ready_at = 0;
        }
        match rest {
            Rest::Refused(refusal) if pass > 0 => {
                // Hyper gets the good heads first, then the stand-in right behind them.
                let mut good = std::mem::take(&mut self.ready);
                self.refuse(refusal, &held[pass..]);
                good.append(&mut self.ready);
                self.ready = good;
            }
            rest => self.settle(rest, &held[pass..]),
        }
    }

    /// Answers the client with this refusal, whatever it may say.
    pub(crate) fn turn_away(&mut self, refusal: Refusal) {
        self.refuse(refusal, b"");
        self.state.unpark();
    }

    /// Puts back what hyper has read and not used.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.ready
            .splice(self.ready_at..self.ready_at, bytes.iter().copied());
    }

    /// The socket, when HTTP is over on it, and what the client has sent since; `unread` is what hyper has of that.
    pub(crate) fn into_tunnel(self, unread: &[u8]) -> (S, Bytes) {
        let early = [unread, &self.ready[self.ready_at..], &self.held].concat();
        (self.io, early.into())
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let ready = &self.ready[self.ready_at..];
        let step = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..step]);
        self.ready_at += step;
        if self.ready_at == self.ready.len() {
            self.ready = Vec::new();
            self.ready_at = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Waits for bytes without a buffer waiting with it.
    pub(crate) fn poll_awake(&mut self, cx: &mut Context<'_>) -> Poll<Awoken> {
        if !self.ready.is_empty() {
            return Poll::Ready(Awoken::ByClient);
        }
        let mut scratch = [0; 2048];
        let mut buf = ReadBuf::new(&mut scratch);
        match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {
                // There is no hyper yet.
                self.room = self.state.pace.head().room();
                self.held.extend_from_slice(buf.filled());
                self.judge_held();
                self.state.unpark();
                Poll::Ready(Awoken::ByClient)
            }
            Ok(()) | Err(_) => Poll::Ready(Awoken::ByServer),
        }
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// The end of a parked connection, told to the client as TLS wants it, as far as that goes at once.
    pub(crate) fn take_leave(&mut self, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match this.stage {
                // The answer closes the connection; until then there is nothing to read, and an end of the stream would
                // tell hyper that the client has left.
                Stage::Refused => return Poll::Pending,
                Stage::Broken(refusal) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
                }
                Stage::Head if !this.held.is_empty() => {
                    if this.state.head_is_late() {
                        let held = std::mem::take(&mut this.held);
                        this.refuse(Refusal::HeadersTooSlow, &held);
                        continue;
                    }
                    this.state.begin_head();
                }
                Stage::Head | Stage::Body(_) | Stage::Chunked(..) => {}
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let after = buf.filled().len();
            if after == before {
                if this.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let held = std::mem::take(&mut this.held);
                this.refuse(
                    Refusal::Malformed("the connection ended inside the header section"),
                    &held,
                );
                continue;
            }
            if !this.held.is_empty() {
                let from = this.held.len();
                this.held.extend_from_slice(&buf.filled()[before..]);
                buf.set_filled(before);
                this.resume(from);
                continue;
            }
            let Judged { pass, rest } = this.judge(&buf.filled()[before..]);
            if !matches!(rest, Rest::Nothing) {
                this.settle(rest, &buf.filled()[before + pass..]);
                buf.set_filled(before + pass);
            }
            if pass > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: Transport> Guard<S> {
    /// Sends the part of a file that waits, where its blank is, or what comes ahead of it. `None` if there is neither in
    /// this write.
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Option<Poll<io::Result<usize>>> {
        let blank = slices.iter().position(|slice| is_blank(slice));
        let (blank, mut part) = match (blank, self.state.part()) {
            (None, None) => return None,
            (Some(blank), Some(part)) => (blank, part),
            (Some(_), None) | (None, Some(_)) => {
                let lost = io::Error::other("a part of a file was lost on its way to the socket");
                return Some(Poll::Ready(Err(lost)));
            }
        };
        let ahead = &slices[..blank];
        if ahead.iter().any(|slice| !slice.is_empty()) {
            let polled = match ahead {
                [one] => self.io.poll_write_ahead(cx, one),
                several => {
                    let whole: Vec<u8> = several.iter().flat_map(|slice| slice.iter().copied()).collect();
                    self.io.poll_write_ahead(cx, &whole)
                }
            };
            return Some(polled);
        }
        part.len = part.len.min(slices[blank].len());
        Some(match self.io.poll_send_file(cx, &part) {
            Poll::Ready(Ok(0)) => {
                let client = self.state.ends.client_text();
                tracing::warn!(
                    client,
                    "the connection is cut inside a file: it is shorter than it was"
                );
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(sent)) => {
                self.state.part_sent(sent);
                Poll::Ready(Ok(sent))
            }
            other => other,
        })
    }
}

impl<S: Transport> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(polled) = this.poll_send_file(cx, &[io::IoSlice::new(bytes)]) {
            this.state.wrote(&polled);
            return polled;
        }
        let polled = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.state.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(polled) = this.poll_send_file(cx, slices) {
            this.state.wrote(&polled);
            return polled;
        }
        let polled = if slices.iter().map(|slice| slice.len()).sum::<usize>() <= ONE_PIECE {
            let mut space = [MaybeUninit::uninit(); ONE_PIECE];
            let mut whole = ReadBuf::uninit(&mut space);
            slices.iter().for_each(|slice| whole.put_slice(slice));
            Pin::new(&mut this.io).poll_write(cx, whole.filled())
        } else {
            Pin::new(&mut this.io).poll_write_vectored(cx, slices)
        };
        this.state.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        // hyper flushes when everything it had is written.
        this.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.shut = true;
            if matches!(this.stage, Stage::Head) && this.held.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.state.begin_linger();
        }
        // Ends with the client, with the bytes, or with the deadline that the connection's task watches.
        let mut scratch = [0; 4096];
        while this.lingered < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
            this.lingered += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
