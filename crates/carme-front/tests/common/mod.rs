//! A front with an application that does what the path says, a log to read, and a client that sees bytes.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod app;
pub mod client;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carme_front::{
    AccessLog, Drained, Limits, Listener, Location, Policy, Shutdown, Site, SiteOptions, serve,
};
use carme_log::{Destination, Format, Writer, WriterOptions};
use tokio::task::JoinHandle;

use app::{Events, Fake};
use client::{Client, Response};

pub struct Front {
    pub address: SocketAddr,
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
        Self::build(Limits::default(), LINE, paths)
    }

    pub fn with(limits: Limits, format: &str) -> Self {
        Self::build(limits, format, &["/", "/mount"])
    }

    /// With these locations, and this policy where there is none.
    pub fn serving(policy: Policy, locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>) -> Self {
        Self::assemble(Limits::default(), LINE, policy, locations)
    }

    fn build(limits: Limits, format: &str, paths: &[&str]) -> Self {
        Self::assemble(limits, format, Policy::default(), |events| {
            paths
                .iter()
                .map(|path| Location::new(path, Fake::new(events)))
                .collect()
        })
    }

    fn assemble(
        limits: Limits,
        format: &str,
        policy: Policy,
        locations: impl FnOnce(&Arc<Events>) -> Vec<Location<Fake>>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log_path = directory.path().join("access.log");
        let options = WriterOptions::default();
        let log = Arc::new(Writer::open(Destination::File(log_path.clone()), options).expect("a log"));
        let events = Arc::<Events>::default();
        let site = Site::new(
            SiteOptions {
                limits,
                access_logs: vec![AccessLog::new(
                    Format::parse(format).expect("a format"),
                    Arc::clone(&log),
                )],
                policy,
                ..SiteOptions::default()
            },
            locations(&events),
        );
        let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address"), 1024).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let server = tokio::spawn(serve(vec![listener], Arc::new(site), shutdown.clone()));
        Front {
            address,
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
