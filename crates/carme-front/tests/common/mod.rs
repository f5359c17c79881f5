//! A front with an application that does what the path says, a log to read, and a client that sees bytes.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod app;
pub mod case;
pub mod certificates;
pub mod client;
pub mod reasons;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carme_front::{
    AccessLog, Drained, ErrorPages, HeaderRule, Https, Limits, Listener, Location, Metrics, Policy, Proxies,
    Shutdown, Site, SiteOptions, StickySession, Tls, serve,
};
use carme_log::{Condition, Destination, Format, Writer, WriterOptions};
use tokio::task::JoinHandle;

use app::{Events, Fake};
use client::{Client, Response};

pub struct Front {
    pub address: SocketAddr,
    /// The address for plain HTTP beside one for TLS.
    pub plain: Option<SocketAddr>,
    /// What is counted, where somebody counts.
    pub metrics: Option<Arc<Metrics>>,
    pub shutdown: Shutdown,
    pub events: Arc<Events>,
    server: JoinHandle<Drained>,
    log: Arc<Writer>,
    log_path: PathBuf,
    _directory: tempfile::TempDir,
}

/// `%X` and `%r` beside the status: what the corpus checks.
pub const LINE: &str = r#"%>s %X "%r""#;

impl Front {
    pub fn start() -> Self {
        Self::with(Limits::default(), LINE)
    }

    pub fn start_at(paths: &[&str]) -> Self {
        Self::build(SiteOptions::default(), LINE, paths)
    }

    pub fn with_pages(error_pages: ErrorPages) -> Self {
        let options = SiteOptions {
            error_pages,
            ..SiteOptions::default()
        };
        Self::build(options, LINE, &["/app"])
    }

    pub fn with(limits: Limits, format: &str) -> Self {
        let options = SiteOptions {
            limits,
            ..SiteOptions::default()
        };
        Self::build(options, format, &["/", "/mount"])
    }

    /// With these locations, and this policy where there is none.
    pub fn serving(policy: Policy, locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>) -> Self {
        let options = SiteOptions {
            policy,
            ..SiteOptions::default()
        };
        Self::assemble(options, LINE, None, None, locations)
    }

    /// The same, with another log.
    pub fn serving_as(format: &str, locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>) -> Self {
        Self::assemble(SiteOptions::default(), format, None, None, locations)
    }

    /// With limits of its own, too.
    pub fn proxying(
        limits: Limits,
        format: &str,
        locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>,
    ) -> Self {
        let options = SiteOptions {
            limits,
            ..SiteOptions::default()
        };
        Self::assemble(options, format, None, None, locations)
    }

    /// With everything that a site can have besides its log's file.
    pub fn made_of(
        options: SiteOptions,
        format: &str,
        locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>,
    ) -> Self {
        Self::assemble(options, format, None, None, locations)
    }

    /// With proxies before it.
    pub fn behind(proxies: Proxies, limits: Limits, format: &str) -> Self {
        let options = SiteOptions {
            limits,
            proxies,
            ..SiteOptions::default()
        };
        Self::build(options, format, &["/", "/mount"])
    }

    /// The same, where clients stay at the worker that answered them.
    pub fn sticky(proxies: Proxies, format: &str, sticky: StickySession, rules: Vec<HeaderRule>) -> Self {
        let options = SiteOptions {
            proxies,
            ..SiteOptions::default()
        };
        let policy = Policy {
            sticky: Some(sticky),
            response_headers: rules,
            ..Policy::default()
        };
        Self::assemble(options, format, None, None, |events| {
            vec![Location::new("/", Fake::new(events)).with_policy(policy)]
        })
    }

    /// Only requests for which `when` holds are logged.
    pub fn logging(format: &str, paths: &[&str], when: Condition) -> Self {
        let locations = |events: &Arc<Events>| apps(paths, events);
        Self::assemble(SiteOptions::default(), format, Some(when), None, locations)
    }

