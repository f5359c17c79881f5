//! The queue in shared memory between the front and the workers of one app.
//!
//! What it owes its callers:
//! - **Exact late binding.** A request in the queue belongs to nobody until one compare-and-swap gives it to one worker.
//! - **Slots are mail.** A request's slot comes back as soon as its worker has read it; who owns what is recorded
//!   in one atomic word, so a worker killed between any two instructions leaves a word that says so.
//! - **Nobody can block the others.** Every index may be advanced by anyone; no step holds a lock in shared memory.
//! - **Nothing is trusted.** The front copies and then validates every length, index and generation; what does not
//!   add up is [`Poisoned`], never undefined behaviour. The region is only ever seen as `&[AtomicU64]`.
//! - **Everything is bounded**: slots, order entries, each worker's outbox and inbox.
//!
//! [`FrontRing`] is the front's half, [`WorkerRing`] a worker's. [`link`] carries what is not mail: the control
//! connection and the doorbells.

mod atomic;
mod byte_ring;
pub mod clock;
pub mod control;
pub mod frame;
mod front;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod fuzzing;
mod geometry;
mod layout;
pub mod link;
mod order;
pub mod os;
mod region;
mod share;
mod slot;
mod worker;

pub use byte_ring::{Full, MAX_RECORD};
pub use front::{Collected, FrontRing, Rebound, Record, Refused, Rung, Ticket, Withdrawal};
pub use geometry::{Geometry, GeometryError, MAX_EXTENTS};
pub use region::Region;
pub use worker::{Armed, Corrupt, Inline, Need, Taken, WorkerRing};

use std::fmt;

/// Body bytes of one response that a worker may have sent without the front having given credit for them.
pub const WINDOW: u32 = 512 * 1024;

/// Names a request and its response for as long as either lives. Chosen by the front, echoed by the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// The place of a worker in the region: its control words, its outbox, its inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct WorkerIndex(pub u16);

impl WorkerIndex {
    /// The index as a number to index tables with.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for WorkerIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The region says something that cannot be: somebody wrote over it. Its requests are lost; the app needs a new region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared memory is damaged{}: {what}", .worker.map(|w| format!(" by worker {w}")).unwrap_or_default())]
pub struct Poisoned {
    /// The worker that alone could have written it, if there is just one.
    pub worker: Option<WorkerIndex>,
    /// What did not add up.
    pub what: &'static str,
}

/// What a record in a worker's outbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A response head ([`frame::ResponseHead`]), followed by body bytes.
    Response = 1,
    /// Body bytes.
    Body = 2,
    /// The app failed after its response head had gone out; the payload says how.
    Abort = 3,
    /// The app raised before it had answered; the payload says what.
    Failed = 4,
    /// The app broke PEP 3333 before it had answered; the payload says where.
    Invalid = 5,
}

impl RecordKind {
    /// The kind that a byte from the region stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Response,
            2 => Self::Body,
            3 => Self::Abort,
            4 => Self::Failed,
            5 => Self::Invalid,
            _ => return None,
        })
    }
}

/// Flags of a record in a worker's outbox.
pub mod flags {
    /// The last record of its stream.
    pub const END: u8 = 1;
    /// The body follows as a file over the control connection.
    pub const FILE: u8 = 2;
}

/// What the front tells a worker about one of its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxMessage {
    /// The worker may send that many more body bytes.
    Credit {
        /// The response that may go on.
        stream: StreamId,
        /// Bytes.
        bytes: u32,
    },
    /// The client has left; nobody reads what this stream sends.
    Gone {
        /// The request whose client left.
        stream: StreamId,
    },
}
