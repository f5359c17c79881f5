//! One worker from its start to its death, owned by one task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task;
use tokio::time::{Instant, timeout_at};

use super::worker::{Event, Launch, Post, Worker};
use super::{About, Failure};
use crate::endings::Cause;
use crate::process::Exit;

/// A worker that has closed its connections should be dead in this time.
const LINGER: Duration = Duration::from_secs(5);
/// What a worker that was told to exit has before it is killed.
const GRACE_AFTER_STOP: Duration = Duration::from_secs(2);

/// What a worker's task can be told.
#[derive(Clone, Debug)]
pub(super) enum Tell {
    /// One that was held takes requests from now on.
    Serve,
    /// It finishes what it has; whatever is left at this time is ended. Told again, the earlier time counts.
    Drain(Instant),
    /// It dies at once.
    Die(Cause, String),
}

/// What a worker's task says of it, with the task's id.
#[derive(Debug)]
pub(super) struct News {
    pub(super) of: task::Id,
    pub(super) what: Progress,
}

/// How far a worker has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// Its process is there.
    Launched { pid: u32 },
    /// It takes requests when it is told to.
    Ready { pid: u32, about: About },
}

/// How a worker's life ended. Its process is dead.
#[derive(Debug)]
pub(super) enum End {
    /// As it was told to.
    Drained,
    /// Somehow else.
    Failed {
        failure: Failure,
        cause: Cause,
        ready_for: Duration,
    },
}

/// A worker's task.
pub(super) struct Life<W> {
    worker: W,
    post: Post,
    tells: mpsc::UnboundedReceiver<Tell>,
    news: mpsc::UnboundedSender<News>,
    ready_since: Option<Instant>,
}

/// Starts a worker and stays with it until it is dead. To be run as a task.
pub(super) async fn live<L: Launch>(
    launch: Arc<L>,
    post: Post,
    tells: mpsc::UnboundedReceiver<Tell>,
    news: mpsc::UnboundedSender<News>,
) -> End {
    let worker = match launch.launch(post.clone()).await {
        Ok(worker) => worker,
        Err(message) => {
            return End::Failed {
                failure: Failure::new(message),
                cause: Cause::NotStarted,
                ready_for: Duration::ZERO,
            };
        }
    };
    let mut life = Life {
        worker,
        post,
        tells,
        news,
        ready_since: None,
    };
    life.tell_of(Progress::Launched {
        pid: life.worker.pid(),
    });
    match life.until_ready().await {
        Ok(about) => life.serve(about).await,
        Err(end) => end,
    }
}

impl<W: Worker> Life<W> {
    fn tell_of(&self, what: Progress) {
        // Nobody listens when the farm is gone.
        let _ = self.news.send(News { of: task::id(), what });
    }

    async fn until_ready(&mut self) -> Result<About, End> {
        let startup_timeout = self.post.plan.startup_timeout;
        let deadline = Instant::now() + startup_timeout;
        let pid = self.worker.pid();
        let (failure, cause) = tokio::select! {
            event = timeout_at(deadline, self.worker.event()) => match event {
                Ok(Event::Ready(about)) => return Ok(about),
                Ok(Event::Exited(exit)) => {
                    let failure = self.too_early(self.describe(exit));
                    return Err(self.failed(failure, cause(exit)));
                }
                Ok(Event::ImportFailed { message, traceback }) => {
                    let failure = Failure { message, traceback, ..Failure::default() };
                    (failure, Cause::ImportFailed)
                }
                Ok(Event::Broken(reason)) =>
                    (Failure::new(format!("worker {pid} was ended: {reason}")), Cause::Broken),
                Ok(Event::Closed) => {
                    let (message, cause) = self.let_it_end().await;
                    let failure = self.too_early(message);
                    return Err(self.failed(failure, cause));
                }
                Err(_) => {
                    let message = format!(
                        "worker {pid} was ended: its app was not imported within {startup_timeout:?} \
                         (startup_timeout)"
                    );
                    (Failure::new(message), Cause::StartupTimeout)
                }
            },
            told = self.tells.recv() => return Err(match told {
                Some(Tell::Die(cause, reason)) => self.die(reason, cause).await,
                Some(Tell::Serve | Tell::Drain(_)) | None => {
                    end(&mut self.worker).await;
                    End::Drained
                }
            }),
        };
        end(&mut self.worker).await;
        Err(self.failed(failure, cause))
    }

