//! The life of one place in the farm: one task owns one worker, and its replacement after it.
//!
//! What it owes its callers:
//! - A place whose worker ended for whatever reason gets another one, after growing pauses, until the farm stops.
//! - A worker counts as gone only when its process is confirmed dead.
//! - Every end has a reason, and the reason reaches the error log or, at the first start, the caller.
//!
//! Knows no processes: they are behind [`Launch`] and [`Worker`], so that its tests need none.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::endings::{Cause, Endings};
use crate::pause::Pauses;
use crate::process::Exit;

#[cfg(test)]
mod tests;

/// A worker that has closed its connections should be dead in this time.
const LINGER: Duration = Duration::from_secs(5);
/// What a worker that was told to exit has before it is killed.
const GRACE_AFTER_STOP: Duration = Duration::from_secs(2);

/// Starts workers.
pub(crate) trait Launch: Send + Sync + 'static {
    /// What it starts.
    type Worker: Worker;

    /// Starts the process of a worker and returns without waiting for its app.
    fn launch(&self) -> impl Future<Output = Result<Self::Worker, String>> + Send;
}

/// A worker's process and its link, to the one task that owns it.
pub(crate) trait Worker: Send + 'static {
    /// The worker's process id, or its launcher's before the hello.
    fn pid(&self) -> u32;
    /// The last line of its standard error: often why it ended.
    fn last_words(&self) -> String;
    /// What happens next. Cancel safe. Nothing comes after [`Event::Exited`].
    fn event(&mut self) -> impl Future<Output = Event> + Send;
    /// It takes no more requests, and exits when it has answered those it has.
    fn drain(&mut self);
    /// It exits at once.
    fn stop(&mut self);
    /// The operating system ends it.
    fn kill(&mut self);
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It serves. `about` says which app on which Python.
    Ready(About),
    /// Its app cannot be imported.
    ImportFailed { message: String, traceback: String },
    /// It broke the protocol, or is not a worker that can be served.
    Broken(String),
    /// It has closed its control connection.
    Closed,
    /// Its process is dead.
    Exited(Exit),
}

/// What a ready worker serves, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// For instance `mysite.wsgi:application`.
    pub title: String,
    /// `WSGI` or `ASGI`.
    pub interface: String,
    /// For instance `CPython 3.13.1`.
    pub python: String,
}

/// Where a place is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A process was started, or is about to be; its app is not imported yet.
    Starting,
    /// It serves.
    Ready {
        /// The worker's process.
        pid: u32,
        /// What it serves.
        about: About,
    },
    /// It answers what it has taken, and takes nothing more.
    Draining {
        /// The worker's process.
        pid: u32,
    },
    /// The last worker ended; the next one starts at this time.
    Failed {
        /// Why it ended.
        failure: Arc<Failure>,
        /// When the next one starts.
        again_at: Instant,
    },
    /// Over, as it was told to.
    Stopped,
}

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub message: String,
    /// Python's traceback, if the app could not be imported.
    pub traceback: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.traceback.is_empty() {
            Ok(())
        } else {
            write!(f, "\n{}", self.traceback.trim_end())
        }
    }
}

impl std::error::Error for Failure {}

/// What a place can be told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Drain, and end whatever is left then at this time.
    Drain(Instant),
    /// Replace the worker at once: its memory cannot be trusted.
    Replace {
        /// Why, for the error log.
        reason: String,
        /// Dropped when the worker is dead.
        dead: mpsc::Sender<Never>,
    },
}

/// What is never sent: only the end of its channel means something.
#[derive(Debug)]
pub(crate) enum Never {}

/// A place in the farm.
pub(crate) struct Place<L> {
    pub(crate) launch: L,
    /// The app, for the error log.
    pub(crate) app: Arc<str>,
    /// The route, for the error log.
    pub(crate) route: Arc<str>,
    /// What a worker may take from its spawn until it is ready.
    pub(crate) startup_timeout: Duration,
    pub(crate) state: watch::Sender<State>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// All open when a worker may start.
    pub(crate) gates: Vec<watch::Receiver<bool>>,
    /// The app has served or its first failure has been told: from now on failures go to the error log.
    pub(crate) begun: Arc<AtomicBool>,
    /// How often its worker was replaced.
    pub(crate) endings: Arc<Endings>,
}

