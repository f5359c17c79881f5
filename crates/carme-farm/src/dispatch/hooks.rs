//! Settling every queue whenever the front's runtime comes to rest and when it goes on.

use std::sync::{Arc, Mutex, PoisonError};

use carme_ring::FrontRing;

use super::app::{App, State};
use super::bell;

/// The queues of one runtime, for its `on_thread_park` and `on_thread_unpark`. A current-thread runtime needs both;
/// without them workers are woken late.
#[derive(Clone, Default)]
pub struct Hooks(Arc<Mutex<Vec<App>>>);

impl Hooks {
    /// Makes a queue one of this runtime's.
    pub fn add(&self, app: App) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(app);
    }

    /// It is one no more.
    pub fn remove(&self, app: &App) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| !Arc::ptr_eq(&other.0, &app.0));
    }

    fn each(&self, f: impl Fn(&App)) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .for_each(f);
    }

    /// Sets both hooks of a runtime that is being built.
    pub fn install(&self, builder: &mut tokio::runtime::Builder) {
        let (park, unpark) = (self.clone(), self.clone());
        builder
            .on_thread_park(move || park.each(App::rest))
            .on_thread_unpark(move || unpark.each(App::go_on));
    }
}

impl App {
    /// The runtime is about to sleep. What comes in now wakes a task, so that it does not.
    fn rest(&self) {
        let mut state = self.lock();
        state.read_bells();
        // Until there is nothing more to take in: what has no task to wake must not be slept on either.
        loop {
            state.settle();
            if state.ring.as_ref().is_none_or(|ring| ring.may_sleep()) {
                return;
            }
        }
    }

    fn go_on(&self) {
        let mut state = self.lock();
        if state.ring.as_ref().is_some_and(FrontRing::awake) {
            state.rings += 1;
        }
        state.drain_all();
    }
}

impl State {
    /// Makes room in the bells in time, when there is nothing else to do.
    fn read_bells(&mut self) {
        if bell::is_due(self.rings) {
            self.rings = 0;
            self.workers
                .iter()
                .flatten()
                .for_each(|attached| attached.bell.read());
        }
    }
}