    /// Two addresses, one of them for TLS.
    pub fn secure(limits: Limits, format: &str, tls: &Arc<Tls>, https: Https) -> Self {
        let options = SiteOptions {
            limits,
            https,
            metrics: Some(Arc::new(Metrics::new([]))),
            ..SiteOptions::default()
        };
        let locations = |events: &Arc<Events>| apps(&["/"], events);
        Self::assemble(options, format, None, Some(tls), locations)
    }

    fn build(options: SiteOptions, format: &str, paths: &[&str]) -> Self {
        Self::assemble(options, format, None, None, |events| apps(paths, events))
    }

    fn assemble(
        options: SiteOptions,
        format: &str,
        when: Option<Condition>,
        tls: Option<&Arc<Tls>>,
        locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log_path = directory.path().join("access.log");
        let writing = WriterOptions::default();
        let log = Arc::new(Writer::open(Destination::File(log_path.clone()), writing).expect("a log"));
        let events = Arc::<Events>::default();
        let access_log = AccessLog::new(Format::parse(format).expect("a format"), Arc::clone(&log));
        let access_log = match when {
            Some(when) => access_log.when(when),
            None => access_log,
        };
        let options = SiteOptions {
            access_logs: vec![access_log],
            ..options
        };
        let metrics = options.metrics.clone();
        let site = Site::new(options, locations(&events));
        let listen = || Listener::tcp("127.0.0.1:0".parse().expect("an address"), 1024).expect("a port");
        let mut listeners = vec![listen()];
        if let Some(tls) = tls {
            listeners.insert(0, listen().with_tls(Arc::clone(tls)));
        }
        let mut addresses = listeners.iter().map(|l| l.local_addr().expect("an address"));
        let (address, plain) = (addresses.next().expect("one"), addresses.next());
        drop(addresses);
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let server = tokio::spawn(serve(listeners, Arc::new(site), shutdown.clone()));
        Front {
            address,
            plain,
            metrics,
            shutdown,
            events,
            server,
            log,
            log_path,
            _directory: directory,
        }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Asks for `target` on a connection of its own, with these header fields (`name: value`, one a line).
    pub async fn ask(&self, method: &str, target: &str, fields: &str) -> Response {
        let mut client = self.connect().await;
        let fields: String = fields
            .lines()
            .map(|line| format!("{}\r\n", line.trim()))
            .collect();
        let host = if fields.to_ascii_lowercase().contains("host:") {
            ""
        } else {
            "Host: test\r\n"
        };
        client
            .send(format!("{method} {target} HTTP/1.1\r\n{host}{fields}\r\n"))
            .await;
        client.response(method).await
    }

    /// The log, once it has `count` lines; what it has if they do not come.
    pub async fn log(&self, count: usize) -> Vec<String> {
        let patience = std::time::Instant::now();
        loop {
            tokio::task::yield_now().await;
            self.log.flush().expect("a log that can be written");
            let lines: Vec<String> = std::fs::read_to_string(&self.log_path)
                .expect("a log")
                .lines()
                .map(str::to_owned)
                .collect();
            if lines.len() >= count || patience.elapsed() > Duration::from_secs(5) {
                return lines;
            }
            // Real time passes even where the runtime's is paused.
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)))
                .await
                .expect("a thread");
        }
    }

    /// Stops the server; all its lines.
    pub async fn stop(self) -> (Drained, Vec<String>) {
        self.shutdown.begin();
        let drained = self.server.await.expect("a server that does not panic");
        self.log.flush().expect("a log that can be written");
        let lines = std::fs::read_to_string(&self.log_path).expect("a log");
        (drained, lines.lines().map(str::to_owned).collect())
    }
}

fn apps(paths: &[&str], events: &Arc<Events>) -> Vec<Location<Fake>> {
    let app = |path: &&str| Location::new(path, Fake::new(events));
    paths.iter().map(app).collect()
}
