//! What a connection does before its first request, for as long as the server has patience.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::state::{ABORT, ConnectionState, DRAIN, OVERDUE};

/// Why it was not done to its end.
pub(crate) enum Interrupted {
    /// The connection's deadline has passed.
    Late,
    /// The server stops.
    ByServer,
}

/// Does something unless the connection's deadline passes or the server stops.
pub(crate) async fn attended<F: Future>(state: &ConnectionState, doing: F) -> Result<F::Output, Interrupted> {
    let mut doing = pin!(doing);
    poll_fn(|cx| {
        state.attend(cx.waker());
        let signals = state.signals();
        if signals & (ABORT | DRAIN) != 0 {
            return Poll::Ready(Err(Interrupted::ByServer));
        }
        if signals & OVERDUE != 0 && state.is_overdue(state.pace.now()) {
            return Poll::Ready(Err(Interrupted::Late));
        }
        doing.as_mut().poll(cx).map(Ok)
    })
    .await
}
