//! Whom the events of a connection wake: the request that has it. While nobody has, that there were any is noted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

/// What a connection is polled with, as long as it lives.
pub(crate) struct Attention {
    events: Arc<Events>,
    /// Of `events`, made once.
    waker: Waker,
}

struct Events {
    /// Who is to be woken by the next one.
    task: Mutex<Option<Waker>>,
    /// There was one that nobody was woken by, or nobody has looked yet.
    missed: AtomicBool,
}

impl Events {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Events {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = self.task().take();
        match task {
            Some(task) => task.wake(),
            None => self.missed.store(true, Ordering::Release),
        }
    }
}

impl Attention {
    pub(crate) fn new() -> Self {
        let events = Arc::new(Events {
            task: Mutex::new(None),
            missed: AtomicBool::new(true),
        });
        Attention {
            waker: Waker::from(Arc::clone(&events)),
            events,
        }
    }

    /// The next event wakes this task.
    pub(crate) fn of(&mut self, cx: &Context<'_>) -> Context<'_> {
        *self.events.task() = Some(cx.waker().clone());
        Context::from_waker(&self.waker)
    }

    /// The next event wakes nobody.
    pub(crate) fn of_nobody(&mut self) -> Context<'_> {
        self.release();
        self.events.missed.store(false, Ordering::Relaxed);
        Context::from_waker(&self.waker)
    }

    /// Events wake nobody until somebody asks for it.
    pub(crate) fn release(&self) {
        *self.events.task() = None;
    }

    /// There was an event while nobody was to be woken, or nobody has looked at the connection yet.
    pub(crate) fn has_missed(&self) -> bool {
        self.events.missed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_event_wakes_who_has_the_connection_or_is_noted() {
        let woken = Arc::<Woken>::default();
        let task = Waker::from(Arc::clone(&woken));
        let is_woken = || woken.0.swap(false, Ordering::Relaxed);
        let mut attention = Attention::new();
        assert!(attention.has_missed());

        attention.of_nobody();
        let connection = attention.of(&Context::from_waker(&task)).waker().clone();
        connection.wake_by_ref();
        assert!(is_woken() && !attention.has_missed());

        // A second one, before it is polled again.
        connection.wake_by_ref();
        assert!(!is_woken() && attention.has_missed());

        let idle = attention.of_nobody().waker().clone();
        assert!(!attention.has_missed());
        idle.wake();
        assert!(!is_woken() && attention.has_missed());

        attention.of(&Context::from_waker(&task));
        attention.release();
        connection.wake();
        assert!(!is_woken());
    }
}
