//! The server's logs: opened as configured, and opened anew when somebody has moved their files.

use std::sync::Arc;

use carme_config::{Config, LogOutput};
use carme_front::AccessLog;
use carme_log::{Destination, Format, FormatError, OpenError, Rotation, Totals, Writer, WriterOptions};

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

/// Opens the access logs. Those that go to the same place share a writer.
pub(super) fn access_logs(config: &Config, logs: &mut Logs) -> Result<Vec<AccessLog>, LogError> {
    let mut writers: Vec<(&LogOutput, Arc<Writer>)> = Vec::new();
    let mut access_logs = Vec::new();
    for log in &config.access_logs {
        let format = Format::parse(&log.format)?;
        let shared = writers.iter().find(|(output, _)| **output == log.output);
        let writer = if let Some((_, writer)) = shared {
            Arc::clone(writer)
        } else {
            let destination = destination(&log.output, log.rotation, Destination::Stdout);
            let writer = Arc::new(Writer::open(destination, WriterOptions::default())?);
            writers.push((&log.output, Arc::clone(&writer)));
            writer
        };
        let access_log = AccessLog::new(format, writer);
        access_logs.push(match &log.when {
            Some(when) => access_log.when(when.clone()),
            None => access_log,
        });
    }
    logs.access.extend(writers.into_iter().map(|(_, writer)| writer));
    Ok(access_logs)
}

/// Every log of the server, each writer once.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    error: Arc<Writer>,
    access: Vec<Arc<Writer>>,
}

impl Logs {
    /// The error log, to which the access logs are added.
    pub(super) fn new(error_log: Arc<Writer>) -> Self {
        Logs {
            error: error_log,
            access: Vec::new(),
        }
    }

    /// Lines written and lost so far, by the kind of log.
    pub(super) fn totals(&self) -> [(&'static str, Totals); 2] {
        let mut access = Totals { written: 0, lost: 0 };
        for totals in self.access.iter().map(|writer| writer.totals()) {
            access.written += totals.written;
            access.lost += totals.lost;
        }
        [("access", access), ("error", self.error.totals())]
    }

    /// Opens all files anew, after they were renamed or removed: what is logged from now on goes to new ones. Returns at
    /// once; what cannot be opened goes on in the old file, and the error log says so.
    #[cfg_attr(
        windows,
        allow(
            dead_code,
            reason = "there only a command can ask for it, and there is none yet"
        )
    )]
    pub(crate) fn reopen(&self) {
        for writer in std::iter::once(&self.error).chain(&self.access) {
            writer.reopen();
        }
        tracing::info!("the log files are opened anew");
    }

    /// Opens all files anew whenever this process is told to, by SIGUSR1 as nginx; Windows has no such signal. To be
    /// called within a runtime.
    pub(super) fn reopen_on_signal(&self) -> std::io::Result<()> {
        imp::reopen_on_signal(self.clone())
    }
}

#[cfg(unix)]
mod imp {
    use tokio::signal::unix::{SignalKind, signal};

    use super::Logs;

    pub(super) fn reopen_on_signal(logs: Logs) -> std::io::Result<()> {
        let mut told = signal(SignalKind::user_defined1())?;
        tokio::spawn(async move {
            while told.recv().await.is_some() {
                logs.reopen();
            }
        });
        Ok(())
    }
}

#[cfg(windows)]
mod imp {
    use super::Logs;

    #[allow(clippy::unnecessary_wraps, reason = "it can fail where there are signals")]
    pub(super) fn reopen_on_signal(_: Logs) -> std::io::Result<()> {
        Ok(())
    }
}
