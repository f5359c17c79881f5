//! What each command does to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carme_control::{Answer, Identity, Reply, Request, ServerState, Status};
use carme_farm::resident;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::Ended;
use super::super::orders::{Order, Orders};
use super::super::reload::{NotReloaded, Reloaded};
use super::super::server::{Server, Source};
use super::members::{self, NotDone, Told};
use super::names::{self, Named};
use super::{balancer, farm, status};

/// Attends to one command after the other, and to several at a time.
pub(super) struct Answers {
    server: Arc<Server>,
    orders: Orders,
    ended: watch::Receiver<Option<Ended>>,
    started: Instant,
    /// A command has asked for the end.
    is_stopping: AtomicBool,
}

impl Answers {
    pub(super) fn new(server: Arc<Server>, orders: Orders, ended: watch::Receiver<Option<Ended>>) -> Self {
        Answers {
            server,
            orders,
            ended,
            started: Instant::now(),
            is_stopping: AtomicBool::new(false),
        }
    }

    fn identity(&self) -> Identity {
        let file = match &*self.server.outfit.source {
            Source::File(file, _) => Some(file.display().to_string()),
            Source::Options => None,
        };
        let doors = &self.server.now().doors;
        Identity {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            file,
            addresses: doors.iter().map(|door| door.address.clone()).collect(),
        }
    }

    async fn status(&self) -> Reply {
        let state = if self.server.shutdown.has_begun() {
            ServerState::Stopping
        } else {
            ServerState::Serving
        };
        let now = self.server.now();
        let apps = now.apps.iter().map(|running| status::app(running)).collect();
        let balancers = now
            .balancers
            .iter()
            .zip(&now.config.balancers)
            .map(|(balanced, configured)| balancer::balancer(balanced, configured))
            .collect();
        let mut status = Status {
            identity: self.identity(),
            state,
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            connections: self.server.front.connections(),
            memory_bytes: None,
            apps,
            balancers,
        };
        // Asks the operating system about each process, which may take a moment.
        let weighed = tokio::task::spawn_blocking(move || {
            status.memory_bytes = resident(status.identity.pid);
            let workers = status.apps.iter_mut().flat_map(|app| &mut app.workers);
            for worker in workers {
                worker.memory_bytes = worker.pid.and_then(resident);
            }
            status
        });
        match weighed.await {
            Ok(status) => Reply::Status(Box::new(status)),
            Err(error) => Reply::Refused {
                message: format!("the server has a defect: {error}"),
            },
        }
    }

    async fn reload(&self) -> Reply {
        match self.server.reload("carme reload").await {
            Ok(Reloaded {
                changes,
                needs_restart,
                apps,
                unfinished,
            }) => Reply::Reloaded {
                changes,
                needs_restart,
                apps,
                unfinished,
            },
            Err(NotReloaded { message, traceback }) => Reply::NotReloaded { message, traceback },
        }
    }

    async fn drain(&self, name: &str) -> Reply {
        let now = self.server.now();
        match names::find(&now, name) {
            Ok(Named::Worker(running, route)) => farm::drain(running, route).await,
            Ok(Named::Member(member)) => match self.keep(members::drain(&member)).await {
                Reply::Done { .. } => members::drained(&member).await,
                not_done => not_done,
            },
            Err(message) => Reply::Refused { message },
        }
    }

    async fn enable(&self, name: &str) -> Reply {
        let now = self.server.now();
        match names::find(&now, name) {
            Ok(Named::Worker(running, route)) => farm::enable(running, route).await,
            Ok(Named::Member(member)) => self.keep(members::enable(&member)).await,
            Err(message) => Reply::Refused { message },
        }
    }

    /// Keeps what was changed, if it is to be kept, and tells of it.
    async fn keep(&self, done: Result<Told, NotDone>) -> Reply {
        let Told { what, is_kept } = match done {
            Ok(told) => told,
            Err(NotDone(message)) => return Reply::Refused { message },
        };
        tracing::info!("after a command: {what}");
        match is_kept {
            Some(false) => Reply::Done {
                message: format!("{what}, until the server ends"),
            },
            None | Some(true) => match self.server.keep_changes().await {
                Ok(()) => Reply::Done {
                    message: match is_kept {
                        Some(_) => format!("{what}, kept for the next start"),
                        None => what,
                    },
                },
                Err(error) => {
                    let message = format!("{what}; but the next start will not know of it: {error}");
                    tracing::error!("{message}");
                    Reply::Refused { message }
                }
            },
        }
    }

    async fn reopen_logs(&self) -> Reply {
        let _ = self.server.reopen_logs().await;
        Reply::Done {
            message: "the log files are opened anew".into(),
        }
    }

    async fn stop(&self, timeout: Option<Duration>, now: bool) -> Reply {
        let is_stopping = self.is_stopping.swap(true, Ordering::Relaxed) || self.server.shutdown.has_begun();
        if let Some(timeout) = timeout.filter(|_| !is_stopping) {
            self.server.shutdown.set_graceful_timeout(timeout);
        }
        let stop = || self.orders.give(Order::Stop("carme stop".into()));
        // Ordered while it stops it ends at once, which whoever asks a second time need not mean.
        if now || !is_stopping {
            stop();
        }
        if now && !is_stopping {
            stop();
        }
        let mut ended = self.ended.clone();
        // Without an end there is nobody left to tell.
        let orderly = ended
            .wait_for(Option::is_some)
            .await
            .is_ok_and(|ended| *ended == Some(Ended::Orderly));
        Reply::Stopped { orderly }
    }
}

impl Answer for Answers {
    async fn answer(&self, request: Request) -> Reply {
        // What is served then; an answer may outlast it.
        let now = || self.server.now();
        match request {
            Request::Identify => Reply::Identity(self.identity()),
            Request::Status => self.status().await,
            Request::Reload => self.reload().await,
            Request::Restart { route } => farm::restart(&now(), route).await,
            Request::Drain { route } => self.drain(&route).await,
            Request::Enable { route } => self.enable(&route).await,
            Request::SetBalancer { balancer, settings } => {
                self.keep(members::set_balancer(&now(), &balancer, &settings))
                    .await
            }
            Request::SetMember {
                balancer,
                member,
                settings,
            } => {
                self.keep(members::set(&now(), balancer.as_deref(), &member, &settings))
                    .await
            }
            Request::AddMember {
                balancer,
                url,
                settings,
            } => self.keep(members::add(&now(), &balancer, &url, &settings)).await,
            Request::RemoveMember { balancer, member } => {
                self.keep(members::remove(&now(), &balancer, &member)).await
            }
            Request::Scale { app, workers } => farm::scale(&now(), &app, workers),
            Request::Stacks { route } => farm::stacks(&now(), route.as_deref()),
            Request::ReopenLogs => self.reopen_logs().await,
            Request::Stop { timeout_ms, now } => self.stop(timeout_ms.map(Duration::from_millis), now).await,
        }
    }
}
