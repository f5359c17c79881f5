//! A connection over which HTTP/1.1 is spoken to a member.
//!
//! Nobody drives it but the request that has it: its task is the client's, so a request costs no way to another task and
//! back. An idle connection is looked at when it is taken and when it is cleared out.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use crate::attention::Attention;
use crate::body::RequestBody;
use crate::endpoint::Endpoint;
use crate::link::{Tunnel, Unanswered};
use crate::stream::{Stream, Written};

/// Fields of a response's header section. It is hyper's own number: for any other it allocates room for each response.
pub(crate) const MOST_FIELDS: usize = 100;
/// What a response's body is read with at once, at most.
const MOST_BUFFER: usize = 128 * 1024;

/// One connection.
pub(crate) struct Link {
    sender: SendRequest<RequestBody>,
    /// `None` when it is over.
    connection: Option<Box<Connection<TokioIo<Stream>, RequestBody>>>,
    attention: Attention,
    written: Written,
    has_served: bool,
}

impl Link {
    pub(crate) async fn open(stream: Stream, endpoint: &Endpoint) -> Result<Self, hyper::Error> {
        let written = stream.written();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MOST_BUFFER.max(2 * endpoint.response_field))
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Link {
            sender,
            connection: Some(Box::new(connection)),
            attention: Attention::new(),
            written,
            has_served: false,
        })
    }

    /// Whether it has served a request before: then its member may just be closing it.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served
    }

    /// Counts the bytes that are written to it.
    pub(crate) fn counter(&self) -> Written {
        self.written.clone()
    }

    /// Whether the next request can be sent on it, as far as can be known: it has come to the end of the last one, and its
    /// member has not closed it.
    pub(crate) fn is_ready(&mut self) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let mut cx = self.attention.of_nobody();
        connection.poll_without_shutdown(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// The same after [`Link::is_ready`] was true, and nothing was done with it since.
    pub(crate) fn is_still_ready(&mut self) -> bool {
        !self.attention.has_missed() || self.is_ready()
    }

    /// Sends a request and waits for the response's head.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let before = self.written.bytes();
        self.has_served = true;
        let mut answer = pin!(self.sender.try_send_request(request));
        let (connection, attention) = (&mut self.connection, &mut self.attention);
        let answered = poll_fn(|cx| {
            let over = match connection {
                Some(connection) => connection.poll_without_shutdown(&mut attention.of(cx)),
                None => Poll::Ready(Ok(())),
            };
            // Only the connection makes it ready, and that is polled here.
            let mut noop = Context::from_waker(Waker::noop());
            match answer.as_mut().poll(&mut noop) {
                Poll::Pending if over.is_ready() => {
                    // Dropping the connection tells it.
                    *connection = None;
                    answer.as_mut().poll(&mut noop)
                }
                polled => polled,
            }
        })
        .await;
        answered.map_err(|mut failed| Unanswered {
            is_unsent: failed.take_message().is_some() || self.written.bytes() == before,
            error: failed.into_error(),
        })
    }

    /// The next piece of the response's body.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut noop = Context::from_waker(Waker::noop());
        // Asking for a piece wakes the connection, which is polled here anyway.
        self.attention.release();
        let polled = Pin::new(&mut *incoming).poll_frame(&mut noop);
        if polled.is_ready() {
            return polled;
        }
        let over = match &mut self.connection {
            Some(connection) => {
                let mut cx = self.attention.of(cx);
                connection.poll_without_shutdown(&mut cx).is_ready()
            }
            None => true,
        };
        match Pin::new(&mut *incoming).poll_frame(&mut noop) {
            Poll::Pending if over => {
                self.connection = None;
                Pin::new(incoming).poll_frame(&mut noop)
            }
            polled => polled,
        }
    }

    /// After a response that says so: the connection as it is below HTTP.
    pub(crate) async fn into_tunnel(mut self) -> Option<Tunnel> {
        let mut connection = self.connection.take()?;
        poll_fn(|cx| connection.poll_without_shutdown(cx)).await.ok()?;
        let parts = connection.into_parts();
        Some(Tunnel {
            stream: parts.io.into_inner(),
            unread: parts.read_buf,
        })
    }
}
