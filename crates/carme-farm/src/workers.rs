//! All the workers of one app, as a value: what can be done with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::desk::{Desk, Queue};
use crate::dispatch::App;
use crate::embedded::FindFiles;
use crate::launch::Launcher;
use crate::plan::AppPlan;
use crate::roster::Roster;
use crate::supervisor::{About, Command, Failure, LastOne, Shared, Shown, State, Steward, Unreplaced};

/// The workers of one app. Dropping this ends them.
pub struct Workers {
    app: Arc<str>,
    seats: Vec<Arc<Shared>>,
    commands: mpsc::UnboundedSender<Command>,
    begun: Arc<AtomicBool>,
    /// Lets the other workers follow the first.
    greeted: watch::Sender<bool>,
    /// `None` once somebody waits for its end.
    steward: Mutex<Option<JoinHandle<()>>>,
}

/// Why an order to an app's workers was not followed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such route.
    #[error("app {app} has no worker {route}; its routes are {}", known.join(", "))]
    NoSuchRoute {
        /// The app.
        app: Arc<str>,
        /// What was asked for.
        route: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nobody would be left to take requests.
    #[error(
        "{route} is the only worker of app {app} that takes requests, so it is not drained: \
         restart it, or let others take requests first (carme scale, carme enable)"
    )]
    LastOne {
        /// The app.
        app: Arc<str>,
        /// Its only worker.
        route: Arc<str>,
    },
    /// There is no room for so many.
    #[error(
        "app {app} can have 1 to {most} workers while it runs, not {asked}; for more, change workers in the \
         configuration and reload"
    )]
    OutOfRange {
        /// The app.
        app: Arc<str>,
        /// How many were asked for.
        asked: u16,
        /// How many there can be.
        most: u16,
    },
    /// The workers end.
    #[error("app {app} is being stopped")]
    Stopping {
        /// The app.
        app: Arc<str>,
    },
}

impl Workers {
    /// Starts all workers of an app, and returns without waiting for them. Call it within the front's runtime.
    pub fn start(plan: AppPlan, files: FindFiles, app: &App) -> Self {
        Self::keep(plan, files, app, app.geometry().workers)
    }

    pub(crate) fn keep<D: Desk + Queue>(plan: AppPlan, files: FindFiles, desk: &D, capacity: u16) -> Self {
        let begun = Arc::new(AtomicBool::new(false));
        let (greeted, follow) = watch::channel(false);
        let (commands, receiver) = mpsc::unbounded_channel();
        let launcher = Launcher {
            files,
            desk: desk.clone(),
            greeted: greeted.clone(),
        };
        let app = Arc::clone(&plan.name);
        let steward = Steward::new(
            launcher,
            desk.clone(),
            Arc::new(plan),
            capacity,
            receiver,
            follow,
            Arc::clone(&begun),
        );
        let seats = steward.shared().collect();
        Self {
            app,
            seats,
            commands,
            begun,
            greeted,
            steward: Mutex::new(Some(tokio::spawn(steward.keep()))),
        }
    }

