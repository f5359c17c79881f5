//! Which threads of which workers have to be woken.

use super::FrontRing;
use crate::atomic::Ordering;
use crate::layout::{Common, Own};
use crate::region::Region;
use crate::share;
use crate::{Need, Poisoned, WorkerIndex};

/// Which thread of a worker to ring for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The one that leads.
    Leader,
    /// The one that waits for the case that the first one is kept busy.
    Second,
}

impl FrontRing {
    /// Calls `ring` for every thread that has to be woken for the requests in the queue: as many idle workers as there
    /// are requests, then, for what is left, threads of busy ones; and for what is bound to workers, theirs. True when more
    /// may be wanted in a moment: call [`FrontRing::wake_held_back`] then, and this again, with `stalled` if the queue has
    /// not moved.
    pub fn wake(&mut self, stalled: bool, mut ring: impl FnMut(WorkerIndex, Rung)) -> Result<bool, Poisoned> {
        let queued = self.queued()?;
        if queued == 0 && !self.bound_waits {
            return Ok(false);
        }
        self.region.fence();
        let bound_later = self.bound_waits && self.wake_bound(stalled, &mut ring)?;
        if queued == 0 {
            return Ok(bound_later);
        }
        let mut waiting = queued;
        let serving = |w: &u16| self.workers[usize::from(*w)].serving;
        let count = self.region.geometry().workers;
        let armed = |w, which| disarm(&self.region, WorkerIndex(w), which);
        let load = |w| self.region.own(WorkerIndex(w), Own::Load).load(Ordering::Relaxed);
        let (mut busy, mut coming, mut called) = (false, 0, false);
        let mut turn = self.turn;
        for w in (self.turn..count).chain(0..self.turn).filter(serving) {
            if load(w) != 0 {
                busy = true;
            } else if waiting > 0 && armed(w, Own::Leader) {
                ring(WorkerIndex(w), Rung::Leader);
                turn = (w + 1) % count;
                waiting -= 1;
                called = true;
            } else if !self.bound_waits || self.region.bound_to(WorkerIndex(w)).waiting() == 0 {
                // Not asleep, so on its way to the queue, or rung already.
                coming += 1;
            }
        }
        self.turn = turn;
        // What comes for a request needs no busy worker beside it, unless it has not come for too long.
        waiting = if stalled {
            waiting.max(1)
        } else {
            waiting.saturating_sub(coming)
        };
        if waiting == 0 || !busy {
            // Those who are on their way become busy, and then their second threads may be wanted.
            return Ok(bound_later || waiting > 0 && (called || coming > 0));
        }
        for w in (0..count).filter(serving) {
            if waiting > 0 && load(w) != 0 && armed(w, Own::Leader) {
                ring(WorkerIndex(w), Rung::Leader);
                waiting -= 1;
            }
        }
        let second = |w: u16| self.region.own(WorkerIndex(w), Own::Second);
        let overdue = self.region.common(Common::Overdue).load(Ordering::Relaxed) != 0;
        // Woken, it would leave the request again.
        let leaves = |w: &u16| {
            let others = (0..count).filter(serving).filter(|other| other != w).map(load);
            !overdue && share::leaves(load(*w), others, queued)
        };
        let mut held_back = false;
        while waiting > 0 {
            let candidate = (0..count)
                .filter(serving)
                .filter(|w| {
                    let need = Need::decode(second(*w).load(Ordering::Relaxed));
                    let called = need == Some(Need::Waiting) || need.is_some() && stalled;
                    let comes = called && !leaves(w);
                    held_back |= need.is_some() && !comes;
                    comes
                })
                .min_by_key(|w| load(*w));
            let Some(w) = candidate else { break };
            if armed(w, Own::Second) {
                ring(WorkerIndex(w), Rung::Second);
                waiting -= 1;
            }
        }
        Ok(held_back || bound_later)
    }
}

/// Takes a thread's sign that it sleeps. True: it is to be rung.
pub(super) fn disarm(region: &Region, worker: WorkerIndex, which: Own) -> bool {
    let word = region.own(worker, which);
    word.load(Ordering::Relaxed) != 0 && word.swap(0, Ordering::AcqRel) != 0
}
