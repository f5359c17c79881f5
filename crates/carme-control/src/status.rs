//! How a server is: what `carme status` shows, and prints as JSON with `--json`. Fields are added, never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::balancer::BalancerStatus;
use crate::protocol::Identity;

/// A server at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which server it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Where it is in its life.
    pub state: ServerState,
    /// Since its start.
    pub uptime_seconds: f64,
    /// Open connections of clients.
    pub connections: usize,
    /// Memory of the server's own process, without its workers'.
    pub memory_bytes: Option<u64>,
    /// In the configuration's order.
    pub apps: Vec<AppStatus>,
    /// In the configuration's order.
    #[serde(default)]
    pub balancers: Vec<BalancerStatus>,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It serves.
    Serving,
    /// It finishes what was begun, and ends.
    Stopping,
    /// What a newer server says and this program does not know.
    #[serde(other)]
    Unknown,
}

/// An app at that moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is in its life.
    pub state: AppState,
    /// What is served: `mysite.wsgi:application`. Unknown until a worker is ready.
    #[serde(default)]
    pub title: Option<String>,
    /// `WSGI` or `ASGI`.
    #[serde(default)]
    pub interface: Option<String>,
    /// For instance `CPython 3.13.1`.
    #[serde(default)]
    pub python: Option<String>,
    /// Requests that no worker has taken yet.
    pub queued: usize,
    /// Requests that may wait; one more is refused.
    pub queue_limit: usize,
    /// Requests that a worker has and has not finished.
    pub in_flight: usize,
    /// Requests that workers have finished since the start, or since the app was made anew by a reload.
    pub requests: u64,
    /// In their order.
    pub workers: Vec<WorkerStatus>,
}

/// Where an app is in its life, by its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// Not every worker serves yet, and none has failed.
    Starting,
    /// Every worker serves.
    Ready,
    /// Some serve, and at least one has failed.
    Degraded,
    /// None serves, and at least one has failed.
    Failed,
    /// None serves any more.
    Stopped,
    /// What a newer server says and this program does not know.
    #[serde(other)]
    Unknown,
}

/// A worker at that moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name.
    pub route: String,
    /// Where it is in its life.
    pub state: WorkerState,
    /// Its process, if it has one that is known.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Since it has served.
    #[serde(default)]
    pub age_seconds: Option<f64>,
    /// Which generation of the app it is: 1 at the start, one more with each reload; 0 without a worker.
    #[serde(default)]
    pub generation: u64,
    /// Requests that it has finished.
    #[serde(default)]
    pub requests: u64,
    /// Requests that it has and has not finished; also those that one which it has replaced still has.
    #[serde(default)]
    pub in_flight: u64,
    /// Memory of its process.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// How often one failed: it ended by itself, hung, or could not start.
    #[serde(default)]
    pub failures: u64,
    /// How often one was replaced for a reason other than a failure: a reload, a restart, its age, its memory.
    #[serde(default)]
    pub replacements: u64,
    /// Both, by their causes; those that never happened are left out.
    #[serde(default)]
    pub restarts: BTreeMap<String, u64>,
    /// When and why one failed last.
    #[serde(default)]
    pub last_failure: Option<FailureStatus>,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Its app is not imported yet.
    Starting,
    /// It serves.
    Ready,
    /// It finishes what it has taken, and takes nothing more.
    Draining,
    /// Somebody has drained it; there is none until it is enabled.
    Drained,
    /// The last one ended; the next one starts after a pause.
    Failed,
    /// Over.
    Stopped,
    /// What a newer server says and this program does not know.
    #[serde(other)]
    Unknown,
}

/// Why a worker failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// In a sentence.
    pub message: String,
    /// Python's traceback, if its app could not be imported.
    #[serde(default)]
    pub traceback: String,
    /// The last lines that it wrote to its standard error.
    #[serde(default)]
    pub last_lines: Vec<String>,
    /// Since then.
    #[serde(default)]
    pub seconds_ago: Option<f64>,
    /// Until the next one starts, if none serves in its place.
    #[serde(default)]
    pub again_in_seconds: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_a_newer_server_are_no_obstacle() {
        let worker: WorkerStatus =
            serde_json::from_str(r#"{"route":"a_1","state":"dreaming","more":{}}"#).expect("understood");
        assert_eq!(worker.state, WorkerState::Unknown);
        assert_eq!((worker.requests, worker.pid), (0, None));
        let state: AppState = serde_json::from_str(r#""odd""#).expect("understood");
        assert_eq!(state, AppState::Unknown);
    }
}
