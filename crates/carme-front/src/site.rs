//! What is served: locations, limits, logs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::guard::HeadLimits;
use crate::location::{Location, Locations};
use crate::policy::Policy;

/// What one client may cost. Every field has a default.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once; further ones wait in the listening socket's backlog.
    pub connections: usize,
    /// Bytes of a request's head, request line included; more get 431. At most 100 fields whatever their size.
    pub header_bytes: usize,
    /// Bytes of a request target; more get 414.
    pub target_bytes: usize,
    /// Bytes of a request body; more get 413.
    pub body_bytes: u64,
    /// Bytes of a request body that are kept in memory; what is larger goes to a temporary file.
    pub body_memory: usize,
    /// From a request's first byte to the end of its head; later is 408. Also from a connection's beginning to its
    /// first byte; it is closed then.
    pub header_timeout: Duration,
    /// Between two pieces of a request body; later is 408.
    pub body_timeout: Duration,
    /// Between two requests on a connection; it is closed then.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of a response; the connection is cut off then.
    pub send_timeout: Duration,
    /// How long the rest of a refused request is read and dropped, so that the client can read why.
    pub linger_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 16 * 1024,
            header_bytes: 16 * 1024,
            target_bytes: 8190,
            body_bytes: 1 << 30,
            body_memory: 256 * 1024,
            header_timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(2),
        }
    }
}

/// hyper keeps offsets into a target in 16 bits.
const MAX_TARGET_BYTES: usize = 65_000;

impl Limits {
    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits {
            header_bytes: self.header_bytes,
            target_bytes: self.target_bytes.min(MAX_TARGET_BYTES),
        }
    }

    /// How often deadlines are looked at: often enough for the shortest of them.
    fn tick(&self) -> Duration {
        let shortest = [
            self.header_timeout,
            self.keep_alive_timeout,
            self.send_timeout,
            self.linger_timeout,
        ]
        .into_iter()
        .min()
        .unwrap_or_default();
        (shortest / 8).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

/// One access log.
pub struct AccessLog {
    format: carme_log::Format,
    writer: Arc<carme_log::Writer>,
}

impl AccessLog {
    /// Every request leaves a line of `format` with `writer`.
    pub fn new(format: carme_log::Format, writer: Arc<carme_log::Writer>) -> Self {
        AccessLog { format, writer }
    }

    pub(crate) fn write(&self, record: &carme_log::Record<'_>, line: &mut Vec<u8>) {
        line.clear();
        self.format.render(record, line);
        self.writer.line(line);
    }
}

/// What a [`Site`] is made of besides its locations.
#[derive(Default)]
pub struct SiteOptions {
    /// The server's name (`SERVER_NAME`, `%v`); the name that the client asked for if `None`.
    pub server_name: Option<String>,
    /// What one client may cost.
    pub limits: Limits,
    /// Where requests are logged; none: nowhere, and nothing is kept for it.
    pub access_logs: Vec<AccessLog>,
    /// Where large request bodies are kept while they come in; the system's temporary directory if `None`.
    pub spool_directory: Option<PathBuf>,
    /// What holds for requests that no location answers; each location has its own.
    pub policy: Policy,
}

/// What every connection needs, whatever the applications are.
pub(crate) struct Common {
    pub(crate) server_name: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) access_logs: Vec<AccessLog>,
    pub(crate) keeps_response_headers: bool,
    pub(crate) spool_directory: Option<PathBuf>,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) clock: Clock,
}

/// Everything that is served on a set of listeners.
pub struct Site<A> {
    pub(crate) common: Arc<Common>,
    pub(crate) locations: Locations<A>,
}

impl<A> Site<A> {
    /// A site of these locations. Call it within the runtime that serves it.
    pub fn new(options: SiteOptions, locations: impl IntoIterator<Item = Location<A>>) -> Self {
        let SiteOptions {
            server_name,
            limits,
            access_logs,
            spool_directory,
            policy,
        } = options;
        Site {
            common: Arc::new(Common {
                clock: Clock::new(limits.tick()),
                keeps_response_headers: access_logs.iter().any(|log| log.format.reads_response_headers()),
                server_name,
                limits,
                access_logs,
                spool_directory,
                policy: policy.into_shared(),
            }),
            locations: locations.into_iter().collect(),
        }
    }
}