    async fn serve(mut self, about: About) -> End {
        self.ready_since = Some(Instant::now());
        if !self.post.held {
            self.worker.serve();
        }
        let pid = self.worker.pid();
        self.tell_of(Progress::Ready { pid, about });
        loop {
            tokio::select! {
                event = self.worker.event() => return self.unexpected(event).await,
                told = self.tells.recv() => match told {
                    Some(Tell::Serve) => self.worker.serve(),
                    Some(Tell::Drain(deadline)) => return self.drain(deadline).await,
                    Some(Tell::Die(cause, reason)) => return self.die(reason, cause).await,
                    None => {
                        end(&mut self.worker).await;
                        return End::Drained;
                    }
                },
            }
        }
    }

    async fn unexpected(&mut self, event: Event) -> End {
        let pid = self.worker.pid();
        let reason = match event {
            Event::Exited(exit) => {
                let message = self.describe(exit);
                return self.failed(Failure::new(message), cause(exit));
            }
            Event::Closed => {
                let (message, cause) = self.let_it_end().await;
                return self.failed(Failure::new(message), cause);
            }
            Event::Broken(reason) => reason,
            Event::Ready(_) | Event::ImportFailed { .. } => "it said twice that it had started".to_owned(),
        };
        self.die(format!("worker {pid} was ended: {reason}"), Cause::Broken)
            .await
    }

    async fn die(&mut self, reason: String, cause: Cause) -> End {
        end(&mut self.worker).await;
        self.failed(Failure::new(reason), cause)
    }

    /// Gives a worker that has closed its connections the time to die by itself, so that its exit code is known.
    async fn let_it_end(&mut self) -> (String, Cause) {
        let deadline = Instant::now() + LINGER;
        loop {
            match timeout_at(deadline, self.worker.event()).await {
                Ok(Event::Exited(exit)) => return (self.describe(exit), cause(exit)),
                Ok(_) => {}
                Err(_) => {
                    let pid = self.worker.pid();
                    end(&mut self.worker).await;
                    let message = format!("worker {pid} was ended: it had closed its control connection");
                    return (message, Cause::Broken);
                }
            }
        }
    }

    async fn drain(&mut self, mut deadline: Instant) -> End {
        self.worker.drain();
        loop {
            tokio::select! {
                exited = exited_by(&mut self.worker, deadline) => match exited {
                    Some(Exit::Code(0)) => return End::Drained,
                    // Whatever it had was lost.
                    Some(exit) => {
                        let message = self.describe(exit);
                        return self.failed(Failure::new(message), cause(exit));
                    }
                    None => break,
                },
                told = self.tells.recv() => match told {
                    Some(Tell::Drain(earlier)) => deadline = deadline.min(earlier),
                    Some(Tell::Serve) => {}
                    Some(Tell::Die(..)) | None => {
                        end(&mut self.worker).await;
                        return End::Drained;
                    }
                },
            }
        }
        tracing::warn!(
            app = &*self.post.plan.name,
            route = &*self.post.route,
            "worker {} still had requests when its time to finish was over; it is ended",
            self.worker.pid()
        );
        self.worker.stop();
        let exited = exited_by(&mut self.worker, Instant::now() + GRACE_AFTER_STOP).await;
        if exited.is_none() {
            end(&mut self.worker).await;
        }
        End::Drained
    }

    fn describe(&self, exit: Exit) -> String {
        format!("worker {} {exit}", self.worker.pid())
    }

    /// The end of a worker that was never ready, with what it said of it.
    fn too_early(&self, end: String) -> Failure {
        let last_lines = self.worker.last_lines();
        let last_words = last_lines.last().map_or("", String::as_str);
        // The worker's own start has said why, in a sentence.
        if let Some(reason) = last_words.strip_prefix("carme: ") {
            return Failure::new(reason);
        }
        let colon = if last_words.is_empty() { "" } else { ": " };
        Failure::new(format!("{end} before its app was imported{colon}{last_words}"))
    }

    fn failed(&self, failure: Failure, cause: Cause) -> End {
        End::Failed {
            failure: Failure {
                last_lines: self.worker.last_lines(),
                ..failure
            },
            cause,
            ready_for: self.ready_since.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }
}

/// How the worker's process ends, if it does by this time.
async fn exited_by<W: Worker>(worker: &mut W, deadline: Instant) -> Option<Exit> {
    loop {
        match timeout_at(deadline, worker.event()).await {
            Ok(Event::Exited(exit)) => return Some(exit),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// Kills a worker, and returns when it is dead.
async fn end<W: Worker>(worker: &mut W) {
    worker.kill();
    while !matches!(worker.event().await, Event::Exited(_)) {}
}

fn cause(exit: Exit) -> Cause {
    match exit {
        Exit::Code(_) => Cause::Exited,
        Exit::Signal(_) => Cause::Signal,
    }
}
