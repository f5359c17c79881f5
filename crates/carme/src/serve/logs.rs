//! The server's logs: opened as configured, and opened anew when somebody has moved their files.

use std::sync::Arc;

use carme_config::{Config, LogOutput};
use carme_front::AccessLog;
use carme_log::{Destination, Format, FormatError, OpenError, Rotation, Totals, Writer, WriterOptions};
use tokio::task::JoinHandle;

/// A log that cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the access log's format: {0}")]
    Format(#[from] FormatError),
}

/// Where a log goes; `console` stands for `-`.
pub(super) fn destination(
    output: &LogOutput,
    rotation: Option<Rotation>,
    console: Destination,
) -> Destination {
    match (output, rotation) {
        (LogOutput::Standard, _) => console,
        (LogOutput::File(path), None) => Destination::File(path.clone()),
        (LogOutput::File(path), Some(rotation)) => Destination::Rotated(path.clone(), rotation),
    }
}

/// Opens the access logs. Those that go to the same place share a writer, and one that was open before stays so.
pub(super) fn access_logs(
    config: &Config,
    error: Arc<Writer>,
    before: Option<&Logs>,
) -> Result<(Vec<AccessLog>, Logs), LogError> {
    let mut writers: Vec<Open> = Vec::new();
    let mut access_logs = Vec::new();
    for log in &config.access_logs {
        let format = Format::parse(&log.format)?;
        let same_place = |open: &&Open| open.output == log.output;
        let same = |open: &&Open| same_place(open) && open.rotation == log.rotation;
        let writer = if let Some(open) = writers.iter().find(same_place) {
            Arc::clone(&open.writer)
        } else {
            let open = before.and_then(|logs| logs.access.iter().find(same));
            let writer = if let Some(open) = open {
                Arc::clone(&open.writer)
            } else {
                let destination = destination(&log.output, log.rotation, Destination::Stdout);
                Arc::new(Writer::open(destination, WriterOptions::default())?)
            };
            writers.push(Open {
                output: log.output.clone(),
                rotation: log.rotation,
                writer: Arc::clone(&writer),
            });
            writer
        };
        let access_log = AccessLog::new(format, writer);
        access_logs.push(match &log.when {
            Some(when) => access_log.when(when.clone()),
            None => access_log,
        });
    }
    let logs = Logs {
        error,
        access: writers,
    };
    Ok((access_logs, logs))
}

/// An access log's writer, and what it was opened for.
#[derive(Clone, Debug)]
struct Open {
    output: LogOutput,
    rotation: Option<Rotation>,
    writer: Arc<Writer>,
}

/// Every log of the server, each writer once.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    error: Arc<Writer>,
    access: Vec<Open>,
}

impl Logs {
    /// Lines written and lost so far, by the kind of log.
    pub(super) fn totals(&self) -> [(&'static str, Totals); 2] {
        let mut access = Totals { written: 0, lost: 0 };
        for totals in self.access.iter().map(|open| open.writer.totals()) {
            access.written += totals.written;
            access.lost += totals.lost;
        }
        [("access", access), ("error", self.error.totals())]
    }

    /// Opens all files anew, after they were renamed or removed: what is logged from now on goes to new ones. Returns at
    /// once; the task is over when the old files are not written to any more. What cannot be opened goes on in the old
    /// file, and the error log says so.
    pub(crate) fn reopen(&self) -> JoinHandle<()> {
        let access = self.access.iter().map(|open| &open.writer);
        let writers: Vec<Arc<Writer>> = std::iter::once(&self.error).chain(access).cloned().collect();
        for writer in &writers {
            writer.reopen();
        }
        // Said in the new file: waited for, which must not hold up anybody.
        tokio::task::spawn_blocking(move || {
            for writer in &writers {
                let _ = writer.flush();
            }
            tracing::info!("the log files are opened anew");
        })
    }
}