/// How one worker's life ended.
enum End {
    /// As it was told to: the place is to be empty.
    Stopped,
    /// Somehow else: the place is to be filled again.
    Failed {
        failure: Failure,
        cause: Cause,
        ready_for: Duration,
    },
}

impl<L: Launch> Place<L> {
    /// Keeps the place filled until it is told to drain.
    pub(crate) async fn keep(mut self) {
        let mut pauses = Pauses::default();
        loop {
            self.state.send_replace(State::Starting);
            if !self.admitted().await {
                break;
            }
            let (failure, cause, ready_for) = match self.one_worker().await {
                End::Stopped => break,
                End::Failed {
                    failure,
                    cause,
                    ready_for,
                } => (failure, cause, ready_for),
            };
            self.endings.count(cause);
            let pause = pauses.after(ready_for);
            if self.begun.load(Ordering::Relaxed) {
                tracing::error!(
                    app = &*self.app,
                    route = &*self.route,
                    "{failure}; starting another in {pause:?}"
                );
            }
            let again_at = Instant::now() + pause;
            self.state.send_replace(State::Failed {
                failure: Arc::new(failure),
                again_at,
            });
            if self.rest_until(again_at).await {
                break;
            }
        }
        self.state.send_replace(State::Stopped);
    }

    /// Waits until a worker may start; `false` if the place was told to stay empty meanwhile.
    async fn admitted(&mut self) -> bool {
        for gate in &mut self.gates {
            loop {
                tokio::select! {
                    // An error means that nobody can close it any more.
                    _ = gate.wait_for(|open| *open) => break,
                    command = self.commands.recv() => match command {
                        // There is no worker.
                        Some(Command::Replace { .. }) => {}
                        Some(Command::Drain(_)) | None => return false,
                    },
                }
            }
        }
        true
    }

