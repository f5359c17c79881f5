//! Request bodies, read in full before the request is dispatched, so that a slow sender never holds a worker.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use carme_farm::dispatch::RequestBody;
use http::HeaderMap;
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::guard::{Framing, Refusal};
use crate::spool::Spool;

/// What bounds a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// In all.
    pub(crate) bytes: u64,
    /// What may be handed over in memory.
    pub(crate) inline: usize,
    /// What is kept in memory, even where it must be handed over as a file.
    pub(crate) memory: usize,
    /// Between two pieces.
    pub(crate) timeout: Duration,
    /// Bytes a second on average, `timeout` not counted; 0 for any.
    pub(crate) rate: u64,
}

/// How long the next piece of a body is waited for: neither silence nor a drip may hold a connection.
pub(crate) struct Patience {
    timeout: Duration,
    rate: u64,
    /// Since the body was first waited for.
    begun: Option<Instant>,
}

impl Patience {
    /// `rate`: bytes a second on average, `timeout` not counted; 0 for any.
    pub(crate) fn new(timeout: Duration, rate: u64) -> Self {
        Patience {
            timeout,
            rate,
            begun: None,
        }
    }

    pub(crate) fn left(&mut self, received: u64) -> Duration {
        if self.rate == 0 {
            return self.timeout;
        }
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let earned = Duration::from_millis(received.saturating_mul(1000) / self.rate);
        let granted = self.timeout.saturating_add(earned);
        self.timeout.min(granted.saturating_sub(begun.elapsed()))
    }
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the request body came too slowly")]
    TooSlow,
    #[error("{0}")]
    Malformed(Refusal),
    #[error("the request body is malformed: {0}")]
    Trailers(hyper::Error),
    #[error("the connection ended inside the request body")]
    Incomplete,
    #[error("the request body cannot be kept in a temporary file: {0}")]
    Spool(io::Error),
}

/// Reads a body to its end, and says how many bytes it had. Its trailers go to `trailers`, if somebody wants them.
pub(crate) async fn read(
    mut body: Incoming,
    framing: Framing,
    limits: BodyLimits,
    spool: &Spool<'_>,
    mut trailers: Option<&mut HeaderMap>,
) -> Result<(RequestBody, u64), BodyError> {
    let declared = match framing {
        Framing::Empty => return Ok((RequestBody::Empty, 0)),
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    // Before the body is first polled, so that a client that waits for 100 (Continue) does not send it in vain.
    if declared.is_some_and(|length| length > limits.bytes) {
        return Err(BodyError::TooLarge(limits.bytes));
    }
    let mut gathered = Gathered::None;
    let mut total = 0_u64;
    let mut file = None;
    let mut patience = Patience::new(limits.timeout, limits.rate);
    while let Some(piece) = next(&mut body, &mut patience, total, trailers.as_deref_mut()).await? {
        total += piece.len() as u64;
        if total > limits.bytes {
            return Err(BodyError::TooLarge(limits.bytes));
        }
        gathered.push(piece, declared, limits.memory);
        if gathered.len() > limits.memory {
            let bytes = gathered.take();
            file = Some(
                match file {
                    None => spool.create_on_disk(bytes).await,
                    Some(file) => spool.append(file, bytes).await,
                }
                .map_err(BodyError::Spool)?,
            );
        }
    }
    let body = match file {
        Some(file) => {
            let file = spool
                .append(file, gathered.take())
                .await
                .map_err(BodyError::Spool)?;
            RequestBody::File { file, len: total }
        }
        None if total == 0 => RequestBody::Empty,
        None if total <= limits.inline as u64 => RequestBody::Memory(gathered.take()),
        None => {
            let file = spool
                .create_in_memory(gathered.take())
                .await
                .map_err(BodyError::Spool)?;
            RequestBody::File { file, len: total }
        }
    };
    Ok((body, total))
}

/// Pieces of a body; a single one is not copied.
enum Gathered {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Gathered::None => 0,
            Gathered::One(bytes) => bytes.len(),
            Gathered::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, piece: Bytes, declared: Option<u64>, memory: usize) {
        match self {
            Gathered::None => *self = Gathered::One(piece),
            Gathered::One(first) => {
                let expected = declared.map_or(0, |length| length.min(memory as u64) as usize);
                let mut many = BytesMut::with_capacity(expected.max(2 * (first.len() + piece.len())));
                many.extend_from_slice(first);
                many.extend_from_slice(&piece);
                *self = Gathered::Many(many);
            }
            Gathered::Many(many) => many.extend_from_slice(&piece),
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Gathered::None) {
            Gathered::None => Bytes::new(),
            Gathered::One(bytes) => bytes,
            Gathered::Many(bytes) => bytes.freeze(),
        }
    }
}

/// The next piece of data; trailers are read and kept or dropped.
async fn next(
    body: &mut Incoming,
    patience: &mut Patience,
    received: u64,
    mut trailers: Option<&mut HeaderMap>,
) -> Result<Option<Bytes>, BodyError> {
    loop {
        // The timer is only made where there is something to wait for.
        let mut polled = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        if polled.is_none() {
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            polled = Some(
                tokio::time::timeout(patience.left(received), frame)
                    .await
                    .map_err(|_| BodyError::TooSlow)?,
            );
        }
        match polled.flatten() {
            None => return Ok(None),
            Some(Ok(frame)) => match (frame.into_data(), &mut trailers) {
                (Ok(data), _) => return Ok(Some(data)),
                (Err(frame), Some(trailers)) => trailers.extend(frame.into_trailers().unwrap_or_default()),
                (Err(_), None) => {}
            },
            Some(Err(error)) => return Err(cause(error)),
        }
    }
}

/// What a broken body means: the guard's refusal, hyper's own, or a client that has gone.
pub(crate) fn cause(error: hyper::Error) -> BodyError {
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) => match io.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>()) {
            Some(refusal) => BodyError::Malformed(*refusal),
            None if matches!(
                io.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ) =>
            {
                BodyError::Trailers(error)
            }
            None => BodyError::Incomplete,
        },
        None => BodyError::Incomplete,
    }
}
