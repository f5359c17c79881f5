//! The checked configuration: complete, absolute, and typed so that it cannot hold nonsense.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carme_log::{Condition, Rotation};

use crate::account::Account;
use crate::balancer::{Balancer, Sticky};
use crate::bind::Bind;
use crate::error_page::ErrorPage;
use crate::interpreter::Interpreter;
use crate::location::{Answer, Location, Policy};
use crate::log_output::LogOutput;
use crate::monitor::Monitor;
use crate::proxies::Proxies;
use crate::route::RoutePattern;
use crate::scale::{Recycle, Workers};
use crate::target::Target;
use crate::tls::Tls;
use crate::units::{ByteRate, ByteSize};

/// What holds where the user said nothing.
pub mod defaults {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::num::{NonZeroU64, NonZeroUsize};
    use std::time::Duration;

    use carme_log::Rotation;

    use crate::units::{ByteRate, ByteSize};

    /// Only this machine: a server becomes public by a decision.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
    /// How long requests in flight may go on after a stop.
    pub const GRACEFUL_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long a connection may idle between two requests.
    pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
    /// How long a client may take for a request's header section.
    pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long a client may be silent within a request's body.
    pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
    /// The least that a request body must come with, beyond what `BODY_TIMEOUT` grants.
    pub const MIN_BODY_RATE: ByteRate = ByteRate::bytes(500);
    /// The least that a client must take of a response while it is waited for, beyond what `SEND_TIMEOUT` grants.
    pub const MIN_SEND_RATE: ByteRate = ByteRate::bytes(500);
    /// How long a client may take nothing of its response.
    pub const SEND_TIMEOUT: Duration = Duration::from_secs(60);
    /// How long the rest of a refused request is read and dropped.
    pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
    /// The largest request body.
    pub const MAX_BODY: ByteSize = ByteSize::gib(1);
    /// How much of a request body is kept in memory before it goes to a temporary file.
    pub const BODY_MEMORY: ByteSize = ByteSize::kib(256);
    /// The largest header section of a request.
    pub const MAX_HEADER: ByteSize = ByteSize::kib(64);
    /// Most fields of a request's header section.
    pub const MAX_HEADERS: NonZeroUsize = NonZeroUsize::new(100).unwrap();
    /// The longest request target.
    pub const MAX_URI: ByteSize = ByteSize::bytes(8190);
    /// Most connections open at once.
    pub const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();
    /// How much of one response may wait, in a temporary file, for a client that reads slowly.
    pub const RESPONSE_BUFFER: ByteSize = ByteSize::gib(1);
    /// How many connections may wait to be accepted; the system may allow fewer.
    pub const BACKLOG: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
    /// Fewest workers by default: with one, any slow request is everybody's.
    pub const WORKERS_AT_LEAST: usize = 2;
    /// Most workers by default: each costs the memory of a whole application.
    pub const WORKERS_AT_MOST: usize = 8;
    /// A worker that is not needed stays for so long, where the number is between two.
    pub const WORKERS_TTL: Duration = Duration::from_secs(120);
    /// Workers beyond the configured while some are replaced.
    pub const SURGE: NonZeroUsize = NonZeroUsize::MIN;
    /// How long a worker that is replaced may take to finish what it has; `request_timeout` where that is longer.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
    /// The same where requests may take any time.
    pub const DRAIN_TIMEOUT_WITHOUT_LIMIT: Duration = Duration::from_secs(3600);
    /// So that workers that began together do not end together.
    pub const RECYCLE_JITTER: f64 = 0.1;
    /// Threads of one worker, created as they are needed.
    pub const THREADS: NonZeroUsize = NonZeroUsize::new(10).unwrap();
    /// Python's switch interval: as Python has it, from measurement (design notes).
    pub const SWITCH_INTERVAL: Duration = Duration::from_millis(5);
    /// How long a worker may take to import the application.
    pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
    /// How many requests may wait for a free worker.
    pub const QUEUE_LIMIT: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
    /// How long an answer of DNS counts at most.
    pub const DNS_INTERVAL: Duration = Duration::from_secs(30);
    /// How often a file of members is looked at.
    pub const FILE_INTERVAL: Duration = Duration::from_secs(1);
    /// Where Consul's agent is: on this machine.
    pub const CONSUL: &str = "127.0.0.1:8500";
    /// How long a request may wait for a free worker.
    pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long an application may take to begin its response.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
    /// How long an application may pause within its response.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
    /// What a request that was interrupted has to end before its worker is replaced.
    pub const INTERRUPT_GRACE: Duration = Duration::from_secs(5);
    /// Where the server shows that it is alive.
    pub const HEALTH_PATH: &str = "/healthz";
    /// Where it shows that its apps are ready.
    pub const READY_PATH: &str = "/readyz";
    /// Where Prometheus looks if it is not told otherwise.
    pub const METRICS_PATH: &str = "/metrics";
    /// Where metrics are served: figures about the inside are for this machine until somebody decides otherwise.
    pub const MONITOR_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);
    /// What a collector knows the server by.
    pub const TRACES_SERVICE: &str = "carme";
    /// The part of the traces begun here that is sampled: all.
    pub const TRACES_SAMPLE: f64 = 1.0;
    /// Beside the configuration file, where a service without console keeps its logs.
    pub const SERVICE_LOG_FOLDER: &str = "logs";
    /// Its error log.
    pub const SERVICE_ERROR_LOG: &str = "error.log";
    /// Its access log.
    pub const SERVICE_ACCESS_LOG: &str = "access.log";
    /// A log that nobody has thought of must not fill the disk.
    pub const SERVICE_LOG_ROTATION: Rotation = Rotation {
        size: NonZeroU64::new(100 << 20),
        every: None,
        keep: NonZeroUsize::new(10),
    };
    /// A member that has failed is not tried for so long.
    pub const MEMBER_RETRY: Duration = Duration::from_secs(60);
    /// How long a member may be silent.
    pub const MEMBER_TIMEOUT: Duration = Duration::from_secs(60);
    /// The longest line of a member's header section.
    pub const RESPONSE_FIELD: ByteSize = ByteSize::kib(8);
    /// How often a member is asked whether it is well.
    pub const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
    /// How long nothing comes from a member before what came is passed on, where that is looked at.
    pub const FLUSH_WAIT: Duration = Duration::from_millis(10);
    /// The access log's format: `combined` and the route.
    pub const LOG_FORMAT: &str = "combined_route";

    /// What answers for a folder.
    pub const INDEX: &str = "index.html";
    /// Never remembered, and a POST stays one.
    pub const REDIRECT_STATUS: u16 = 307;
    /// The type of a fixed answer.
    pub const RESPOND_TYPE: &str = "text/plain; charset=utf-8";
    /// A shorter response fits a packet as it is.
    pub const COMPRESS_MIN_SIZE: ByteSize = ByteSize::kib(1);

    /// As many workers as the machine has CPUs, within [`WORKERS_AT_LEAST`] and [`WORKERS_AT_MOST`].
    pub fn workers() -> NonZeroUsize {
        workers_for(std::thread::available_parallelism().map_or(1, usize::from))
    }

    pub(crate) fn workers_for(cpus: usize) -> NonZeroUsize {
        NonZeroUsize::new(cpus.clamp(WORKERS_AT_LEAST, WORKERS_AT_MOST)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the server listens and how patient it is.
    pub server: Server,
    /// What `https://` addresses are served with; there is one if there is such an address.
    pub tls: Option<Tls>,
    /// The applications; none if all that is served needs none.
    pub apps: Vec<App>,
    /// HTTP servers elsewhere; none if nothing is passed on.
    pub balancers: Vec<Balancer>,
    /// What answers where: those of a host before those of any, longest path first, so that the first that covers a
    /// request is the one.
    pub locations: Vec<Location>,
    /// The access logs; none if the user wants none.
    pub access_logs: Vec<AccessLog>,
    /// `[error_pages]`: what clients see of the server's own errors.
    pub error_pages: Vec<ErrorPage>,
    /// The pages for those who watch the server; none by default.
    pub monitor: Monitor,
    /// Distributed traces; `None` if the server takes no part in them.
    pub traces: Option<Traces>,
}

impl Config {
    /// The location that answers a decoded request path at a host without port, if there is one.
    pub fn location(&self, host: &str, path: &[u8]) -> Option<&Location> {
        self.locations.iter().find(|location| {
            location.host.as_ref().is_none_or(|pattern| pattern.answers(host))
                && location.path.path_info(path).is_some()
        })
    }

    /// Has what would be written to the console written to files in this folder: `error.log` and `access.log`, which are
    /// followed by others before they fill the disk.
    pub(crate) fn write_console_to(&mut self, folder: &Path) {
        let rotation = Some(defaults::SERVICE_LOG_ROTATION);
        let file = |name: &str| LogOutput::File(folder.join(name));
        if self.server.error_log == LogOutput::Standard {
            self.server.error_log = file(defaults::SERVICE_ERROR_LOG);
            self.server.error_log_rotation = rotation;
        }
        for log in &mut self.access_logs {
            if log.output == LogOutput::Standard {
                log.output = file(defaults::SERVICE_ACCESS_LOG);
                log.rotation = rotation;
            }
        }
    }

    /// The paths at which an app answers, with the host where there is one.
    pub fn places_of(&self, app: usize) -> impl Iterator<Item = &Location> {
        self.locations
            .iter()
            .filter(move |location| location.answer == Answer::App(app))
    }
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `listen`: where; at least one, none twice.
    pub listen: Vec<Bind>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How large things may be.
    pub limits: Limits,
    /// Whom it believes about clients.
    pub proxies: Proxies,
    /// `error_log`: where the server's and the workers' messages go.
    pub error_log: LogOutput,
    /// `error_log_rotate`: when its file is followed by another.
    pub error_log_rotation: Option<Rotation>,
    /// `control`: whether commands such as `carme status` can reach it.
    pub control: bool,
    /// `state_directory`: where is kept what commands have changed; `None`: where systemd says, or beside the file.
    pub state_directory: Option<PathBuf>,
    /// `compress`, `request_headers`, `response_headers`: what holds for requests that no location answers; the
    /// locations' own policies have it in them. `variables` are those of all requests.
    pub policy: Policy,
}

/// How long the server waits for its clients, and for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `graceful_timeout`: requests in flight may go on for so long after a stop; zero ends them at once.
    pub graceful: Duration,
    /// `keep_alive_timeout`: a connection may idle so long between requests; zero closes it after each.
    pub keep_alive: Duration,
    /// `header_timeout`: from a request's first byte to the end of its header section; then 408.
    pub header: Duration,
    /// `body_timeout`: between two pieces of a request's body; then 408.
    pub body: Duration,
    /// `send_timeout`: a client may take nothing of its response for so long; then it is cut off.
    pub send: Duration,
    /// `linger_timeout`: so long the rest of a refused request is read and dropped.
    pub linger: Duration,
}

