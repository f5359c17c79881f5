//! An app's workers: their processes, readiness and replacement; and the front's side of the app's queue.

#![deny(unsafe_code)]

mod embedded;
mod output;
mod pause;
mod process;
mod supervisor;

pub use embedded::{Embedded, EmbeddedFile, InstallError, WorkerFiles};
pub use process::Exit;
pub use supervisor::{About, Failure, State};
