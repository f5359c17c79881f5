//! What is done once a batch and not once a request: waking workers, reading what they sent, noting whose what is.

use std::task::{Context, Poll};

use bytes::Bytes;
use carme_ring::{Collected, InboxMessage, Poisoned, Rung, StreamId, Withdrawal, WorkerIndex, clock};

use super::app::State;
use super::body::Aborted;
use super::exchange::{Account, Answer, Failure};
use super::streams::Phase;
use super::workers::{Attached, identified};

/// Requests after which workers are woken although the runtime has not come to rest.
const BATCH: u32 = 32;

fn ring_for(workers: &[Option<Attached>], worker: WorkerIndex, which: Rung) {
    if let Some(Some(attached)) = workers.get(worker.get()) {
        match which {
            Rung::Leader => attached.leader.ring(),
            Rung::Second => attached.second.ring(),
        }
    }
}

impl State {
    pub(super) fn after_submit(&mut self) {
        self.unannounced += 1;
        if self.unannounced >= BATCH {
            self.settle();
        }
    }

    /// Takes in what workers have sent, and wakes them for what was submitted, that which had waited for slots included.
    pub(super) fn settle(&mut self) {
        self.drain_all();
        self.wake_workers(false);
    }

    pub(super) fn wake_workers(&mut self, stalled: bool) {
        self.unannounced = 0;
        let Some(ring) = &mut self.ring else { return };
        let workers = &self.workers;
        let woken = ring.wake(stalled, |worker, which| ring_for(workers, worker, which));
        let head = ring.passed();
        if self.overdue && self.ticked_at != Some(head) {
            self.overdue = false;
            ring.set_overdue(false);
        }
        match woken {
            Ok(true) if self.stalled_at != Some(head) => {
                self.stalled_at = Some(head);
                self.signals.held_back.notify_one();
            }
            Ok(_) => {}
            Err(damage) => self.damaged(damage),
        }
    }

    /// A moment after a wake-up was held back: if the queue has not moved, it is not held back any longer.
    pub(super) fn look_for_stall(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let workers = &self.workers;
        ring.wake_held_back(|worker, which| ring_for(workers, worker, which));
        match ring.queued() {
            Ok(waiting) => {
                let moved = self.stalled_at != Some(ring.passed());
                self.stalled_at = None;
                if waiting > 0 || ring.bound_waits() {
                    self.wake_workers(!moved);
                }
            }
            Err(damage) => self.damaged(damage),
        }
    }

    /// Now and then while there are streams: slots come back, waiting ends, and a queue that does not move is anybody's.
    pub(super) fn tick(&mut self) {
        self.drain_all();
        self.collect_all();
        // One list for all that looks at each; what ends meanwhile is not found by its id any more.
        let streams = self.streams.ids();
        self.end_waits(&streams);
        self.end_overtime(&streams);
        self.bring_strays_in();
        self.submit_backlog();
        if let Some(ring) = &mut self.ring {
            match ring.queued() {
                Ok(0) => {
                    self.ticked_at = None;
                    if ring.bound_waits() {
                        self.wake_workers(true);
                    }
                }
                Ok(_) => {
                    let head = ring.passed();
                    if self.ticked_at == Some(head) {
                        self.overdue = true;
                        ring.set_overdue(true);
                    }
                    self.ticked_at = Some(head);
                    // Also when the queue moves: threads that gave way find out whether there is room for them now.
                    self.wake_workers(true);
                }
                Err(damage) => self.damaged(damage),
            }
        }
        self.give_patience_up(&streams);
        self.post_owed();
        self.settle();
    }

    /// Takes what slow clients do not read off their workers' hands.
    fn give_patience_up(&mut self, streams: &[StreamId]) {
        for &id in streams {
            if let Some(stream) = self.streams.get_mut(id) {
                stream.body.tick();
                self.grant(id);
            }
        }
    }

    /// Gives a stream's worker the credit that is due.
    pub(super) fn grant(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        if let Some((worker, _)) = stream.worker
            && let Some(bytes) = stream.body.credit()
        {
            self.tell(worker, InboxMessage::Credit { stream: id, bytes });
        }
    }

    /// Notes whose every request is and takes back the slots that have been read.
    pub(super) fn collect_all(&mut self) {
        if self.ring.is_none() {
            return;
        }
        let now = clock::now();
        for id in self.streams.ids() {
            if let Err(damage) = self.collect(id, now) {
                return self.damaged(damage);
            }
        }
        if let Some(ring) = &mut self.ring
            && let Err(damage) = ring.pass_withdrawn()
        {
            self.damaged(damage);
        }
    }

