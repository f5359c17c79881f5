//! A seat: a route, and the workers that have it one after another.

use std::sync::Arc;
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

/// What of a seat is seen from outside.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) route: Arc<str>,
    pub(crate) shown: watch::Sender<Shown>,
    pub(crate) endings: Endings,
}

/// A seat at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) state: State,
    /// It was drained by hand.
    pub(crate) is_drained: bool,
    /// Which generation of the app's code its worker is, from 1; 0 without one.
    pub(crate) generation: u64,
    /// When its worker became ready.
    pub(crate) ready: Option<SystemTime>,
    /// When and why a worker of it failed last.
    pub(crate) failed: Option<(SystemTime, Arc<Failure>)>,
}

impl Shown {
    /// There is to be a worker, or there still is one, or there is none because somebody wants it so.
    pub(crate) fn is_used(&self) -> bool {
        self.is_drained || self.state != State::Stopped
    }
}

impl Shared {
    pub(crate) fn new(route: Arc<str>) -> Self {
        let empty = Shown {
            state: State::Stopped,
            is_drained: false,
            generation: 0,
            ready: None,
            failed: None,
        };
        Shared {
            route,
            shown: watch::channel(empty).0,
            endings: Endings::default(),
        }
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
    /// The last of all, which is remembered when all is well again.
    last_failure: Option<(SystemTime, Arc<Failure>)>,
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
            last_failure: None,
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
        let worker = self.current.take();
        self.let_go(worker, deadline);
    }

    /// Wants no successor any more: whoever was to be one ends by this time.
    pub(super) fn dismiss_successor(&mut self, deadline: Instant) {
        let worker = self.successor.take().map(|(worker, _)| worker);
        self.let_go(worker, deadline);
    }

    /// A worker that has no part in this seat any more ends by this time.
    pub(super) fn let_go(&mut self, worker: Option<Incumbent>, deadline: Instant) {
        if let Some(worker) = worker {
            worker.tell(Tell::Drain(deadline));
            self.leaving.push(worker);
        }
    }

    /// A worker of it failed.
    pub(super) fn note(&mut self, failure: &Arc<Failure>) {
        self.last_failure = Some((SystemTime::now(), Arc::clone(failure)));
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
        let current = self.current.as_ref();
        let serving = current.and_then(|worker| worker.serving.as_ref());
        let now = Shown {
            state: self.state(),
            is_drained: self.want == Want::Drained,
            generation: current.map_or(0, |worker| worker.generation),
            ready: serving.map(|serving| serving.ready_at),
            failed: self.last_failure.clone(),
        };
        self.shared.shown.send_if_modified(|shown| {
            let differs = *shown != now;
            *shown = now;
            differs
        });
    }
}
