//! The workers that are attached to a queue, and what the supervisor tells of them.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use carme_ring::control::ToWorker;
use carme_ring::link::{ControlSender, FrontBells, Ringer};
use carme_ring::os::borrow;
use carme_ring::{Collected, FrontRing, InboxMessage, Poisoned, Region, StreamId, WorkerIndex, clock};

use super::app::{App, State};
use super::backlog::Backlogged;
use super::bell::FrontBell;
use super::body::Aborted;
use super::exchange::{Failure, Identity};
use super::streams::Phase;

pub(super) struct Attached {
    pub(super) identity: Identity,
    pub(super) leader: Ringer,
    pub(super) second: Ringer,
    inbox: Ringer,
    pub(super) control: ControlSender,
    pub(super) bell: FrontBell,
    /// Requests that it has finished.
    pub(super) answered: u64,
    /// Messages that found no room in its inbox.
    owed: VecDeque<InboxMessage>,
    /// It has a request that is over its time and could not be interrupted.
    pub(super) is_hung: bool,
    /// When it was first asked whether it has only such requests.
    pub(super) waited_for_since: Option<u64>,
    /// It takes requests, and was the so manieth to begin with that.
    pub(super) serving: Option<u64>,
    /// Requests for it alone that found no room in the ring.
    pub(super) backlog: VecDeque<Backlogged>,
}

/// A worker with its identity, if there is one in this place.
pub(super) fn identified(
    workers: &[Option<Attached>],
    worker: WorkerIndex,
) -> Option<(WorkerIndex, Identity)> {
    let attached = workers.get(worker.get())?.as_ref()?;
    Some((worker, attached.identity.clone()))
}

impl App {
    /// The region, to give to a new worker; `None` while a damaged one is being replaced.
    pub fn region(&self) -> Option<Arc<Region>> {
        self.lock().ring.as_ref().map(|ring| ring.region().clone())
    }

    /// Makes a place ready for a new worker, before that is given the region. Whoever had it must be certainly dead.
    pub fn prepare(&self, worker: WorkerIndex) {
        let mut state = self.lock();
        if let Some(ring) = &mut state.ring {
            ring.clear(worker);
        }
    }

    /// A worker has said hello: it has this place from now on. It takes requests when [`App::serve`] says so.
    pub fn attach(
        &self,
        worker: WorkerIndex,
        identity: Identity,
        bells: FrontBells,
        control: ControlSender,
    ) -> std::io::Result<()> {
        let bell = {
            let _runtime = self.0.runtime.enter();
            FrontBell::new(bells.front)?
        };
        let attached = Attached {
            identity,
            leader: bells.leader,
            second: bells.second,
            inbox: bells.inbox,
            control,
            bell,
            answered: 0,
            owed: VecDeque::new(),
            is_hung: false,
            waited_for_since: None,
            serving: None,
            backlog: VecDeque::new(),
        };
        self.lock().workers[worker.get()] = Some(attached);
        Ok(())
    }

    /// Lets a worker take requests, or no more.
    pub fn serve(&self, worker: WorkerIndex, serving: bool) {
        let mut state = self.lock();
        if let Some(ring) = &mut state.ring {
            ring.serve(worker, serving);
        }
        if serving {
            state.begins(worker);
        } else {
            state.release_bound_to(worker);
        }
        state.settle();
    }

    /// A worker's process is certainly dead: what it has said counts, what it had taken fails, its place is free.
    pub fn died(&self, worker: WorkerIndex) {
        self.lock().bury(worker);
    }

    /// A worker asks for the body of a request that it has: sends it the file.
    pub fn need_file(&self, worker: WorkerIndex, id: StreamId) {
        let mut state = self.lock();
        if let Err(damage) = state.collect(id, clock::now()) {
            return state.damaged(damage);
        }
        let Some((file, length)) = state.streams.get(id).and_then(|stream| {
            let its = stream.worker.as_ref().is_some_and(|(w, _)| *w == worker);
            stream.file.as_ref().filter(|_| its)
        }) else {
            return;
        };
        let Some(Some(attached)) = state.workers.get(worker.get()) else {
            return;
        };
        let message = ToWorker::File {
            stream: id.0,
            length: *length,
        };
        if let Err(error) = attached.control.send_with(&message, &[borrow(file)]) {
            tracing::error!(
                "{} pid {}: cannot be given a request's body: {error}",
                attached.identity.route,
                attached.identity.pid
            );
        }
    }

    /// A worker gives a file as the body of a response.
    pub fn file_from_worker(&self, worker: WorkerIndex, id: StreamId, file: File, offset: u64, len: u64) {
        let mut state = self.lock();
        if let Err(damage) = state.collect(id, clock::now()) {
            return state.damaged(damage);
        }
        if let Some(stream) = state.streams.get_mut(id)
            && stream.worker.as_ref().is_some_and(|(w, _)| *w == worker)
        {
            stream.file_came = Some((file, offset, len));
            stream.match_file();
            stream.wake();
        }
    }

