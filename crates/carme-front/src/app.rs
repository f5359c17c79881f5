//! What the front asks of an application: one method to hand a request over, and an exchange to wait on.
//!
//! The real one is [`carme_farm::dispatch::App`]. Tests bring their own, and so see the front alone.

use std::task::{Context, Poll};

use bytes::Bytes;
use carme_farm::dispatch::{self, Aborted, Account, Answer, Failure, RequestBody};
use carme_ring::frame::RequestHead;
use http::HeaderMap;

/// Takes requests.
pub trait Application: Send + Sync + 'static {
    /// A request on its way.
    type Exchange: Exchange;

    /// Which of the server's apps it is, from 0, for those who count; `None` counts as no app.
    fn number(&self) -> Option<u16> {
        None
    }

    /// Bytes of a body that may be handed over in memory beside a head of about `head` bytes.
    fn max_inline_body(&self, head: usize) -> usize;

    /// Hands a request over; never waits. `headers` are the ones that the application shall see. A client that is bound to a
    /// worker names its `route`.
    fn dispatch(
        &self,
        head: RequestHead<'_>,
        headers: &HeaderMap,
        body: RequestBody,
        route: Option<&[u8]>,
    ) -> Self::Exchange;
}

/// A request on its way. Dropping it before its end means that the client has left.
pub trait Exchange: Send + Unpin + 'static {
    /// Waits for the answer's head. Not to be called again once it was ready.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>>;

    /// The next piece of an [`dispatch::AnswerBody::Stream`]; `None` at its end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>>;

    /// Who has it, and how long it took so far.
    fn account(&self) -> Account;
}

impl Application for dispatch::App {
    type Exchange = dispatch::Exchange;

    fn number(&self) -> Option<u16> {
        Some(dispatch::App::number(self))
    }

    fn max_inline_body(&self, head: usize) -> usize {
        dispatch::App::max_inline_body(self, head)
    }

    fn dispatch(
        &self,
        head: RequestHead<'_>,
        headers: &HeaderMap,
        body: RequestBody,
        route: Option<&[u8]>,
    ) -> Self::Exchange {
        dispatch::App::dispatch(self, head, headers, body, route)
    }
}

impl Exchange for dispatch::Exchange {
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        dispatch::Exchange::poll_response(self, cx)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        dispatch::Exchange::poll_chunk(self, cx)
    }

    fn account(&self) -> Account {
        dispatch::Exchange::account(self)
    }
}
