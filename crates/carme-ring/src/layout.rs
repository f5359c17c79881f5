//! Where everything is in the region, in words of eight bytes.

use crate::atomic::{AtomicU64, Ordering};
use crate::geometry::{Geometry, GeometryError, MAX_EXTENTS};
use crate::{WorkerIndex, region::Region};

/// Words between things that different processes write: two cache lines, since processors fetch lines in pairs.
/// One word under loom, which pays for every atomic.
#[cfg(not(loom))]
const APART: usize = 16;
#[cfg(loom)]
const APART: usize = 1;

/// Says that this is a region of ours, and of which layout.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"carme\x00\x00\x02");

/// Words at the head of a slot, before the request's bytes.
pub(crate) const PRELUDE: usize = AFTER + 1;

/// The word of a slot's prelude that says where the app's queue ended when the request was bound to a worker.
pub(crate) const AFTER: usize = 4 + MAX_EXTENTS / 4;

/// Slots at most that requests bound to one worker may fill.
const MOST_BOUND: usize = 64;

/// Words of the region that belong to nobody in particular.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Common {
    Magic,
    /// 1 while the front sleeps or is about to.
    FrontSleeping,
    /// Entries of the order that are done with. Anyone may advance it.
    Head,
    /// Entries of the order that were ever written. The front's.
    Tail,
    /// 1 while a request has waited so long that nobody is to leave it to an idle worker any more.
    Overdue,
    Count,
}

/// Words that belong to one worker.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Own {
    /// 1 when it may take requests. The front's.
    Serving,
    /// 1 when its leading thread found nothing and sleeps. The front swaps it to 0 and rings.
    Leader,
    /// Not 0 when a second thread waits for the case that the first one is kept busy. Likewise. See [`Need`](crate::Need).
    Second,
    /// Requests taken and not finished.
    Load,
    /// Nanoseconds that threads which were called have waited for the GIL. For people.
    GilWait,
    OutboxTail,
    OutboxHead,
    /// 1 while a thread waits for room in the outbox.
    OutboxWanted,
    InboxTail,
    InboxHead,
    /// 1 while the thread that reads the inbox sleeps.
    InboxSleeping,
    /// Entries of what is bound to it that are done with. Anyone may advance it.
    BoundHead,
    /// Entries of what is bound to it that were ever written. The front's.
    BoundTail,
    Count,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) geometry: Geometry,
    pub(crate) order_len: usize,
    /// Slots that requests bound to one worker may fill, all workers' half together: one that hangs must not have those of
    /// others. One request may always be bound, whatever it fills.
    pub(crate) bound_share: usize,
    bound_len: usize,
    own: usize,
    states: usize,
    order: usize,
    bound: usize,
    slots: usize,
    slot_stride: usize,
    outboxes: usize,
    inboxes: usize,
    pub(crate) words: usize,
}

impl Layout {
    pub(crate) fn new(geometry: Geometry) -> Result<Self, GeometryError> {
        let geometry = geometry.check()?;
        let slots = usize::from(geometry.slots);
        let workers = usize::from(geometry.workers);
        // Twice the slots: entries of withdrawn requests stay in the order until the head has passed them.
        let order_len = (slots * 2).next_power_of_two();
        let bound_share = (slots / 2 / workers).clamp(1, MOST_BOUND);
        let bound_len = (bound_share * 2).next_power_of_two();
        // The odd line keeps the heads of all slots from falling into the same set of the processor's cache.
        let slot_stride = PRELUDE.next_multiple_of(8) + geometry.slot_bytes as usize / 8 + 8;
        let mut end = 0;
        let mut place = |len: usize| {
            let at = end;
            end += len.next_multiple_of(APART);
            at
        };
        place(Common::Count as usize * APART);
        let own = place(workers * Own::Count as usize * APART);
        let states = place(slots * 8.min(APART));
        let order = place(order_len);
        let bound = place(workers * bound_len.next_multiple_of(APART));
        let slot_area = place(slots * slot_stride);
        let outboxes = place(workers * (geometry.outbox_bytes as usize / 8));
        let inboxes = place(workers * (geometry.inbox_bytes as usize / 8));
        Ok(Self {
            geometry,
            order_len,
            bound_share,
            bound_len,
            own,
            states,
            order,
            bound,
            slots: slot_area,
            slot_stride,
            outboxes,
            inboxes,
            words: end,
        })
    }
}

/// The region through its layout.
impl Region {
    pub(crate) fn common(&self, word: Common) -> &AtomicU64 {
        &self.words()[word as usize * APART]
    }

    pub(crate) fn own(&self, worker: WorkerIndex, word: Own) -> &AtomicU64 {
        &self.words()[self.layout.own + (worker.get() * Own::Count as usize + word as usize) * APART]
    }

    pub(crate) fn state(&self, slot: u16) -> &AtomicU64 {
        &self.words()[self.layout.states + usize::from(slot) * 8.min(APART)]
    }

    pub(crate) fn queue_entries(&self) -> &[AtomicU64] {
        &self.words()[self.layout.order..][..self.layout.order_len]
    }

    pub(crate) fn bound_entries(&self, worker: WorkerIndex) -> &[AtomicU64] {
        let len = self.layout.bound_len;
        let at = self.layout.bound + worker.get() * len.next_multiple_of(APART);
        &self.words()[at..at + len]
    }

    pub(crate) fn prelude(&self, slot: u16) -> &[AtomicU64] {
        let at = self.layout.slots + usize::from(slot) * self.layout.slot_stride;
        &self.words()[at..at + PRELUDE]
    }

    pub(crate) fn slot_data(&self, slot: u16) -> &[AtomicU64] {
        let at =
            self.layout.slots + usize::from(slot) * self.layout.slot_stride + PRELUDE.next_multiple_of(8);
        &self.words()[at..at + self.layout.geometry.slot_bytes as usize / 8]
    }

    pub(crate) fn outbox_data(&self, worker: WorkerIndex) -> &[AtomicU64] {
        let len = self.layout.geometry.outbox_bytes as usize / 8;
        let at = self.layout.outboxes + worker.get() * len;
        &self.words()[at..at + len]
    }

    pub(crate) fn inbox_data(&self, worker: WorkerIndex) -> &[AtomicU64] {
        let len = self.layout.geometry.inbox_bytes as usize / 8;
        let at = self.layout.inboxes + worker.get() * len;
        &self.words()[at..at + len]
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.layout.geometry
    }
}

/// Copies bytes into words. What is left of the last word becomes zero.
pub(crate) fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    let mut chunks = bytes.chunks_exact(8);
    let mut at = words.iter();
    for (chunk, word) in chunks.by_ref().zip(at.by_ref()) {
        word.store(
            u64::from_ne_bytes(chunk.try_into().expect("eight bytes")),
            Ordering::Relaxed,
        );
    }
    let rest = chunks.remainder();
    if let (false, Some(word)) = (rest.is_empty(), words.get(bytes.len() / 8)) {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        word.store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

/// Copies bytes out of words; both sides have the same length but for the last word's padding.
pub(crate) fn copy_out(words: &[AtomicU64], bytes: &mut [u8]) {
    let mut chunks = bytes.chunks_exact_mut(8);
    let mut at = words.iter();
    for (chunk, word) in chunks.by_ref().zip(at.by_ref()) {
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    let rest = chunks.into_remainder();
    if let (false, Some(word)) = (rest.is_empty(), at.next()) {
        rest.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()]);
    }
}
