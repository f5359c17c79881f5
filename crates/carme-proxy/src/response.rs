//! A member's body on its way to a client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use carme_balancer::Outcome;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use tokio::time::{Instant, Sleep};

use crate::link::Link;
use crate::seat::Seat;

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    /// The connection ended, or what came is no HTTP.
    #[error("the member broke off inside its response: {0}")]
    Broke(hyper::Error),
    /// `timeout`
    #[error("the member paused for more than {0:?} inside its response (timeout)")]
    TooSlow(Duration),
}

/// A response's body. Its member is free for the next request when it has come to its end, or is dropped.
pub struct ResponseBody {
    incoming: Incoming,
    /// Both until the end.
    held: Option<(Link, Seat)>,
    status: u16,
    /// What was written to the link before this request, and what of the request is counted already.
    before: u64,
    /// What is not counted yet.
    received: u64,
    timeout: Duration,
    pause: Option<Pause>,
}

/// The member is waited for.
struct Pause {
    since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: Incoming,
        link: Link,
        seat: Seat,
        head: &http::response::Parts,
        before: u64,
    ) -> Self {
        let reason = match head.extensions.get::<ReasonPhrase>() {
            Some(reason) => reason.as_bytes().len(),
            None => head.status.canonical_reason().unwrap_or_default().len(),
        };
        let mut body = ResponseBody {
            timeout: seat.member().endpoint.timeout,
            status: head.status.as_u16(),
            before,
            // As Apache counts: the status line and the body.
            received: ("HTTP/1.1 200 ".len() + reason) as u64,
            pause: None,
            held: Some((link, seat)),
            incoming,
        };
        if body.incoming.is_end_stream() {
            body.release(true);
        }
        body
    }

    /// The member is free; the connection, too, if it can be used once more.
    fn release(&mut self, is_whole: bool) {
        let Some((link, seat)) = self.held.take() else {
            return;
        };
        let written = link.written().saturating_sub(self.before);
        if is_whole {
            seat.member().give_back(link);
        }
        let _ = seat.done(Outcome::answered(self.status, written, self.received));
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        let pause = self.pause.get_or_insert_with(|| Pause {
            since: None,
            timer: Box::pin(tokio::time::sleep(timeout)),
        });
        let since = *pause.since.get_or_insert_with(Instant::now);
        // The timer is not set anew for each piece, but when it is over before its time.
        while pause.timer.as_mut().poll(cx).is_ready() {
            if since.elapsed() >= timeout {
                return Poll::Ready(());
            }
            pause.timer.as_mut().reset(since + timeout);
        }
        Poll::Pending
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        let Some((link, seat)) = &mut this.held else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = link.poll_frame(&mut this.incoming, cx) else {
            ready!(this.poll_pause(cx));
            this.release(false);
            return Poll::Ready(Some(Err(BrokenOff::TooSlow(this.timeout))));
        };
        if let Some(pause) = &mut this.pause {
            pause.since = None;
        }
        match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                match seat.counts_early() {
                    true => seat.count(0, bytes),
                    false => this.received += bytes,
                }
                if this.incoming.is_end_stream() {
                    this.release(true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.release(false);
                Poll::Ready(Some(Err(BrokenOff::Broke(error))))
            }
            None => {
                this.release(true);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.held {
            Some(_) => self.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.release(false);
    }
}
