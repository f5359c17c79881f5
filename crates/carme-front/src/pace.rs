//! The server's time, and how long its connections may take for what: one for all connections, and looked at anew for each
//! step, so that what is configured otherwise while they live holds for them, too.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::{Clock, millis};
use crate::guard::HeadLimits;
use crate::site::Limits;

pub(crate) struct Pace {
    clock: Clock,
    header: AtomicU64,
    keep_alive: AtomicU64,
    send: AtomicU64,
    send_rate: AtomicU64,
    linger: AtomicU64,
    header_bytes: AtomicUsize,
    header_fields: AtomicUsize,
    target_bytes: AtomicUsize,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pace = Pace {
            clock: Clock::new(limits.tick()),
            header: AtomicU64::default(),
            keep_alive: AtomicU64::default(),
            send: AtomicU64::default(),
            send_rate: AtomicU64::default(),
            linger: AtomicU64::default(),
            header_bytes: AtomicUsize::default(),
            header_fields: AtomicUsize::default(),
            target_bytes: AtomicUsize::default(),
        };
        pace.set(limits);
        pace
    }

    /// From now on.
    pub(crate) fn set(&self, limits: &Limits) {
        for (kept, new) in [
            (&self.header, limits.header_timeout),
            (&self.keep_alive, limits.keep_alive_timeout),
            (&self.send, limits.send_timeout),
            (&self.linger, limits.linger_timeout),
        ] {
            kept.store(millis(new), Relaxed);
        }
        self.send_rate.store(limits.send_rate, Relaxed);
        let head = limits.head();
        self.header_bytes.store(head.header_bytes, Relaxed);
        self.header_fields.store(head.header_fields, Relaxed);
        self.target_bytes.store(head.target_bytes, Relaxed);
        self.clock.set_tick(limits.tick());
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The time that is at least `duration` away.
    pub(crate) fn deadline(&self, duration: Duration) -> u64 {
        self.clock.deadline(duration)
    }

    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header.load(Relaxed))
    }

    pub(crate) fn keep_alive_timeout(&self) -> Duration {
        Duration::from_millis(self.keep_alive.load(Relaxed))
    }

    pub(crate) fn send_timeout(&self) -> Duration {
        Duration::from_millis(self.send.load(Relaxed))
    }

    /// For how long in all a client may be waited for that has taken `taken` bytes of its response.
    pub(crate) fn send_allowance(&self, taken: u64) -> Duration {
        match self.send_rate.load(Relaxed) {
            0 => Duration::MAX,
            rate => {
                let earned = Duration::from_millis(taken.saturating_mul(1000) / rate);
                self.send_timeout().saturating_add(earned)
            }
        }
    }

    pub(crate) fn linger_timeout(&self) -> Duration {
        Duration::from_millis(self.linger.load(Relaxed))
    }

    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits {
            header_bytes: self.header_bytes.load(Relaxed),
            header_fields: self.header_fields.load(Relaxed),
            target_bytes: self.target_bytes.load(Relaxed),
        }
    }
}
