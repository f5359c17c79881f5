//! Coarse time: deadlines of connections are set and looked at without asking the operating system.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since the server began, as of the last tick.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    now: AtomicU64,
    /// In milliseconds.
    tick: AtomicU64,
}

impl Clock {
    /// A clock that is moved on at least once every `tick` while there are connections.
    pub(crate) fn new(tick: Duration) -> Self {
        Clock {
            began: Instant::now(),
            now: AtomicU64::new(0),
            tick: AtomicU64::new(millis(tick)),
        }
    }

    pub(crate) fn tick(&self) -> Duration {
        Duration::from_millis(self.tick.load(Ordering::Relaxed))
    }

    pub(crate) fn set_tick(&self, tick: Duration) {
        self.tick.store(millis(tick), Ordering::Relaxed);
    }

    /// Moves the clock on.
    pub(crate) fn update(&self) {
        self.now.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The time that is at least `duration` away, however old the last tick is.
    pub(crate) fn deadline(&self, duration: Duration) -> u64 {
        self.now()
            .saturating_add(millis(duration))
            .saturating_add(self.tick.load(Ordering::Relaxed))
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
