//! The server while it runs, as a value: its parts, and what can be done with it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use carme_config::{Bind, Config, Problems, Surroundings};
use carme_farm::FindFiles;
use carme_farm::dispatch::Hooks;
use carme_front::{DoorId, Drained, Shutdown, Tls};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::configuration;

use super::apps::{self, Running};
use super::balancers::{self, Balanced};
use super::by_hand;
use super::develop::{Live, Served};
use super::error_log::ErrorLog;
use super::host::Stages;
use super::logs::{self, Logs};
use super::monitor::{self, Watch, Watching};
use super::{ServeError, passed, site};

/// Where the configuration comes from, to be read again.
pub(crate) enum Source {
    /// A file.
    File(PathBuf, Surroundings),
    /// The command line, which stays as it is.
    Options,
}

impl Source {
    /// The configuration as it is there now, or `None` if it cannot be another. Waits for the disk.
    pub(super) fn read(&self) -> Result<Option<Config>, Problems> {
        match self {
            Source::File(file, surroundings) => configuration::of_file(file, surroundings).map(Some),
            Source::Options => Ok(None),
        }
    }
}

/// What the server is made with.
pub(super) struct Outfit {
    pub(super) source: Arc<Source>,
    pub(super) files: FindFiles,
    pub(super) hooks: Hooks,
    pub(super) error_log: ErrorLog,
    pub(super) stages: Arc<Stages>,
    /// In development: what browsers ask for.
    pub(super) live: Option<Arc<Live>>,
}

/// The running server.
pub(crate) struct Server {
    pub(super) outfit: Outfit,
    pub(super) shutdown: Shutdown,
    pub(super) front: Arc<carme_front::Server<Served>>,
    pub(super) watching: Vec<Watching>,
    now: Mutex<Arc<Now>>,
    /// Held by whoever changes it: one at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Apps that serve nothing new any more.
    pub(super) retiring: tokio::sync::Mutex<JoinSet<()>>,
    running: Mutex<Option<JoinHandle<Drained>>>,
    /// Held by whoever writes what is kept.
    keeping: tokio::sync::Mutex<()>,
}

/// What is served now. A reload puts another in its place.
pub(super) struct Now {
    /// As far as it is in effect: what needs a restart is as it was.
    pub(super) config: Arc<Config>,
    pub(super) logs: Logs,
    pub(super) apps: Vec<Arc<Running>>,
    pub(super) balancers: Vec<Arc<Balanced>>,
    pub(super) watch: Arc<Watch>,
    pub(super) doors: Vec<Door>,
    /// What all addresses for TLS share.
    pub(super) tls: Option<Arc<Tls>>,
}

/// An address that is listened at.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) bind: Bind,
    /// As it is told.
    pub(super) address: String,
    pub(super) port: Option<u16>,
    pub(super) id: DoorId,
}

impl Now {
    /// The port of the first address for TLS.
    pub(super) fn secure_port(doors: &[Door]) -> Option<u16> {
        let is_secure = |door: &&Door| door.bind.is_tls();
        doors.iter().find(is_secure)?.port
    }

    /// The apps as the front sees them.
    pub(super) fn served(apps: &[Arc<Running>], live: Option<&Arc<Live>>) -> Vec<Served> {
        let served = |running: &Arc<Running>| Served {
            app: running.app.clone(),
            live: live.cloned(),
        };
        apps.iter().map(served).collect()
    }
}

