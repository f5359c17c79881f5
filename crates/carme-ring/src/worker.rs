//! A worker's half: takes requests, reads them, sends records.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;

use crate::atomic::Ordering;
use crate::byte_ring::{ByteRing, Full, RecordHead};
use crate::layout::{Common, Own, copy_out};
use crate::region::Region;
use crate::share;
use crate::slot::{SlotWord, State};
use crate::{InboxMessage, MAX_EXTENTS, Poisoned, RecordKind, StreamId, WorkerIndex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum InboxKind {
    Credit = 1,
    Gone = 2,
}

/// When a busy worker's second thread is wanted. Its word in the region; 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Need {
    /// As soon as a request waits and no idle worker can take it.
    Waiting = 1,
    /// When the queue does not move: beside threads that get on with it, this one would be in the way.
    Stalled = 2,
}

impl Need {
    /// What a worker wrote, or anything else that may stand there.
    pub(crate) fn decode(word: u64) -> Option<Self> {
        match word {
            0 => None,
            1 => Some(Self::Waiting),
            _ => Some(Self::Stalled),
        }
    }
}

/// A request that is this worker's and has not been read yet.
#[derive(Debug)]
#[must_use = "a taken request must be read"]
pub struct Taken {
    slot: u16,
    generation: u64,
}

/// Where in the buffer the parts of a request are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    /// The request's name.
    pub stream: StreamId,
    /// The encoded [`crate::frame::RequestHead`].
    pub head: Range<usize>,
    /// The body, if it came along.
    pub body: Range<usize>,
    /// When it was taken, by [`crate::clock::now`].
    pub taken_at: u64,
}

/// Whether a thread may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Armed {
    /// Nothing is there for this worker; the front will ring.
    Sleep,
    /// Something came in between: take again instead.
    Look,
}

