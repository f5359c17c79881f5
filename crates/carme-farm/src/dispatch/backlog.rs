//! Requests on their way into slots: those that find none free wait in the front, in order, and only so many may wait.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use carme_ring::{FrontRing, Refused, StreamId, Ticket, WorkerIndex};

use super::app::State;
use super::exchange::Failure;
use super::streams::{Phase, Stream};
use super::workers::Attached;

/// A request that has no slots.
pub(super) struct Backlogged {
    pub(super) id: StreamId,
    pub(super) head: Vec<u8>,
    pub(super) body: Bytes,
}

impl State {
    /// How long the request that has waited longest has, if as many wait as may. Those that wait for one worker alone have a
    /// queue of their own: it is not full for others when that one hangs.
    pub(super) fn wait_in_full_queue(&mut self, to: Option<WorkerIndex>) -> Option<Duration> {
        let ring = self.ring.as_mut();
        let in_ring = match to {
            None => ring.and_then(|ring| ring.queued().ok()),
            Some(worker) => ring.and_then(|ring| ring.bound(worker).ok()),
        };
        let in_ring = in_ring.unwrap_or(0) as usize;
        let behind = self.backlog_of(to).map_or(0, |backlog| backlog.len());
        if in_ring + behind < self.limits.queue {
            return None;
        }
        // Withdrawn requests may still have their entries: count exactly, and keep none in the front.
        self.collect_all();
        let streams = &self.streams;
        let waits = |next: &Backlogged| {
            streams
                .get(next.id)
                .is_some_and(|s| matches!(s.phase, Phase::Backlogged))
        };
        backlog_of(&mut self.backlog, &mut self.workers, to)?.retain(waits);
        let waiting = self.streams.ids();
        let waiting = waiting
            .iter()
            .filter_map(|id| self.streams.get(*id))
            .filter(|stream| stream.bound_to == to && stream.waits());
        let (mut count, now) = (0, carme_ring::clock::now());
        let mut first = now;
        for stream in waiting {
            count += 1;
            first = first.min(stream.submitted_at);
        }
        (count >= self.limits.queue).then(|| Duration::from_nanos(now - first))
    }

    pub(super) fn enqueue(
        &mut self,
        id: StreamId,
        head: Vec<u8>,
        body: Bytes,
        to: Option<WorkerIndex>,
    ) -> Result<(), Failure> {
        if self.backlog_of(to).is_none_or(|backlog| backlog.is_empty())
            && let Some(ring) = &mut self.ring
        {
            match submit(ring, to, id, &head, &body) {
                Ok(ticket) => {
                    if let Some(stream) = self.streams.get_mut(id) {
                        stream.phase = Phase::Submitted(ticket);
                    }
                    self.scratch = head;
                    return Ok(());
                }
                Err(Refused::TooLarge) => return Err(Failure::TooLarge),
                Err(Refused::NoSlots) => self.collect_all(),
                Err(Refused::Poisoned(damage)) => self.damaged(damage),
            }
        }
        let next = Backlogged { id, head, body };
        if let Some(backlog) = self.backlog_of(to) {
            backlog.push_back(next);
        }
        self.submit_backlog();
        Ok(())
    }

    pub(super) fn backlog_of(&mut self, to: Option<WorkerIndex>) -> Option<&mut VecDeque<Backlogged>> {
        backlog_of(&mut self.backlog, &mut self.workers, to)
    }

    /// Moves requests into slots, in order, as far as there are slots. Those that wait for one worker alone come first: they
    /// never have more than half of them.
    pub(super) fn submit_backlog(&mut self) {
        for place in 0..self.workers.len() {
            self.submit_backlog_of(Some(WorkerIndex(place as u16)));
        }
        self.submit_backlog_of(None);
    }

    fn submit_backlog_of(&mut self, to: Option<WorkerIndex>) {
        loop {
            let backlog = backlog_of(&mut self.backlog, &mut self.workers, to);
            let (Some(backlog), Some(ring)) = (backlog, &mut self.ring) else {
                return;
            };
            let Some(next) = backlog.front() else { return };
            let waits = |stream: &&mut Stream| matches!(stream.phase, Phase::Backlogged);
            let Some(stream) = self.streams.get_mut(next.id).filter(waits) else {
                backlog.pop_front();
                continue;
            };
            match submit(ring, to, next.id, &next.head, &next.body) {
                Ok(ticket) => {
                    stream.phase = Phase::Submitted(ticket);
                    self.unannounced += 1;
                }
                Err(Refused::NoSlots) => return,
                Err(Refused::TooLarge) => {
                    stream.answer = Some(Err(Failure::TooLarge));
                    stream.phase = Phase::Ended;
                    stream.wake();
                }
                Err(Refused::Poisoned(damage)) => return self.damaged(damage),
            }
            backlog.pop_front();
        }
    }

    /// Whether requests wait in the front for slots.
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty() || self.workers.iter().flatten().any(|w| !w.backlog.is_empty())
    }
}

/// What waits in the front for room in the queue, or in what is bound to a worker; `None` without that worker.
fn backlog_of<'a>(
    anybodys: &'a mut VecDeque<Backlogged>,
    workers: &'a mut [Option<Attached>],
    to: Option<WorkerIndex>,
) -> Option<&'a mut VecDeque<Backlogged>> {
    match to {
        None => Some(anybodys),
        Some(worker) => Some(&mut workers.get_mut(worker.get())?.as_mut()?.backlog),
    }
}

fn submit(
    ring: &mut FrontRing,
    to: Option<WorkerIndex>,
    id: StreamId,
    head: &[u8],
    body: &[u8],
) -> Result<Ticket, Refused> {
    match to {
        None => ring.submit(id, head, body),
        Some(worker) => ring.submit_to(worker, id, head, body),
    }
}
