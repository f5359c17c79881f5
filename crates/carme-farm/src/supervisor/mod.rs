//! The supervisor of an app: its steward decides which workers there are, and a task of its own owns each.
//!
//! What it owes its callers:
//! - A seat whose worker ended for whatever reason gets another one, after growing pauses, until the farm stops.
//! - A worker that is to be replaced goes on until its successor is ready. If that does not start, it stays.
//! - A worker counts as gone only when its process is confirmed dead.
//! - Every end has a reason, and the reason reaches the error log or, at the first start, the caller.
//!
//! Knows no processes: they are behind [`Launch`] and [`Worker`], so that its tests need none.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

mod life;
mod recycling;
mod replacement;
mod scaling;
mod seat;
mod steward;
mod worker;

#[cfg(test)]
mod tests;

pub use replacement::Unreplaced;
pub(crate) use seat::{Shared, Shown};
pub(crate) use steward::{Command, LastOne, Steward};
pub(crate) use worker::{Event, Launch, Post, Worker};

/// Where a seat's worker is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its interpreter starts and imports the app.
    Starting,
    /// It takes requests.
    Ready {
        /// The worker's process.
        pid: u32,
        /// What it serves.
        about: About,
    },
    /// It answers what it has taken, and takes nothing more.
    Draining {
        /// The worker's process.
        pid: u32,
    },
    /// The last worker ended; the next one starts at this time.
    Failed {
        /// Why it ended.
        failure: Arc<Failure>,
        /// When the next one starts.
        again_at: Instant,
    },
    /// There is none, as it is meant to be.
    Stopped,
}

/// What a ready worker serves, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// For instance `mysite.wsgi:application`.
    pub title: String,
    /// `WSGI` or `ASGI`.
    pub interface: String,
    /// For instance `CPython 3.13.1`.
    pub python: String,
}

/// Why a worker ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub message: String,
    /// Python's traceback, if the app could not be imported.
    pub traceback: String,
    /// The last lines of its standard error.
    pub last_lines: Vec<String>,
}

impl Failure {
    /// All that is known is this sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            ..Failure::default()
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.traceback.is_empty() {
            Ok(())
        } else {
            write!(f, "\n{}", self.traceback.trim_end())
        }
    }
}

impl std::error::Error for Failure {}
