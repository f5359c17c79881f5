//! What is served: locations, limits, logs.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use http::HeaderValue;

use crate::client::Proxies;
use crate::error_pages::ErrorPages;
use crate::guard::{HeadLimits, STACK_FIELDS};
use crate::location::{Location, Locations};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::policy::Policy;
use crate::trace::Traces;

/// What one client may cost. Every field has a default.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once; further ones wait in the listening socket's backlog.
    pub connections: usize,
    /// Connections open at once from one address, or from one /64 network of IPv6; a further one gets 503. `None`: any
    /// number.
    pub connections_per_address: Option<NonZeroUsize>,
    /// Bytes of a request's head, request line included; more get 431.
    pub header_bytes: usize,
    /// Header fields of a request, at least 1; more get 431. Beyond 100 each request costs two allocations more.
    pub header_fields: usize,
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
    /// Bytes a second that a request body must come with on average, `body_timeout` not counted; slower is 408. 0: no
    /// matter how slowly.
    pub body_rate: u64,
    /// Between two requests on a connection; it is closed then.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of a response; the connection is cut off then.
    pub send_timeout: Duration,
    /// Bytes a second that a client must take of a response on average, while it is waited for and `send_timeout` not
    /// counted; slower is cut off. 0: no matter how slowly.
    pub send_rate: u64,
    /// How long the rest of a refused request is read and dropped, so that the client can read why.
    pub linger_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 16 * 1024,
            connections_per_address: None,
            header_bytes: 16 * 1024,
            header_fields: STACK_FIELDS,
            target_bytes: 8190,
            body_bytes: 1 << 30,
            body_memory: 256 * 1024,
            header_timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(20),
            body_rate: 500,
            keep_alive_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            send_rate: 500,
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
            header_fields: self.header_fields.max(1),
            target_bytes: self.target_bytes.min(MAX_TARGET_BYTES),
        }
    }

    /// How often deadlines are looked at: often enough for the shortest of them.
    pub(crate) fn tick(&self) -> Duration {
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
    when: Option<carme_log::Condition>,
}

impl AccessLog {
    /// Every request leaves a line of `format` with `writer`.
    pub fn new(format: carme_log::Format, writer: Arc<carme_log::Writer>) -> Self {
        AccessLog {
            format,
            writer,
            when: None,
        }
    }

    /// Only requests for which the condition holds leave a line.
    #[must_use]
    pub fn when(self, condition: carme_log::Condition) -> Self {
        AccessLog {
            when: Some(condition),
            ..self
        }
    }

    pub(crate) fn write(&self, record: &carme_log::Record<'_>, line: &mut Vec<u8>) {
        if self.when.as_ref().is_some_and(|when| !when.holds(record)) {
            return;
        }
        line.clear();
        self.format.render(record, line);
        self.writer.line(line);
    }
}

/// How clients are brought to TLS and kept there.
#[derive(Debug, Clone, Default)]
pub struct Https {
    /// Requests that come to an address of plain HTTP over TCP are sent to this port.
    pub redirect_to: Option<u16>,
    /// For so long browsers shall use nothing else (RFC 6797); said in answers over TLS that do not say it themselves.
    pub hsts: Option<Duration>,
}

/// What a [`Site`] is made of besides its locations.
#[derive(Default)]
pub struct SiteOptions {
    /// The server's name (`SERVER_NAME`, `%v`); the name that the client asked for if `None`.
    pub server_name: Option<String>,
    /// What one client may cost.
    pub limits: Limits,
    /// Whom the front believes about clients.
    pub proxies: Proxies,
    /// Where requests are logged; none: nowhere, and nothing is kept for it.
    pub access_logs: Vec<AccessLog>,
    /// Where large request bodies are kept while they come in; the system's temporary directory if `None`.
    pub spool_directory: Option<PathBuf>,
    /// How clients are brought to TLS.
    pub https: Https,
    /// What clients see in place of the front's own pages.
    pub error_pages: ErrorPages,
    /// Where requests and connections are counted; nowhere if `None`.
    pub metrics: Option<Arc<Metrics>>,
    /// The pages for those who watch the server, in front of all locations.
    pub monitor: Option<Monitor>,
    /// How requests take part in distributed traces; not at all if `None`.
    pub traces: Option<Traces>,
    /// What holds for requests that no location answers; each location has its own. Its variables are those of all
    /// requests.
    pub policy: Policy,
}

/// What every connection needs, whatever the applications are.
pub(crate) struct Common {
    pub(crate) server_name: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) proxies: Proxies,
    /// The error log has been told of somebody who may be a proxy that was forgotten.
    pub(crate) stranger: Once,
    pub(crate) access_logs: Vec<AccessLog>,
    pub(crate) keeps_response_headers: bool,
    /// Somebody logs request fields that the application does not see.
    pub(crate) keeps_unseen_headers: bool,
    pub(crate) keeps_request_trailers: bool,
    pub(crate) measures_first_byte: bool,
    /// Somebody besides the logs wants to know something of requests.
    pub(crate) reads_variables: bool,
    pub(crate) spool_directory: Option<PathBuf>,
    pub(crate) redirect_to_https: Option<u16>,
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) error_pages: ErrorPages,
    pub(crate) metrics: Option<Arc<Metrics>>,
    pub(crate) traces: Option<Traces>,
    pub(crate) policy: Option<Arc<Policy>>,
}

/// Everything that is served on a set of listeners. It does not change: [`Server::replace`](crate::Server::replace) puts
/// another in its place.
pub struct Site<A> {
    pub(crate) common: Arc<Common>,
    pub(crate) locations: Locations<A>,
    pub(crate) monitor: Option<Monitor>,
}

impl<A> Site<A> {
    /// A site of these locations.
    pub fn new(options: SiteOptions, locations: impl IntoIterator<Item = Location<A>>) -> Self {
        let SiteOptions {
            server_name,
            limits,
            proxies,
            access_logs,
            spool_directory,
            https,
            error_pages,
            metrics,
            monitor,
            traces,
            policy,
        } = options;
        let locations: Locations<A> = locations.into_iter().collect();
        let reads_variables = policy.reads_variables() || locations.read_variables();
        let hsts = https.hsts.map(|age| format!("max-age={}", age.as_secs()));
        Site {
            common: Arc::new(Common {
                keeps_response_headers: access_logs.iter().any(|log| log.format.reads_response_headers()),
                keeps_unseen_headers: access_logs
                    .iter()
                    .any(|log| log.format.reads_request_header(crate::service::is_unseen)),
                keeps_request_trailers: access_logs.iter().any(|log| log.format.reads_request_trailers()),
                reads_variables,
                measures_first_byte: access_logs.iter().any(|log| log.format.reads_first_byte()),
                server_name,
                limits,
                proxies,
                stranger: Once::new(),
                access_logs,
                spool_directory,
                redirect_to_https: https.redirect_to,
                hsts: hsts.and_then(|value| HeaderValue::try_from(value).ok()),
                error_pages,
                metrics,
                traces,
                policy: policy.into_shared(),
            }),
            locations,
            monitor,
        }
    }
}
