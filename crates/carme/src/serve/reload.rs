//! A reload: the configuration is read again, the apps are started anew, and all of it is served in place of what was.
//!
//! It happens as a whole or not at all: whatever can fail is done first, beside what is served, one worker of each app by
//! the new code among it, and when one part fails nothing has changed. Then the settings change between two requests,
//! and the workers follow one after another. What was begun before ends as it began.

use std::sync::Arc;

use carme_config::{Applies, Change, Config, Problems};
use carme_farm::{Failure, Prepared, Rolling, Unreplaced};
use carme_front::Retired;
use carme_log::Destination;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::apps::{self, Running};
use super::develop::Served;
use super::error_log::ErrorLog;
use super::monitor::Watch;
use super::server::{Now, Server};
use super::{balancers, logs, site};

/// What a reload has brought.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reloaded {
    /// What is different now, a line each.
    pub(crate) changes: Vec<String>,
    /// What the file says and only a start of the server brings.
    pub(crate) needs_restart: Vec<String>,
    /// The apps that have new workers, all.
    pub(crate) apps: Vec<String>,
    /// Workers that stay as they were, because none with the new code started in their place; a line each.
    pub(crate) unfinished: Vec<String>,
}

/// Why nothing has changed.
#[derive(Debug, Clone, Serialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct NotReloaded {
    /// All that is wrong; several lines if it is much.
    pub(crate) message: String,
    /// Python's, if an app does not start.
    pub(crate) traceback: String,
}

impl NotReloaded {
    fn because(reason: &dyn std::fmt::Display) -> Self {
        NotReloaded {
            message: reason.to_string(),
            traceback: String::new(),
        }
    }

    fn app(running: &Running, failure: &Failure) -> Self {
        NotReloaded {
            message: format!("app {} could not be started: {}", running.name, failure.message),
            traceback: failure.traceback.clone(),
        }
    }
}

impl From<Problems> for NotReloaded {
    fn from(problems: Problems) -> Self {
        Self::because(&problems)
    }
}

impl From<logs::LogError> for NotReloaded {
    fn from(error: logs::LogError) -> Self {
        Self::because(&error)
    }
}

impl From<balancers::TrustError> for NotReloaded {
    fn from(error: balancers::TrustError) -> Self {
        Self::because(&error)
    }
}

impl From<site::ListenError> for NotReloaded {
    fn from(error: site::ListenError) -> Self {
        Self::because(&error)
    }
}

impl Server {
    /// Reloads, and tells the error log and the caller what has become of it. One at a time; ends when the server stops.
    pub(crate) async fn reload(&self, told: &str) -> Result<Reloaded, NotReloaded> {
        let _alone = self.changing.lock().await;
        tracing::info!("reloading after {told}");
        let stages = &self.outfit.stages;
        let _told = stages.reloading();
        let outcome = tokio::select! {
            biased;
            () = self.shutdown.begun() => Err(NotReloaded::because(&"the server stops")),
            outcome = self.try_reload() => outcome,
        };
        match &outcome {
            Ok(Reloaded {
                changes,
                needs_restart,
                apps,
                unfinished,
            }) => {
                for line in changes.iter().chain(needs_restart) {
                    tracing::info!("{line}");
                }
                let settings = match changes.len() {
                    0 => "no other settings".to_owned(),
                    1 => "1 other setting".to_owned(),
                    many => format!("{many} other settings"),
                };
                let apps = match apps.as_slice() {
                    [] => String::new(),
                    apps => format!(", new workers of {}", apps.join(", ")),
                };
                if unfinished.is_empty() {
                    tracing::info!("reloaded: {settings}{apps}");
                } else {
                    let stay = unfinished.len();
                    tracing::error!("reloaded: {settings}{apps}, but for {stay} that stay as they were");
                }
                stages.all_started();
                // What the file says now is not changed by hand any more.
                if let Err(error) = self.keep_changes().await {
                    tracing::error!("what commands have changed is not kept for the next start: {error}");
                }
            }
            Err(NotReloaded { message, traceback }) => {
                // The outcome comes last: whoever waits for it has seen all of it then.
                if !traceback.is_empty() {
                    tracing::error!("{}", traceback.trim_end());
                }
                tracing::error!("not reloaded, all goes on as before: {message}");
            }
        }
        outcome
    }

    async fn try_reload(&self) -> Result<Reloaded, NotReloaded> {
        let now = self.now();
        let source = Arc::clone(&self.outfit.source);
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        let config = match read.map_err(|error| NotReloaded::because(&error))?? {
            Some(config) => config,
            None => Config::clone(&now.config),
        };
        let changes = now.config.changes(&config);
        let config = Arc::new(in_effect(config, &now, &changes));
        let prepared = self.prepare(&config, &now)?;
        let apps = self.start_apps(&config, &now).await?;
        // From here on nothing can fail, and nothing waits.
        let (retired, rolling, old) = self.apply(config, prepared, apps, &now);
        self.retire(retired, old).await;
        let mut unfinished = Vec::new();
        for rolling in rolling {
            let stays = |Unreplaced { route, failure }| format!("{route} stays as it was: {failure}");
            unfinished.extend(rolling.over().await.into_iter().map(stays));
        }
        let line = |change: &Change| change.to_string();
        let is_restart = |change: &&Change| change.applies == Applies::Restart;
        Ok(Reloaded {
            changes: changes.iter().filter(|c| !is_restart(c)).map(line).collect(),
            needs_restart: changes.iter().filter(is_restart).map(line).collect(),
            apps: self
                .now()
                .apps
                .iter()
                .map(|running| running.name.to_string())
                .collect(),
            unfinished,
        })
    }

