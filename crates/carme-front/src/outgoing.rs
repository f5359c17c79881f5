//! Response bodies on their way to hyper, with the record that becomes the log line when they are gone.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::app::Exchange;
use crate::record::Record;

/// Bytes of a file that are read at a time.
const FILE_PIECE: u64 = 256 * 1024;

/// A response's body.
pub(crate) struct Outgoing<E: Exchange> {
    content: Content<E>,
    /// Everything was given to hyper.
    complete: bool,
    /// `None` once it has been handed on.
    record: Option<Box<Record>>,
}

pub(crate) enum Content<E> {
    /// Nothing: HEAD, 204, 304, or an empty body.
    Empty,
    /// All of it.
    Whole(Bytes),
    /// Less than `Content-Length` says: sent, and then the connection is cut.
    Short { bytes: Bytes, missing: u64 },
    /// In pieces. With a `Content-Length`, what is left of it.
    Stream { exchange: E, left: Option<u64> },
    /// From a file.
    File(FileBody),
    /// All that can be sent was given to hyper.
    Cut(Option<Truncated>),
}

/// Why a response cannot be completed; the client sees the connection end too early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Truncated {
    #[error("the application's body is {0} bytes shorter than its Content-Length")]
    Short(u64),
    #[error("{0}")]
    Aborted(carme_farm::dispatch::Aborted),
    #[error("the file of the response cannot be read: {0}")]
    File(io::Error),
}

impl<E: Exchange> Outgoing<E> {
    pub(crate) fn new(content: Content<E>, record: Box<Record>) -> Self {
        let complete = match &content {
            Content::Empty => true,
            Content::File(file) => file.left == 0,
            Content::Stream { left, .. } => *left == Some(0),
            Content::Whole(_) | Content::Short { .. } | Content::Cut(_) => false,
        };
        Outgoing {
            content,
            complete,
            record: Some(record),
        }
    }

    fn account(&mut self, piece: &Bytes) {
        if let Some(record) = &mut self.record {
            record.body_bytes += piece.len() as u64;
        }
    }

    /// Ends the connection, but not before hyper had a chance to send what it was given.
    fn cut(&mut self, cx: &Context<'_>, why: Truncated) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if let Some(record) = &mut self.record {
            record.close = true;
            tracing::warn!(
                client = %record.client_text(),
                request_id = record.id.as_str(),
                status = record.status,
                "the connection is cut inside the response: {why}"
            );
            record.reason = Some(why.to_string());
        }
        self.content = Content::Cut(Some(why));
        self.complete = false;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let Content::Stream { exchange, left } = &mut self.content else {
            return Poll::Ready(None);
        };
        if *left == Some(0) {
            return Poll::Ready(None);
        }
        match ready!(exchange.poll_chunk(cx)) {
            Some(Ok(mut piece)) => {
                if let Some(left) = left {
                    piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= piece.len() as u64;
                    self.complete = *left == 0;
                }
                self.account(&piece);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(aborted)) => {
                self.take_account();
                self.cut(cx, Truncated::Aborted(aborted))
            }
            None => match *left {
                Some(left @ 1..) => {
                    self.take_account();
                    self.cut(cx, Truncated::Short(left))
                }
                _ => {
                    self.complete = true;
                    Poll::Ready(None)
                }
            },
        }
    }

    fn take_account(&mut self) {
        if let (Content::Stream { exchange, .. }, Some(record)) = (&self.content, &mut self.record) {
            record.account = Some(exchange.account());
        }
    }
}

impl<E: Exchange> Body for Outgoing<E> {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let this = self.get_mut();
        match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::Empty;
                this.complete = true;
                this.account(&bytes);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Short { bytes, missing } if bytes.is_empty() => {
                let missing = *missing;
                this.cut(cx, Truncated::Short(missing))
            }
            Content::Short { bytes, .. } => {
                let bytes = std::mem::take(bytes);
                this.account(&bytes);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Stream { .. } => this.poll_stream(cx),
            Content::Cut(why) => Poll::Ready(why.take().map(Err)),
            Content::File(file) => match ready!(file.poll_piece(cx)) {
                Some(Ok(piece)) => {
                    this.complete = file.left == 0;
                    this.account(&piece);
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Some(Err(error)) => this.cut(cx, Truncated::File(error)),
                None => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Stream { left, .. } => *left == Some(0),
            Content::File(file) => file.left == 0,
            Content::Whole(_) | Content::Short { .. } | Content::Cut(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { left: Some(left), .. } => SizeHint::with_exact(*left),
            Content::File(file) => SizeHint::with_exact(file.left),
            // The length is in the header, and hyper must find the body shorter than that.
            Content::Short { .. } | Content::Cut(_) | Content::Stream { left: None, .. } => {
                SizeHint::default()
            }
        }
    }
}

impl<E: Exchange> Drop for Outgoing<E> {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        if let Content::Stream { exchange, left } = std::mem::replace(&mut self.content, Content::Empty) {
            record.account = Some(exchange.account());
            if self.complete && left == Some(0) {
                finish_unread(exchange);
            }
        }
        if self.complete {
            let connection = std::sync::Arc::clone(&record.connection);
            connection.finish(record);
        }
    }
}

/// The client has all that was announced, but the application may not have come to its end: it must not be told that
/// the client has left.
fn finish_unread<E: Exchange>(mut exchange: E) {
    // Mostly the end is already there.
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        match exchange.poll_chunk(&mut cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None | Some(Err(_))) => return,
            Poll::Pending => break,
        }
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            while let Some(Ok(_)) = std::future::poll_fn(|cx| exchange.poll_chunk(cx)).await {}
        });
    }
}

/// Part of a file, read piece by piece on threads that may block.
pub(crate) struct FileBody {
    /// Bytes that are still to come.
    left: u64,
    at: u64,
    reading: Reading,
}

enum Reading {
    Idle(File),
    Busy(JoinHandle<(File, io::Result<Bytes>)>),
    Failed,
}

impl FileBody {
    pub(crate) fn new(file: File, offset: u64, len: u64) -> Self {
        FileBody {
            left: len,
            at: offset,
            reading: Reading::Idle(file),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match std::mem::replace(&mut self.reading, Reading::Failed) {
                Reading::Idle(file) if self.left == 0 => {
                    self.reading = Reading::Idle(file);
                    return Poll::Ready(None);
                }
                Reading::Idle(file) => {
                    let (at, len) = (self.at, self.left.min(FILE_PIECE) as usize);
                    self.reading = Reading::Busy(tokio::task::spawn_blocking(move || read(file, at, len)));
                }
                Reading::Busy(mut task) => {
                    let Poll::Ready(outcome) = Pin::new(&mut task).poll(cx) else {
                        self.reading = Reading::Busy(task);
                        return Poll::Pending;
                    };
                    let (file, piece) = outcome.map_err(io::Error::other)?;
                    let piece = piece?;
                    self.left -= piece.len() as u64;
                    self.at += piece.len() as u64;
                    self.reading = Reading::Idle(file);
                    return Poll::Ready(Some(Ok(piece)));
                }
                Reading::Failed => return Poll::Ready(None),
            }
        }
    }
}

fn read(mut file: File, at: u64, len: usize) -> (File, io::Result<Bytes>) {
    let mut piece = Vec::with_capacity(len);
    let outcome = file
        .seek(SeekFrom::Start(at))
        .and_then(|_| Read::by_ref(&mut file).take(len as u64).read_to_end(&mut piece))
        .and_then(|read| match read {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it is shorter than it was",
            )),
            _ => Ok(Bytes::from(piece)),
        });
    (file, outcome)
}
