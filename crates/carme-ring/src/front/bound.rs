//! Requests that are bound to one worker: offered to it alone, and to somebody else when it goes.

use super::waking::{Rung, disarm};
use super::{FrontRing, Refused, Ticket};
use crate::atomic::Ordering;
use crate::layout::{AFTER, Own};
use crate::slot::{SlotWord, State};
use crate::{Need, Poisoned, StreamId, WorkerIndex};

/// Whether a request could be offered to somebody else.
#[derive(Debug)]
pub enum Rebound {
    /// It is offered to them now, behind what waits there.
    Done(Ticket),
    /// Somebody has taken it.
    TooLate(Ticket),
    /// There is no room where it was to go; it is offered as before.
    NoRoom(Ticket),
}

impl FrontRing {
    /// Writes a request and offers it to this worker alone, which takes it when all that came before it to the app's queue
    /// has been taken. Refused also if what is bound to the worker has its share of the slots: nobody must wait for a worker
    /// that hangs but its own clients. Wake the workers afterwards.
    pub fn submit_to(
        &mut self,
        worker: WorkerIndex,
        stream: StreamId,
        head: &[u8],
        body: &[u8],
    ) -> Result<Ticket, Refused> {
        let needed = self.needed(head, body)?;
        if needed > self.free.len() || !self.has_room_for(worker, needed, 0)? {
            return Err(Refused::NoSlots);
        }
        let Some(mut ticket) = self.write(needed, stream, head, body) else {
            return Err(Refused::NoSlots);
        };
        self.bind(&mut ticket, Some(worker));
        Ok(self.offer(ticket))
    }

    /// Offers a request to this worker alone, or to whoever comes first. Wake the workers afterwards.
    pub fn rebind(&mut self, mut ticket: Ticket, to: Option<WorkerIndex>) -> Result<Rebound, Poisoned> {
        let has_room = match to {
            None => self.has_room()?,
            Some(worker) => {
                let slots = ticket.filled();
                let already = ticket.bound_to.map_or(0, |_| slots);
                self.has_room_for(worker, slots, already)?
            }
        };
        if !has_room {
            return Ok(Rebound::NoRoom(ticket));
        }
        let word = |to| SlotWord::new(State::Queued(to), ticket.generation).encode();
        let offered = word(ticket.bound_to);
        let state = self.region.state(ticket.first);
        if state
            .compare_exchange(offered, word(to), Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            self.word(&ticket)?;
            return Ok(Rebound::TooLate(ticket));
        }
        self.bind(&mut ticket, to);
        self.append(&ticket);
        Ok(Rebound::Done(ticket))
    }

    /// Entries of what is bound to a worker; withdrawn ones behind the first live one are among them.
    pub fn bound(&self, worker: WorkerIndex) -> Result<u64, Poisoned> {
        let order = self.region.bound_to(worker);
        let waiting = self.workers[worker.get()].bound_tail.wrapping_sub(order.head());
        if waiting > order.len() {
            return Err(Poisoned {
                worker: Some(worker),
                what: "the head of what is bound to a worker is out of range",
            });
        }
        Ok(waiting)
    }

    /// Whether something that is bound to a worker may wait.
    pub fn bound_waits(&self) -> bool {
        self.bound_waits
    }

    /// Whether a request that fills so many slots may be bound to this worker; some of them may be bound already.
    fn has_room_for(&self, worker: WorkerIndex, slots: usize, already: usize) -> Result<bool, Poisoned> {
        let within = |bound: usize, limit: usize| bound == 0 || bound + slots <= limit;
        let share = self.region.layout.bound_share;
        if !within(self.workers[worker.get()].bound_slots, share)
            || !within(self.bound_slots - already, self.generations.len() / 2)
        {
            return Ok(false);
        }
        let order = self.region.bound_to(worker);
        if self.bound(worker)? >= order.len() {
            order.pass_dead_entries()?;
        }
        Ok(self.bound(worker)? < order.len())
    }

    pub(super) fn pass_withdrawn_bound(&self) -> Result<(), Poisoned> {
        self.places()
            .try_for_each(|worker| self.region.bound_to(worker).pass_dead_entries())
    }

    fn places(&self) -> impl Iterator<Item = WorkerIndex> + use<> {
        (0..self.region.geometry().workers).map(WorkerIndex)
    }

    fn bind(&mut self, ticket: &mut Ticket, to: Option<WorkerIndex>) {
        self.count_bound(ticket, false);
        ticket.bound_to = to;
        self.count_bound(ticket, true);
        if to.is_some() {
            self.region.prelude(ticket.first)[AFTER].store(self.tail, Ordering::Relaxed);
            self.bound_waits = true;
        }
    }

    pub(super) fn count_bound(&mut self, ticket: &Ticket, more: bool) {
        let Some(worker) = ticket.bound_to else { return };
        let slots = ticket.filled();
        for bound in [&mut self.bound_slots, &mut self.workers[worker.get()].bound_slots] {
            *bound = if more { *bound + slots } else { *bound - slots };
        }
    }

    /// Calls `ring` for threads of the workers that something is bound to: the one that leads, or another one if that is
    /// busy. True when more may be wanted in a moment: [`FrontRing::wake_held_back`] then.
    pub(super) fn wake_bound(
        &mut self,
        stalled: bool,
        ring: &mut impl FnMut(WorkerIndex, Rung),
    ) -> Result<bool, Poisoned> {
        let (mut waits, mut later) = (false, false);
        for worker in self.places() {
            let waiting = self.bound(worker)?;
            waits |= waiting > 0;
            if waiting == 0 || !self.workers[worker.get()].serving {
                continue;
            }
            let second = Need::decode(self.region.own(worker, Own::Second).load(Ordering::Relaxed));
            let head = self.region.bound_to(worker).head();
            let stands = stalled && self.workers[worker.get()].bound_held_at == Some(head);
            let is_called = second == Some(Need::Waiting) || second.is_some() && stands;
            let rung = if disarm(&self.region, worker, Own::Leader) {
                Some(Rung::Leader)
            } else if self.load(worker) > 0 && is_called && disarm(&self.region, worker, Own::Second) {
                Some(Rung::Second)
            } else {
                None
            };
            if let Some(which) = rung {
                ring(worker, which);
            }
            if waiting > u64::from(rung.is_some()) {
                let before = self.workers[worker.get()].bound_held_at.replace(head);
                later |= before != Some(head);
            }
        }
        self.bound_waits = waits;
        Ok(later)
    }

    /// A moment after [`FrontRing::wake`] said that more may be wanted: where nothing that is bound to a worker was taken
    /// since, its second thread is wanted, whatever it says of the first.
    pub fn wake_held_back(&mut self, mut ring: impl FnMut(WorkerIndex, Rung)) {
        if !self.bound_waits {
            return;
        }
        self.region.fence();
        for worker in self.places() {
            let (order, own) = (self.region.bound_to(worker), &self.workers[worker.get()]);
            let stands = own.bound_held_at == Some(order.head()) && order.waiting() > 0;
            if stands && own.serving && self.load(worker) > 0 && disarm(&self.region, worker, Own::Second) {
                ring(worker, Rung::Second);
            }
        }
    }
}
