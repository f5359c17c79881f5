//! A client's body on its way into a stream of HTTP/2, whose task sends it beside the request's own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::body::{BodyError, RequestBody};
use crate::stream::Written;

/// The body.
pub(crate) struct Outgoing {
    body: RequestBody,
    written: Written,
    state: Arc<Mutex<State>>,
}

/// Somebody waits for the answer. When that is dropped, the body is not sent any further.
pub(crate) struct Sending(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_over: bool,
    waker: Option<Waker>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outgoing {
    /// Counts what is sent of it.
    pub(crate) fn new(body: RequestBody, written: Written) -> (Self, Sending) {
        let state = Arc::<Mutex<State>>::default();
        let sending = Sending(Arc::clone(&state));
        (Outgoing { body, written, state }, sending)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut state = locked(&self.0);
        state.is_over = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        {
            let mut state = locked(&self.state);
            if state.is_over {
                return Poll::Ready(Some(Err("nobody waits for the answer".into())));
            }
            if !state
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                state.waker = Some(cx.waker().clone());
            }
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.written.add(data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
