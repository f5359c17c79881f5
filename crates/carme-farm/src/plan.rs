//! How to start the workers of an app.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carme_ring::WorkerIndex;
use carme_ring::control::Interface;

/// How to start the workers of an app.
#[derive(Clone, Debug)]
pub struct AppPlan {
    /// The app's name.
    pub name: Arc<str>,
    /// The interpreter.
    pub python: PathBuf,
    /// What it imports: `module:attribute`, `module:factory()` or `module`.
    pub target: String,
    /// What goes first on `sys.path`.
    pub import_root: PathBuf,
    /// How the app is called.
    pub interface: Interface,
    /// Where it runs.
    pub directory: PathBuf,
    /// Changes to the environment; `None` removes a variable.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// Processes.
    pub workers: u16,
    /// Threads of each process at most.
    pub threads: u16,
    /// `sys.setswitchinterval`.
    pub switch_interval: Duration,
    /// The route of the nth worker, with `{n}` for its number from 1.
    pub route: String,
    /// What a worker may take from its start until its app is imported.
    pub startup_timeout: Duration,
}

impl AppPlan {
    /// The route of the worker at this place.
    pub fn route(&self, place: WorkerIndex) -> Arc<str> {
        self.route
            .replace("{n}", &(u32::from(place.0) + 1).to_string())
            .into()
    }
}
