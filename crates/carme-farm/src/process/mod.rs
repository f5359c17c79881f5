//! A worker's process, whatever ends it.
//!
//! What it owes its callers:
//! - The process dies with the front, however the front ends; so does what it has started, where the platform can tell.
//! - It hears no Ctrl+C: the console's reaches the front alone.
//! - [`Child::wait`] returns only when the process is dead, and by then everything in its group (Unix) or job (Windows)
//!   has been ended too.
//! - [`Child::kill`] can never hit another process that has got the same number.

use std::fmt;
use std::fs::File;
use std::io;
use std::process::Command;
use std::sync::Arc;

#[cfg(test)]
mod tests;
#[cfg(unix)]
#[allow(unsafe_code)]
mod unix;
#[cfg(unix)]
use unix as imp;
#[cfg(windows)]
#[allow(unsafe_code)]
mod windows;
#[cfg(windows)]
use windows as imp;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // NTSTATUS values, such as an access violation's, are only known in hexadecimal.
            Self::Code(code) if *code < 0 => write!(f, "exited with code {code:#010x}"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was ended by {name}"),
                None => write!(f, "was ended by signal {signal}"),
            },
        }
    }
}

/// The names of the signals that end processes.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// Whom a process runs as, if not as the front itself. On Linux only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name, for messages.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
    /// Those of all its groups.
    pub groups: Vec<u32>,
}

/// A process that was started, and the reading ends of its output.
pub(crate) struct Spawned {
    /// The process.
    pub(crate) child: Child,
    /// Its standard output.
    pub(crate) stdout: File,
    /// Its standard error.
    pub(crate) stderr: File,
}

/// A process that was started. Clones mean the same process.
#[derive(Clone)]
pub(crate) struct Child(Arc<imp::Child>);

/// Starts a process with an empty standard input and piped output, as this user if one is named. Waits for the operating
/// system; not for async code.
pub(crate) fn spawn(command: Command, user: Option<&User>) -> io::Result<Spawned> {
    let (child, stdout, stderr) = imp::spawn(command, user)?;
    Ok(Spawned {
        child: Child(Arc::new(child)),
        stdout,
        stderr,
    })
}

impl Child {
    /// The id of the process that was started; a launcher's, if the interpreter is behind one.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs, as far as has been seen.
    pub(crate) fn alive(&self) -> bool {
        self.0.alive()
    }

    /// Ends it and what it has started, at once. No harm if it has ended already.
    pub(crate) fn kill(&self) {
        self.0.kill();
    }

    /// Waits for its death; then ends what it has left behind. To be called once, in a thread that may wait.
    pub(crate) fn wait(&self) -> io::Result<Exit> {
        self.0.wait()
    }
}

/// An interpreter that is not the process that was started, but one that a launcher has started.
pub(crate) struct Peer(imp::Peer);

impl Peer {
    /// Takes hold of the process at the other end of a link.
    pub(crate) fn open(peer: &carme_ring::link::Peer) -> io::Result<Self> {
        imp::Peer::open(peer).map(Self)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Ends it.
    pub(crate) fn kill(&self) {
        self.0.kill();
    }

    /// Waits for its death, in a thread that may wait.
    pub(crate) fn wait(&self) {
        self.0.wait();
    }
}