    /// Waits until the region is damaged; says how. Its workers must go then, and [`App::renew`] follows.
    pub async fn damaged(&self) -> Poisoned {
        loop {
            let heard = self.0.signals.damaged.notified();
            if let Some(damage) = self.lock().damage.clone() {
                return damage;
            }
            heard.await;
        }
    }

    /// A new region for the place of a damaged one. All workers of the old one must be certainly dead.
    pub fn renew(&self) -> std::io::Result<()> {
        let ring = FrontRing::new(Arc::new(Region::create(self.geometry())?));
        let mut state = self.lock();
        for place in 0..state.workers.len() {
            state.release_bound_to(WorkerIndex(place as u16));
            state.workers[place] = None;
        }
        state.ring = Some(ring);
        state.strays.clear();
        state.damage = None;
        state.hung.clear();
        state.stalled_at = None;
        state.ticked_at = None;
        state.overdue = false;
        state.submit_backlog();
        Ok(())
    }
}

impl State {
    /// Puts a message into a worker's inbox, or keeps it for when there is room.
    pub(super) fn tell(&mut self, worker: WorkerIndex, message: InboxMessage) {
        let Some(Some(attached)) = self.workers.get_mut(worker.get()) else {
            return;
        };
        attached.owed.push_back(message);
        self.post_owed_to(worker);
    }

    pub(super) fn post_owed(&mut self) {
        for index in 0..self.workers.len() {
            self.post_owed_to(WorkerIndex(index as u16));
        }
    }

    fn post_owed_to(&mut self, worker: WorkerIndex) {
        let (Some(ring), Some(Some(attached))) = (&mut self.ring, self.workers.get_mut(worker.get())) else {
            return;
        };
        let mut sleeps = false;
        while let Some(message) = attached.owed.front() {
            match ring.post(worker, *message) {
                Ok(asleep) => sleeps |= asleep,
                Err(carme_ring::Full) => break,
            }
            attached.owed.pop_front();
        }
        if sleeps {
            self.ring_inbox(worker);
        }
    }

    pub(super) fn ring_inbox(&mut self, worker: WorkerIndex) {
        if let Some(Some(attached)) = self.workers.get(worker.get()) {
            attached.inbox.ring();
        }
    }

    /// What a dead worker leaves behind is settled.
    fn bury(&mut self, worker: WorkerIndex) {
        self.drain(worker);
        for id in self.streams.ids() {
            let Some(stream) = self.streams.get_mut(id) else {
                continue;
            };
            let its = if let Some(ticket) = stream.take_ticket() {
                let Some(ring) = &mut self.ring else { continue };
                match ring.collect(ticket) {
                    Ok(Collected::Taken(ticket, by)) if by == worker => {
                        ring.inherit(ticket);
                        stream.worker = identified(&self.workers, by);
                        true
                    }
                    Ok(Collected::Queued(ticket) | Collected::Taken(ticket, _)) => {
                        stream.phase = Phase::Submitted(ticket);
                        false
                    }
                    Ok(Collected::Read(by, taken_at)) => {
                        stream.worker = identified(&self.workers, by);
                        stream.taken_at = taken_at;
                        by == worker
                    }
                    Err(damage) => return self.damaged(damage),
                }
            } else {
                let ended = matches!(stream.phase, Phase::Ended | Phase::Backlogged);
                !ended && stream.worker.as_ref().is_some_and(|(w, _)| *w == worker)
            };
            let waits_for_file =
                stream.file_expected && stream.worker.as_ref().is_some_and(|(w, _)| *w == worker);
            if its || waits_for_file {
                self.fail(id);
            }
        }
        self.release_bound_to(worker);
        if let Some(ring) = &mut self.ring {
            ring.clear(worker);
        }
        if let Some(place) = self.workers.get_mut(worker.get()) {
            *place = None;
        }
        self.hung.retain(|hung| hung.place != worker);
        self.submit_backlog();
        self.wake_workers(true);
    }

    /// A request whose worker died: 502, or a body that is cut off.
    fn fail(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let over = stream.standing.is_over();
        if !over {
            stream.ended_at = clock::now();
        }
        if !over && (!matches!(stream.phase, Phase::Answering) || stream.file_expected) {
            stream.file_expected = false;
            stream.answer = Some(Err(Failure::WorkerDied));
        }
        stream.phase = Phase::Ended;
        stream.body.finish(Err(Aborted("the worker died".into())));
        stream.wake();
        if stream.abandoned {
            self.streams.remove(id);
        }
    }

    /// The region cannot be believed any more: what is in it fails, what waits in the front stays.
    pub(super) fn damaged(&mut self, damage: Poisoned) {
        if self.ring.take().is_none() {
            return;
        }
        for id in self.streams.ids() {
            let Some(stream) = self.streams.get(id) else {
                continue;
            };
            if matches!(
                stream.phase,
                Phase::Submitted(_) | Phase::InFlight | Phase::Answering
            ) || stream.file_expected
            {
                self.fail(id);
            }
        }
        self.damage = Some(damage);
        self.signals.damaged.notify_waiters();
        self.signals.damaged.notify_one();
    }
}
