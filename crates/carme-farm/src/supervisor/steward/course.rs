//! What becomes of workers: they are ready, take over, fail, end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::task;
use tokio::time::Instant;

use super::super::Failure;
use super::super::life::{End, News, Progress};
use super::super::recycling::Usage;
use super::super::replacement::{ATTEMPTS, Replacement, Unreplaced};
use super::super::seat::{Incumbent, Serving, Want};
use super::super::worker::Launch;
use super::{Phase, Steward};
use crate::desk::Queue;
use crate::endings::Cause;

impl<L: Launch, Q: Queue> Steward<L, Q> {
    pub(super) fn hear(&mut self, news: News) {
        let News { of, what } = news;
        match what {
            Progress::Launched { pid } => {
                if let Some(worker) = self.worker(of) {
                    worker.pid = Some(pid);
                }
            }
            Progress::Ready { pid, about } => {
                let now = Instant::now();
                let Some(worker) = self.worker(of) else { return };
                worker.pid = Some(pid);
                worker.serving = Some(Serving {
                    about,
                    usage: Usage {
                        since: now,
                        answered: 0,
                        busy_at: now,
                        memory: 0,
                    },
                    ready_at: SystemTime::now(),
                });
                self.is_ready(of);
            }
        }
    }

    /// The worker could serve.
    pub(super) fn is_ready(&mut self, id: task::Id) {
        if let Some(probe) = &mut self.probe
            && probe.started.as_ref().is_some_and(|(_, worker)| worker.id == id)
        {
            if let Some(asked_by) = probe.asked_by.take() {
                let _ = asked_by.send(Ok(()));
            }
            return;
        }
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            if seat.current.as_ref().is_some_and(|worker| worker.id == id) {
                seat.failure = None;
                self.begun.store(true, Ordering::Relaxed);
            } else if seat.successor.as_ref().is_some_and(|(worker, _)| worker.id == id)
                && let Some((worker, replacement)) = seat.successor.take()
            {
                self.promote(at, worker, replacement.cause);
            }
        }
    }

    /// The worker takes the seat over.
    pub(super) fn promote(&mut self, at: usize, worker: Incumbent, cause: Cause) {
        let deadline = Instant::now() + self.plan.drain_timeout;
        let seat = &mut self.seats[at];
        if let Some(old) = &seat.current {
            seat.shared.endings.count(cause);
            tracing::info!(
                app = &*self.plan.name,
                route = &**seat.route(),
                "worker {} takes over from worker {} ({})",
                worker.pid.unwrap_or(0),
                old.pid.unwrap_or(0),
                cause.reason(),
            );
        }
        seat.dismiss(deadline);
        seat.current = Some(worker);
        seat.failure = None;
        seat.again_at = None;
        if seat.want != Want::Open {
            seat.dismiss(deadline);
        }
    }

    /// A worker is dead.
    pub(super) fn ended(&mut self, id: task::Id, end: End) {
        if let Some(place) = self.homes.remove(&id) {
            self.places[place.get()] = false;
        }
        let is_its = |worker: &Incumbent| worker.id == id;
        if let Some(probe) = &mut self.probe
            && probe.started.as_ref().is_some_and(|(_, worker)| is_its(worker))
        {
            probe.started = None;
            // Whoever was told that it could serve gets another.
            if let Some(asked_by) = probe.asked_by.take() {
                let failure = match end {
                    End::Drained => Failure::new("it was ended"),
                    End::Failed { failure, .. } => failure,
                };
                self.probe = None;
                let _ = asked_by.send(Err(Arc::new(failure)));
            }
            return;
        }
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            if let Some(left) = seat.leaving.iter().position(is_its) {
                seat.leaving.remove(left);
                if let End::Failed { failure, .. } = end {
                    self.report(at, Arc::new(failure), None);
                }
                self.tell_emptied();
                return;
            }
            if seat.current.as_ref().is_some_and(is_its) {
                seat.current = None;
                if let End::Failed {
                    failure,
                    cause,
                    ready_for,
                } = end
                {
                    self.failed(at, failure, cause, ready_for);
                }
                self.tell_emptied();
                return;
            }
            if seat.successor.as_ref().is_some_and(|(worker, _)| is_its(worker))
                && let Some((_, replacement)) = seat.successor.take()
            {
                let failure = match end {
                    End::Drained => return,
                    End::Failed { failure, .. } => failure,
                };
                self.unreplaced(replacement, failure);
                return;
            }
        }
    }

    /// The worker of a seat failed: there will be another, after a pause.
    pub(super) fn failed(&mut self, at: usize, failure: Failure, cause: Cause, ready_for: Duration) {
        // There will be another anyway.
        self.replacements.forget(at);
        let seat = &mut self.seats[at];
        seat.shared.endings.count(cause);
        let failure = Arc::new(failure);
        seat.failure = Some(Arc::clone(&failure));
        if seat.want == Want::Open {
            let pause = seat.pauses.after(ready_for);
            seat.again_at = Some(Instant::now() + pause);
            self.report(at, failure, Some(pause));
        } else {
            self.report(at, failure, None);
        }
    }

    pub(super) fn report(&mut self, at: usize, failure: Arc<Failure>, pause: Option<Duration>) {
        let seat = &mut self.seats[at];
        seat.note(&failure);
        if !self.begun.load(Ordering::Relaxed) || self.phase == Phase::Stopping {
            return;
        }
        let (app, route) = (&*self.plan.name, &**seat.route());
        match pause {
            Some(pause) => tracing::error!(app, route, "{failure}; starting another in {pause:?}"),
            None => tracing::error!(app, route, "{failure}"),
        }
    }

    /// A successor did not start: the worker that it was for goes on.
    pub(super) fn unreplaced(&mut self, mut replacement: Replacement, failure: Failure) {
        let at = replacement.seat;
        let failure = Arc::new(failure);
        let seat = &mut self.seats[at];
        seat.note(&failure);
        replacement.failed += 1;
        let pause = seat.pauses.after(Duration::ZERO);
        let (app, route) = (&*self.plan.name, &*Arc::clone(seat.route()));
        if seat.current.is_none() {
            // Nobody goes on: the seat is filled like any other.
            seat.failure = Some(Arc::clone(&failure));
            seat.again_at = Some(Instant::now() + pause);
            tracing::error!(app, route, "{failure}; starting another in {pause:?}");
        } else if replacement.failed >= ATTEMPTS && replacement.asked_by.is_some() {
            tracing::error!(app, route, "its worker stays, no other starts: {failure}");
            if let Some(asked_by) = &replacement.asked_by {
                let route = Arc::clone(seat.route());
                let _ = asked_by.send(Unreplaced { route, failure });
            }
        } else if self.phase == Phase::Serving {
            tracing::error!(
                app,
                route,
                "its worker stays for now, the next did not start: {failure}; trying again in {pause:?}"
            );
            replacement.after = Instant::now() + pause;
            self.replacements.push(replacement);
        }
    }
}
