//! The one queue of an app: which slot is next, and whose it becomes.
//!
//! An entry of the order names a slot and the use of it that is meant. Taking a request is one compare-and-swap on
//! the slot's word; the head only follows, and whoever finds it behind moves it. An entry whose slot has another state
//! or another generation is past: taken, withdrawn, or of a use long ago.

use crate::atomic::{Ordering, fence};
use crate::layout::Common;
use crate::region::Region;
use crate::slot::{GENERATION_MASK, SlotWord, State};
use crate::{Poisoned, WorkerIndex};

pub(crate) fn entry(slot: u16, generation: u64) -> u64 {
    u64::from(slot) | (generation & GENERATION_MASK) << 16
}

impl Region {
    fn decode_entry(&self, entry: u64) -> Option<(u16, u64)> {
        let slot = entry as u16;
        (slot < self.geometry().slots).then_some((slot, entry >> 16 & GENERATION_MASK))
    }

    /// Entries that have not been passed; 0 when the words make no sense.
    pub(crate) fn waiting(&self) -> u64 {
        let head = self.common(Common::Head).load(Ordering::Acquire);
        let waiting = self
            .common(Common::Tail)
            .load(Ordering::Acquire)
            .wrapping_sub(head);
        if waiting <= self.layout.order_len as u64 {
            waiting
        } else {
            0
        }
    }

    /// Gives the first waiting request to `worker`. `None` when nothing waits.
    pub(crate) fn take_next(&self, worker: WorkerIndex) -> Result<Option<(u16, u64)>, Poisoned> {
        loop {
            let head = self.common(Common::Head).load(Ordering::Acquire);
            let tail = self.common(Common::Tail).load(Ordering::Acquire);
            let waiting = tail.wrapping_sub(head);
            if waiting == 0 {
                return Ok(None);
            }
            if waiting > self.layout.order_len as u64 {
                if self.common(Common::Head).load(Ordering::Acquire) != head {
                    continue; // Others went on between the two loads.
                }
                return Err(Poisoned {
                    worker: None,
                    what: "the queue's head and tail do not belong together",
                });
            }
            let Some((slot, generation)) = self.decode_entry(self.order(head).load(Ordering::Acquire)) else {
                return Err(Poisoned {
                    worker: None,
                    what: "the queue names a slot that does not exist",
                });
            };
            let offered = SlotWord::new(State::Queued(None), generation).encode();
            let taken = SlotWord::new(State::Taken(worker), generation).encode();
            let won = self
                .state(slot)
                .compare_exchange(offered, taken, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
            self.pass(head);
            if won {
                return Ok(Some((slot, generation)));
            }
        }
    }

    /// Moves the head past entries that nobody can take any more.
    pub(crate) fn pass_dead_entries(&self) -> Result<(), Poisoned> {
        loop {
            let head = self.common(Common::Head).load(Ordering::Acquire);
            if self.common(Common::Tail).load(Ordering::Acquire) == head {
                return Ok(());
            }
            let Some((slot, generation)) = self.decode_entry(self.order(head).load(Ordering::Acquire)) else {
                return Err(Poisoned {
                    worker: None,
                    what: "the queue names a slot that does not exist",
                });
            };
            if self.state(slot).load(Ordering::Acquire)
                == SlotWord::new(State::Queued(None), generation).encode()
            {
                return Ok(());
            }
            self.pass(head);
        }
    }

    fn pass(&self, head: u64) {
        let _ = self.common(Common::Head).compare_exchange(
            head,
            head.wrapping_add(1),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Orders what was written before against what is read after, between the two sides of a "sleep unless" pair.
    pub(crate) fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}
