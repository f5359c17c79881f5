//! One app's queue: requests go in, answers come out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carme_ring::frame::{BodyKind, RequestHead};
use carme_ring::{FrontRing, Geometry, Poisoned, Region, StreamId};
use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::backlog::Backlogged;
use super::body::BodyBuffer;
use super::exchange::{Exchange, Failure, RequestBody};
use super::overtime::{Hung, TimeLimits};
use super::streams::{Stream, Streams};
use super::workers::Attached;

/// What an app's queue may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may wait for a worker.
    pub queue: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// Unread bytes of one response beyond which its worker waits for the client.
    pub response_buffer: u64,
    /// How long requests may take once a worker has them.
    pub times: TimeLimits,
}

/// What a new app's queue is made from.
#[derive(Clone, Copy, Debug)]
pub struct NewApp {
    /// Which of the server's apps it is, from 0.
    pub number: u16,
    /// The region's sizes.
    pub geometry: Geometry,
    /// What it may hold.
    pub limits: Limits,
}

pub(super) struct State {
    pub(super) limits: Limits,
    /// `None` while a damaged region is being replaced.
    pub(super) ring: Option<FrontRing>,
    pub(super) streams: Streams,
    pub(super) backlog: VecDeque<Backlogged>,
    pub(super) workers: Vec<Option<Attached>>,
    /// How often a worker has begun to take requests.
    pub(super) beginnings: u64,
    /// Requests that were bound to a worker that is gone, and that found no room in the queue since.
    pub(super) strays: Vec<StreamId>,
    pub(super) scratch: Vec<u8>,
    /// Records between their coming out of the ring and their being taken in; kept for its memory.
    pub(super) records: Vec<carme_ring::Record>,
    /// Requests submitted since the workers were last woken.
    pub(super) unannounced: u32,
    /// Sleeps of the runtime that a worker has ended since the bells were last read.
    pub(super) rings: u32,
    /// Requests that workers have finished, whoever they were.
    pub(super) answered: u64,
    pub(super) damage: Option<Poisoned>,
    pub(super) stopping: bool,
    /// Where the queue's head was when a wake-up was held back, and when it was looked at last.
    pub(super) stalled_at: Option<u64>,
    pub(super) ticked_at: Option<u64>,
    pub(super) overdue: bool,
    /// Workers that hang and nobody has been told of.
    pub(super) hung: VecDeque<Hung>,
    pub(super) signals: Arc<Signals>,
}

/// What the lock must not be held for.
#[derive(Default)]
pub(super) struct Signals {
    /// There are streams: time matters.
    pub(super) busy: Notify,
    /// A wake-up was held back.
    pub(super) held_back: Notify,
    /// The region is damaged.
    pub(super) damaged: Notify,
    /// A worker is hung.
    pub(super) hung: Notify,
}

pub(super) struct Inner {
    state: Mutex<State>,
    pub(super) signals: Arc<Signals>,
    number: u16,
    geometry: Geometry,
    pub(super) runtime: Handle,
}

/// An app's queue. Clones are the same queue.
#[derive(Clone)]
pub struct App(pub(super) Arc<Inner>);

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// A queue over a new region, without workers. Call it within the front's runtime.
    pub fn new(new: NewApp) -> std::io::Result<Self> {
        let signals = Arc::<Signals>::default();
        let state = State {
            limits: new.limits,
            ring: Some(FrontRing::new(Arc::new(Region::create(new.geometry)?))),
            streams: Streams::default(),
            backlog: VecDeque::new(),
            workers: (0..new.geometry.workers).map(|_| None).collect(),
            beginnings: 0,
            strays: Vec::new(),
            scratch: Vec::new(),
            records: Vec::new(),
            unannounced: 0,
            rings: 0,
            answered: 0,
            damage: None,
            stopping: false,
            stalled_at: None,
            ticked_at: None,
            overdue: false,
            hung: VecDeque::new(),
            signals: signals.clone(),
        };
        let app = Self(Arc::new(Inner {
            state: Mutex::new(state),
            signals,
            number: new.number,
            geometry: new.geometry,
            runtime: Handle::current(),
        }));
        super::pump::start(&app);
        Ok(app)
    }

    /// From now on it may hold as much as this.
    pub fn set_limits(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    /// Which of the server's apps it is, from 0.
    pub fn number(&self) -> u16 {
        self.0.number
    }

    /// The sizes of the app's region.
    pub fn geometry(&self) -> Geometry {
        self.0.geometry
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a body that may come in memory beside a head of `head` bytes, however it is encoded.
    pub fn max_inline_body(&self, head: usize) -> usize {
        self.0.geometry.max_inline().saturating_sub(head + 8)
    }

    /// Puts a request into the queue. `headers` have lower-case names and are the ones that the app shall see. A client that
    /// is bound to a worker names its `route`: if that takes requests, it alone gets this one.
    pub fn dispatch(
        &self,
        mut head: RequestHead<'_>,
        headers: &HeaderMap,
        body: RequestBody,
        route: Option<&[u8]>,
    ) -> Exchange {
        let mut state = self.lock();
        if state.stopping {
            return Exchange::refused(self.clone(), Failure::Stopping);
        }
        let to = route.and_then(|route| state.serving_at(route));
        if let Some(longest) = state.wait_in_full_queue(to) {
            return Exchange::refused(self.clone(), Failure::QueueFull { longest });
        }
        let (bytes, file) = match body {
            RequestBody::Empty => (Bytes::new(), None),
            RequestBody::Memory(bytes) => {
                head.body = BodyKind::Inline;
                (bytes, None)
            }
            RequestBody::File { file, len } => {
                head.body = BodyKind::File(len);
                (Bytes::new(), Some((file, len)))
            }
        };
        let mut encoded = std::mem::take(&mut state.scratch);
        encoded.clear();
        head.encode(
            headers.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())),
            &mut encoded,
        );
        let limit = state.limits.response_buffer;
        let mut stream = Stream::new(carme_ring::clock::now(), file, BodyBuffer::new(limit));
        stream.bound_to = to;
        let id = state.streams.insert(stream);
        let outcome = state.enqueue(id, encoded, bytes, to);
        if state.streams.len() == 1 {
            self.0.signals.busy.notify_one();
        }
        if let Err(failure) = outcome {
            state.streams.remove(id);
            return Exchange::refused(self.clone(), failure);
        }
        state.after_submit();
        drop(state);
        Exchange::listed(self.clone(), id)
    }

    /// No request is accepted any more; those that nobody has taken are answered with [`Failure::Stopping`] only when
    /// `now` is set.
    pub fn close(&self, now: bool) {
        let mut state = self.lock();
        state.stopping = true;
        if now {
            state.fail_untaken(&Failure::Stopping);
        }
    }

    /// Requests in the table: waiting, in flight, or with an answer that has not been read to its end.
    pub fn streams(&self) -> usize {
        self.lock().streams.len()
    }
}
