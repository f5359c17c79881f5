//! The front's half: fills slots, wakes workers, reads what they send, and knows from the words who owns what.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::atomic::Ordering;
use crate::byte_ring::{ByteRing, Full, RecordHead};
use crate::layout::{Common, Own, copy_in};
use crate::region::Region;
use crate::slot::{GENERATION_MASK, SlotWord, State};
use crate::worker::InboxKind;
use crate::{Geometry, InboxMessage, MAX_EXTENTS, Poisoned, RecordKind, StreamId, WorkerIndex};

mod bound;
mod waking;

pub use bound::Rebound;
pub use waking::Rung;

/// The front's claim on the slots of one request that it has submitted.
#[derive(Debug)]
#[must_use = "a lost ticket is a lost slot"]
pub struct Ticket {
    slots: Vec<u16>,
    first: u16,
    generation: u64,
    /// Who alone may take it; `None`: whoever comes first.
    bound_to: Option<WorkerIndex>,
}

impl Ticket {
    /// The worker that alone may take the request; `None`: whoever comes first.
    pub fn bound_to(&self) -> Option<WorkerIndex> {
        self.bound_to
    }

    /// Slots that it fills.
    fn filled(&self) -> usize {
        self.slots.len() + 1
    }
}

/// Why a request cannot be submitted now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No slots are free; some will be.
    #[error("no free slots")]
    NoSlots,
    /// It is larger than all slots of a request together.
    #[error("the request does not fit into the slots of one request")]
    TooLarge,
    /// The region is damaged.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// What became of a submitted request's slots.
#[derive(Debug)]
pub enum Collected {
    /// Nobody has taken it.
    Queued(Ticket),
    /// This worker is reading it.
    Taken(Ticket, WorkerIndex),
    /// This worker has read it, having taken it at that time ([`crate::clock::now`]); the slots are free again.
    Read(WorkerIndex, u64),
}

/// Whether a request could be taken back.
#[derive(Debug)]
pub enum Withdrawal {
    /// Nobody had taken it and nobody will; the slots are free again.
    Withdrawn,
    /// Somebody was faster.
    TooLate(Ticket),
}

/// One record out of a worker's outbox, copied.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// See [`crate::flags`].
    pub flags: u8,
    /// The stream that the worker says it belongs to.
    pub stream: StreamId,
    /// Its bytes.
    pub payload: Bytes,
}

/// What the front keeps about one worker, out of the worker's reach.
#[derive(Default)]
struct Attached {
    serving: bool,
    outbox_head: u64,
    inbox_tail: u64,
    bound_tail: u64,
    /// Slots of requests that are bound to it.
    bound_slots: usize,
    /// Where the head of what is bound to it was when a wake-up for that was held back.
    bound_held_at: Option<u64>,
}

/// The front's half of a region.
pub struct FrontRing {
    region: Arc<Region>,
    tail: u64,
    head_seen: u64,
    free: Vec<u16>,
    generations: Vec<u64>,
    workers: Vec<Attached>,
    /// Slots of requests that are bound to some worker.
    bound_slots: usize,
    /// Something that is bound to a worker may wait.
    bound_waits: bool,
    /// Whose turn it is to be rung, if it is idle: under a light load every worker gets its share.
    turn: u16,
    buffer: BytesMut,
}

impl FrontRing {
    /// Takes over a new region. There must be one `FrontRing` for it.
    pub fn new(region: Arc<Region>) -> Self {
        let Geometry { slots, workers, .. } = *region.geometry();
        for slot in 0..slots {
            region
                .state(slot)
                .store(SlotWord::new(State::Free, 0).encode(), Ordering::Release);
        }
        Self {
            region,
            tail: 0,
            head_seen: 0,
            free: (0..slots).rev().collect(),
            generations: vec![0; slots.into()],
            workers: (0..workers).map(|_| Attached::default()).collect(),
            bound_slots: 0,
            bound_waits: false,
            turn: 0,
            buffer: BytesMut::new(),
        }
    }

    /// The region, to give its handle to workers.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Slots that are free.
    pub fn free_slots(&self) -> usize {
        self.free.len()
    }

