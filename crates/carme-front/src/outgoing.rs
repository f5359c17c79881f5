//! Response bodies on their way to hyper, with the record that becomes the log line when they are gone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use carme_proxy::ResponseBody;
use http_body::{Body, Frame, SizeHint};

use crate::app::Exchange;
use crate::compress::Compressing;
use crate::file_body::FileBody;
use crate::record::Record;
use crate::transport::Piece;

/// A response's body.
pub(crate) struct Outgoing<E: Exchange> {
    content: Content<E>,
    /// What the content goes through on its way.
    compressing: Option<Box<Compressing>>,
    /// Something is sent that is not the content as it is; stays true while `compressing` is taken out.
    is_compressed: bool,
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
    /// From a member of a balancer.
    Passed(Box<ResponseBody>),
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
    #[error("{0}")]
    Member(carme_proxy::BrokenOff),
    #[error("the file of the response cannot be read: {0}")]
    File(io::Error),
    #[error("the response cannot be compressed: {0}")]
    Compression(io::Error),
}

impl<E: Exchange> Outgoing<E> {
    pub(crate) fn new(content: Content<E>, record: Box<Record>) -> Self {
        let complete = match &content {
            Content::Empty => true,
            Content::File(file) => file.left() == 0,
            Content::Stream { left, .. } => *left == Some(0),
            Content::Passed(body) => body.is_end_stream(),
            Content::Whole(_) | Content::Short { .. } | Content::Cut(_) => false,
        };
        Outgoing {
            content,
            compressing: None,
            is_compressed: false,
            complete,
            record: Some(record),
        }
    }

    /// Nothing, and nothing to be told of it: somebody else has the record.
    pub(crate) fn unrecorded() -> Self {
        Outgoing {
            content: Content::Empty,
            compressing: None,
            is_compressed: false,
            complete: true,
            record: None,
        }
    }

    /// The same, compressed on its way.
    pub(crate) fn compressed(mut self, compressing: Option<Box<Compressing>>) -> Self {
        self.complete &= compressing.is_none();
        self.is_compressed = compressing.is_some();
        self.compressing = compressing;
        self
    }

    fn account(&mut self, piece: usize) {
        // What is compressed counts as what it becomes.
        if !self.is_compressed
            && let Some(record) = &mut self.record
        {
            record.body_bytes += piece as u64;
        }
    }

    /// Ends the connection, but not before hyper had a chance to send what it was given.
    fn cut(&mut self, cx: &Context<'_>, why: Truncated) -> Poll<Option<Result<Frame<Piece>, Truncated>>> {
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

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Truncated>>> {
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
                self.account(piece.len());
                Poll::Ready(Some(Ok(Frame::data(Piece::Bytes(piece)))))
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

    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Truncated>>> {
        let Content::Passed(body) = &mut self.content else {
            return Poll::Ready(None);
        };
        match ready!(Pin::new(&mut **body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.complete = body.is_end_stream();
                Poll::Ready(match frame.into_data() {
                    Ok(piece) => {
                        self.account(piece.len());
                        Some(Ok(Frame::data(Piece::Bytes(piece))))
                    }
                    Err(frame) => frame
                        .into_trailers()
                        .ok()
                        .map(|trailers| Ok(Frame::trailers(trailers))),
                })
            }
            Some(Err(broken)) => self.cut(cx, Truncated::Member(broken)),
            None => {
                self.complete = true;
                Poll::Ready(None)
            }
        }
    }

    fn take_account(&mut self) {
        if let (Content::Stream { exchange, .. }, Some(record)) = (&self.content, &mut self.record) {
            record.account = Some(exchange.account());
        }
    }

    /// The content as it is.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Truncated>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Empty;
                self.complete = true;
                self.account(bytes.len());
                Poll::Ready(Some(Ok(Frame::data(Piece::Bytes(bytes)))))
            }
            Content::Short { bytes, missing } if bytes.is_empty() => {
                let missing = *missing;
                self.cut(cx, Truncated::Short(missing))
            }
            Content::Short { bytes, .. } => {
                let bytes = std::mem::take(bytes);
                self.account(bytes.len());
                Poll::Ready(Some(Ok(Frame::data(Piece::Bytes(bytes)))))
            }
            Content::Stream { .. } => self.poll_stream(cx),
            Content::Passed(_) => self.poll_passed(cx),
            Content::Cut(why) => Poll::Ready(why.take().map(Err)),
            Content::File(file) => {
                // Whoever compresses wants the bytes.
                let record = self.record.as_ref().filter(|_| !self.is_compressed);
                let connection = record.map(|record| &*record.connection);
                match ready!(file.poll_piece(cx, connection)) {
                    Some(Ok(piece)) => {
                        self.complete = file.left() == 0;
                        self.account(piece.len());
                        Poll::Ready(Some(Ok(Frame::data(piece))))
                    }
                    Some(Err(error)) => self.cut(cx, Truncated::File(error)),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    /// The content, compressed. What is ready is sent before there is a wait for more.
    fn poll_compressed(
        &mut self,
        cx: &mut Context<'_>,
        mut compressing: Box<Compressing>,
    ) -> Poll<Option<Result<Frame<Piece>, Truncated>>> {
        let polled = loop {
            match compressing.poll(cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Err(error)) => break self.cut(cx, Truncated::Compression(error)),
                Poll::Ready(Ok(Some(piece))) => {
                    if let Some(record) = &mut self.record {
                        record.body_bytes += piece.len() as u64;
                    }
                    self.complete = compressing.is_finished();
                    break Poll::Ready(Some(Ok(Frame::data(Piece::Bytes(piece)))));
                }
                Poll::Ready(Ok(None)) if compressing.is_finished() => {
                    self.complete = true;
                    break Poll::Ready(None);
                }
                Poll::Ready(Ok(None)) => {}
            }
            match self.poll_content(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(Piece::Bytes(piece)) = frame.into_data() {
                        compressing.give(piece);
                    }
                }
                Poll::Ready(Some(Err(error))) => break Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => compressing.finish(),
                // What has been cut gets no end, and hyper the chance to send what it was given.
                Poll::Pending if matches!(self.content, Content::Cut(_)) => break Poll::Pending,
                Poll::Pending if compressing.flush() => {}
                Poll::Pending => break Poll::Pending,
            }
            // The end of the content is not yet the end of what is sent.
            self.complete = false;
        };
        self.compressing = Some(compressing);
        polled
    }
}

impl<E: Exchange> Body for Outgoing<E> {
    type Data = Piece;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Truncated>>> {
        let this = self.get_mut();
        match this.compressing.take() {
            None => this.poll_content(cx),
            Some(compressing) => this.poll_compressed(cx, compressing),
        }
    }
    fn is_end_stream(&self) -> bool {
        if self.compressing.is_some() {
            return self.complete;
        }
        match &self.content {
            Content::Empty => true,
            Content::Stream { left, .. } => *left == Some(0),
            Content::Passed(body) => body.is_end_stream(),
            Content::File(file) => file.left() == 0,
            Content::Whole(_) | Content::Short { .. } | Content::Cut(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.compressing.is_some() {
            return SizeHint::default();
        }
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { left: Some(left), .. } => SizeHint::with_exact(*left),
            Content::File(file) => SizeHint::with_exact(file.left()),
            Content::Passed(body) => body.size_hint(),
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
pub(crate) fn finish_unread<E: Exchange>(mut exchange: E) {
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
