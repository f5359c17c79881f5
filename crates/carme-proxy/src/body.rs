//! A client's body on its way to a member.

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Why a body cannot be read to its end; whoever has made it knows more.
pub type BodyError = Box<dyn Error + Send + Sync>;

type Source = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// A request's body. Nothing of it is read before a member takes it.
#[derive(Clone)]
pub struct RequestBody {
    /// `None`: there is none.
    lent: Option<Arc<Lent>>,
    /// Nothing is sent before it is open.
    gate: Option<Gate>,
}

/// Holds a body back until its member says that it takes it (`100 Continue`).
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<Way>>);

#[derive(Default)]
enum Way {
    #[default]
    Closed,
    /// Somebody waits to go through.
    Awaited(Waker),
    Open,
}

impl Gate {
    fn way(&self) -> MutexGuard<'_, Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self) {
        let before = std::mem::replace(&mut *self.way(), Way::Open);
        if let Way::Awaited(waker) = before {
            waker.wake();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.way(), Way::Open)
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        let mut way = self.way();
        if matches!(*way, Way::Open) {
            return Poll::Ready(());
        }
        *way = Way::Awaited(cx.waker().clone());
        Poll::Pending
    }
}

/// One that may be given to a second member while the first has read nothing of it.
struct Lent {
    source: Mutex<Source>,
    begun: AtomicBool,
    failed: AtomicBool,
    /// The client is waited for.
    starved: AtomicBool,
}

impl Lent {
    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestBody {
    /// None.
    pub fn empty() -> Self {
        RequestBody {
            lent: None,
            gate: None,
        }
    }

    /// This one.
    pub fn new(source: impl Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        RequestBody {
            lent: Some(Arc::new(Lent {
                source: Mutex::new(Box::pin(source)),
                begun: AtomicBool::new(false),
                failed: AtomicBool::new(false),
                starved: AtomicBool::new(false),
            })),
            gate: None,
        }
    }

    /// The same, behind this.
    pub(crate) fn behind(&self, gate: Option<Gate>) -> Self {
        let lent = self.lent.clone();
        RequestBody { lent, gate }
    }

    /// All of it can be sent, once more perhaps: nothing is missing yet.
    pub(crate) fn is_whole(&self) -> bool {
        self.lent.as_ref().is_none_or(|lent| !lent.begun.load(Relaxed))
    }

    /// The client has broken it off.
    pub(crate) fn has_failed(&self) -> bool {
        self.lent.as_ref().is_some_and(|lent| lent.failed.load(Relaxed))
    }

    /// It is the client who is slow.
    pub(crate) fn is_starved(&self) -> bool {
        self.lent.as_ref().is_some_and(|lent| lent.starved.load(Relaxed))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(lent) = &self.lent else {
            return Poll::Ready(None);
        };
        if let Some(gate) = &self.gate {
            ready!(gate.poll_open(cx));
        }
        let polled = lent.source().as_mut().poll_frame(cx);
        lent.starved.store(polled.is_pending(), Relaxed);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => lent.failed.store(true, Relaxed),
            Poll::Ready(_) => lent.begun.store(true, Relaxed),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.lent
            .as_ref()
            .is_none_or(|lent| lent.source().is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.lent {
            None => SizeHint::with_exact(0),
            Some(lent) => lent.source().size_hint(),
        }
    }
}
