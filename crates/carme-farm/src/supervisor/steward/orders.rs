//! What the steward is told, and what it opens and closes.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::Failure;
use super::super::life::Tell;
use super::super::replacement::{Replacement, Unreplaced};
use super::super::seat::{Incumbent, Seat, Want};
use super::super::worker::Launch;
use super::{Command, LastOne, Phase, Probe, Steward};
use crate::desk::Queue;
use crate::endings::Cause;
use crate::pause::Pauses;

impl<L: Launch, Q: Queue> Steward<L, Q> {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Stop(deadline) => {
                self.phase = Phase::Stopping;
                self.replacements.clear();
                self.probe_is_over("the server stops");
                for seat in &mut self.seats {
                    seat.want = Want::Closed;
                    // Those that were leaving had their own time.
                    seat.leaving
                        .iter()
                        .for_each(|worker| worker.tell(Tell::Drain(deadline)));
                    seat.dismiss_successor(deadline);
                    seat.dismiss(deadline);
                }
            }
            Command::Prepare(plan, asked_by) => {
                if self.phase == Phase::Stopping || self.probe.is_some() {
                    let _ = asked_by.send(Err(Arc::new(Failure::new("the app is being changed already"))));
                    return;
                }
                self.probe = Some(Probe {
                    plan,
                    started: None,
                    asked_by: Some(asked_by),
                });
            }
            Command::Commit(asked_by) => self.commit(&asked_by),
            Command::Forget => self.probe_is_over("it is not wanted"),
            Command::Restart(which, asked_by) => {
                for at in 0..self.seats.len() {
                    if which.is_none_or(|which| which == at) {
                        self.ask_for(at, Cause::Restart, Some(&asked_by));
                    }
                }
            }
            Command::Drain(at, done) => {
                // Here and not where it is asked for: two may ask at a time.
                let serves = |(other, seat): (usize, &Seat)| other != at && seat.serves();
                if !self.seats.iter().enumerate().any(serves) {
                    let _ = done.send(Err(LastOne));
                    return;
                }
                let deadline = Instant::now() + self.plan.drain_timeout;
                self.close(at, Want::Drained, deadline);
                self.emptied.push((at, done));
                self.tell_emptied();
            }
            Command::Enable(at) => {
                if self.seats[at].want == Want::Drained {
                    let open = self.target();
                    self.seats[at].want = Want::Closed;
                    self.open(open);
                }
            }
            Command::Scale(workers) => {
                self.range = workers..=workers;
                self.open(workers);
            }
        }
    }

    /// The plan that was tried is the plan.
    pub(super) fn commit(&mut self, asked_by: &mpsc::UnboundedSender<Unreplaced>) {
        let Some(probe) = self.probe.take() else { return };
        self.plan = probe.plan;
        self.generation += 1;
        let open = self
            .target()
            .clamp(*self.plan.workers.range.start(), *self.plan.workers.range.end());
        self.range = self.plan.workers.range.clone();
        // What was to start with the old plan is started with this one.
        self.replacements.clear();
        let deadline = Instant::now();
        for seat in &mut self.seats {
            seat.again_at = None;
            seat.failure = None;
            seat.pauses = Pauses::default();
            seat.dismiss_successor(deadline);
            if !seat.serves() {
                seat.dismiss(deadline);
            }
        }
        match probe.started {
            Some((at, worker)) if worker.serving.is_some() => {
                worker.tell(Tell::Serve);
                self.promote(at, worker, Cause::Reload);
            }
            // The one that could serve has died since. All are replaced below.
            Some((at, worker)) => self.seats[at].let_go(Some(worker), deadline),
            None => {}
        }
        self.open(open);
        for at in 0..self.seats.len() {
            let old = |worker: &Incumbent| worker.generation < self.generation;
            if self.seats[at].current.as_ref().is_some_and(old) {
                self.ask_for(at, Cause::Reload, Some(asked_by));
            }
        }
    }

    pub(super) fn probe_is_over(&mut self, why: &str) {
        let Some(mut probe) = self.probe.take() else {
            return;
        };
        if let Some(asked_by) = probe.asked_by.take() {
            let _ = asked_by.send(Err(Arc::new(Failure::new(why))));
        }
        if let Some((at, worker)) = probe.started {
            self.seats[at].let_go(Some(worker), Instant::now());
        }
    }

    pub(super) fn ask_for(
        &mut self,
        at: usize,
        cause: Cause,
        asked_by: Option<&mpsc::UnboundedSender<Unreplaced>>,
    ) {
        let seat = &mut self.seats[at];
        if seat.want != Want::Open {
            return;
        }
        if seat.current.is_none() {
            // Whoever asks has mended it, perhaps.
            seat.again_at = None;
            return;
        }
        self.replacements.push(Replacement {
            seat: at,
            cause,
            failed: 0,
            after: Instant::now(),
            asked_by: asked_by.cloned(),
        });
    }

    /// How many seats there are to be, those that somebody has drained among them.
    pub(super) fn target(&self) -> u16 {
        let meant = self.seats.iter().filter(|seat| seat.want != Want::Closed);
        u16::try_from(meant.count()).unwrap_or(u16::MAX)
    }

    /// So many seats are to be open: the first ones. Those that somebody has drained stay as they are.
    pub(super) fn open(&mut self, workers: u16) {
        let deadline = Instant::now() + self.plan.drain_timeout;
        for at in 0..self.seats.len() {
            match (self.seats[at].want, at < usize::from(workers)) {
                (Want::Closed, true) => self.seats[at].want = Want::Open,
                (Want::Open, false) => self.close(at, Want::Closed, deadline),
                (Want::Drained, false) => self.seats[at].want = Want::Closed,
                (Want::Open | Want::Drained, true) | (Want::Closed, false) => {}
            }
        }
    }

    pub(super) fn close(&mut self, at: usize, want: Want, deadline: Instant) {
        let seat = &mut self.seats[at];
        seat.want = want;
        seat.again_at = None;
        seat.failure = None;
        seat.dismiss_successor(deadline);
        seat.dismiss(deadline);
        self.replacements.forget(at);
    }

    /// Tells those who wait for a seat to be empty.
    pub(super) fn tell_emptied(&mut self) {
        let seats = &self.seats;
        let is_empty = |(at, _): &mut (usize, _)| seats[*at].all().next().is_none();
        for (_, done) in self.emptied.extract_if(.., is_empty) {
            let _ = done.send(Ok(()));
        }
    }
}
