//! All the workers of one app: a place for each, and a task that keeps it filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carme_ring::WorkerIndex;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::embedded::WorkerFiles;
use crate::launch::{AppPlan, Desk, Launcher};
use crate::supervisor::{About, Command, Failure, Place, State};

/// The workers of one app. Dropping this ends them.
pub struct Workers {
    plan: Arc<AppPlan>,
    places: Vec<Seat>,
    begun: Arc<AtomicBool>,
}

/// A place, as it is seen from outside.
struct Seat {
    route: Arc<str>,
    state: watch::Receiver<State>,
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Workers {
    /// Starts them all at once, and returns without waiting for them.
    pub(crate) fn start<D: Desk>(plan: AppPlan, files: Arc<WorkerFiles>, desk: &D) -> Self {
        let plan = Arc::new(plan);
        let begun = Arc::new(AtomicBool::new(false));
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
            };
            let place = Place {
                launch,
                app: Arc::clone(&plan.name),
                route: Arc::clone(&route),
                startup_timeout: plan.startup_timeout,
                state: state_sender,
                commands: receiver,
                begun: Arc::clone(&begun),
            };
            Seat {
                route,
                state,
                commands,
                task: tokio::spawn(place.keep()),
            }
        });
        let places = places.collect();
        Self { plan, places, begun }
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

    /// Replaces all workers at once: the memory that they share cannot be trusted.
    pub(crate) fn replace_all(&self, reason: &str) {
        for place in &self.places {
            // A place that has ended needs no telling.
            let _ = place.commands.send(Command::Replace(reason.to_owned()));
        }
    }

    /// Lets the workers finish what they have taken until the deadline, ends those that have not, and returns when no
    /// process is left.
    pub async fn drain(self, deadline: Instant) {
        for place in &self.places {
            let _ = place.commands.send(Command::Drain(deadline));
        }
        for place in self.places {
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