    /// How the app's start has turned out, as the first of its workers knows: it serves, or it failed.
    ///
    /// Until this has been told, failures do not go to the error log, where each worker would repeat them.
    pub async fn first(&self) -> Result<About, Arc<Failure>> {
        let mut waiting = JoinSet::new();
        for seat in &self.seats {
            let mut seat = seat.shown.subscribe();
            waiting.spawn(async move { seat.wait_for(is_known).await.map(|shown| shown.state.clone()) });
        }
        let mut outcome = Err(Arc::new(Failure::new("the app has no workers")));
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

    /// Where each worker is in its life, for whoever watches.
    pub fn roster(&self) -> Roster {
        Roster::new(Arc::clone(&self.app), self.seats.iter().map(Arc::clone))
    }

    /// How many workers there can be at most.
    pub fn most(&self) -> u16 {
        u16::try_from(self.seats.len()).unwrap_or(u16::MAX)
    }

    fn tell(&self, command: Command) -> Result<(), Refused> {
        let app = Arc::clone(&self.app);
        self.commands.send(command).map_err(|_| Refused::Stopping { app })
    }

    /// Starts one worker by another plan, beside those that serve, and waits until it could serve.
    ///
    /// # Errors
    /// It does not start; nothing has changed then.
    pub async fn prepare(&self, plan: AppPlan) -> Result<Prepared, Arc<Failure>> {
        let (asked_by, outcome) = oneshot::channel();
        let stops = |_| Arc::new(Failure::new("the app is being stopped"));
        self.tell(Command::Prepare(Arc::new(plan), asked_by))
            .map_err(|refused| Arc::new(Failure::new(refused.to_string())))?;
        // From here on it is forgotten if nobody waits any more.
        let prepared = Prepared {
            commands: Some(self.commands.clone()),
        };
        outcome.await.map_err(stops)??;
        Ok(prepared)
    }

    fn seat(&self, route: &str) -> Result<usize, Refused> {
        let at = self.seats.iter().position(|seat| &*seat.route == route);
        at.filter(|at| self.seats[*at].shown.borrow().is_used())
            .ok_or_else(|| Refused::NoSuchRoute {
                app: Arc::clone(&self.app),
                route: route.to_owned(),
                known: self
                    .roster()
                    .seats()
                    .map(|seat| seat.route().to_string())
                    .collect(),
            })
    }

    /// Replaces the worker with this route, or all, one after another, and waits until that is done. Returns those that
    /// stay because no other starts.
    ///
    /// # Errors
    /// There is no such route.
    pub async fn restart(&self, route: Option<&str>) -> Result<Vec<Unreplaced>, Refused> {
        let seat = route.map(|route| self.seat(route)).transpose()?;
        let (asked_by, outcome) = mpsc::unbounded_channel();
        self.tell(Command::Restart(seat, asked_by))?;
        Ok(all(outcome).await)
    }

    /// Lets the worker with this route finish what it has, and keeps its seat empty; waits until it is.
    ///
    /// # Errors
    /// There is no such route, or it is the only one that takes requests.
    pub async fn drain(&self, route: &str) -> Result<(), Refused> {
        let at = self.seat(route)?;
        let (done, is_done) = oneshot::channel();
        self.tell(Command::Drain(at, done))?;
        match is_done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(LastOne)) => Err(Refused::LastOne {
                app: Arc::clone(&self.app),
                route: Arc::clone(&self.seats[at].route),
            }),
            Err(_) => Err(Refused::Stopping {
                app: Arc::clone(&self.app),
            }),
        }
    }

    /// Fills a seat again that was drained, and waits until its worker serves or has failed.
    ///
    /// # Errors
    /// There is no such route.
    pub async fn enable(&self, route: &str) -> Result<(), Refused> {
        let at = self.seat(route)?;
        self.tell(Command::Enable(at))?;
        let mut seat = self.seats[at].shown.subscribe();
        let _ = seat.wait_for(is_known).await;
        Ok(())
    }

    /// Has so many workers from now on, until the next reload.
    ///
    /// # Errors
    /// There is no room for so many.
    pub fn scale(&self, workers: u16) -> Result<(), Refused> {
        if workers == 0 || workers > self.most() {
            return Err(Refused::OutOfRange {
                app: Arc::clone(&self.app),
                asked: workers,
                most: self.most(),
            });
        }
        self.tell(Command::Scale(workers))
    }

    /// Lets the workers finish what they have taken until the deadline, ends those that have not, and returns when no
    /// process is left.
    pub async fn end(&self, deadline: Instant) {
        let _ = self.tell(Command::Stop(deadline));
        let Some(steward) = self.steward.lock().await.take() else {
            return;
        };
        if let Err(error) = steward.await {
            tracing::error!(app = &*self.app, "its supervisor failed: {error}");
        }
    }
}

/// Another plan for an app's workers, which works: one worker of it waits to serve. Dropping this ends that worker.
#[must_use = "the worker that waits is ended without"]
pub struct Prepared {
    commands: Option<mpsc::UnboundedSender<Command>>,
}

impl Prepared {
    /// The plan is the plan from now on: its worker serves, and all others are replaced, one after another.
    pub fn commit(mut self) -> Rolling {
        let (asked_by, outcome) = mpsc::unbounded_channel();
        if let Some(commands) = self.commands.take() {
            // Without a steward there is nothing to replace.
            let _ = commands.send(Command::Commit(asked_by));
        }
        Rolling { outcome }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(Command::Forget);
        }
    }
}

/// Workers that are being replaced. It goes on when this is dropped.
pub struct Rolling {
    outcome: mpsc::UnboundedReceiver<Unreplaced>,
}

impl Rolling {
    /// Waits until all are replaced; returns those that stay because no other starts.
    pub async fn over(self) -> Vec<Unreplaced> {
        all(self.outcome).await
    }
}

/// It has turned out whether the seat's worker starts.
fn is_known(shown: &Shown) -> bool {
    matches!(shown.state, State::Ready { .. } | State::Failed { .. })
}

async fn all(mut outcome: mpsc::UnboundedReceiver<Unreplaced>) -> Vec<Unreplaced> {
    let mut unreplaced = Vec::new();
    while let Some(one) = outcome.recv().await {
        unreplaced.push(one);
    }
    unreplaced
}
