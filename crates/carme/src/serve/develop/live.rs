//! What development knows and browsers ask for: whether the source is broken, and that it has changed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;

/// A browser that waits for a change is told that there is none after this time, and asks again: what lies between may
/// give up a connection on which nothing is said.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Shared by whoever follows the source and by the apps as the front sees them.
pub(crate) struct Live {
    /// Tells this run of the server from others: a browser may have a page of the one before.
    run: u128,
    health: watch::Sender<Health>,
}

struct Health {
    changes: u64,
    broken: Option<Arc<Broken>>,
    is_over: bool,
}

/// Why the source as it is cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// One line, or several if much is wrong with the configuration.
    pub(crate) message: String,
    /// Python's; empty if it is not Python's.
    pub(crate) traceback: String,
    /// Nothing was ever served: the app is started again and again, and may come by itself.
    pub(crate) is_start: bool,
}

impl Live {
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Live {
            run: since.map_or(0, |since| since.as_nanos()),
            health: watch::Sender::new(Health {
                changes: 0,
                broken: None,
                is_over: false,
            }),
        }
    }

    /// New source is served.
    pub(crate) fn works(&self) {
        self.change(None);
    }

    /// It cannot be served.
    pub(crate) fn broke(&self, broken: Broken) {
        self.change(Some(Arc::new(broken)));
    }

    fn change(&self, broken: Option<Arc<Broken>>) {
        self.health.send_modify(|health| {
            health.changes += 1;
            health.broken = broken;
        });
    }

    /// The server stops: nobody waits any longer.
    pub(crate) fn end(&self) {
        self.health.send_modify(|health| health.is_over = true);
    }

    /// Returns when the apps have not started, and nothing else was served since.
    pub(crate) async fn did_not_start(&self) {
        let is_waited_for = |health: &Health| health.broken.as_ref().is_some_and(|broken| broken.is_start);
        // `self` holds the sender, so this cannot fail.
        let _ = self.health.subscribe().wait_for(is_waited_for).await;
    }

    pub(crate) fn broken(&self) -> Option<Arc<Broken>> {
        self.health.borrow().broken.clone()
    }

    /// What is served now, in a word.
    pub(crate) fn version(&self) -> String {
        self.name(&self.health.borrow())
    }

    fn name(&self, health: &Health) -> String {
        format!("{:x}-{}", self.run, health.changes)
    }

    /// Waits until something else is served than `since`, and says what; `None` if nothing is for a while.
    pub(crate) async fn other_than(&self, since: &str) -> Option<String> {
        let mut health = self.health.subscribe();
        let other = health.wait_for(|health| health.is_over || self.name(health) != since);
        let health = timeout(LONGEST_WAIT, other).await.ok()?.ok()?;
        (!health.is_over).then(|| self.name(&health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_of_a_change_or_that_there_is_none() {
        let live = Arc::new(Live::new());
        let first = live.version();
        assert_eq!(live.other_than("of another run").await.as_deref(), Some(&*first));
        assert_eq!(live.other_than(&first).await, None);

        let waiting = tokio::spawn({
            let (live, first) = (Arc::clone(&live), first.clone());
            async move { live.other_than(&first).await }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        let broken = Broken {
            message: "no".into(),
            traceback: String::new(),
            is_start: false,
        };
        live.broke(broken.clone());
        assert_eq!(waiting.await.unwrap(), Some(live.version()));
        assert_eq!(live.broken().as_deref(), Some(&broken));
        live.works();
        assert_eq!(live.broken(), None);

        let now = live.version();
        live.end();
        assert_eq!(live.other_than(&now).await, None, "at once");
    }
}
