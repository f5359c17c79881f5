//! A client's body as it is read for a member: piece by piece, when the member takes more.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::body::{BodyError, Patience, cause};
use crate::site::Limits;

/// What bounds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientLimits {
    /// In all.
    pub(super) bytes: u64,
    timeout: Duration,
    rate: u64,
}

impl ClientLimits {
    pub(super) fn of(limits: &Limits) -> Self {
        ClientLimits {
            bytes: limits.body_bytes,
            timeout: limits.body_timeout,
            rate: limits.body_rate,
        }
    }

    pub(super) fn too_large(&self) -> BodyError {
        BodyError::TooLarge(self.bytes)
    }
}

/// What has become of a body, for whoever does not read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Receipt(Arc<Received>);

#[derive(Debug, Default)]
struct Received {
    error: Mutex<Option<BodyError>>,
    bytes: Arc<AtomicU64>,
}

impl Receipt {
    /// Why it ended before its end, if it did.
    pub(super) fn take_error(&self) -> Option<BodyError> {
        let mut error = self.0.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }

    /// Its bytes so far.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.bytes)
    }
}

/// A client's body.
pub(super) struct ClientBody {
    incoming: Incoming,
    limits: ClientLimits,
    patience: Patience,
    /// The client is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    receipt: Receipt,
}

/// The reason is with the [`Receipt`].
#[derive(Debug, thiserror::Error)]
#[error("the client's body cannot be read")]
struct Unreadable;

impl ClientBody {
    pub(super) fn new(incoming: Incoming, limits: ClientLimits, receipt: Receipt) -> Self {
        ClientBody {
            incoming,
            limits,
            patience: Patience::new(limits.timeout, limits.rate),
            timer: None,
            receipt,
        }
    }

    fn received(&self) -> u64 {
        self.receipt.0.bytes.load(Relaxed)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let left = self.patience.left(self.received());
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::TooSlow)));
        };
        self.timer = None;
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(cause(error))),
            Some(Ok(frame)) => {
                let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                let total = self.receipt.0.bytes.fetch_add(len, Relaxed) + len;
                match total > self.limits.bytes {
                    true => Some(Err(self.limits.too_large())),
                    false => Some(Ok(frame)),
                }
            }
        })
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = carme_proxy::BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match ready!(this.poll_piece(cx)) {
            Some(Err(error)) => {
                let mut kept = this
                    .receipt
                    .0
                    .error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *kept = Some(error);
                Poll::Ready(Some(Err(Box::new(Unreadable))))
            }
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
