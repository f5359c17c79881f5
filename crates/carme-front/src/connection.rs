//! One connection, from the accepted socket to its end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::app::Application;
use crate::guard::Guard;
use crate::service;
use crate::site::Site;
use crate::state::{ABORT, ConnectionState, DRAIN, OVERDUE, Phase};

/// hyper's buffers for one connection grow up to this.
const BUFFER_BYTES: usize = 128 * 1024;

/// Serves one client until either side has enough. Whatever happens to the connection stays here.
pub(crate) async fn run<A, S>(io: S, state: Arc<ConnectionState>, site: Arc<Site<A>>)
where
    A: Application,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let guard = Guard::new(io, Arc::clone(&state), site.common.limits.head());
    let service = service_fn(|request| service::serve(Arc::clone(&state), Arc::clone(&site), request));
    let mut hyper = pin!(
        http1::Builder::new()
            // Heads and idle connections have deadlines of their own (`Connections::watch`), without a timer each.
            .header_read_timeout(None)
            .max_buf_size(BUFFER_BYTES.max(2 * site.common.limits.header_bytes))
            .serve_connection(TokioIo::new(guard), service)
    );
    let ended = poll_fn(|cx| {
        state.attend(cx.waker());
        let signals = state.signals();
        if signals != 0 {
            if signals & ABORT != 0 {
                return Poll::Ready(Ok(()));
            }
            if signals & DRAIN != 0 {
                hyper.as_mut().graceful_shutdown();
            }
            if signals & OVERDUE != 0 && state.is_overdue(site.common.clock.now()) {
                match state.phase() {
                    Phase::Idle => hyper.as_mut().graceful_shutdown(),
                    Phase::Head => state.give_up_head(),
                    Phase::Blocked => {
                        tracing::info!(client = %state.ends.peer_text, "the client takes nothing of its response");
                        return Poll::Ready(Ok(()));
                    }
                    Phase::Lingering => return Poll::Ready(Ok(())),
                    Phase::LateHead | Phase::Busy => {}
                }
            }
        }
        hyper.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = ended {
        if error.is_parse() {
            tracing::warn!(client = %state.ends.peer_text, "the front's two parsers disagree: {error}");
        } else {
            tracing::debug!(client = %state.ends.peer_text, "connection ended: {error}");
        }
    }
}
