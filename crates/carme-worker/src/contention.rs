//! Whether one more thread would use time that is left over, or only take the GIL away from a thread that uses it well.
//!
//! Threads that run short pieces of Python side by side make every request slower and none faster: each is stopped in the
//! middle of its work again and again. So a thread that is called for a request takes it
//! - if it got the GIL at once: those who run requests are waiting for something else, as for a database; or
//! - if nobody in this worker has begun a request for a while: they are busy with something long, and a request must not
//!   wait for that.
//!
//! Otherwise the others are getting on with the queue, and it gives way. All times are those of one clock in nanoseconds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Nobody waits for a GIL that is free this long, in nanoseconds; waking up for one that becomes free takes longer.
const AT_ONCE: u64 = 20_000;

/// What all threads of a worker know of each other's haste.
#[derive(Debug)]
pub struct Contention {
    /// The interpreter's switch interval, in nanoseconds.
    interval: u64,
    /// When a request was last begun.
    begun_at: AtomicU64,
    crowded: AtomicBool,
}

impl Contention {
    /// For an interpreter with this switch interval (`sys.getswitchinterval()`).
    pub fn new(switch_interval: Duration) -> Self {
        Self {
            interval: switch_interval.as_nanos() as u64,
            begun_at: AtomicU64::new(0),
            crowded: AtomicBool::new(false),
        }
    }

    /// A request has been taken.
    pub fn begun(&self, now: u64) {
        self.begun_at.store(now, Ordering::Relaxed);
    }

    /// Whether a thread that was called, asked for the GIL at `asked` and has it now leaves the request to the others.
    pub fn must_give_way(&self, asked: u64, now: u64) -> bool {
        let at_once = now.saturating_sub(asked) < AT_ONCE;
        let stuck = now.saturating_sub(self.begun_at.load(Ordering::Relaxed)) >= 2 * self.interval;
        let crowded = !at_once && !stuck;
        self.crowded.store(crowded, Ordering::Relaxed);
        crowded
    }

    /// Whether a thread that has worked beside others, let go of the GIL for a moment, asked for it at `asked` and has it
    /// now had better stop: it had to take the GIL by force, and another thread began a request meanwhile.
    ///
    /// It takes more to make a thread stop than to keep it from beginning: otherwise a busy moment, as there are many where
    /// requests mostly wait, would leave too few of them.
    pub fn must_stop(&self, asked: u64, now: u64) -> bool {
        // Waits end a little early or late; one without force ends far earlier.
        let forced = now.saturating_sub(asked) >= self.interval / 4 * 3;
        let crowded = forced && self.begun_at.load(Ordering::Relaxed) >= asked;
        self.crowded.store(crowded, Ordering::Relaxed);
        crowded
    }

    /// Whether the last thread that asked had to leave the work to the others. While it is so, the front calls another
    /// one only if the queue does not move, or now and then to try.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }
}
