//! The one who decides which workers an app has: fills seats, replaces their workers one after another, opens and closes
//! seats with the load, and empties all of them at the end.
//!
//! One task; whatever happens comes to it as an event, and after each it looks at everything anew.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use carme_ring::WorkerIndex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::life::{End, News, Tell};
use super::replacement::{Replacements, Unreplaced};
use super::scaling::Scaling;
use super::seat::{Incumbent, Seat, Serving};
use super::worker::Launch;
use super::{Failure, Shared};
use crate::desk::{Queue, WorkerHangs};
use crate::endings::Cause;
use crate::plan::AppPlan;

mod course;
mod filling;
mod hung;
mod look;
mod orders;

/// How often it is looked at what the workers do.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is asked how much memory they have.
const SAMPLE: Duration = Duration::from_secs(1);
/// Between attempts to make a new region.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// What a steward can be told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Let everybody finish until this time, and end.
    Stop(Instant),
    /// Start one worker with another plan and keep it from requests; says whether it could serve.
    Prepare(Arc<AppPlan>, oneshot::Sender<Result<(), Arc<Failure>>>),
    /// The other plan is the plan now: let the prepared worker serve, and replace all that have the old one.
    Commit(mpsc::UnboundedSender<Unreplaced>),
    /// The other plan is not wanted.
    Forget,
    /// Replace the worker of this seat, or of all.
    Restart(Option<usize>, mpsc::UnboundedSender<Unreplaced>),
    /// Let the seat's worker finish, and keep the seat empty; answered when it is.
    Drain(usize, oneshot::Sender<Result<(), LastOne>>),
    /// Fill the seat again.
    Enable(usize),
    /// So many seats are open from now on.
    Scale(u16),
}

/// Nobody would be left to take requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastOne;

/// A worker that shows whether another plan works.
#[derive(Debug)]
struct Probe {
    plan: Arc<AppPlan>,
    /// Its seat, once there is room for it.
    started: Option<(usize, Incumbent)>,
    /// Whoever waits for the outcome.
    asked_by: Option<oneshot::Sender<Result<(), Arc<Failure>>>>,
}

/// What an app's steward is made with.
pub(crate) struct Steward<L, Q> {
    launch: Arc<L>,
    queue: Q,
    plan: Arc<AppPlan>,
    generation: u64,
    /// How many seats may be open.
    range: RangeInclusive<u16>,
    seats: Vec<Seat>,
    /// Places in the ring that a worker has.
    places: Vec<bool>,
    lives: JoinSet<End>,
    /// Which place each worker has.
    homes: HashMap<task::Id, WorkerIndex>,
    news: mpsc::UnboundedReceiver<News>,
    tell_news: mpsc::UnboundedSender<News>,
    commands: mpsc::UnboundedReceiver<Command>,
    replacements: Replacements,
    probe: Option<Probe>,
    scaling: Scaling,
    /// A worker has said hello: the interpreter can be served, and the others may follow.
    greeted: watch::Receiver<bool>,
    /// The app has served or its first failure has been told: from now on failures go to the error log.
    begun: Arc<AtomicBool>,
    phase: Phase,
    look_at: Instant,
    sample_at: Instant,
    sampling: Option<task::JoinHandle<Vec<(task::Id, u64)>>>,
    /// Told when a seat is empty.
    emptied: Vec<(usize, oneshot::Sender<Result<(), LastOne>>)>,
    hung: Vec<hung::Hung>,
    /// When it is looked next whether one of them can be ended.
    hung_at: Instant,
}

/// What all is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// The shared memory is damaged: everybody has to go, and then there is another; tried at this time.
    Renewing(Instant),
    /// Everybody finishes.
    Stopping,
}

/// What has happened.
enum Happened {
    News(News),
    Ended(Result<(task::Id, End), task::JoinError>),
    Told(Option<Command>),
    Damaged(String),
    Hangs(WorkerHangs),
    Sampled(Vec<(task::Id, u64)>),
    TimeHasCome,
    Greeted,
}

impl<L: Launch, Q: Queue> Steward<L, Q> {
    /// A steward with `capacity` places in the ring.
    pub(crate) fn new(
        launch: L,
        queue: Q,
        plan: Arc<AppPlan>,
        capacity: u16,
        commands: mpsc::UnboundedReceiver<Command>,
        greeted: watch::Receiver<bool>,
        begun: Arc<AtomicBool>,
    ) -> Self {
        let (tell_news, news) = mpsc::unbounded_channel();
        let seats = usize::from(capacity.saturating_sub(plan.surge).max(*plan.workers.range.end()));
        let now = Instant::now();
        let mut steward = Steward {
            launch: Arc::new(launch),
            queue,
            generation: 1,
            range: plan.workers.range.clone(),
            seats: (0..seats).map(|seat| Seat::new(plan.route(seat))).collect(),
            places: vec![false; usize::from(capacity)],
            lives: JoinSet::new(),
            homes: HashMap::new(),
            news,
            tell_news,
            commands,
            replacements: Replacements::default(),
            probe: None,
            scaling: Scaling::new(now),
            greeted,
            begun,
            phase: Phase::Serving,
            look_at: now + LOOK,
            sample_at: now,
            sampling: None,
            emptied: Vec::new(),
            hung: Vec::new(),
            hung_at: now,
            plan,
        };
        steward.open(*steward.range.start());
        steward.publish();
        steward
    }

