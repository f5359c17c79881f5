//! Workers that hang: each is replaced like any other, and then ended as soon as nothing is in flight there that is worth
//! waiting for. It could not finish by itself.

use std::sync::Arc;

use tokio::task;
use tokio::time::Instant;

use super::super::Failure;
use super::super::life::Tell;
use super::super::worker::Launch;
use super::{LOOK, Phase, Steward};
use crate::desk::{Queue, WorkerHangs};
use crate::endings::Cause;

/// A worker that hangs and lives.
#[derive(Debug)]
pub(super) struct Hung {
    id: task::Id,
    hangs: WorkerHangs,
}

impl<L: Launch, Q: Queue> Steward<L, Q> {
    /// A worker hangs.
    pub(super) fn hangs(&mut self, hangs: WorkerHangs) {
        let is_its = |(at, seat): (usize, &super::Seat)| {
            let worker = seat.all().find(|worker| worker.place == hangs.place)?;
            Some((at, worker.id))
        };
        let Some((at, id)) = self.seats.iter().enumerate().find_map(is_its) else {
            return;
        };
        let seat = &mut self.seats[at];
        let (app, route) = (&*self.plan.name, &**seat.route());
        tracing::error!(app, route, "{}; it is replaced", hangs.reason);
        seat.note(&Arc::new(Failure::new(hangs.reason.clone())));
        if seat.current.as_ref().is_some_and(|worker| worker.id == id) && seat.successor.is_none() {
            self.ask_for(at, Cause::Hung, None);
        }
        self.hung.push(Hung { id, hangs });
    }

    /// Ends those that hang and whose other requests are answered. None that still has a seat: whatever it can do is
    /// more than nothing.
    pub(super) fn end_hung(&mut self, now: Instant) {
        if self.hung.is_empty() || now < self.hung_at {
            return;
        }
        self.hung_at = now + LOOK;
        let Self {
            hung,
            seats,
            queue,
            homes,
            plan,
            ..
        } = self;
        hung.retain(|Hung { id, hangs }| {
            if !homes.contains_key(id) {
                return false;
            }
            let leaving = seats.iter().find_map(|seat| {
                let worker = seat.leaving.iter().find(|worker| worker.id == *id)?;
                Some((seat, worker))
            });
            let Some((seat, worker)) = leaving.filter(|_| queue.has_only_hung(hangs.place)) else {
                return true;
            };
            tracing::error!(
                app = &*plan.name,
                route = &**seat.route(),
                "worker {} is ended: its other requests are answered, and it hangs",
                worker.pid.unwrap_or(0)
            );
            worker.tell(Tell::Die(Cause::Hung, hangs.reason.clone()));
            false
        });
    }

    /// When it is looked next whether one can be ended.
    pub(super) fn hung_at(&self) -> Option<Instant> {
        (!self.hung.is_empty() && !matches!(self.phase, Phase::Renewing(_))).then_some(self.hung_at)
    }
}
