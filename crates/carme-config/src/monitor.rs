//! `[health]` and `[metrics]`: pages for those who watch the server.

use crate::bind::Bind;
use crate::config::defaults;
use crate::mount::MountPath;
use crate::problem::Mistake;

/// The pages that the server answers itself, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// `[health] path`: whether the server serves.
    pub alive: String,
    /// `[health] ready_path`: whether every app is ready; below it, one app by its name.
    pub ready: String,
    /// `[metrics] path`.
    pub metrics: String,
    /// The first two are also answered where the server listens.
    pub public_health: bool,
    /// The metrics are.
    pub public_metrics: bool,
    /// Addresses that serve these pages and nothing else.
    pub listeners: Vec<MonitorListener>,
}

/// An address for those who watch the server. It always has the health pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorListener {
    /// The address.
    pub bind: Bind,
    /// Whether it has the metrics.
    pub metrics: bool,
}

impl Default for Monitor {
    /// No pages anywhere.
    fn default() -> Self {
        Monitor {
            alive: defaults::HEALTH_PATH.to_owned(),
            ready: defaults::READY_PATH.to_owned(),
            metrics: defaults::METRICS_PATH.to_owned(),
            public_health: false,
            public_metrics: false,
            listeners: Vec::new(),
        }
    }
}

impl Monitor {
    /// Whether the metrics are shown anywhere, so that there is something to count for.
    pub fn counts(&self) -> bool {
        self.public_metrics || self.listeners.iter().any(|listener| listener.metrics)
    }
}

/// The path of a page: like a location's, but not all of the server.
pub(crate) fn page_path(text: &str) -> Result<String, Mistake> {
    let path = MountPath::parse(text)?;
    match path.script_name() {
        "" => Err(Mistake::new(
            "must be a path of its own such as \"/healthz\", found \"/\", which is everything",
        )),
        path => Ok(path.to_owned()),
    }
}
