//! One connection, from the accepted socket to its end.
//!
//! hyper keeps some 18 KB of buffers for a connection. One that has been idle for a moment, or has not said anything
//! yet, is parked: without hyper, until its next byte comes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;

use crate::app::Application;
use crate::crowd::Admission;
use crate::current::Current;
use crate::guard::{Awoken, Guard, ROOM_BYTES, Refusal, STACK_FIELDS};
use crate::service;
use crate::state::{ABORT, ConnectionState, DRAIN, OVERDUE, Phase};
use crate::transport::Transport;
use crate::tunnel;

/// hyper's buffers for one connection grow up to this.
const BUFFER_BYTES: usize = 2 * ROOM_BYTES;

/// Serves one client until either side has enough. Whatever happens to the connection stays here.
pub(crate) async fn run<A, S>(io: S, state: Arc<ConnectionState>, current: Current<A>, admission: Admission)
where
    A: Application,
    S: Transport + Send + 'static,
{
    if io.sends_files() {
        state.send_files();
    }
    let mut guard = Guard::new(io, Arc::clone(&state));
    if admission.is_refused() {
        guard.turn_away(Refusal::Crowded);
        active(guard, &state, &current).await;
        return;
    }
    while poll_fn(|cx| poll_parked(&mut guard, &state, cx)).await == Awoken::ByClient {
        match active(guard, &state, &current).await {
            Some(parked) => guard = parked,
            None => return,
        }
    }
    poll_fn(|cx| {
        guard.take_leave(cx);
        Poll::Ready(())
    })
    .await;
}

/// Waits for the client's next byte, or for a reason not to.
fn poll_parked<S>(guard: &mut Guard<S>, state: &ConnectionState, cx: &mut Context<'_>) -> Poll<Awoken>
where
    S: AsyncRead + Unpin,
{
    if state.has_waited_enough(cx) {
        return Poll::Ready(Awoken::ByServer);
    }
    guard.poll_awake(cx)
}

/// Has hyper serve the client. Gives the connection back if it is to be parked.
async fn active<A, S>(guard: Guard<S>, state: &Arc<ConnectionState>, current: &Current<A>) -> Option<Guard<S>>
where
    A: Application,
    S: Transport + Send + 'static,
{
    let view = current.view();
    let service = service_fn(move |request| service::serve(Arc::clone(state), view.site(), request));
    let room = guard.room();
    let mut builder = http1::Builder::new();
    if room.header_fields > STACK_FIELDS {
        builder.max_headers(room.header_fields);
    }
    let mut hyper = builder
        // Heads and idle connections have deadlines of their own (`Connections::watch`), without a timer each.
        .header_read_timeout(None)
        // A part of a file must not be copied on its way (`transport`).
        .writev(true)
        .max_buf_size(BUFFER_BYTES.max(2 * room.header_bytes))
        .serve_connection(TokioIo::new(guard), service);
    let ended = poll_fn(|cx| {
        state.attend(cx.waker());
        let signals = state.signals();
        if signals != 0 {
            if signals & ABORT != 0 {
                return Poll::Ready(Ended::Over(Ok(())));
            }
            if signals & DRAIN != 0 {
                Pin::new(&mut hyper).graceful_shutdown();
            }
            if signals & OVERDUE != 0 && state.is_overdue(state.pace.now()) {
                match state.phase() {
                    Phase::Idle if signals & DRAIN == 0 => return Poll::Ready(Ended::Idle),
                    Phase::Head => state.give_up_head(),
                    Phase::Blocked => {
                        let how = match state.takes_too_slowly() {
                            true => "takes its response too slowly",
                            false => "takes nothing of its response",
                        };
                        tracing::info!(client = %state.ends.client_text(), "the client {how}");
                        return Poll::Ready(Ended::Over(Ok(())));
                    }
                    Phase::Lingering => return Poll::Ready(Ended::Over(Ok(()))),
                    Phase::Idle | Phase::Parked | Phase::LateHead | Phase::Busy => {}
                }
            }
        }
        Pin::new(&mut hyper).poll(cx).map(Ended::Over)
    })
    .await;
    match ended {
        Ended::Over(Ok(())) => {
            if let Some(switched) = state.take_switched() {
                let parts = hyper.into_parts();
                let (io, unread) = parts.io.into_inner().into_tunnel(&parts.read_buf);
                Box::pin(tunnel::run(io, unread, switched, state)).await;
            }
            None
        }
        Ended::Over(Err(error)) => {
            if error.is_parse() {
                tracing::warn!(client = %state.ends.client_text(), "the front's two parsers disagree: {error}");
            } else {
                tracing::debug!(client = %state.ends.client_text(), "connection ended: {error}");
            }
            None
        }
        Ended::Idle => {
            let parts = hyper.into_parts();
            let mut guard = parts.io.into_inner();
            guard.unread(&parts.read_buf);
            state.park();
            Some(guard)
        }
    }
}

/// Why hyper is done with a connection.
enum Ended {
    Over(hyper::Result<()>),
    Idle,
}
