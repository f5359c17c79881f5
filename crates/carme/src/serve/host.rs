//! Who has started the server and waits for its word: somebody at a console, systemd, or Windows' service control manager.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::orders::Orders;

/// What the server is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It listens, and its apps start for the first time.
    Starting,
    /// Each app has either started or failed to.
    Serving {
        /// A line for each app that does not start. They are tried again.
        broken: Vec<String>,
    },
    /// It serves, and the configuration is read and the apps are started again.
    Reloading,
    /// What was begun is finished.
    Stopping {
        /// Then it is over at the latest.
        until: Instant,
    },
}

/// Why the server has ended although nobody told it to.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What is wrong, and the cure.
    pub(crate) message: String,
    /// Python's, if it is an app; else empty.
    pub(crate) traceback: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.traceback.trim_end() {
            "" => write!(f, "carme: {}", self.message),
            traceback => write!(f, "{traceback}\ncarme: {}", self.message),
        }
    }
}

/// Whoever has started the server.
pub(crate) trait Host: Send + Sync {
    /// The server takes orders from now on.
    fn attach(&self, _: &Orders) {}

    /// A line for people: what is served where.
    fn say(&self, line: &str) {
        // In one piece: the error log may be written to the same terminal at this moment.
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }

    /// Told of each new stage. Must not wait.
    fn hear(&self, _: &Stage) {}

    /// Told each [`Host::pulse`] that the stage lasts, from the thread that serves: silence means that it is stuck. Must
    /// not wait.
    fn alive(&self, _: &Stage) {}

    /// How often it wants to hear that the server is alive; `None`: never.
    fn pulse(&self) -> Option<Duration> {
        None
    }

    /// The server has ended although nobody told it to.
    fn failed(&self, why: &Failed) {
        eprintln!("{why}");
    }
}

/// Somebody who has typed the command.
pub(crate) struct Console;

impl Host for Console {}

/// The stage that the server is at, and the host that is told of it.
pub(crate) struct Stages {
    host: Arc<dyn Host>,
    now: Mutex<Stage>,
    /// What a reload returns to.
    broken: Mutex<Vec<String>>,
}

impl Stages {
    /// Begins with [`Stage::Starting`].
    pub(crate) fn begin(host: Arc<dyn Host>) -> Arc<Self> {
        host.hear(&Stage::Starting);
        Arc::new(Self {
            host,
            now: Mutex::new(Stage::Starting),
            broken: Mutex::default(),
        })
    }

    /// The host.
    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// The apps have been started or have failed.
    pub(crate) fn serving(&self, broken: Vec<String>) {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&broken);
        self.enter(Stage::Serving { broken });
    }

    /// A reload begins; it ends when what is returned is dropped. Nothing is told of one before the server serves.
    pub(crate) fn reloading(&self) -> Reloading<'_> {
        let serves = matches!(&*self.lock(), Stage::Serving { .. });
        if serves {
            self.enter(Stage::Reloading);
        }
        Reloading(serves.then_some(self))
    }

    /// The server stops: the last stage.
    pub(crate) fn stopping(&self, until: Instant) {
        self.enter(Stage::Stopping { until });
    }

    /// All apps have been started anew.
    pub(crate) fn all_started(&self) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn enter(&self, stage: Stage) {
        let mut now = self.lock();
        if matches!(*now, Stage::Stopping { .. }) {
            return;
        }
        *now = stage;
        self.host.hear(&now);
    }

    /// Tells the host again and again, for as long as it is polled.
    pub(crate) async fn pulse(&self) {
        let Some(period) = self.host.pulse() else {
            return std::future::pending().await;
        };
        let mut beat = interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let now = self.lock();
            self.host.alive(&now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reload that goes on.
pub(crate) struct Reloading<'s>(Option<&'s Stages>);

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        if let Some(stages) = self.0 {
            let broken = stages
                .broken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            stages.enter(Stage::Serving { broken });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder {
        heard: Mutex<Vec<Stage>>,
        alive: Mutex<Vec<Stage>>,
    }

    impl Host for Recorder {
        fn hear(&self, stage: &Stage) {
            self.heard.lock().unwrap().push(stage.clone());
        }

        fn alive(&self, stage: &Stage) {
            self.alive.lock().unwrap().push(stage.clone());
        }

        fn pulse(&self) -> Option<Duration> {
            Some(Duration::from_secs(5))
        }
    }

    fn serving() -> Stage {
        Stage::Serving { broken: Vec::new() }
    }

    #[test]
    fn a_reload_is_told_with_its_end_and_nothing_follows_the_stop() {
        let recorder = Arc::new(Recorder::default());
        let stages = Stages::begin(recorder.clone());
        drop(stages.reloading());
        stages.serving(vec!["app a does not start".into()]);
        drop(stages.reloading());
        stages.all_started();
        let reloading = stages.reloading();
        let stopping = Stage::Stopping {
            until: Instant::from_std(std::time::Instant::now()),
        };
        stages.enter(stopping.clone());
        drop(reloading);
        let broken = Stage::Serving {
            broken: vec!["app a does not start".into()],
        };
        let expected = [
            Stage::Starting,
            broken.clone(),
            Stage::Reloading,
            broken,
            Stage::Reloading,
            stopping,
        ];
        assert_eq!(*recorder.heard.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_hears_again_at_each_pulse() {
        let recorder = Arc::new(Recorder::default());
        let stages = Stages::begin(recorder.clone());
        stages.serving(Vec::new());
        let beats = tokio::time::timeout(Duration::from_secs(12), stages.pulse());
        assert!(beats.await.is_err(), "it never ends by itself");
        let expected = [serving(), serving(), serving()];
        assert_eq!(*recorder.alive.lock().unwrap(), expected, "at 0, 5 and 10 s");
    }
}