impl Server {
    /// Listens, opens the logs and starts the workers; does not wait for these. Call it within the runtime.
    pub(super) fn start(config: Arc<Config>, outfit: Outfit) -> Result<Arc<Self>, ServeError> {
        let (access_logs, logs) = logs::access_logs(&config, outfit.error_log.writer(), None)?;
        let tls = site::tls(&config)?.map(Arc::new);
        let trusts = balancers::Trusts::load(&config.balancers, &[])?;
        let mut listeners = Vec::new();
        for (at, bind) in config.server.listen.iter().enumerate() {
            let there = site::listen(&config, at, tls.as_ref())?;
            listeners.extend(there.into_iter().map(|listener| (bind, listener)));
        }
        warn_of_unused(&config);
        let watched = monitor::listen(&config.monitor)?;
        let apps = apps::start(&config, &outfit.files, &outfit.hooks)?;
        let balancers = balancers::start(&config.balancers, trusts);
        by_hand::restore(&config, &outfit.source, &balancers);
        let shutdown = Shutdown::new(config.server.timeouts.graceful);
        let watch = Watch::new(&config, &apps, &balancers, logs.clone(), &shutdown, None);
        let secure = listeners.iter().find(|(bind, _)| bind.is_tls());
        let secure_port = secure
            .and_then(|(_, listener)| listener.local_addr())
            .map(|address| address.port());
        let site = site::site(
            &config,
            access_logs,
            &Now::served(&apps, outfit.live.as_ref()),
            &balancers,
            secure_port,
            &watch,
        );
        // Until all else is over: whoever watches sees the end, too.
        let watching = watch.serve(watched, &config.monitor, outfit.stages.host());
        let front = Arc::new(carme_front::Server::new(Arc::new(site)));
        let doors = listeners
            .into_iter()
            .map(|(bind, listener)| Self::open(&front, bind, listener))
            .collect();
        let run = {
            let (front, shutdown) = (Arc::clone(&front), shutdown.clone());
            tokio::spawn(async move { front.run(shutdown).await })
        };
        let now = Now {
            config,
            logs,
            apps,
            balancers,
            watch,
            doors,
            tls,
        };
        Ok(Arc::new(Server {
            outfit,
            shutdown,
            front,
            watching,
            now: Mutex::new(Arc::new(now)),
            changing: tokio::sync::Mutex::default(),
            retiring: tokio::sync::Mutex::default(),
            running: Mutex::new(Some(run)),
            keeping: tokio::sync::Mutex::default(),
        }))
    }

    pub(super) fn open(
        front: &carme_front::Server<Served>,
        bind: &Bind,
        listener: carme_front::Listener,
    ) -> Door {
        Door {
            bind: bind.clone(),
            address: listener.to_string(),
            port: listener.local_addr().map(|address| address.port()),
            id: front.open(listener),
        }
    }

    /// What is served at this moment.
    pub(super) fn now(&self) -> Arc<Now> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place.
    pub(super) fn set(&self, now: Now) -> Arc<Now> {
        std::mem::replace(
            &mut *self.now.lock().unwrap_or_else(PoisonError::into_inner),
            Arc::new(now),
        )
    }

    /// Keeps what commands have changed of balancers, for the next start.
    pub(super) async fn keep_changes(&self) -> Result<(), by_hand::NotKept> {
        let _alone = self.keeping.lock().await;
        let (now, source) = (self.now(), Arc::clone(&self.outfit.source));
        let kept = tokio::task::spawn_blocking(move || by_hand::keep(&now, &source)).await;
        kept.map_err(by_hand::NotKept::from)?
    }

    /// Opens all log files anew. Returns at once; the task is over when the old files are not written to any more.
    pub(crate) fn reopen_logs(&self) -> JoinHandle<()> {
        self.now().logs.reopen()
    }

    /// Lets everything that was begun come to its end, as long as `graceful_timeout` allows, and ends.
    pub(super) async fn stop(&self) {
        let deadline = Instant::now() + self.shutdown.graceful_timeout();
        // A reload gives up then.
        self.shutdown.begin();
        let _alone = self.changing.lock().await;
        let run = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(run) = run
            && let Ok(Drained { aborted: cut @ 1.. }) = run.await
        {
            tracing::warn!("{cut} connections were cut off when graceful_timeout was over");
        }
        let now = self.now();
        self.end_apps(deadline).await;
        now.watch.finish().await;
    }

    /// Ends all workers.
    pub(super) async fn end_apps(&self, deadline: Instant) {
        let now = self.now();
        for running in &now.apps {
            running.app.close(true);
        }
        apps::end(&now.apps, deadline).await;
        let mut retiring = self.retiring.lock().await;
        while retiring.join_next().await.is_some() {}
    }
}

/// A socket that systemd holds open and nobody serves leaves its clients waiting for ever.
fn warn_of_unused(config: &Config) {
    let watched = config.monitor.listeners.iter().map(|listener| &listener.bind);
    let binds = config.server.listen.iter().chain(watched);
    let names = binds.filter_map(|bind| match bind {
        Bind::Passed { name, .. } => Some(name.as_str()),
        _ => None,
    });
    for name in passed::unused(names) {
        tracing::warn!(
            "systemd has passed the socket {name}, which nothing serves: listen = [\"systemd:{name}\"]"
        );
    }
}
