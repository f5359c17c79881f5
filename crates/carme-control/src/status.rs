//! How a server is: what `carme status` shows, and prints as JSON with `--json`. Fields are added, never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Memory of its process.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// How often it was replaced, by cause; those that never happened are left out.
    #[serde(default)]
    pub restarts: BTreeMap<String, u64>,
    /// Why the last one ended, if no other serves in its place.
    #[serde(default)]
    pub failure: Option<FailureStatus>,
}

impl WorkerStatus {
    /// How often it was replaced, for whatever cause.
    pub fn restarts_in_all(&self) -> u64 {
        self.restarts.values().sum()
    }
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
    /// The last one ended; the next one starts after a pause.
    Failed,
    /// Over.
    Stopped,
    /// What a newer server says and this program does not know.
    #[serde(other)]
    Unknown,
}

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// In a sentence.
    pub message: String,
    /// Python's traceback, if its app could not be imported.
    #[serde(default)]
    pub traceback: String,
    /// Until the next one starts.
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
        assert_eq!(worker.restarts_in_all(), 0);
        let state: AppState = serde_json::from_str(r#""odd""#).expect("understood");
        assert_eq!(state, AppState::Unknown);
    }
}
