//! Looking at what the workers do: which have done enough, and whether there are too few or too many.

use tokio::task;
use tokio::time::Instant;

use super::super::scaling::Seen;
use super::super::seat::Want;
use super::super::worker::Launch;
use super::{SAMPLE, Steward};
use crate::desk::Queue;

impl<L: Launch, Q: Queue> Steward<L, Q> {
    /// Looks at what the workers do.
    pub(super) fn look(&mut self, now: Instant) {
        let census = self.queue.census();
        let mut busy = 0;
        let mut due = Vec::new();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let Some(worker) = &mut seat.current else { continue };
            let Some(serving) = &mut worker.serving else {
                continue;
            };
            let does = census.workers.iter().find(|does| does.place == worker.place);
            let (in_flight, answered) = does.map_or((0, 0), |does| (does.in_flight, does.answered));
            let usage = &mut serving.usage;
            if in_flight > 0 || answered != usage.answered {
                usage.busy_at = now;
            }
            usage.answered = answered;
            busy += u16::from(in_flight > 0);
            if let Some(cause) = worker.limits.reached(usage, now)
                && seat.successor.is_none()
            {
                due.push((at, cause));
            }
        }
        for (at, cause) in due {
            self.ask_for(at, cause, None);
        }
        let open = self.open_seats();
        if self.range.start() < self.range.end() && open == self.target() {
            let starting = self
                .seats
                .iter()
                .any(|seat| seat.want == Want::Open && !seat.serves());
            let seen = Seen {
                queued: census.queued,
                busy,
                open,
                starting,
            };
            let wanted = self.scaling.look(seen, &self.range, self.plan.workers.ttl, now);
            if wanted != open {
                let app = &*self.plan.name;
                tracing::info!(app, "from {open} to {wanted} workers");
                self.open(wanted);
            }
        }
        if self.plan.recycle.memory.is_some() && self.sampling.is_none() && now >= self.sample_at {
            self.sample_at = now + SAMPLE;
            self.sample();
        }
    }

    /// Asks the operating system how much memory each has.
    pub(super) fn sample(&mut self) {
        let workers = self.seats.iter().filter_map(|seat| seat.current.as_ref());
        let processes: Vec<_> = workers
            .filter_map(|worker| Some((worker.id, worker.pid?)))
            .collect();
        let sample = move || {
            let memory = |(id, pid): (task::Id, u32)| Some((id, crate::memory::resident(pid)?));
            processes.into_iter().filter_map(memory).collect()
        };
        self.sampling = Some(task::spawn_blocking(sample));
    }
}