    /// Writes a request and offers it to the first worker that is free. Wake the workers afterwards.
    pub fn submit(&mut self, stream: StreamId, head: &[u8], body: &[u8]) -> Result<Ticket, Refused> {
        let needed = self.needed(head, body)?;
        if needed > self.free.len() || !self.has_room()? {
            return Err(Refused::NoSlots);
        }
        self.write(needed, stream, head, body)
            .map(|ticket| self.offer(ticket))
            .ok_or(Refused::NoSlots)
    }

    /// Slots that a request fills.
    fn needed(&self, head: &[u8], body: &[u8]) -> Result<usize, Refused> {
        let total = head.len().next_multiple_of(8) + body.len();
        let needed = total.div_ceil(self.region.geometry().slot_bytes as usize).max(1);
        if needed > MAX_EXTENTS || needed > self.generations.len() {
            return Err(Refused::TooLarge);
        }
        Ok(needed)
    }

    /// Whether the queue has room for one more.
    fn has_room(&mut self) -> Result<bool, Poisoned> {
        let is_full = |ring: &Self| ring.tail.wrapping_sub(ring.head_seen) >= ring.region.queue().len();
        if is_full(self) {
            self.pass_withdrawn()?;
        }
        Ok(!is_full(self))
    }

    /// Writes a request into as many free slots, which there are. Nobody can take it yet.
    fn write(&mut self, needed: usize, stream: StreamId, head: &[u8], body: &[u8]) -> Option<Ticket> {
        let slot_bytes = self.region.geometry().slot_bytes as usize;
        let body_at = head.len().next_multiple_of(8);
        let total = body_at + body.len();
        let rest = self.free.split_off(self.free.len() - (needed - 1));
        let first = self.free.pop()?;
        let generation = (self.generations[usize::from(first)] + 1) & GENERATION_MASK;
        self.generations[usize::from(first)] = generation;

        let mut place = 0;
        for (bytes, start) in [(head, 0), (body, body_at)] {
            debug_assert!(place <= start);
            place = start;
            let mut bytes = bytes;
            while !bytes.is_empty() {
                let (nth, at) = (place / slot_bytes, place % slot_bytes);
                let slot = if nth == 0 { first } else { rest[nth - 1] };
                let piece = bytes.len().min(slot_bytes - at);
                copy_in(&self.region.slot_data(slot)[at / 8..], &bytes[..piece]);
                bytes = &bytes[piece..];
                place += piece;
            }
        }
        let prelude = self.region.prelude(first);
        prelude[0].store(stream.0, Ordering::Relaxed);
        prelude[1].store(total as u64 | (head.len() as u64) << 32, Ordering::Relaxed);
        prelude[2].store(rest.len() as u64, Ordering::Relaxed);
        for (four, word) in rest.chunks(4).zip(&prelude[4..]) {
            let packed = four
                .iter()
                .rev()
                .fold(0, |acc, slot| acc << 16 | u64::from(*slot));
            word.store(packed, Ordering::Relaxed);
        }
        Some(Ticket {
            slots: rest,
            first,
            generation,
            bound_to: None,
        })
    }

    /// Lets those take it who may. There is room where it is to wait.
    fn offer(&mut self, ticket: Ticket) -> Ticket {
        let Ticket {
            first, generation, ..
        } = ticket;
        let offered = SlotWord::new(State::Queued(ticket.bound_to), generation).encode();
        self.region.state(first).store(offered, Ordering::Release);
        self.append(&ticket);
        ticket
    }

    fn append(&mut self, ticket: &Ticket) {
        let Ticket {
            first, generation, ..
        } = *ticket;
        let (order, tail) = match ticket.bound_to {
            None => (self.region.queue(), &mut self.tail),
            Some(worker) => (
                self.region.bound_to(worker),
                &mut self.workers[worker.get()].bound_tail,
            ),
        };
        order.append(tail, first, generation);
    }

    /// Entries of the queue that the head has not passed; withdrawn ones behind the first live one are among them.
    pub fn queued(&mut self) -> Result<u64, Poisoned> {
        let queue = self.region.queue();
        let head = queue.head();
        let waiting = self.tail.wrapping_sub(head);
        let moved = head.wrapping_sub(self.head_seen);
        if waiting > queue.len() || moved > queue.len() {
            return Err(Poisoned {
                worker: None,
                what: "the queue's head is out of range",
            });
        }
        self.head_seen = head;
        Ok(waiting)
    }

