//! All the workers of one app: a place for each, and a task that keeps it filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carme_ring::WorkerIndex;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::desk::Desk;
use crate::dispatch::App;
use crate::embedded::FindFiles;
use crate::endings::Endings;
use crate::launch::Launcher;
use crate::plan::AppPlan;
use crate::roster::{self, Roster};
use crate::supervisor::{About, Command, Failure, Place, State};

/// Between attempts to make a new region.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// The workers of one app. Dropping this ends them.
pub struct Workers {
    plan: Arc<AppPlan>,
    places: Vec<Seat>,
    begun: Arc<AtomicBool>,
    /// Lets the other workers follow the first.
    greeted: watch::Sender<bool>,
    renewal: AbortHandle,
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// A place, as it is seen from outside.
struct Seat {
    route: Arc<str>,
    state: watch::Receiver<State>,
    commands: mpsc::UnboundedSender<Command>,
    endings: Arc<Endings>,
    task: JoinHandle<()>,
}

impl Workers {
    /// Starts all workers of an app, and returns without waiting for them. Call it within the front's runtime.
    pub fn start(plan: AppPlan, files: FindFiles, app: &App) -> Self {
        Self::keep(plan, files, app)
    }

    pub(crate) fn keep<D: Desk>(plan: AppPlan, files: FindFiles, desk: &D) -> Self {
        let plan = Arc::new(plan);
        let begun = Arc::new(AtomicBool::new(false));
        let (gate_sender, gate) = watch::channel(true);
        let (greeted, follow) = watch::channel(false);
        let places = (0..plan.workers).map(WorkerIndex).map(|place| {
            let route = plan.route(place);
            let (state_sender, state) = watch::channel(State::Starting);
            let (commands, receiver) = mpsc::unbounded_channel();
            let launch = Launcher {
                plan: Arc::clone(&plan),
                files: Arc::clone(&files),
                desk: desk.clone(),
                place,
                route: Arc::clone(&route),
                greeted: greeted.clone(),
            };
            // The first goes ahead as far as its hello: what is wrong with the interpreter is found out, and told, once.
            let gates = if place.0 == 0 {
                vec![gate.clone()]
            } else {
                vec![follow.clone(), gate.clone()]
            };
            let endings = Arc::<Endings>::default();
            let place = Place {
                launch,
                gates,
                app: Arc::clone(&plan.name),
                route: Arc::clone(&route),
                startup_timeout: plan.startup_timeout,
                state: state_sender,
                commands: receiver,
                begun: Arc::clone(&begun),
                endings: Arc::clone(&endings),
            };
            Seat {
                route,
                state,
                commands,
                endings,
                task: tokio::spawn(place.keep()),
            }
        });
        let places: Vec<Seat> = places.collect();
        let commands = places.iter().map(|place| place.commands.downgrade()).collect();
        let renewal = tokio::spawn(renew_when_damaged(
            Arc::clone(&plan),
            desk.clone(),
            commands,
            gate_sender,
        ));
        Self {
            plan,
            places,
            begun,
            greeted,
            renewal: renewal.abort_handle(),
        }
    }

    /// How the app's start has turned out, as the first of its workers knows: it serves, or it failed.
    ///
    /// Until this has been told, failures do not go to the error log, where each worker would repeat them.
    pub async fn first(&self) -> Result<About, Arc<Failure>> {
        let mut waiting = JoinSet::new();
        for place in &self.places {
            let mut state = place.state.clone();
            waiting.spawn(async move {
                let known = |s: &State| matches!(s, State::Ready { .. } | State::Failed { .. });
                state.wait_for(known).await.map(|s| s.clone())
            });
        }
        let mut outcome = Err(Arc::new(Failure {
            message: "the app has no workers".into(),
            traceback: String::new(),
        }));
        while let Some(joined) = waiting.join_next().await {
            match joined {
                Ok(Ok(State::Ready { about, .. })) => outcome = Ok(about),
                Ok(Ok(State::Failed { failure, .. })) => outcome = Err(failure),
                _ => continue,
            }
            break;
        }
        self.begun.store(true, Ordering::Relaxed);
        self.greeted.send_replace(true);
        outcome
    }

    /// The app's plan.
    pub fn plan(&self) -> &AppPlan {
        &self.plan
    }

    /// Where each worker is in its life, by route.
    pub fn states(&self) -> impl Iterator<Item = (&Arc<str>, State)> {
        self.places
            .iter()
            .map(|place| (&place.route, place.state.borrow().clone()))
    }

    /// Them as they are seen from outside, for whoever watches them.
    pub fn roster(&self) -> Roster {
        let entry = |place: &Seat| roster::Entry {
            route: Arc::clone(&place.route),
            state: place.state.clone(),
            endings: Arc::clone(&place.endings),
        };
        Roster::new(Arc::clone(&self.plan.name), self.places.iter().map(entry))
    }

    /// Lets the workers finish what they have taken until the deadline, ends those that have not, and returns when no
    /// process is left.
    pub async fn drain(mut self, deadline: Instant) {
        for place in &self.places {
            let _ = place.commands.send(Command::Drain(deadline));
        }
        for place in std::mem::take(&mut self.places) {
            if let Err(error) = place.task.await {
                tracing::error!(
                    app = &*self.plan.name,
                    route = &*place.route,
                    "its supervisor failed: {error}"
                );
            }
        }
    }
}

/// Whenever the region is damaged: ends all workers, makes a new region when they are dead, and lets others start.
async fn renew_when_damaged<D: Desk>(
    plan: Arc<AppPlan>,
    desk: D,
    places: Vec<mpsc::WeakUnboundedSender<Command>>,
    gate: watch::Sender<bool>,
) {
    loop {
        let reason = desk.damaged().await;
        tracing::error!(app = &*plan.name, "{reason}; all its workers are replaced");
        gate.send_replace(false);
        let (dead, mut all_dead) = mpsc::channel(1);
        for place in places.iter().filter_map(mpsc::WeakUnboundedSender::upgrade) {
            // A place that has ended has no worker.
            let _ = place.send(Command::Replace {
                reason: reason.clone(),
                dead: dead.clone(),
            });
        }
        drop(dead);
        while all_dead.recv().await.is_some() {}
        while let Err(error) = desk.renew() {
            tracing::error!(app = &*plan.name, "no new shared memory can be had: {error}");
            tokio::time::sleep(RENEWAL_PAUSE).await;
        }
        gate.send_replace(true);
    }
}
