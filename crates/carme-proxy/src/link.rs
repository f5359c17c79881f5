//! The way one request takes to a member: a connection of its own, or a stream of one that others use, too.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;

use crate::body::RequestBody;
use crate::stream::Written;
use crate::{http1, http2};

/// Either.
pub(crate) enum Link {
    Http1(http1::Link),
    Http2(http2::Link),
}

/// There is no response.
pub(crate) struct Unanswered {
    pub(crate) error: hyper::Error,
    /// Its member has seen nothing of the request, or says that it has done nothing with it.
    pub(crate) is_unsent: bool,
}

/// What remains of a connection on which HTTP is over.
pub struct Tunnel {
    /// The bytes.
    pub stream: crate::stream::Stream,
    /// Bytes that came from the member already.
    pub unread: Bytes,
}

impl Link {
    /// Whether its connection has served a request before: then its member may just be closing it.
    pub(crate) fn has_served(&self) -> bool {
        match self {
            Link::Http1(link) => link.has_served(),
            Link::Http2(link) => link.has_served(),
        }
    }

    /// Bytes of requests written to it so far.
    pub(crate) fn written(&self) -> u64 {
        self.counter().bytes()
    }

    pub(crate) fn counter(&self) -> Written {
        match self {
            Link::Http1(link) => link.counter(),
            Link::Http2(link) => link.counter(),
        }
    }

    /// Whether the member says in time that it is there, as far as it can be asked: over HTTP/1.1 it cannot.
    pub(crate) async fn is_alive(&mut self, patience: Duration) -> bool {
        match self {
            Link::Http1(_) => true,
            Link::Http2(link) => link.is_alive(patience).await,
        }
    }

    /// Sends a request and waits for the response's head.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Link::Http1(link) => link.send(request).await,
            Link::Http2(link) => link.send(request).await,
        }
    }

    /// The next piece of the response's body.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Link::Http1(link) => link.poll_frame(incoming, cx),
            Link::Http2(_) => http2::poll_frame(incoming, cx),
        }
    }

    /// After a response that says so: the connection as it is below HTTP. HTTP/2 has no such response.
    pub(crate) async fn into_tunnel(self) -> Option<Tunnel> {
        match self {
            Link::Http1(link) => link.into_tunnel().await,
            Link::Http2(_) => None,
        }
    }
}
