//! Brings lines to a file or to standard output without ever making the caller wait for it.
//!
//! [`Writer::line`] copies into a bounded buffer; a thread writes what has gathered there, whole lines at a time. When
//! the destination fails, lines wait in the buffer and are tried again; when the buffer is full, new ones are dropped and
//! counted. Nothing else happens to the caller. The same thread rotates files, between two lines.

mod file;
mod output;
mod queue;
mod report;
mod rotation;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use output::Output;
use queue::Queue;

pub use report::{Trouble, What};
pub use rotation::{FileNameError, Rotation};

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// This process's standard output.
    Stdout,
    /// This process's standard error.
    Stderr,
    /// A file, appended to and created if it does not exist; other processes may append to it and rename it.
    File(PathBuf),
    /// A file that is closed and kept, and a new one begun, as [`Rotation`] says. `%` in the path begins a conversion of
    /// strftime.
    Rotated(PathBuf, Rotation),
}

/// What happens to trouble; see [`WriterOptions::on_trouble`].
pub type OnTrouble = Box<dyn Fn(&Trouble) + Send>;

/// How a [`Writer`] behaves.
pub struct WriterOptions {
    /// Bytes that may wait to be written; beyond them lines are dropped.
    pub buffer: usize,
    /// How long lines gather after a write before the next one. The first line after a pause is written at once.
    pub linger: Duration,
    /// How long after a failed write it is tried again.
    pub retry: Duration,
    /// Trouble is reported at most once in this time.
    pub report_every: Duration,
    /// How long [`Writer::flush`], [`Writer::close`] and dropping wait for a destination that blocks.
    pub patience: Duration,
    /// Called on the writer's thread; `None` is a `tracing` warning.
    pub on_trouble: Option<OnTrouble>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions {
            buffer: 8 << 20,
            linger: Duration::from_millis(20),
            retry: Duration::from_secs(1),
            report_every: Duration::from_secs(10),
            patience: Duration::from_secs(5),
            on_trouble: None,
        }
    }
}

/// A log that cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be opened for appending.
    #[error("cannot open the log file {}: {source}{}", path.display(), output::cure(path, source))]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file's name cannot be one of rotated files.
    #[error("the log file {}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: FileNameError,
    },
    /// Standard output is closed.
    #[error("cannot write the log to standard output: {0}")]
    Stdout(io::Error),
    /// Standard error is closed.
    #[error("cannot write the log to standard error: {0}")]
    Stderr(io::Error),
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
}

/// What has become of the lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Lines handed to the operating system.
    pub written: u64,
    /// Lines dropped.
    pub lost: u64,
}

/// A log being written. Share it behind an `Arc`; dropping it writes what is left.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    patience: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the destination and starts the thread that writes to it.
    ///
    /// # Errors
    /// [`OpenError`] when the destination cannot be opened or the thread not be started.
    pub fn open(destination: Destination, options: WriterOptions) -> Result<Self, OpenError> {
        Self::start(output::open(destination)?, options)
    }

    fn start(output: Box<dyn Output>, options: WriterOptions) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(options.buffer));
        let patience = options.patience;
        let thread = thread::start(Arc::clone(&queue), output, options).map_err(OpenError::Thread)?;
        Ok(Writer {
            queue,
            patience,
            thread: Some(thread),
        })
    }

    /// Adds a line, given without its line feed. Never waits for the destination; a line that finds the buffer full is
    /// dropped and counted.
    pub fn line(&self, line: &[u8]) {
        self.queue.push(line);
    }

    /// Opens the file anew, after it was renamed or removed. Returns at once: lines added from now on go to the new file,
    /// those before to the old one if it takes them. If it cannot be opened the old one stays in use, and that is
    /// reported as trouble. Standard output stays as it is.
    pub fn reopen(&self) {
        self.queue.ask_to_reopen();
    }

    /// Waits until every line added so far is written and a [`reopen`](Self::reopen) asked for is done.
    ///
    /// # Errors
    /// What the destination answered, in which case the lines are kept for another attempt;
    /// [`io::ErrorKind::TimedOut`] after [`WriterOptions::patience`].
    pub fn flush(&self) -> io::Result<()> {
        self.queue.flush(Instant::now() + self.patience)
    }

    /// Lines written and lost so far.
    pub fn totals(&self) -> Totals {
        self.queue.totals()
    }

    /// Writes what is left, as dropping does, and tells what became of all lines.
    #[must_use = "dropping the writer does the same without the totals"]
    pub fn close(mut self) -> Totals {
        self.finish();
        self.queue.totals()
    }

    fn finish(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A destination that blocks for longer keeps its thread: waiting for it would hang the program's end.
        if self.queue.close(Instant::now() + self.patience) && thread.join().is_err() {
            tracing::error!("the thread that writes the access log panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}