    /// Whether the place was told to stay empty meanwhile.
    async fn rest_until(&mut self, time: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(time) => return false,
                command = self.commands.recv() => match command {
                    // There is no worker.
                    Some(Command::Replace { .. }) => {}
                    Some(Command::Drain(_)) | None => return true,
                },
            }
        }
    }

    async fn one_worker(&mut self) -> End {
        let mut worker = match self.launch.launch().await {
            Ok(worker) => worker,
            Err(message) => return failed(message, Cause::NotStarted, Duration::ZERO),
        };
        let about = match self.until_ready(&mut worker).await {
            Ok(about) => about,
            Err(end) => return end,
        };
        let since = Instant::now();
        self.state.send_replace(State::Ready {
            pid: worker.pid(),
            about,
        });
        self.begun.store(true, Ordering::Relaxed);
        tokio::select! {
            event = worker.event() => {
                let message = match event {
                    Event::Exited(exit) =>
                        return failed(self.describe(&worker, exit), cause(exit), since.elapsed()),
                    Event::Closed => {
                        let (message, cause) = self.let_it_end(&mut worker).await;
                        return failed(message, cause, since.elapsed());
                    }
                    Event::Broken(reason) => format!("worker {} was ended: {reason}", worker.pid()),
                    Event::Ready(_) | Event::ImportFailed { .. } =>
                        format!("worker {} was ended: it said twice that it had started", worker.pid()),
                };
                let ready_for = since.elapsed();
                end(&mut worker).await;
                failed(message, Cause::Broken, ready_for)
            }
            command = self.commands.recv() => match command {
                Some(Command::Replace { reason, dead }) => {
                    end(&mut worker).await;
                    drop(dead);
                    failed(reason, Cause::Damaged, since.elapsed())
                }
                Some(Command::Drain(deadline)) => {
                    self.drain(&mut worker, deadline).await;
                    End::Stopped
                }
                None => {
                    end(&mut worker).await;
                    End::Stopped
                }
            },
        }
    }

    async fn until_ready(&mut self, worker: &mut L::Worker) -> Result<About, End> {
        let deadline = Instant::now() + self.startup_timeout;
        let (failure, cause) = tokio::select! {
            event = timeout_at(deadline, worker.event()) => match event {
                Ok(Event::Ready(about)) => return Ok(about),
                Ok(Event::Exited(exit)) => {
                    let message = too_early(self.describe(worker, exit), worker);
                    return Err(failed(message, cause(exit), Duration::ZERO));
                }
                Ok(Event::ImportFailed { message, traceback }) =>
                    (Failure { message, traceback }, Cause::ImportFailed),
                Ok(Event::Broken(reason)) =>
                    (plain(format!("worker {} was ended: {reason}", worker.pid())), Cause::Broken),
                Ok(Event::Closed) => {
                    let (message, cause) = self.let_it_end(worker).await;
                    return Err(failed(too_early(message, worker), cause, Duration::ZERO));
                }
                Err(_) => {
                    let message = format!(
                        "worker {} was ended: its app was not imported within {:?} (startup_timeout)",
                        worker.pid(),
                        self.startup_timeout,
                    );
                    (plain(message), Cause::StartupTimeout)
                }
            },
            command = self.commands.recv() => match command {
                Some(Command::Replace { reason, dead }) => {
                    end(worker).await;
                    drop(dead);
                    return Err(failed(reason, Cause::Damaged, Duration::ZERO));
                }
                Some(Command::Drain(_)) | None => {
                    end(worker).await;
                    return Err(End::Stopped);
                }
            },
        };
        end(worker).await;
        Err(End::Failed {
            failure,
            cause,
            ready_for: Duration::ZERO,
        })
    }

    /// Gives a worker that has closed its connections the time to die by itself, so that its exit code is known.
    async fn let_it_end(&self, worker: &mut L::Worker) -> (String, Cause) {
        let deadline = Instant::now() + LINGER;
        loop {
            match timeout_at(deadline, worker.event()).await {
                Ok(Event::Exited(exit)) => return (self.describe(worker, exit), cause(exit)),
                Ok(_) => {}
                Err(_) => {
                    let pid = worker.pid();
                    end(worker).await;
                    let message = format!("worker {pid} was ended: it had closed its control connection");
                    return (message, Cause::Broken);
                }
            }
        }
    }

    async fn drain(&mut self, worker: &mut L::Worker, deadline: Instant) {
        self.state.send_replace(State::Draining { pid: worker.pid() });
        worker.drain();
        if exited_by(worker, deadline).await {
            return;
        }
        tracing::warn!(
            app = &*self.app,
            route = &*self.route,
            "worker {} still had requests when the time to stop (graceful_timeout) was over",
            worker.pid()
        );
        worker.stop();
        if !exited_by(worker, Instant::now() + GRACE_AFTER_STOP).await {
            end(worker).await;
        }
    }

    fn describe(&self, worker: &L::Worker, exit: Exit) -> String {
        format!("worker {} {exit}", worker.pid())
    }
}

/// Whether the worker's process ends by this time.
async fn exited_by<W: Worker>(worker: &mut W, deadline: Instant) -> bool {
    loop {
        match timeout_at(deadline, worker.event()).await {
            Ok(Event::Exited(_)) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Kills a worker, and returns when it is dead.
async fn end<W: Worker>(worker: &mut W) {
    worker.kill();
    while !matches!(worker.event().await, Event::Exited(_)) {}
}

/// The end of a worker that was never ready, with what it said of it.
fn too_early(end: String, worker: &impl Worker) -> String {
    let last_words = worker.last_words();
    // The worker's own start has said why, in a sentence.
    if let Some(reason) = last_words.strip_prefix("carme: ") {
        return reason.to_owned();
    }
    let colon = if last_words.is_empty() { "" } else { ": " };
    format!("{end} before its app was imported{colon}{last_words}")
}

fn plain(message: String) -> Failure {
    Failure {
        message,
        traceback: String::new(),
    }
}

fn cause(exit: Exit) -> Cause {
    match exit {
        Exit::Code(_) => Cause::Exited,
        Exit::Signal(_) => Cause::Signal,
    }
}

fn failed(message: String, cause: Cause, ready_for: Duration) -> End {
    End::Failed {
        failure: plain(message),
        cause,
        ready_for,
    }
}
