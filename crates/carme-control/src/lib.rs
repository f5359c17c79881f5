//! The local endpoint by which `carme status` and its kin reach a running server.
//!
//! It owes its callers:
//! - Only the user that the server runs as, and those who administer the machine, can open the endpoint.
//! - Nothing that the other side sends is believed: sizes are bounded, silence is bounded in time, text is shown without
//!   its control characters.
//! - A server is found by what the user knows of it: its configuration file, an address, its process; and whoever looks
//!   for one that is not there is told which are.

#![deny(unsafe_code)]

mod balancer;
mod call;
mod endpoint;
mod find;
mod frame;
pub mod fuzzing;
mod printable;
mod process;
mod protocol;
mod serve;
mod status;

pub use balancer::{BalancerState, BalancerStatus, CheckStatus, MemberSettings, MemberStatus};
pub use call::CallError;
pub use endpoint::{Listener, OpenError};
pub use find::{FindError, Found, Wanted, find};
pub use printable::printable;
pub use protocol::{Identity, Reply, Request, Unfinished, VERSION};
pub use serve::{Answer, serve};
pub use status::{AppState, AppStatus, FailureStatus, ServerState, Status, WorkerState, WorkerStatus};