    /// Opens and reads what the new configuration needs, beside what there is.
    fn prepare(&self, config: &Config, now: &Now) -> Result<Parts, NotReloaded> {
        let server = &config.server;
        let before = &now.config.server;
        let same_error_log =
            (&server.error_log, server.error_log_rotation) == (&before.error_log, before.error_log_rotation);
        let error_log = if same_error_log {
            None
        } else {
            let destination =
                logs::destination(&server.error_log, server.error_log_rotation, Destination::Stderr);
            Some(ErrorLog::prepare(destination).map_err(logs::LogError::from)?)
        };
        let writer = match &error_log {
            Some(writer) => Arc::clone(writer),
            None => self.outfit.error_log.writer(),
        };
        let (access_logs, logs) = logs::access_logs(config, writer, Some(&now.logs))?;
        let fresh = site::tls(config)?;
        // One that listeners have stays theirs, and gets what is new later.
        let (tls, adopted) = match (&now.tls, fresh) {
            (Some(tls), fresh) => (Some(Arc::clone(tls)), fresh),
            (None, fresh) => (fresh.map(Arc::new), None),
        };
        let is_new =
            |(_, bind): &(usize, &carme_config::Bind)| !now.doors.iter().any(|door| door.bind == **bind);
        let trusts = balancers::Trusts::load(&config.balancers, &now.balancers)?;
        let mut listeners = Vec::new();
        for (at, bind) in server.listen.iter().enumerate().filter(is_new) {
            let there = site::listen(config, at, tls.as_ref())?;
            listeners.extend(there.into_iter().map(|listener| (bind.clone(), listener)));
        }
        Ok(Parts {
            error_log,
            access_logs,
            logs,
            tls,
            adopted,
            trusts,
            listeners,
        })
    }

    /// Starts what could take over beside what serves: one worker of each app that stays, all of those that are new or
    /// cannot become what they are to be while they run.
    async fn start_apps(&self, config: &Config, now: &Now) -> Result<Started, NotReloaded> {
        let hooks = &self.outfit.hooks;
        let mut started = Started {
            apps: Vec::new(),
            hooks: hooks.clone(),
        };
        for (number, configured) in config.apps.iter().enumerate() {
            let can = |running: &&Arc<Running>| running.can_become(number, configured);
            let (running, is_fresh) = match now.apps.iter().find(can) {
                Some(running) => (Arc::clone(running), false),
                None => {
                    let fresh = apps::start_one(config, number, configured, &self.outfit.files, hooks);
                    (fresh.map_err(|error| NotReloaded::because(&error))?, true)
                }
            };
            started.apps.push(Next {
                running,
                is_fresh,
                prepared: None,
            });
        }
        let mut trials = JoinSet::new();
        for (at, next) in started.apps.iter().enumerate() {
            let (running, is_fresh) = (Arc::clone(&next.running), next.is_fresh);
            let plan = apps::plan(&config.apps[at]);
            trials.spawn(async move {
                let outcome = match is_fresh {
                    true => running.first().await.map(|_| None),
                    false => running.workers().prepare(plan).await.map(Some),
                };
                (at, outcome)
            });
        }
        while let Some(trial) = trials.join_next().await {
            let (at, outcome) = trial.map_err(|error| NotReloaded::because(&error))?;
            match outcome {
                Ok(prepared) => started.apps[at].prepared = prepared,
                Err(failure) => {
                    let refused = NotReloaded::app(&started.apps[at].running, &failure);
                    // What waits to take over is not wanted any more.
                    drop(trials);
                    apps::end(&started.fresh(), Instant::now()).await;
                    return Err(refused);
                }
            }
        }
        for running in started.fresh() {
            running.settled().await;
        }
        Ok(started)
    }