/// How much the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `max_body`: a larger request body gets 413.
    pub body: ByteSize,
    /// `body_memory`: what goes beyond is kept in a temporary file.
    pub body_memory: ByteSize,
    /// `min_body_rate`: a body that is slower on average, `body_timeout` not counted, gets 408.
    pub body_rate: ByteRate,
    /// `min_send_rate`: a client that takes a response more slowly on average while it is waited for, `send_timeout` not
    /// counted, is cut off.
    pub send_rate: ByteRate,
    /// `max_header`: a larger header section gets 431.
    pub header: ByteSize,
    /// `max_headers`: a request with more fields gets 431.
    pub headers: NonZeroUsize,
    /// `max_uri`: a longer request target gets 414.
    pub uri: ByteSize,
    /// `max_connections`: further connections wait in the backlog.
    pub connections: NonZeroUsize,
    /// `max_connections_per_address`: a further one gets 503; `None`: any number.
    pub connections_per_address: Option<NonZeroUsize>,
    /// `response_buffer`: so much of a response is taken off the worker's hands while its client reads slowly.
    pub response_buffer: ByteSize,
    /// `backlog`: connections that wait to be accepted.
    pub backlog: NonZeroUsize,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: vec![Bind::Tcp(defaults::LISTEN)],
            timeouts: Timeouts {
                graceful: defaults::GRACEFUL_TIMEOUT,
                keep_alive: defaults::KEEP_ALIVE_TIMEOUT,
                header: defaults::HEADER_TIMEOUT,
                body: defaults::BODY_TIMEOUT,
                send: defaults::SEND_TIMEOUT,
                linger: defaults::LINGER_TIMEOUT,
            },
            limits: Limits {
                body: defaults::MAX_BODY,
                body_memory: defaults::BODY_MEMORY,
                body_rate: defaults::MIN_BODY_RATE,
                send_rate: defaults::MIN_SEND_RATE,
                header: defaults::MAX_HEADER,
                headers: defaults::MAX_HEADERS,
                uri: defaults::MAX_URI,
                connections: defaults::MAX_CONNECTIONS,
                connections_per_address: None,
                response_buffer: defaults::RESPONSE_BUFFER,
                backlog: defaults::BACKLOG,
            },
            proxies: Proxies::default(),
            error_log: LogOutput::Standard,
            error_log_rotation: None,
            control: true,
            state_directory: None,
            policy: Policy::default(),
        }
    }
}