    /// Where the queue's head was when it was last looked at; it counts every request that was ever taken or passed.
    pub fn passed(&self) -> u64 {
        self.head_seen
    }

    /// Passes withdrawn requests at the head of the queue, so that it has room again, and likewise of what is bound to
    /// workers.
    pub fn pass_withdrawn(&mut self) -> Result<(), Poisoned> {
        self.region.queue().pass_dead_entries()?;
        if self.bound_waits {
            self.pass_withdrawn_bound()?;
        }
        self.queued().map(drop)
    }

    fn word(&self, ticket: &Ticket) -> Result<State, Poisoned> {
        let word = self.region.state(ticket.first).load(Ordering::Acquire);
        let bad = |what| Err(Poisoned { worker: None, what });
        match SlotWord::decode(word) {
            None => bad("a slot's word means nothing"),
            Some(word) if word.generation != ticket.generation => bad("a slot's generation was changed"),
            Some(SlotWord {
                state: State::Free, ..
            }) => bad("a slot in use was set free"),
            Some(SlotWord {
                state: State::Queued(to),
                ..
            }) if to != ticket.bound_to => bad("a request was bound to somebody else"),
            Some(SlotWord {
                state: State::Taken(w) | State::Released(w),
                ..
            }) if w.get() >= self.workers.len() => bad("a slot belongs to a worker that does not exist"),
            Some(word) => Ok(word.state),
        }
    }

    fn free(&mut self, ticket: Ticket) {
        let free = SlotWord::new(State::Free, ticket.generation).encode();
        self.region.state(ticket.first).store(free, Ordering::Release);
        self.count_bound(&ticket, false);
        self.free.extend(ticket.slots);
        self.free.push(ticket.first);
    }

    /// Looks whose a request is, and frees its slots if they have been read.
    pub fn collect(&mut self, ticket: Ticket) -> Result<Collected, Poisoned> {
        Ok(match self.word(&ticket)? {
            State::Queued(_) => Collected::Queued(ticket),
            State::Taken(worker) => Collected::Taken(ticket, worker),
            State::Released(worker) => {
                let taken_at = self.region.prelude(ticket.first)[3].load(Ordering::Relaxed);
                self.free(ticket);
                Collected::Read(worker, taken_at)
            }
            State::Free => {
                return Err(Poisoned {
                    worker: None,
                    what: "a slot in use was set free",
                });
            }
        })
    }

    /// Takes a request back that nobody has taken.
    pub fn withdraw(&mut self, ticket: Ticket) -> Result<Withdrawal, Poisoned> {
        let offered = SlotWord::new(State::Queued(ticket.bound_to), ticket.generation).encode();
        let free = SlotWord::new(State::Free, ticket.generation).encode();
        let state = self.region.state(ticket.first);
        if state
            .compare_exchange(offered, free, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.free(ticket);
            return Ok(Withdrawal::Withdrawn);
        }
        self.word(&ticket)?;
        Ok(Withdrawal::TooLate(ticket))
    }

    /// Frees the slots of a request that a worker had when it died. Only after its death is certain.
    pub fn inherit(&mut self, ticket: Ticket) {
        self.free(ticket);
    }

    /// Lets a worker take requests, or no more.
    pub fn serve(&mut self, worker: WorkerIndex, serving: bool) {
        self.workers[worker.get()].serving = serving;
        self.region
            .own(worker, Own::Serving)
            .store(serving.into(), Ordering::Release);
    }

    /// Makes a worker's place as new. Only when no process uses it: before the first, or after the certain death of the
    /// last one and when its outbox has been drained.
    pub fn clear(&mut self, worker: WorkerIndex) {
        let own = &mut self.workers[worker.get()];
        *own = Attached {
            // Of tickets that are still there.
            bound_slots: own.bound_slots,
            ..Attached::default()
        };
        use Own::*;
        for word in [
            Serving,
            Leader,
            Second,
            Load,
            GilWait,
            OutboxTail,
            OutboxHead,
            OutboxWanted,
            InboxTail,
            InboxHead,
            InboxSleeping,
            BoundHead,
            BoundTail,
        ] {
            self.region.own(worker, word).store(0, Ordering::Release);
        }
    }

