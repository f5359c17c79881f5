//! An app's workers: their processes, readiness and replacement; and the front's side of the app's queue.

#![deny(unsafe_code)]

mod descriptors;
mod desk;
pub mod dispatch;
mod embedded;
mod endings;
mod launch;
mod memory;
mod output;
mod pause;
mod plan;
mod process;
mod roster;
mod supervisor;
mod workers;

pub use descriptors::raise_limit;
pub use embedded::{Embedded, EmbeddedFile, FindFiles, InstallError, Readers, WorkerFiles};
pub use endings::Cause;
pub use memory::resident;
pub use plan::{AppPlan, Recycle, Scale};
pub use process::{Exit, User};
pub use roster::{Roster, Seat};
pub use supervisor::{About, Failure, State, Unreplaced};
pub use workers::{Prepared, Refused, Rolling, Workers};