/// A slot whose contents make no sense. The region is damaged; the worker cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared memory is damaged: {0}")]
pub struct Corrupt(pub &'static str);

/// A worker's half of a region, shared by its threads.
pub struct WorkerRing {
    region: Arc<Region>,
    index: WorkerIndex,
    outbox_tail: Mutex<u64>,
    inbox: Mutex<(u64, BytesMut)>,
}

impl WorkerRing {
    /// The place `index` of a region, which the front has cleared for this process.
    pub fn new(region: Arc<Region>, index: WorkerIndex) -> Self {
        assert!(
            index.0 < region.geometry().workers,
            "worker {index} is outside of the region"
        );
        Self {
            region,
            index,
            outbox_tail: Mutex::new(0),
            inbox: Mutex::default(),
        }
    }

    fn own(&self, word: Own) -> &crate::atomic::AtomicU64 {
        self.region.own(self.index, word)
    }

    /// Takes the next request, if there is one for this worker: with requests in flight it leaves a new one to a
    /// worker that has none, but for those that are bound to it.
    pub fn take(&self) -> Result<Option<Taken>, Poisoned> {
        let bound = self.has_bound();
        if !bound && self.region.waiting() == 0 || self.own(Own::Serving).load(Ordering::Acquire) == 0 {
            return Ok(None);
        }
        // Counted before it is taken: who sees the request gone also sees this worker busy.
        let before = self.own(Own::Load).fetch_add(1, Ordering::AcqRel);
        let leaves = self.should_leave(before);
        let taken = match (bound, leaves) {
            (true, _) => self.take_first(leaves)?,
            (false, true) => None,
            (false, false) => self.region.queue().take(self.index)?,
        };
        if taken.is_none() {
            self.own(Own::Load).fetch_sub(1, Ordering::AcqRel);
        }
        Ok(taken.map(|(slot, generation)| Taken { slot, generation }))
    }

    /// Whether something is bound to this worker. Mostly nothing is, and then nothing else is looked at.
    fn has_bound(&self) -> bool {
        let head = self.own(Own::BoundHead).load(Ordering::Acquire);
        self.own(Own::BoundTail).load(Ordering::Acquire) != head
    }

    /// What came first, of what is bound to this worker and of what is anybody's.
    fn take_first(&self, leaves: bool) -> Result<Option<(u16, u64)>, Poisoned> {
        let (queue, bound) = (self.region.queue(), self.region.bound_to(self.index));
        if bound.waiting() > 0 && (leaves || bound.is_due()?) {
            let taken = bound.take(self.index)?;
            if taken.is_some() || leaves {
                return Ok(taken);
            }
        }
        if leaves {
            return Ok(None);
        }
        match queue.take(self.index)? {
            None => bound.take(self.index),
            taken => Ok(taken),
        }
    }

    /// True when this worker, with `load` requests in flight, leaves what waits to others; see [`share::leaves`].
    fn should_leave(&self, load: u64) -> bool {
        if load == 0 || self.region.common(Common::Overdue).load(Ordering::Relaxed) != 0 {
            return false;
        }
        let waiting = self.region.waiting();
        self.region.fence();
        let others = (0..self.region.geometry().workers)
            .map(WorkerIndex)
            .filter(|w| *w != self.index)
            .filter(|w| self.region.own(*w, Own::Serving).load(Ordering::Relaxed) != 0)
            .map(|w| self.region.own(w, Own::Load).load(Ordering::Relaxed));
        share::leaves(load, others, waiting)
    }

    /// Copies a request into `buffer` and gives its slots back.
    pub fn read(&self, taken: Taken, buffer: &mut Vec<u8>) -> Result<Inline, Corrupt> {
        let geometry = self.region.geometry();
        let prelude = self.region.prelude(taken.slot);
        let stream = StreamId(prelude[0].load(Ordering::Relaxed));
        let lengths = prelude[1].load(Ordering::Relaxed);
        let (total, head) = (lengths as u32 as usize, (lengths >> 32) as usize);
        let rest = prelude[2].load(Ordering::Relaxed) as usize;
        let slot_bytes = geometry.slot_bytes as usize;
        let body_at = head.next_multiple_of(8);
        if rest >= MAX_EXTENTS || total > (rest + 1) * slot_bytes || body_at > total.next_multiple_of(8) {
            return Err(Corrupt("a request's lengths are out of range"));
        }
        let taken_at = crate::clock::now();
        prelude[3].store(taken_at, Ordering::Relaxed);
        buffer.clear();
        buffer.resize(total, 0);
        for (nth, piece) in buffer.chunks_mut(slot_bytes).enumerate() {
            let slot = match nth.checked_sub(1) {
                None => taken.slot,
                Some(i) => (prelude[4 + i / 4].load(Ordering::Relaxed) >> (16 * (i % 4))) as u16,
            };
            if slot >= geometry.slots {
                return Err(Corrupt("a request goes on in a slot that does not exist"));
            }
            copy_out(self.region.slot_data(slot), piece);
        }
        let released = SlotWord::new(State::Released(self.index), taken.generation).encode();
        self.region.state(taken.slot).store(released, Ordering::Release);
        Ok(Inline {
            stream,
            head: 0..head.min(total),
            body: body_at.min(total)..total,
            taken_at,
        })
    }

    /// One request less in flight. Once for each [`Taken`], when its last record is published.
    pub fn finish(&self) {
        self.own(Own::Load).fetch_sub(1, Ordering::AcqRel);
    }

    /// Requests of this worker in flight.
    pub fn load(&self) -> u64 {
        self.own(Own::Load).load(Ordering::Relaxed)
    }

    /// Counts how long a thread that was called had to wait for the GIL, in nanoseconds.
    pub fn note_gil_wait(&self, nanoseconds: u64) {
        self.own(Own::GilWait).fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn arm(&self, word: Own) -> Armed {
        self.own(word).store(1, Ordering::Relaxed);
        self.region.fence();
        let for_it = self.has_bound() || self.region.waiting() > 0 && !self.should_leave(self.load());
        if for_it && self.own(Own::Serving).load(Ordering::Acquire) != 0 {
            // Nobody need ring; if somebody has already, the bell is heard at the next sleep and does no harm.
            self.own(word).store(0, Ordering::Relaxed);
            return Armed::Look;
        }
        Armed::Sleep
    }

    /// Says that the leading thread found nothing and is about to sleep on its bell.
    pub fn arm_leader(&self) -> Armed {
        self.arm(Own::Leader)
    }

    /// Says that a second thread is about to sleep on its bell, for the case that the first is kept busy.
    /// It always may: what waits now is the leader's, until the front rings.
    pub fn arm_second(&self, need: Need) {
        self.own(Own::Second).store(need as u64, Ordering::Relaxed);
        self.region.fence();
    }

    /// Nobody waits on the leader's bell any more, whatever woke it: a bell rung earlier leaves the word set.
    pub fn disarm_leader(&self) {
        self.own(Own::Leader).store(0, Ordering::Relaxed);
    }

    /// Nobody waits on the second bell any more.
    pub fn disarm_second(&self) {
        self.own(Own::Second).store(0, Ordering::Relaxed);
    }

    fn outbox(&self) -> ByteRing<'_> {
        ByteRing {
            head: self.own(Own::OutboxHead),
            tail: self.own(Own::OutboxTail),
            data: self.region.outbox_data(self.index),
        }
    }

    /// Sends one record, whole. See [`crate::flags`] for `flags`.
    ///
    /// # Panics
    /// When the parts together are longer than [`crate::MAX_RECORD`].
    pub fn publish(
        &self,
        kind: RecordKind,
        flags: u8,
        stream: StreamId,
        parts: &[&[u8]],
    ) -> Result<(), Full> {
        let mut tail = self.outbox_tail.lock().unwrap_or_else(PoisonError::into_inner);
        self.outbox().push(
            &mut tail,
            RecordHead {
                kind: kind as u8,
                flags,
                stream: stream.0,
            },
            parts,
        )
    }

    /// Says that a thread waits for room in the outbox; try to publish once more before sleeping.
    pub fn want_space(&self) {
        self.own(Own::OutboxWanted).store(1, Ordering::Relaxed);
        self.region.fence();
    }

    /// After publishing: whether the front sleeps and has to be rung.
    pub fn must_ring_front(&self) -> bool {
        self.region.fence();
        let sleeping = self.region.common(Common::FrontSleeping);
        sleeping.load(Ordering::Relaxed) != 0 && sleeping.swap(0, Ordering::AcqRel) != 0
    }

    /// The next message of the inbox. For one thread at a time; a message that makes no sense is passed over.
    pub fn inbox_next(&self) -> Result<Option<InboxMessage>, Corrupt> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let (head, buffer) = &mut *inbox;
        let ring = ByteRing {
            head: self.own(Own::InboxHead),
            tail: self.own(Own::InboxTail),
            data: self.region.inbox_data(self.index),
        };
        let Some((RecordHead { kind, stream, .. }, payload)) = ring.pop(head, buffer).map_err(Corrupt)?
        else {
            return Ok(None);
        };
        let stream = StreamId(stream);
        let number = payload.first_chunk::<4>().map(|b| u32::from_le_bytes(*b));
        match (kind, number) {
            (1, Some(bytes)) => Ok(Some(InboxMessage::Credit { stream, bytes })),
            (2, _) => Ok(Some(InboxMessage::Gone { stream })),
            _ => Err(Corrupt("an inbox message is of an unknown kind")),
        }
    }

    /// Announces that the reader of the inbox is about to sleep on the control connection, then looks once more.
    pub fn inbox_may_sleep(&self) -> bool {
        self.own(Own::InboxSleeping).store(1, Ordering::Relaxed);
        self.region.fence();
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let something = self.own(Own::InboxTail).load(Ordering::Acquire) != inbox.0;
        if something {
            self.own(Own::InboxSleeping).store(0, Ordering::Relaxed);
        }
        !something
    }
}
