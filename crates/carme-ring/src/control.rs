//! What the front and one worker tell each other besides mail: length-prefixed JSON with operating system handles
//! beside it, over [`crate::link`].
//!
//! Both enums are the whole protocol. A handle belongs to the message that it arrives with; [`Message::handles`] says
//! how many there must be, and a message with another number of them is refused.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Geometry, WorkerIndex};

/// The version that both sides must speak. They are built together, so anything else is a stale worker library.
pub const PROTOCOL: u32 = 2;

/// A message that knows how many handles travel with it.
pub trait Message {
    /// Handles that belong to this message.
    fn handles(&self) -> usize;
}

/// The first message of a worker: who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] as the worker was built with it.
    pub protocol: u32,
    /// The worker's own process id; behind a launcher (a virtual environment on Windows) not the one that was spawned.
    pub pid: u32,
    /// The interpreter that runs it.
    pub python: Python,
}

impl Hello {
    /// The greeting of this process.
    pub fn new(python: Python) -> Self {
        Self {
            protocol: PROTOCOL,
            pid: std::process::id(),
            python,
        }
    }
}

/// What a worker says of its interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// `sys.version_info`'s first three.
    pub version: (u8, u8, u8),
    /// `sys.implementation.name`, for instance `cpython`.
    pub implementation: String,
    /// Built without the GIL.
    pub free_threaded: bool,
    /// `sys.executable`.
    pub executable: String,
}

/// Which protocol an app speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interface {
    /// Found by looking at the app.
    #[default]
    Auto,
    /// PEP 3333.
    Wsgi,
    /// ASGI 3.
    Asgi,
}

/// What a worker must know of the app that it serves.
///
/// The directory and the environment are not here: the process is started with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSettings {
    /// What to import: `module:attribute`, `module:factory()` or `module`, whose usual names are tried.
    pub target: String,
    /// What goes first on `sys.path`.
    pub import_root: PathBuf,
    /// How to call it.
    pub interface: Interface,
    /// Threads at most.
    pub threads: u16,
    /// `sys.setswitchinterval`, in microseconds.
    pub switch_interval_us: u32,
    /// This worker's route, for instance `site_1`.
    pub route: String,
    /// Whether another process may serve the same app at the same time (`wsgi.multiprocess`).
    pub multiprocess: bool,
}

/// The answer to a [`Hello`]. The region's handle comes with it and, on Unix, those of the bells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The worker's place in the region.
    pub index: WorkerIndex,
    /// How the region is divided.
    pub geometry: Geometry,
    /// What to serve.
    pub app: AppSettings,
}

/// From the front to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// The first message.
    Welcome(Welcome),
    /// The body of a request, with the handle of the file that holds it. Asked for with [`ToFront::NeedFile`].
    File {
        /// The request.
        stream: u64,
        /// Bytes of the body, from the file's start.
        length: u64,
    },
    /// Write the stacks of all Python threads to standard error.
    Stacks {
        /// Why, for whoever reads them.
        reason: StacksReason,
    },
    /// Raise an exception in the thread that serves this request, if it still does.
    Interrupt {
        /// The request.
        stream: u64,
    },
    /// Take no more requests; exit when none is in flight.
    Drain,
    /// Exit now.
    Stop,
}

/// Why a worker is to show its stacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StacksReason {
    /// Somebody asked for them.
    Asked,
    /// Requests take longer than they should.
    Exceeded {
        /// Than which limit says.
        limit: TimeLimit,
        /// How long that is.
        milliseconds: u64,
        /// The requests.
        streams: Vec<u64>,
    },
}

/// A limit of how long an app's requests may take, by the name of its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    /// From when a worker took a request until its answer begins.
    RequestTimeout,
    /// Between two pieces of an answer.
    IdleTimeout,
    /// As the first, but only told.
    SlowRequest,
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestTimeout => "request_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::SlowRequest => "slow_request",
        })
    }
}

/// From a worker to the front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToFront {
    /// The first message.
    Hello(Hello),
    /// The app is imported; requests may come.
    Ready {
        /// What the app turned out to speak.
        interface: Interface,
        /// The attribute that was found, for instance `application`.
        attribute: String,
        /// What the app is, for people: for instance `mysite.wsgi:application`.
        title: String,
    },
    /// The app could not be imported; the worker exits after this.
    ImportFailed {
        /// One sentence.
        message: String,
        /// Python's traceback, empty if there is none.
        traceback: String,
    },
    /// The body of this request is wanted; the front answers with [`ToWorker::File`].
    NeedFile {
        /// The request.
        stream: u64,
    },
    /// The body of a response, with the handle of the file that holds it.
    File {
        /// The request that it answers.
        stream: u64,
        /// Where in the file the body begins.
        offset: u64,
        /// Bytes of the body.
        length: u64,
    },
}

impl Message for ToWorker {
    fn handles(&self) -> usize {
        match self {
            // The region, and where handles travel with messages also the bells.
            Self::Welcome(_) => 1 + crate::link::BELLS_IN_WELCOME,
            Self::File { .. } => 1,
            Self::Stacks { .. } | Self::Interrupt { .. } | Self::Drain | Self::Stop => 0,
        }
    }
}

impl Message for ToFront {
    fn handles(&self) -> usize {
        match self {
            Self::File { .. } => 1,
            Self::Hello(_) | Self::Ready { .. } | Self::ImportFailed { .. } | Self::NeedFile { .. } => 0,
        }
    }
}
