//! From the configured server to what the front serves.

use std::sync::Arc;

use carme_config::{Bind, Config, LogOutput, Server};
use carme_farm::dispatch::App;
use carme_front::{AccessLog, BindError, Limits, Listener, Site, SiteOptions};
use carme_log::{Destination, Format, FormatError, OpenError, Writer, WriterOptions};

use super::locations;

/// Listens everywhere that the configuration names.
pub(super) fn listen(server: &Server) -> Result<Vec<Listener>, BindError> {
    let backlog = i32::try_from(server.limits.backlog.get()).unwrap_or(i32::MAX);
    server
        .listen
        .iter()
        .map(|bind| match bind {
            Bind::Tcp(address) => Listener::tcp(*address, backlog),
            #[cfg(unix)]
            Bind::Unix(path) => Listener::unix(path, backlog),
            #[cfg(not(unix))]
            Bind::Unix(_) => unreachable!("the configuration refuses Unix sockets on Windows"),
        })
        .collect()
}

/// A log that cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the access log's format: {0}")]
    Format(#[from] FormatError),
}

/// Opens the access logs. Those that go to the same place share a writer.
pub(super) fn access_logs(config: &Config) -> Result<Vec<AccessLog>, LogError> {
    let mut writers: Vec<(&LogOutput, Arc<Writer>)> = Vec::new();
    let mut logs = Vec::new();
    for log in &config.access_logs {
        let format = Format::parse(&log.format)?;
        let shared = writers.iter().find(|(output, _)| **output == log.output);
        let writer = if let Some((_, writer)) = shared {
            Arc::clone(writer)
        } else {
            let destination = match &log.output {
                LogOutput::Standard => Destination::Stdout,
                LogOutput::File(path) => Destination::File(path.clone()),
            };
            let writer = Arc::new(Writer::open(destination, WriterOptions::default())?);
            writers.push((&log.output, Arc::clone(&writer)));
            writer
        };
        logs.push(AccessLog::new(format, writer));
    }
    Ok(logs)
}

/// The site of these apps, in the configuration's order. Call it within the runtime that serves it.
pub(super) fn site(config: &Config, access_logs: Vec<AccessLog>, apps: &[App]) -> Site<App> {
    let (limits, timeouts) = (&config.server.limits, &config.server.timeouts);
    let limits = Limits {
        header_bytes: limits.header.as_usize(),
        body_bytes: limits.body.as_u64(),
        body_memory: limits.body_memory.as_usize(),
        header_timeout: timeouts.header,
        body_timeout: timeouts.body,
        keep_alive_timeout: timeouts.keep_alive,
        ..Limits::default()
    };
    let options = SiteOptions {
        limits,
        access_logs,
        policy: locations::policy(&config.server.policy),
        ..SiteOptions::default()
    };
    let locations = config
        .locations
        .iter()
        .filter_map(|location| locations::location(config, location, apps));
    Site::new(options, locations)
}