    /// Requests that a worker says it has taken and not finished. For people and for choosing, not for deciding.
    pub fn load(&self, worker: WorkerIndex) -> u64 {
        self.region.own(worker, Own::Load).load(Ordering::Relaxed)
    }

    /// How long a worker says that its threads have waited for the GIL since it was started. For people.
    pub fn gil_wait(&self, worker: WorkerIndex) -> Duration {
        Duration::from_nanos(self.region.own(worker, Own::GilWait).load(Ordering::Relaxed))
    }

    /// Says whether a request has waited so long that nobody is to leave it to an idle worker any more.
    pub fn set_overdue(&self, overdue: bool) {
        self.region
            .common(Common::Overdue)
            .store(overdue.into(), Ordering::Relaxed);
    }

    fn outbox(region: &Region, worker: WorkerIndex) -> ByteRing<'_> {
        ByteRing {
            head: region.own(worker, Own::OutboxHead),
            tail: region.own(worker, Own::OutboxTail),
            data: region.outbox_data(worker),
        }
    }

    /// Hands every record of a worker's outbox to `each`. True when a thread of the worker waits for the room: ring it.
    pub fn drain(
        &mut self,
        worker: WorkerIndex,
        mut each: impl FnMut(&mut Self, Record),
    ) -> Result<bool, Poisoned> {
        let region = Arc::clone(&self.region);
        let outbox = Self::outbox(&region, worker);
        if !outbox.has_record(self.workers[worker.get()].outbox_head) {
            return Ok(false);
        }
        let poisoned = |what| Poisoned {
            worker: Some(worker),
            what,
        };
        loop {
            let head = &mut self.workers[worker.get()].outbox_head;
            let Some((RecordHead { kind, flags, stream }, payload)) =
                outbox.pop(head, &mut self.buffer).map_err(poisoned)?
            else {
                break;
            };
            let kind = RecordKind::from_byte(kind).ok_or(poisoned("a record is of an unknown kind"))?;
            each(
                self,
                Record {
                    kind,
                    flags,
                    stream: StreamId(stream),
                    payload,
                },
            );
        }
        Ok(outbox.after_reading(region.own(worker, Own::OutboxWanted)))
    }

    /// Puts a message into a worker's inbox. True when the worker's reader sleeps: ring it.
    pub fn post(&mut self, worker: WorkerIndex, message: InboxMessage) -> Result<bool, Full> {
        let inbox = ByteRing {
            head: self.region.own(worker, Own::InboxHead),
            tail: self.region.own(worker, Own::InboxTail),
            data: self.region.inbox_data(worker),
        };
        let (kind, stream, payload) = match message {
            InboxMessage::Credit { stream, bytes } => (InboxKind::Credit, stream, bytes.to_le_bytes()),
            InboxMessage::Gone { stream } => (InboxKind::Gone, stream, [0; 4]),
        };
        let head = RecordHead {
            kind: kind as u8,
            flags: 0,
            stream: stream.0,
        };
        inbox.push(&mut self.workers[worker.get()].inbox_tail, head, &[&payload])?;
        self.region.fence();
        let sleeping = self.region.own(worker, Own::InboxSleeping);
        Ok(sleeping.load(Ordering::Relaxed) != 0 && sleeping.swap(0, Ordering::AcqRel) != 0)
    }

    /// Announces sleep, then looks once more. False: there is something to drain, do not sleep.
    pub fn may_sleep(&self) -> bool {
        let sleeping = self.region.common(Common::FrontSleeping);
        sleeping.store(1, Ordering::Relaxed);
        self.region.fence();
        let something = (0..self.region.geometry().workers)
            .map(WorkerIndex)
            .any(|w| Self::outbox(&self.region, w).has_record(self.workers[w.get()].outbox_head));
        if something {
            sleeping.store(0, Ordering::Relaxed);
        }
        !something
    }

    /// The front is awake; nobody need ring it. True when somebody has.
    pub fn awake(&self) -> bool {
        self.region
            .common(Common::FrontSleeping)
            .swap(0, Ordering::AcqRel)
            == 0
    }
}
