//! One app's queue: requests go in, answers come out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carme_ring::frame::{BodyKind, RequestHead};
use carme_ring::{FrontRing, Geometry, Poisoned, Refused, Region, StreamId};
use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::body::BodyBuffer;
use super::exchange::{Exchange, Failure, RequestBody};
use super::overtime::{Hung, TimeLimits};
use super::streams::{Phase, Stream, Streams};
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

pub(super) struct Backlogged {
    pub(super) id: StreamId,
    pub(super) head: Vec<u8>,
    pub(super) body: Bytes,
}

pub(super) struct State {
    pub(super) limits: Limits,
    /// `None` while a damaged region is being replaced.
    pub(super) ring: Option<FrontRing>,
    pub(super) streams: Streams,
    pub(super) backlog: VecDeque<Backlogged>,
    pub(super) workers: Vec<Option<Attached>>,
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

    /// Puts a request into the queue. `headers` have lower-case names and are the ones that the app shall see.
    pub fn dispatch(&self, mut head: RequestHead<'_>, headers: &HeaderMap, body: RequestBody) -> Exchange {
        let mut state = self.lock();
        if state.stopping {
            return Exchange::refused(self.clone(), Failure::Stopping);
        }
        if let Some(longest) = state.wait_in_full_queue() {
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
        let id = state.streams.insert(Stream::new(
            carme_ring::clock::now(),
            file,
            BodyBuffer::new(limit),
        ));
        let outcome = state.enqueue(id, encoded, bytes);
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

impl State {
    /// How long the request that has waited longest has, if as many wait as may.
    fn wait_in_full_queue(&mut self) -> Option<Duration> {
        let in_ring = self
            .ring
            .as_mut()
            .and_then(|ring| ring.queued().ok())
            .unwrap_or(0) as usize;
        if in_ring + self.backlog.len() < self.limits.queue {
            return None;
        }
        // Withdrawn requests may still have their entries: count exactly, and keep none in the front.
        self.collect_all();
        let streams = &self.streams;
        self.backlog.retain(|next| {
            streams
                .get(next.id)
                .is_some_and(|s| matches!(s.phase, Phase::Backlogged))
        });
        let waiting = self.streams.ids();
        let waiting = waiting
            .iter()
            .filter_map(|id| self.streams.get(*id))
            .filter(|stream| matches!(stream.phase, Phase::Submitted(_) | Phase::Backlogged));
        let (mut count, now) = (0, carme_ring::clock::now());
        let mut first = now;
        for stream in waiting {
            count += 1;
            first = first.min(stream.submitted_at);
        }
        (count >= self.limits.queue).then(|| Duration::from_nanos(now - first))
    }

    fn enqueue(&mut self, id: StreamId, head: Vec<u8>, body: Bytes) -> Result<(), Failure> {
        if self.backlog.is_empty()
            && let Some(ring) = &mut self.ring
        {
            match ring.submit(id, &head, &body) {
                Ok(ticket) => {
                    if let Some(stream) = self.streams.get_mut(id) {
                        stream.phase = Phase::Submitted(ticket);
                    }
                    self.scratch = head;
                    return Ok(());
                }
                Err(Refused::TooLarge) => return Err(Failure::TooLarge),
                Err(Refused::NoSlots) => self.collect_all(),
                Err(Refused::Poisoned(damage)) => self.damaged(damage),
            }
        }
        self.backlog.push_back(Backlogged { id, head, body });
        self.submit_backlog();
        Ok(())
    }

    /// Moves requests into slots, in order, as far as there are slots.
    pub(super) fn submit_backlog(&mut self) {
        while let (Some(next), Some(ring)) = (self.backlog.front(), &mut self.ring) {
            let waits = |stream: &&mut Stream| matches!(stream.phase, Phase::Backlogged);
            let Some(stream) = self.streams.get_mut(next.id).filter(waits) else {
                self.backlog.pop_front();
                continue;
            };
            match ring.submit(next.id, &next.head, &next.body) {
                Ok(ticket) => {
                    stream.phase = Phase::Submitted(ticket);
                    self.unannounced += 1;
                }
                Err(Refused::NoSlots) => return,
                Err(Refused::TooLarge) => {
                    stream.answer = Some(Err(Failure::TooLarge));
                    stream.phase = Phase::Ended;
                    stream.wake();
                }
                Err(Refused::Poisoned(damage)) => return self.damaged(damage),
            }
            self.backlog.pop_front();
        }
    }
}
