//! The table of streams: everything that was submitted and is not over.

use std::fs::File;
use std::task::Waker;

use carme_ring::{StreamId, Ticket, WorkerIndex};

use super::body::BodyBuffer;
use super::exchange::{Account, Answer, Failure, Identity};
use super::overtime::Standing;

/// How far a stream has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// No slots were free: it waits in the front.
    Backlogged,
    /// It has slots; whose it is, the ring knows.
    Submitted(Ticket),
    /// A worker has it and has not answered.
    InFlight,
    /// The head has come; the body is coming, or a file.
    Answering,
    /// Nothing more will come.
    Ended,
}

/// A request and what has come back for it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) phase: Phase,
    pub(super) worker: Option<(WorkerIndex, Identity)>,
    /// The worker that alone may take it; `None`: whoever comes first.
    pub(super) bound_to: Option<WorkerIndex>,
    pub(super) submitted_at: u64,
    pub(super) taken_at: u64,
    /// When the last part of its answer came.
    pub(super) last_piece_at: u64,
    pub(super) ended_at: u64,
    /// The request's body, while its worker may still ask for it.
    pub(super) file: Option<(File, u64)>,
    pub(super) answer: Option<Result<Answer, Failure>>,
    /// The answer waits for the file that is its body.
    pub(super) file_expected: bool,
    pub(super) file_came: Option<(File, u64, u64)>,
    /// The answer's body comes in pieces.
    pub(super) streaming: bool,
    pub(super) body: BodyBuffer,
    pub(super) waker: Option<Waker>,
    /// The client has left; the entry stays until the worker is done with it.
    pub(super) abandoned: bool,
    /// Whether it keeps to its time.
    pub(super) standing: Standing,
}

impl Stream {
    pub(super) fn new(submitted_at: u64, file: Option<(File, u64)>, body: BodyBuffer) -> Self {
        Self {
            phase: Phase::Backlogged,
            worker: None,
            bound_to: None,
            submitted_at,
            taken_at: 0,
            last_piece_at: 0,
            ended_at: 0,
            file,
            answer: None,
            file_expected: false,
            file_came: None,
            streaming: false,
            body,
            waker: None,
            abandoned: false,
            standing: Standing::InTime,
        }
    }

    /// The slots of a request whose owner has to be looked up. Whoever takes the ticket sets the phase that follows.
    pub(super) fn take_ticket(&mut self) -> Option<Ticket> {
        match std::mem::replace(&mut self.phase, Phase::InFlight) {
            Phase::Submitted(ticket) => Some(ticket),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// As far as is known, nobody has taken it.
    pub(super) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Submitted(_) | Phase::Backlogged)
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn account(&self, now: u64) -> Account {
        use std::time::Duration;
        let end = if self.ended_at == 0 { now } else { self.ended_at };
        // The worker wrote the time; it may be anything.
        let taken = if self.worker.is_some() {
            self.taken_at.clamp(self.submitted_at, end)
        } else {
            end
        };
        Account {
            worker: self.worker.as_ref().map(|(_, identity)| identity.clone()),
            queued: Duration::from_nanos(taken - self.submitted_at.min(taken)),
            worked: Duration::from_nanos(end - taken),
        }
    }
}

#[derive(Default)]
struct Entry {
    generation: u32,
    stream: Option<Box<Stream>>,
}

/// Streams by id. An id is used once.
#[derive(Default)]
pub(super) struct Streams {
    entries: Vec<Entry>,
    free: Vec<u32>,
    len: usize,
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, stream: Stream) -> StreamId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.stream = Some(Box::new(stream));
        self.len += 1;
        StreamId(u64::from(entry.generation) << 32 | u64::from(index))
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let entry = self.entries.get_mut(id.0 as u32 as usize)?;
        if entry.generation != (id.0 >> 32) as u32 {
            return None;
        }
        entry.stream.as_deref_mut()
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        let entry = self.entries.get(id.0 as u32 as usize)?;
        if entry.generation != (id.0 >> 32) as u32 {
            return None;
        }
        entry.stream.as_deref()
    }

    pub(super) fn remove(&mut self, id: StreamId) -> Option<Box<Stream>> {
        self.get_mut(id)?;
        let index = id.0 as u32;
        self.free.push(index);
        self.len -= 1;
        self.entries[index as usize].stream.take()
    }

    pub(super) fn ids(&self) -> Vec<StreamId> {
        let id = |(index, entry): (usize, &Entry)| {
            entry
                .stream
                .as_ref()
                .map(|_| StreamId(u64::from(entry.generation) << 32 | index as u64))
        };
        self.entries.iter().enumerate().filter_map(id).collect()
    }
}
