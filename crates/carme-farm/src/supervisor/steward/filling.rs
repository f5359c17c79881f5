//! Starting workers: in empty seats, to try another plan, and as successors.

use std::sync::Arc;

use carme_ring::WorkerIndex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::life;
use super::super::recycling::{self, Limits};
use super::super::replacement::Replacement;
use super::super::seat::{Incumbent, Want};
use super::super::worker::{Launch, Post};
use super::{Probe, Steward};
use crate::desk::Queue;
use crate::plan::AppPlan;

impl<L: Launch, Q: Queue> Steward<L, Q> {
    /// Starts workers in empty seats.
    pub(super) fn fill(&mut self, now: Instant) {
        let goes_ahead = *self.greeted.borrow();
        let mut first = true;
        for at in 0..self.seats.len() {
            let seat = &self.seats[at];
            if seat.want != Want::Open {
                continue;
            }
            // The first goes ahead as far as its hello: what is wrong with the interpreter is found out, and told, once.
            let may = goes_ahead || std::mem::take(&mut first);
            let empty = seat.current.is_none() && seat.successor.is_none();
            if may && empty && seat.again_at.is_none_or(|at| at <= now) && self.has_room(*self.range.end()) {
                let plan = Arc::clone(&self.plan);
                let worker = self.start(at, plan, self.generation, false);
                let seat = &mut self.seats[at];
                seat.again_at = None;
                seat.current = worker;
            }
        }
    }

    /// Whether one more worker may live beside so many.
    pub(super) fn has_room(&self, seats: u16) -> bool {
        self.lives.len() < usize::from(seats) + usize::from(self.plan.surge)
            && self.places.iter().any(|taken| !taken)
    }

    pub(super) fn open_seats(&self) -> u16 {
        let open = self.seats.iter().filter(|seat| seat.want == Want::Open);
        u16::try_from(open.count()).unwrap_or(u16::MAX)
    }

    pub(super) fn start(
        &mut self,
        seat: usize,
        plan: Arc<AppPlan>,
        generation: u64,
        held: bool,
    ) -> Option<Incumbent> {
        let free = self.places.iter().position(|taken| !taken)?;
        self.places[free] = true;
        let place = WorkerIndex(u16::try_from(free).ok()?);
        let post = Post {
            plan,
            place,
            seat: u16::try_from(seat).ok()?,
            route: Arc::clone(self.seats[seat].route()),
            held,
        };
        let limits = Limits::of(&post.plan.recycle, recycling::luck());
        let (tell, tells) = mpsc::unbounded_channel();
        let life = life::live(Arc::clone(&self.launch), post, tells, self.tell_news.clone());
        let id = self.lives.spawn(life).id();
        self.homes.insert(id, place);
        Some(Incumbent {
            id,
            place,
            generation,
            pid: None,
            tell,
            limits,
            serving: None,
        })
    }

    pub(super) fn start_probe(&mut self) {
        let Some(Probe {
            plan, started: None, ..
        }) = &self.probe
        else {
            return;
        };
        if !self.has_room(self.open_seats()) {
            return;
        }
        let plan = Arc::clone(plan);
        let open = self.seats.iter().position(|seat| seat.want == Want::Open);
        let seat = open.unwrap_or(0);
        let worker = self.start(seat, plan, self.generation + 1, true);
        if let (Some(probe), Some(worker)) = (&mut self.probe, worker) {
            probe.started = Some((seat, worker));
        }
    }

    /// Starts successors, as many as there is room for.
    pub(super) fn replace(&mut self, now: Instant) {
        while self.has_room(self.open_seats()) {
            let seats = &self.seats;
            let may = |next: &Replacement| {
                let seat = &seats[next.seat];
                seat.successor.is_none() && seat.serves()
            };
            let Some(next) = self.replacements.pop(now, may) else {
                return;
            };
            let at = next.seat;
            let plan = Arc::clone(&self.plan);
            if let Some(worker) = self.start(at, plan, self.generation, false) {
                self.seats[at].successor = Some((worker, next));
            }
        }
    }
}