    /// What the seats show.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Arc<Shared>> {
        self.seats.iter().map(|seat| Arc::clone(&seat.shared))
    }

    /// Keeps the seats filled until it is told to stop, or nobody is left to tell it.
    pub(crate) async fn keep(mut self) {
        loop {
            // What is not due now is waited for, by the same clock.
            let now = Instant::now();
            self.act(now);
            self.publish();
            if self.phase == Phase::Stopping && self.lives.is_empty() {
                return;
            }
            let happened = self.next(now).await;
            self.take_in(happened);
        }
    }

    async fn next(&mut self, now: Instant) -> Happened {
        let wake_at = self.wake_at(now);
        let watches = !*self.greeted.borrow();
        let stops = self.phase == Phase::Stopping;
        tokio::select! {
            Some(news) = self.news.recv() => Happened::News(news),
            Some(ended) = self.lives.join_next_with_id() => Happened::Ended(ended),
            // Nothing after the end of the orders.
            told = self.commands.recv(), if !(stops && self.commands.is_closed()) => Happened::Told(told),
            reason = self.queue.damaged(), if self.phase == Phase::Serving => Happened::Damaged(reason),
            hangs = self.queue.hung() => Happened::Hangs(hangs),
            sampled = outcome(&mut self.sampling) => Happened::Sampled(sampled),
            Ok(()) = self.greeted.changed(), if watches => Happened::Greeted,
            () = sleep_until(wake_at) => Happened::TimeHasCome,
        }
    }

    fn take_in(&mut self, happened: Happened) {
        match happened {
            Happened::News(news) => self.hear(news),
            Happened::Ended(Ok((id, end))) => self.ended(id, end),
            Happened::Ended(Err(error)) => {
                let failure = Failure::new(format!("its supervisor failed: {error}"));
                let end = End::Failed {
                    failure,
                    cause: Cause::Broken,
                    ready_for: Duration::ZERO,
                };
                self.ended(error.id(), end);
            }
            Happened::Told(Some(command)) => self.obey(command),
            Happened::Told(None) => {
                self.phase = Phase::Stopping;
                self.each(|worker| worker.tell(Tell::Die(Cause::Exited, "nobody wants it".to_owned())));
            }
            Happened::Damaged(reason) => {
                tracing::error!(app = &*self.plan.name, "{reason}; all its workers are replaced");
                self.phase = Phase::Renewing(Instant::now());
                self.each(|worker| worker.tell(Tell::Die(Cause::Damaged, reason.clone())));
            }
            Happened::Hangs(hangs) => self.hangs(hangs),
            Happened::Sampled(sampled) => {
                self.sampling = None;
                for (id, bytes) in sampled {
                    if let Some(serving) = self.serving(id) {
                        serving.usage.memory = bytes;
                    }
                }
            }
            Happened::TimeHasCome | Happened::Greeted => {}
        }
    }

    /// When something more is due than at `now`, if nothing happens.
    fn wake_at(&self, now: Instant) -> Instant {
        let later = |at: &Instant| *at > now;
        let fills = self.seats.iter().filter_map(|seat| seat.again_at).filter(later);
        let looks = self.watches().then_some(self.look_at);
        let renewal = match self.phase {
            Phase::Renewing(at) => Some(at).filter(later),
            Phase::Serving | Phase::Stopping => None,
        };
        let all = fills
            .chain(self.replacements.next_at(now))
            .chain(looks)
            .chain(self.hung_at())
            .chain(renewal);
        all.min().unwrap_or(now + Duration::from_secs(3600))
    }

    /// Whether there is something to be looked for.
    fn watches(&self) -> bool {
        self.phase == Phase::Serving && (self.plan.recycle.is_on() || self.range.start() < self.range.end())
    }

    /// Does what is to be done as things are.
    fn act(&mut self, now: Instant) {
        if let Phase::Renewing(at) = self.phase
            && self.lives.is_empty()
            && at <= now
        {
            self.renew();
        }
        self.end_hung(now);
        if self.phase != Phase::Serving {
            return;
        }
        if self.watches() && now >= self.look_at {
            self.look_at = now + LOOK;
            self.look(now);
        }
        self.fill(now);
        self.start_probe();
        self.replace(now);
    }

    fn renew(&mut self) {
        self.phase = match self.queue.renew() {
            Ok(()) => Phase::Serving,
            Err(error) => {
                tracing::error!(app = &*self.plan.name, "no new shared memory can be had: {error}");
                Phase::Renewing(Instant::now() + RENEWAL_PAUSE)
            }
        };
    }

    fn each(&self, tell: impl Fn(&Incumbent)) {
        self.seats.iter().flat_map(Seat::all).for_each(&tell);
        if let Some(Probe {
            started: Some((_, worker)),
            ..
        }) = &self.probe
        {
            tell(worker);
        }
    }

    fn worker(&mut self, id: task::Id) -> Option<&mut Incumbent> {
        let probe = self.probe.as_mut().and_then(|probe| probe.started.as_mut());
        let probe = probe.map(|(_, worker)| worker);
        let seats = self.seats.iter_mut().flat_map(|seat| {
            let successor = seat.successor.as_mut().map(|(worker, _)| worker);
            seat.current.iter_mut().chain(successor).chain(&mut seat.leaving)
        });
        probe.into_iter().chain(seats).find(|worker| worker.id == id)
    }

    fn serving(&mut self, id: task::Id) -> Option<&mut Serving> {
        self.worker(id)?.serving.as_mut()
    }

    fn publish(&self) {
        self.seats.iter().for_each(Seat::publish);
    }
}

/// The outcome of what runs, if something does and does not fail.
async fn outcome<T>(running: &mut Option<task::JoinHandle<T>>) -> T {
    if let Some(task) = running {
        match task.await {
            Ok(outcome) => return outcome,
            Err(_) => *running = None,
        }
    }
    std::future::pending().await
}