    fn apply(
        &self,
        config: Arc<Config>,
        prepared: Parts,
        started: Started,
        before: &Now,
    ) -> (Retired<Served>, Vec<Rolling>, Arc<Now>) {
        let Parts {
            error_log,
            access_logs,
            logs,
            tls,
            adopted,
            trusts,
            listeners,
        } = prepared;
        if let Some(writer) = error_log {
            self.outfit.error_log.redirect(writer);
        }
        let mut rolling = Vec::new();
        let mut apps = Vec::new();
        for (next, configured) in started.serve().into_iter().zip(&config.apps) {
            next.running.app.set_limits(apps::limits(&config, configured));
            rolling.extend(next.prepared.map(Prepared::commit));
            apps.push(next.running);
        }
        if let (Some(tls), Some(adopted)) = (&tls, adopted) {
            tls.adopt(adopted);
        }
        self.shutdown
            .set_graceful_timeout(config.server.timeouts.graceful);
        let balancers = balancers::follow(&config.balancers, trusts, &before.balancers);
        let watch = Watch::new(
            &config,
            &apps,
            &balancers,
            logs.clone(),
            &self.shutdown,
            Some(&before.watch),
        );
        let keeps = |door: &&super::server::Door| config.server.listen.contains(&door.bind);
        let mut doors: Vec<_> = before.doors.iter().filter(keeps).cloned().collect();
        let mut secure = listeners.iter().filter(|(bind, _)| bind.is_tls());
        let fresh = secure.find_map(|(_, listener)| Some(listener.local_addr()?.port()));
        let site = site::site(
            &config,
            access_logs,
            &Now::served(&apps, self.outfit.live.as_ref()),
            &balancers,
            Now::secure_port(&doors).or(fresh),
            &watch,
        );
        let retired = self.front.replace(Arc::new(site));
        for (bind, listener) in listeners {
            doors.push(Self::open(&self.front, &bind, listener));
        }
        watch.take_over(&self.watching, &config.monitor);
        let old = self.set(Now {
            config,
            logs,
            apps,
            balancers,
            watch,
            doors,
            tls,
        });
        (retired, rolling, old)
    }

    /// Ends what is not served any more, when it has finished what it began with.
    async fn retire(&self, retired: Retired<Served>, old: Arc<Now>) {
        let now = self.now();
        let closed: Vec<_> = old
            .doors
            .iter()
            .filter(|door| !now.doors.iter().any(|other| other.id == door.id))
            .map(|door| door.id)
            .collect();
        let (front, hooks) = (Arc::clone(&self.front), self.outfit.hooks.clone());
        let deadline = Instant::now() + self.shutdown.graceful_timeout();
        let is_kept = |app: &&Arc<Running>| now.apps.iter().any(|other| Arc::ptr_eq(app, other));
        let gone: Vec<_> = old.apps.iter().filter(|app| !is_kept(app)).cloned().collect();
        let task = async move {
            for door in closed {
                front.close(door).await;
            }
            let quiet = async {
                retired.over().await;
                while gone.iter().any(|running| running.app.streams() > 0) {
                    tokio::time::sleep(apps::LOOK).await;
                }
            };
            tokio::select! {
                () = quiet => {}
                () = sleep_until(deadline) => {}
            }
            for running in &gone {
                running.app.close(true);
            }
            apps::end(&gone, deadline).await;
            for running in &gone {
                hooks.remove(&running.app);
            }
            if !old.watch.shares_exporter(&now.watch) {
                old.watch.finish().await;
            }
        };
        let mut retiring = self.retiring.lock().await;
        // Those that are over are forgotten.
        while retiring.try_join_next().is_some() {}
        retiring.spawn(task);
    }
}

/// The configuration without what only a start brings.
fn in_effect(mut config: Config, now: &Now, changes: &[Change]) -> Config {
    let needs_restart = |key: &str| {
        changes
            .iter()
            .any(|change| change.key == key && change.applies == Applies::Restart)
    };
    let before = &now.config;
    config.server.limits.backlog = before.server.limits.backlog;
    config.server.control = before.server.control;
    config.monitor.listeners.clone_from(&before.monitor.listeners);
    if needs_restart("server.listen") {
        config.server.listen.clone_from(&before.server.listen);
    }
    config
}

/// What a new configuration needs, opened and read.
struct Parts {
    /// If it is another.
    error_log: Option<Arc<carme_log::Writer>>,
    access_logs: Vec<carme_front::AccessLog>,
    logs: logs::Logs,
    tls: Option<Arc<carme_front::Tls>>,
    /// For the TLS that is there.
    adopted: Option<carme_front::Tls>,
    /// For members that speak TLS.
    trusts: balancers::Trusts,
    listeners: Vec<(carme_config::Bind, carme_front::Listener)>,
}

/// An app that is about to serve.
struct Next {
    running: Arc<Running>,
    /// It did not serve before.
    is_fresh: bool,
    /// It served before, and will with these workers.
    prepared: Option<Prepared>,
}

/// Apps that are about to serve; if they do not get to it, the runtime forgets those that did not serve before.
struct Started {
    apps: Vec<Next>,
    hooks: carme_farm::dispatch::Hooks,
}

impl Started {
    fn fresh(&self) -> Vec<Arc<Running>> {
        let fresh = self.apps.iter().filter(|next| next.is_fresh);
        fresh.map(|next| Arc::clone(&next.running)).collect()
    }

    fn serve(mut self) -> Vec<Next> {
        std::mem::take(&mut self.apps)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for running in self.fresh() {
            self.hooks.remove(&running.app);
        }
    }
}