/// `[apps.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// The name: lower-case letters, digits, `_`, `-`.
    pub name: String,
    /// What is imported, and from where.
    pub target: Target,
    /// The workers' current directory: the one that was named, or else where the target is imported from; absolute.
    pub directory: PathBuf,
    /// The Python that runs it.
    pub python: Interpreter,
    /// How the app is called.
    pub interface: Interface,
    /// How many worker processes.
    pub workers: Workers,
    /// `surge`: so many more while some are replaced.
    pub surge: NonZeroUsize,
    /// How many threads a worker may create.
    pub threads: NonZeroUsize,
    /// `sys.setswitchinterval`.
    pub switch_interval: Duration,
    /// How long a worker may take to become ready.
    pub startup_timeout: Duration,
    /// `drain_timeout`: how long a worker that is replaced may take to finish what it has.
    pub drain_timeout: Duration,
    /// `user`, `group`: whom the workers run as; `None`: as the server.
    pub user: Option<Account>,
    /// When workers are replaced although nothing is wrong with them.
    pub recycle: Recycle,
    /// Where requests wait for a free worker.
    pub queue: Queue,
    /// How long its requests may take.
    pub timeouts: AppTimeouts,
    /// The workers' names.
    pub route: RoutePattern,
    /// `sticky`, `sticky_separator`: clients stay at their worker.
    pub sticky: Option<Sticky>,
    /// Added to the workers' environment: the environment files in order, then `env`.
    pub env: BTreeMap<String, String>,
    /// `sendfile`: folders of which it may have files sent by `X-Sendfile` and `X-Accel-Redirect`.
    pub sendfile: Vec<PathBuf>,
}

