//! From configured apps to queues and workers.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use carme_config::Config;
use carme_farm::dispatch::{App, Hooks, Limits, NewApp, TimeLimits};
use carme_farm::{About, AppPlan, Failure, FindFiles, Readers, Recycle, Roster, Scale, State, User, Workers};
use carme_ring::Geometry;
use carme_ring::control::Interface;
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

/// Places for workers that there are at least and at most.
const FEWEST_PLACES: usize = 8;
const MOST_PLACES: u16 = 1024;

/// An app and its workers.
pub(super) struct Running {
    pub(super) app: App,
    pub(super) name: Arc<str>,
    pub(super) roster: Roster,
    workers: Workers,
}

impl Running {
    /// How its start has turned out; see [`Workers::first`].
    pub(super) async fn first(&self) -> Result<About, Arc<Failure>> {
        self.workers.first().await
    }

    /// Its workers, to be told what to do.
    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Waits until each of its workers is ready, or has failed.
    pub(super) async fn settled(&self) {
        let is_known = |seat: carme_farm::Seat<'_>| {
            seat.is_drained() || matches!(seat.state(), State::Ready { .. } | State::Failed { .. })
        };
        while !self.roster.seats().all(is_known) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether it can become this app while it runs: it has the same place among the apps, and there is room for as many
    /// workers.
    pub(super) fn can_become(&self, number: usize, configured: &carme_config::App) -> bool {
        let needed = configured.workers.max.get() + configured.surge.get();
        *self.name == *configured.name
            && usize::from(self.app.number()) == number
            && needed <= usize::from(self.app.geometry().workers)
            && configured.workers.max.get() <= usize::from(self.workers.most())
            && self
                .roster
                .all()
                .all(|seat| **seat.route() == *configured.route.route(usize::from(seat.number()) + 1))
    }

    /// Lets the workers finish what they have taken until the deadline, and returns when no process is left.
    pub(super) async fn end(&self, deadline: Instant) {
        self.workers.end(deadline).await;
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
    config
        .apps
        .iter()
        .enumerate()
        .map(|(number, configured)| start_one(config, number, configured, files, hooks))
        .collect()
}

/// What an app's queue may hold.
pub(super) fn limits(config: &Config, configured: &carme_config::App) -> Limits {
    Limits {
        queue: configured.queue.limit.get(),
        queue_timeout: configured.queue.timeout,
        response_buffer: config.server.limits.response_buffer.as_u64(),
        times: TimeLimits {
            request: configured.timeouts.request,
            idle: configured.timeouts.idle,
            interrupt_grace: configured.timeouts.interrupt_grace,
            slow: configured.timeouts.slow,
        },
    }
}

/// Starts the workers of one app; does not wait for them.
pub(super) fn start_one(
    config: &Config,
    number: usize,
    configured: &carme_config::App,
    files: &FindFiles,
    hooks: &Hooks,
) -> io::Result<Arc<Running>> {
    let (most, surge) = (configured.workers.max.get(), configured.surge.get());
    // Twice as many can come without another queue; each place costs nothing while nobody has it.
    let workers = at_most_u16((2 * most + surge).max(FEWEST_PLACES)).min(MOST_PLACES);
    let geometry = Geometry {
        slots: SLOTS,
        slot_bytes: SLOT_BYTES,
        workers,
        outbox_bytes: OUTBOX_BYTES,
        inbox_bytes: INBOX_BYTES,
    };
    let app = App::new(NewApp {
        number: at_most_u16(number),
        geometry,
        limits: limits(config, configured),
    })?;
    hooks.add(app.clone());
    let plan = plan(configured);
    let name = Arc::clone(&plan.name);
    let workers = Workers::start(plan, Arc::clone(files), &app);
    Ok(Arc::new(Running {
        app,
        name,
        roster: workers.roster(),
        workers,
    }))
}

/// Who must be able to read what its workers are made of.
pub(super) fn readers(app: &carme_config::App) -> Readers {
    match app.user {
        Some(_) => Readers::Anyone,
        None => Readers::ThisUser,
    }
}

/// How its workers are started.
pub(super) fn plan(app: &carme_config::App) -> AppPlan {
    let scale = &app.workers;
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
        environment: environment(app),
        user: app.user.as_ref().map(|account| User {
            name: account.name.clone(),
            uid: account.uid,
            gid: account.gid,
            groups: account.groups.clone(),
        }),
        workers: Scale {
            range: at_most_u16(scale.min.get())..=at_most_u16(scale.max.get()),
            ttl: scale.ttl,
        },
        surge: at_most_u16(app.surge.get()),
        threads: at_most_u16(app.threads.get()),
        switch_interval: app.switch_interval,
        route: app.route.to_string(),
        startup_timeout: app.startup_timeout,
        drain_timeout: app.drain_timeout,
        recycle: Recycle {
            requests: app.recycle.requests,
            age: app.recycle.age,
            jitter: app.recycle.jitter,
            memory: app.recycle.memory.map(carme_config::ByteSize::as_u64),
            idle: app.recycle.idle,
        },
    }
}

fn at_most_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// What systemd tells the front in its environment is not for the Python processes: they would take it for theirs.
const OF_THE_FRONT: [&str; 6] = [
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Folders of the front's user, which another one cannot use.
const OF_ITS_USER: [&str; 9] = [
    "CACHE_DIRECTORY",
    "MAIL",
    "RUNTIME_DIRECTORY",
    "SHELL",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// What a worker's environment has otherwise than the front's.
fn environment(app: &carme_config::App) -> Vec<(OsString, Option<OsString>)> {
    let mut changes: Vec<(OsString, Option<OsString>)> =
        OF_THE_FRONT.map(|name| (OsString::from(name), None)).into();
    if let Some(account) = &app.user {
        changes.extend(OF_ITS_USER.map(|name| (OsString::from(name), None)));
        let own = [
            ("HOME", account.home.clone().into_os_string()),
            ("LOGNAME", OsString::from(&account.name)),
            ("USER", OsString::from(&account.name)),
        ];
        changes.extend(own.map(|(name, value)| (name.into(), Some(value))));
    }
    changes.extend(
        app.env
            .iter()
            .map(|(name, value)| (name.into(), Some(value.into()))),
    );
    changes
}
