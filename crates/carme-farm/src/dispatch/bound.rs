//! Requests whose clients are bound to a worker: whose they are, and whose they become when it goes.

use carme_ring::{Rebound, StreamId, WorkerIndex};

use super::app::State;
use super::streams::Phase;

impl State {
    /// The worker with this route that takes requests: where one replaces another, the one that began last.
    pub(super) fn serving_at(&self, route: &[u8]) -> Option<WorkerIndex> {
        let serving = self.workers.iter().enumerate().filter_map(|(place, attached)| {
            let attached = attached.as_ref()?;
            let began = attached.serving?;
            (attached.identity.route.as_bytes() == route).then_some((began, place))
        });
        serving.max().map(|(_, place)| WorkerIndex(place as u16))
    }

    /// A worker takes requests from now on.
    pub(super) fn begins(&mut self, worker: WorkerIndex) {
        if let Some(Some(attached)) = self.workers.get_mut(worker.get()) {
            self.beginnings += 1;
            attached.serving = Some(self.beginnings);
        }
    }

    /// A worker takes no more requests: what waits for it alone waits for whoever has its route now, or else for anybody.
    pub(super) fn release_bound_to(&mut self, worker: WorkerIndex) {
        let Some(Some(attached)) = self.workers.get_mut(worker.get()) else {
            return;
        };
        attached.serving = None;
        let route = attached.identity.route.clone();
        let backlog = std::mem::take(&mut attached.backlog);
        let in_ring = match self.ring.as_ref().map_or(Ok(0), |ring| ring.bound(worker)) {
            Ok(waiting) => waiting > 0,
            Err(damage) => return self.damaged(damage),
        };
        let to = self.serving_at(route.as_bytes());
        if in_ring {
            for id in self.bound_to(worker) {
                self.rebind(id, to);
            }
        }
        for next in backlog {
            if let Some(stream) = self.streams.get_mut(next.id) {
                stream.bound_to = to;
            }
            if let Some(backlog) = self.backlog_of(to) {
                backlog.push_back(next);
            }
        }
    }

    /// What is bound to a worker and waits, the first first.
    fn bound_to(&self, worker: WorkerIndex) -> Vec<StreamId> {
        let waits = |id: StreamId| {
            let stream = self.streams.get(id)?;
            (stream.bound_to == Some(worker) && stream.waits()).then_some((stream.submitted_at, id))
        };
        let mut waiting: Vec<_> = self.streams.ids().into_iter().filter_map(waits).collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, id)| id).collect()
    }

    /// Offers a request to somebody else, if nobody has taken it.
    fn rebind(&mut self, id: StreamId, to: Option<WorkerIndex>) {
        let (Some(ring), Some(stream)) = (&mut self.ring, self.streams.get_mut(id)) else {
            return;
        };
        let Some(mut ticket) = stream.take_ticket() else {
            return;
        };
        // For want of room with its new worker it is anybody's.
        for to in [to, None] {
            ticket = match ring.rebind(ticket, to) {
                Ok(Rebound::Done(ticket)) => {
                    stream.phase = Phase::Submitted(ticket);
                    stream.bound_to = to;
                    self.unannounced += 1;
                    return;
                }
                Ok(Rebound::TooLate(ticket)) => {
                    stream.phase = Phase::Submitted(ticket);
                    return;
                }
                Ok(Rebound::NoRoom(ticket)) => ticket,
                Err(damage) => return self.damaged(damage),
            };
        }
        stream.phase = Phase::Submitted(ticket);
        self.strays.push(id);
    }

    /// Tries again for those that found no room.
    pub(super) fn bring_strays_in(&mut self) {
        for id in std::mem::take(&mut self.strays) {
            self.rebind(id, None);
        }
    }
}
