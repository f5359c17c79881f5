//! A seat: a route, and the workers that have it one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use carme_ring::WorkerIndex;
use tokio::sync::{mpsc, watch};
use tokio::task;
use tokio::time::Instant;

use super::life::Tell;
use super::recycling::{Limits, Usage};
use super::replacement::Replacement;
use super::{About, Failure, State};
use crate::endings::Endings;
use crate::pause::Pauses;

/// What a seat shows to the outside.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) route: Arc<str>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) endings: Endings,
    /// There is to be a worker, or there is still one.
    pub(crate) used: AtomicBool,
    /// It was drained by hand.
    pub(crate) drained: AtomicBool,
    /// Which generation of the app's code its worker is, from 1; 0 without one.
    pub(crate) generation: AtomicU64,
    pub(crate) times: Mutex<Times>,
}

/// When what happened, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// When its worker became ready.
    pub(crate) ready: Option<SystemTime>,
    /// When and why a worker of it failed last.
    pub(crate) failed: Option<(SystemTime, Arc<Failure>)>,
}

impl Shared {
    pub(crate) fn new(route: Arc<str>) -> Self {
        Shared {
            route,
            state: watch::channel(State::Stopped).0,
            endings: Endings::default(),
            used: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            times: Mutex::default(),
        }
    }

    pub(crate) fn times(&self) -> Times {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a seat is to have a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// It is.
    Open,
    /// There are enough others.
    Closed,
    /// Somebody wants it empty.
    Drained,
}

/// A worker of a seat, as its steward sees it.
#[derive(Debug)]
pub(super) struct Incumbent {
    pub(super) id: task::Id,
    pub(super) place: WorkerIndex,
    pub(super) generation: u64,
    pub(super) pid: Option<u32>,
    pub(super) tell: mpsc::UnboundedSender<Tell>,
    pub(super) limits: Limits,
    /// Once it is ready.
    pub(super) serving: Option<Serving>,
}

/// A worker that takes requests.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) about: About,
    pub(super) usage: Usage,
    pub(super) ready_at: SystemTime,
}

impl Incumbent {
    pub(super) fn tell(&self, what: Tell) {
        // One that is over needs to be told nothing.
        let _ = self.tell.send(what);
    }
}

/// A seat, as the steward sees it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    pub(super) want: Want,
    /// It serves, or it starts and there is no other.
    pub(super) current: Option<Incumbent>,
    /// It starts and will take the current one's seat.
    pub(super) successor: Option<(Incumbent, Replacement)>,
    /// They finish what they have.
    pub(super) leaving: Vec<Incumbent>,
    pub(super) pauses: Pauses,
    /// An empty seat is not filled before.
    pub(super) again_at: Option<Instant>,
    pub(super) failure: Option<Arc<Failure>>,
}

impl Seat {
    pub(super) fn new(route: Arc<str>) -> Self {
        Seat {
            shared: Arc::new(Shared::new(route)),
            want: Want::Closed,
            current: None,
            successor: None,
            leaving: Vec::new(),
            pauses: Pauses::default(),
            again_at: None,
            failure: None,
        }
    }

    pub(super) fn route(&self) -> &Arc<str> {
        &self.shared.route
    }

    /// All that live in it.
    pub(super) fn all(&self) -> impl Iterator<Item = &Incumbent> {
        let successor = self.successor.as_ref().map(|(worker, _)| worker);
        self.current.iter().chain(successor).chain(&self.leaving)
    }

    /// It has a worker that takes requests.
    pub(super) fn serves(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|worker| worker.serving.is_some())
    }

    /// Lets the current worker finish by this time.
    pub(super) fn dismiss(&mut self, deadline: Instant) {
        if let Some(worker) = self.current.take() {
            worker.tell(Tell::Drain(deadline));
            self.leaving.push(worker);
        }
    }

    /// A worker of it failed.
    pub(super) fn note(&mut self, failure: &Arc<Failure>) {
        let mut times = self.shared.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.failed = Some((SystemTime::now(), Arc::clone(failure)));
    }

    fn state(&self) -> State {
        match (&self.current, &self.failure, self.again_at) {
            (
                Some(Incumbent {
                    pid: Some(pid),
                    serving: Some(serving),
                    ..
                }),
                ..,
            ) => State::Ready {
                pid: *pid,
                about: serving.about.clone(),
            },
            (Some(_), ..) => State::Starting,
            (None, Some(failure), Some(again_at)) if self.want == Want::Open => State::Failed {
                failure: Arc::clone(failure),
                again_at,
            },
            (None, ..) => match self.leaving.first().and_then(|worker| worker.pid) {
                Some(pid) => State::Draining { pid },
                None if self.want == Want::Open => State::Starting,
                None => State::Stopped,
            },
        }
    }

    /// Shows what is true now.
    pub(super) fn publish(&self) {
        let shared = &self.shared;
        let used = self.want != Want::Closed || self.all().next().is_some();
        shared.used.store(used, Relaxed);
        shared.drained.store(self.want == Want::Drained, Relaxed);
        let generation = self.current.as_ref().map_or(0, |worker| worker.generation);
        shared.generation.store(generation, Relaxed);
        let ready = self.current.as_ref().and_then(|worker| worker.serving.as_ref());
        let ready = ready.map(|serving| serving.ready_at);
        shared.times.lock().unwrap_or_else(PoisonError::into_inner).ready = ready;
        let state = self.state();
        shared.state.send_if_modified(|shown| {
            let differs = *shown != state;
            *shown = state;
            differs
        });
    }
}
