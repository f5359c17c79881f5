//! From configured apps to queues and workers.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use carme_config::Config;
use carme_farm::dispatch::{App, Hooks, Limits, NewApp};
use carme_farm::{About, AppPlan, Failure, FindFiles, Roster, State, Workers};
use carme_ring::Geometry;
use carme_ring::control::Interface;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Request slots of an app. Requests beyond them wait in the front, in order.
const SLOTS: u16 = 512;
/// Most requests, cookies included, fit one slot.
const SLOT_BYTES: u32 = 16 << 10;
/// What a worker can have published and the front not taken in yet.
const OUTBOX_BYTES: u32 = 1 << 20;
/// What the front can have told a worker that has not listened yet.
const INBOX_BYTES: u32 = 64 << 10;

/// An app and its workers.
pub(super) struct Running {
    pub(super) app: App,
    pub(super) plan: AppPlan,
    pub(super) roster: Roster,
    /// `None` once they end.
    workers: Mutex<Option<Workers>>,
}

impl Running {
    /// How its start has turned out; see [`Workers::first`].
    pub(super) async fn first(&self) -> Result<About, Arc<Failure>> {
        match &*self.workers.lock().await {
            Some(workers) => workers.first().await,
            None => Err(Arc::new(Failure {
                message: "it was ended".into(),
                traceback: String::new(),
            })),
        }
    }

    /// Waits until each of its workers is ready, or has failed.
    pub(super) async fn settled(&self) {
        let is_known =
            |seat: carme_farm::Seat<'_>| matches!(seat.state(), State::Ready { .. } | State::Failed { .. });
        while !self.roster.seats().all(is_known) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets the workers finish what they have taken until the deadline, and returns when no process is left.
    pub(super) async fn end(&self, deadline: Instant) {
        if let Some(workers) = self.workers.lock().await.take() {
            workers.drain(deadline).await;
        }
    }
}

/// How often it is looked whether workers are ready.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// Ends the workers of all apps, all at the same time.
pub(super) async fn end(running: &[Arc<Running>], deadline: Instant) {
    let mut ending = JoinSet::new();
    for app in running {
        let app = Arc::clone(app);
        ending.spawn(async move { app.end(deadline).await });
    }
    ending.join_all().await;
}

/// Starts the workers of all apps; does not wait for them. Call it within the runtime that has the hooks.
pub(super) fn start(config: &Config, files: &FindFiles, hooks: &Hooks) -> io::Result<Vec<Arc<Running>>> {
    let start = |(number, configured): (usize, &carme_config::App)| {
        let workers = at_most_u16(configured.workers.get());
        let geometry = Geometry {
            slots: SLOTS,
            slot_bytes: SLOT_BYTES,
            workers,
            outbox_bytes: OUTBOX_BYTES,
            inbox_bytes: INBOX_BYTES,
        };
        let limits = Limits {
            queue: configured.queue.limit.get(),
            queue_timeout: configured.queue.timeout,
            response_buffer: config.server.limits.response_buffer.as_u64(),
        };
        let app = App::new(NewApp {
            number: at_most_u16(number),
            geometry,
            limits,
        })?;
        hooks.add(app.clone());
        let plan = plan(configured, workers);
        let workers = Workers::start(plan.clone(), Arc::clone(files), &app);
        Ok(Arc::new(Running {
            app,
            plan,
            roster: workers.roster(),
            workers: Mutex::new(Some(workers)),
        }))
    };
    config.apps.iter().enumerate().map(start).collect()
}

fn plan(app: &carme_config::App, workers: u16) -> AppPlan {
    AppPlan {
        name: app.name.as_str().into(),
        python: app.python.path.clone(),
        target: app.target.to_string(),
        import_root: app.directory.clone(),
        interface: match app.interface {
            carme_config::Interface::Auto => Interface::Auto,
            carme_config::Interface::Wsgi => Interface::Wsgi,
        },
        directory: app.directory.clone(),
        environment: app
            .env
            .iter()
            .map(|(name, value)| (OsString::from(name), Some(OsString::from(value))))
            .collect(),
        workers,
        threads: at_most_u16(app.threads.get()),
        switch_interval: app.switch_interval,
        route: app.route.to_string(),
        startup_timeout: app.startup_timeout,
    }
}

fn at_most_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
