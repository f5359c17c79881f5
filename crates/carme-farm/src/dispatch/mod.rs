//! The front's side of an app's queue: which requests there are, whose each is, and what has come back.
//!
//! What it owes its callers:
//! - What is in flight is decided here, in a private table of streams, never in the shared region.
//! - Every [`Exchange`] gets exactly one outcome, whatever its worker does; dropping it takes the request back from the
//!   queue, or tells the worker that nobody waits any more.
//! - A slow reader of a response holds up nobody: what it has not read waits in memory, then in a temporary file.
//! - Nothing waits without bound for an app that hangs: [`TimeLimits`].
//! - Nothing grows without bound, and requests that find no room wait in order.
//! - A request whose client is bound to a worker goes to that one, or to anybody if it is gone; a worker that hangs keeps
//!   nobody waiting but its own clients.
//!
//! Everything runs on the front's one thread; the lock is there for the supervisor's threads.

mod app;
mod backlog;
mod bell;
mod body;
mod bound;
mod census;
mod exchange;
mod hooks;
mod overtime;
mod pump;
mod records;
mod settle;
mod streams;
mod workers;

pub use app::{App, Limits, NewApp};
pub use body::Aborted;
pub use census::{Census, WorkerCensus};
pub use exchange::{Account, Answer, AnswerBody, Exchange, Failure, Identity, RequestBody};
pub use hooks::Hooks;
pub use overtime::{Hung, TimeLimits};
