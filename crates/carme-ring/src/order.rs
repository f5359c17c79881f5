//! Queues in the region: which slot is next, and whose it becomes. The app has one, for whoever comes first, and each
//! worker a small one for requests that are bound to it.
//!
//! An entry of a queue names a slot and the use of it that is meant. Taking a request is one compare-and-swap on
//! the slot's word; the head only follows, and whoever finds it behind moves it. An entry whose slot has another state
//! or another generation is past: taken, withdrawn, bound to somebody else, or of a use long ago.

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::layout::{AFTER, Common, Own};
use crate::region::Region;
use crate::slot::{GENERATION_MASK, SlotWord, State};
use crate::{Poisoned, WorkerIndex};

/// One of the queues.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    region: &'a Region,
    head: &'a AtomicU64,
    tail: &'a AtomicU64,
    entries: &'a [AtomicU64],
    /// Who alone may take what is in it; `None`: whoever comes first.
    of: Option<WorkerIndex>,
}

impl Region {
    /// The app's queue.
    pub(crate) fn queue(&self) -> Order<'_> {
        Order {
            region: self,
            head: self.common(Common::Head),
            tail: self.common(Common::Tail),
            entries: self.queue_entries(),
            of: None,
        }
    }

    /// Entries of the app's queue that have not been passed; 0 when the words make no sense.
    pub(crate) fn waiting(&self) -> u64 {
        let head = self.common(Common::Head).load(Ordering::Acquire);
        let tail = self.common(Common::Tail).load(Ordering::Acquire);
        within(tail.wrapping_sub(head), self.layout.order_len as u64)
    }

    /// What is bound to a worker.
    pub(crate) fn bound_to(&self, worker: WorkerIndex) -> Order<'_> {
        Order {
            region: self,
            head: self.own(worker, Own::BoundHead),
            tail: self.own(worker, Own::BoundTail),
            entries: self.bound_entries(worker),
            of: Some(worker),
        }
    }

    /// Orders what was written before against what is read after, between the two sides of a "sleep unless" pair.
    pub(crate) fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// So many entries, if there can be so many.
fn within(waiting: u64, len: u64) -> u64 {
    if waiting <= len { waiting } else { 0 }
}

impl Order<'_> {
    /// Entries that it can hold.
    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Where its head is.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Entries that have not been passed; 0 when the words make no sense.
    pub(crate) fn waiting(&self) -> u64 {
        let head = self.head();
        within(self.tail.load(Ordering::Acquire).wrapping_sub(head), self.len())
    }

    /// Writes an entry. Only the front does, which has seen that there is room; `tail` is its own copy.
    pub(crate) fn append(&self, tail: &mut u64, slot: u16, generation: u64) {
        let entry = u64::from(slot) | (generation & GENERATION_MASK) << 16;
        self.entry(*tail).store(entry, Ordering::Release);
        *tail = tail.wrapping_add(1);
        self.tail.store(*tail, Ordering::Release);
    }

    fn entry(&self, position: u64) -> &AtomicU64 {
        &self.entries[position as usize & (self.entries.len() - 1)]
    }

    fn poisoned(&self, what: &'static str) -> Poisoned {
        Poisoned {
            worker: self.of,
            what,
        }
    }

    fn decode(&self, position: u64) -> Result<(u16, u64), Poisoned> {
        let entry = self.entry(position).load(Ordering::Acquire);
        let slot = entry as u16;
        if slot >= self.region.geometry().slots {
            return Err(self.poisoned("the queue names a slot that does not exist"));
        }
        Ok((slot, entry >> 16 & GENERATION_MASK))
    }

    fn offered(&self, generation: u64) -> u64 {
        SlotWord::new(State::Queued(self.of), generation).encode()
    }

    /// Gives the first waiting request to `worker`. `None` when nothing waits.
    pub(crate) fn take(&self, worker: WorkerIndex) -> Result<Option<(u16, u64)>, Poisoned> {
        loop {
            let head = self.head();
            let waiting = self.tail.load(Ordering::Acquire).wrapping_sub(head);
            if waiting == 0 {
                return Ok(None);
            }
            if waiting > self.len() {
                if self.head() != head {
                    continue; // Others went on between the two loads.
                }
                return Err(self.poisoned("the queue's head and tail do not belong together"));
            }
            let (slot, generation) = self.decode(head)?;
            let taken = SlotWord::new(State::Taken(worker), generation).encode();
            let won = self
                .region
                .state(slot)
                .compare_exchange(
                    self.offered(generation),
                    taken,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok();
            self.pass(head);
            if won {
                return Ok(Some((slot, generation)));
            }
        }
    }

    /// Whether everything was taken from the app's queue that had come before what is first here. An entry that is past may
    /// say anything; that does no harm.
    pub(crate) fn is_due(&self) -> Result<bool, Poisoned> {
        let (slot, _) = self.decode(self.head())?;
        let after = self.region.prelude(slot)[AFTER].load(Ordering::Relaxed);
        let ahead = after.wrapping_sub(self.region.queue().head());
        // Farther away than the queue is long: passed long ago.
        Ok(ahead == 0 || ahead > self.region.queue().len())
    }

    /// Moves the head past entries that nobody can take any more.
    pub(crate) fn pass_dead_entries(&self) -> Result<(), Poisoned> {
        loop {
            let head = self.head();
            if self.tail.load(Ordering::Acquire) == head {
                return Ok(());
            }
            let (slot, generation) = self.decode(head)?;
            if self.region.state(slot).load(Ordering::Acquire) == self.offered(generation) {
                return Ok(());
            }
            self.pass(head);
        }
    }

    fn pass(&self, head: u64) {
        let _ = self
            .head
            .compare_exchange(head, head.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed);
    }
}