    pub(super) fn collect(&mut self, id: StreamId, now: u64) -> Result<(), Poisoned> {
        let (Some(ring), Some(stream)) = (&mut self.ring, self.streams.get_mut(id)) else {
            return Ok(());
        };
        let Some(ticket) = stream.take_ticket() else {
            return Ok(());
        };
        match ring.collect(ticket)? {
            Collected::Queued(ticket) => stream.phase = Phase::Submitted(ticket),
            Collected::Taken(ticket, worker) => {
                // It will say when it took it; if it stops before, this is when it was seen to have.
                if stream.worker.is_none() {
                    stream.worker = identified(&self.workers, worker);
                    stream.taken_at = now;
                }
                stream.phase = Phase::Submitted(ticket);
            }
            Collected::Read(worker, taken_at) => {
                stream.worker = Some(identified(&self.workers, worker).ok_or(Poisoned {
                    worker: None,
                    what: "a request was read by a worker that does not exist",
                })?);
                // It may be anything.
                stream.taken_at = taken_at.clamp(stream.submitted_at, now.max(stream.submitted_at));
                if stream.abandoned {
                    self.tell(worker, InboxMessage::Gone { stream: id });
                }
            }
        }
        Ok(())
    }

    fn end_waits(&mut self, streams: &[StreamId]) {
        let now = clock::now();
        let limit = self.limits.queue_timeout.as_nanos() as u64;
        for &id in streams {
            let Some(stream) = self.streams.get(id) else {
                continue;
            };
            if now.saturating_sub(stream.submitted_at) > limit {
                self.end_untaken(id, &Failure::QueueTimeout);
            }
        }
    }

    /// Ends a request that nobody has taken.
    fn end_untaken(&mut self, id: StreamId, failure: &Failure) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        if let Some(ticket) = stream.take_ticket() {
            let Some(ring) = &mut self.ring else { return };
            match ring.withdraw(ticket) {
                Ok(Withdrawal::Withdrawn) => {}
                Ok(Withdrawal::TooLate(ticket)) => {
                    stream.phase = Phase::Submitted(ticket);
                    return;
                }
                Err(damage) => return self.damaged(damage),
            }
        } else if !matches!(stream.phase, Phase::Backlogged) {
            return;
        }
        stream.phase = Phase::Ended;
        stream.ended_at = clock::now();
        stream.answer = Some(Err(failure.clone()));
        stream.wake();
        if stream.abandoned {
            self.streams.remove(id);
        }
    }

    pub(super) fn fail_untaken(&mut self, failure: &Failure) {
        for id in self.streams.ids() {
            self.end_untaken(id, failure);
        }
        self.backlog.clear();
        let attached = self.workers.iter_mut().flatten();
        attached.for_each(|attached| attached.backlog.clear());
    }

    pub(super) fn poll_answer(
        &mut self,
        id: StreamId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer, Failure>> {
        let Some(stream) = self.streams.get_mut(id) else {
            return Poll::Ready(Err(Failure::Stopping));
        };
        if !stream.file_expected
            && let Some(answer) = stream.answer.take()
        {
            return Poll::Ready(answer);
        }
        stream.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_chunk(
        &mut self,
        id: StreamId,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Aborted>>> {
        let Some(stream) = self.streams.get_mut(id) else {
            return Poll::Ready(None);
        };
        let Some(next) = stream.body.pop() else {
            stream.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.grant(id);
        Poll::Ready(next.transpose())
    }

    /// Nothing more comes for this stream, and nothing of it is in the ring.
    pub(super) fn is_over(&self, id: StreamId) -> bool {
        self.streams.get(id).is_none_or(|s| {
            matches!(s.phase, Phase::Ended) && s.answer.is_none() && (!s.streaming || s.body.is_read())
        })
    }

    pub(super) fn remove(&mut self, id: StreamId) -> Account {
        self.streams
            .remove(id)
            .map_or_else(Account::default, |stream| stream.account(clock::now()))
    }

    pub(super) fn account(&self, id: StreamId) -> Account {
        self.streams
            .get(id)
            .map_or_else(Account::default, |stream| stream.account(clock::now()))
    }

    /// The client has left.
    pub(super) fn abandon(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.abandoned = true;
        stream.waker = None;
        if matches!(stream.phase, Phase::Ended) {
            self.streams.remove(id);
            return;
        }
        self.end_untaken(id, &Failure::Stopping);
        let Some(stream) = self.streams.get(id) else {
            return;
        };
        match (&stream.phase, &stream.worker) {
            // Taken by somebody; whoever it is will be told when that is known.
            (Phase::Submitted(_), _) => {}
            (_, Some((worker, _))) => {
                let worker = *worker;
                self.tell(worker, InboxMessage::Gone { stream: id });
            }
            _ => {}
        }
    }
}