/// `queue = { limit, timeout }`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// So many requests may wait; one more gets 503.
    pub limit: NonZeroUsize,
    /// So long may a request wait; then it gets 503.
    pub timeout: Duration,
}

/// How long an app's requests may take. `None`: without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppTimeouts {
    /// `request_timeout`: from when a worker takes a request to the beginning of its response; then it gets 504 and is
    /// interrupted.
    pub request: Option<Duration>,
    /// `idle_timeout`: between two pieces of a response; then it is cut off and interrupted.
    pub idle: Option<Duration>,
    /// `interrupt_grace`: what an interrupted request has to end before its worker is replaced.
    pub interrupt_grace: Duration,
    /// `slow_request`: a request that takes longer has its worker's stacks written to the error log.
    pub slow: Option<Duration>,
}

impl Default for AppTimeouts {
    fn default() -> Self {
        AppTimeouts {
            request: Some(defaults::REQUEST_TIMEOUT),
            idle: Some(defaults::IDLE_TIMEOUT),
            interrupt_grace: defaults::INTERRUPT_GRACE,
            slow: None,
        }
    }
}

/// How an app is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// The worker looks at the app and decides.
    #[default]
    Auto,
    /// PEP 3333.
    Wsgi,
}

/// `[[access_logs]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub output: LogOutput,
    /// A nickname or a LogFormat string; `carme_log::Format::parse` accepted it.
    pub format: String,
    /// `only`, `except`: which requests have a line in it; all if `None`.
    pub when: Option<Condition>,
    /// `rotate`: when the file is followed by another; `carme_log` accepted its name.
    pub rotation: Option<Rotation>,
}

impl Default for AccessLog {
    fn default() -> Self {
        AccessLog {
            output: LogOutput::Standard,
            format: defaults::LOG_FORMAT.to_owned(),
            when: None,
            rotation: None,
        }
    }
}

/// `[traces]`
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// `endpoint`: the collector; `None` if contexts are only passed on.
    pub endpoint: Option<carme_traces::Endpoint>,
    /// `service`: what the collector knows this server by.
    pub service: String,
    /// `sample`: the part of the traces begun here that is sampled, from 0 to 1.
    pub sample: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Traces {
            endpoint: None,
            service: defaults::TRACES_SERVICE.to_owned(),
            sample: defaults::TRACES_SAMPLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::defaults::workers_for;

    #[test]
    fn workers_follow_the_cpus() {
        for (cpus, workers) in [(1, 2), (2, 2), (5, 5), (64, 8)] {
            assert_eq!(workers_for(cpus).get(), workers);
        }
    }
}
