//! A worker's process, as its supervisor sees it.

use std::future::Future;
use std::sync::Arc;

use carme_ring::WorkerIndex;

use super::About;
use crate::plan::AppPlan;
use crate::process::Exit;

/// What a worker is started for.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) plan: Arc<AppPlan>,
    /// Its place in the ring, which is nobody else's as long as it lives.
    pub(crate) place: WorkerIndex,
    /// Which of the app's seats it has, from 0. Another may have the same while one replaces the other.
    pub(crate) seat: u16,
    pub(crate) route: Arc<str>,
    /// It takes no requests before it is told to.
    pub(crate) held: bool,
}

/// Starts workers.
pub(crate) trait Launch: Send + Sync + 'static {
    /// What it starts.
    type Worker: Worker;

    /// Starts the process of a worker and returns without waiting for its app.
    fn launch(&self, post: Post) -> impl Future<Output = Result<Self::Worker, String>> + Send;
}

/// A worker's process and its link, to the one task that owns it.
pub(crate) trait Worker: Send + 'static {
    /// The worker's process id, or its launcher's before the hello.
    fn pid(&self) -> u32;
    /// The last lines of its standard error: often why it ended.
    fn last_lines(&self) -> Vec<String>;
    /// What happens next. Cancel safe. Nothing comes after [`Event::Exited`].
    fn event(&mut self) -> impl Future<Output = Event> + Send;
    /// It takes requests from now on.
    fn serve(&mut self);
    /// It takes no more requests, and exits when it has answered those it has.
    fn drain(&mut self);
    /// It exits at once.
    fn stop(&mut self);
    /// The operating system ends it.
    fn kill(&mut self);
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It could serve. `about` says which app on which Python.
    Ready(About),
    /// Its app cannot be imported.
    ImportFailed { message: String, traceback: String },
    /// It broke the protocol, or is not a worker that can be served.
    Broken(String),
    /// It has closed its control connection.
    Closed,
    /// Its process is dead.
    Exited(Exit),
}
