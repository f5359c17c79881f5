//! Bytes both ways between a client and a member that have changed to another protocol, such as WebSocket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use carme_proxy::{Seat, Tunnel};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::record::Record;
use crate::state::{ABORT, ConnectionState};

/// The member's side, until the client's connection is free of HTTP.
pub(crate) struct Switched {
    pub(crate) tunnel: Tunnel,
    /// The member counts it as a request in flight.
    pub(crate) seat: Seat,
    /// Becomes the log line at its end.
    pub(crate) record: Box<Record>,
}

/// A byte stream of which some was read already.
struct End<S> {
    unread: Bytes,
    stream: S,
    read: u64,
    written: u64,
}

impl<S> End<S> {
    fn new(unread: Bytes, stream: S) -> Self {
        End {
            unread,
            stream,
            read: 0,
            written: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for End<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.unread.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let step = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..step]);
            self.unread.advance(step);
        }
        self.read += (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for End<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Passes bytes both ways until both sides have ended, one has broken off, or the server has waited long enough.
pub(crate) async fn run<S>(io: S, unread: Bytes, switched: Switched, state: &Arc<ConnectionState>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Switched {
        tunnel,
        seat,
        mut record,
    } = switched;
    let mut client = End::new(unread, io);
    let mut member = End::new(tunnel.unread, tunnel.stream);
    let ended = {
        let copying = tokio::io::copy_bidirectional(&mut client, &mut member);
        let mut copying = std::pin::pin!(copying);
        std::future::poll_fn(|cx| {
            state.attend(cx.waker());
            if state.signals() & ABORT != 0 {
                return Poll::Ready(None);
            }
            copying.as_mut().poll(cx).map(Some)
        })
        .await
    };
    record.body_bytes += client.written;
    record.bytes_in += client.read;
    state.count_written(client.written);
    seat.tunnelled(client.read, client.written);
    match ended {
        Some(Ok(_)) => record.sent(),
        Some(Err(error)) => record.reason = Some(error.to_string()),
        None => {}
    }
}
