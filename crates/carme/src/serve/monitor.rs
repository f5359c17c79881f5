//! What those who watch the server are shown: readiness, and the metrics beyond those that the front counts itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use carme_config::{Config, MonitorListener};
use carme_farm::dispatch::{App, Census};
use carme_farm::{Cause, Roster, State, resident};
use carme_front::{
    BindError, Insight, Limits, Listener, Metrics, Monitor, Readiness, Shutdown, Site, SiteOptions, Traces,
};
use carme_log::{Totals, Writer};
use carme_metrics::{Exposition, Kind};
use carme_traces::{Exporter, ExporterOptions};
use tokio::task::JoinSet;

use super::apps::Running;
use super::site;

/// Connections of those who watch, at each address of theirs.
const CONNECTIONS: usize = 256;
/// Of theirs, too, that wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a collector may take for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What a worker can be, as metrics call it.
const STATES: [&str; 5] = ["starting", "ready", "draining", "failed", "stopped"];

fn state_name(state: &State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready { .. } => "ready",
        State::Draining { .. } => "draining",
        State::Failed { .. } => "failed",
        State::Stopped => "stopped",
    }
}

/// Logs by name, whose lines are counted.
pub(super) struct Logs {
    pub(super) access: Vec<Arc<Writer>>,
    pub(super) error: Arc<Writer>,
}

impl Logs {
    /// Several logs may share a writer.
    pub(super) fn new<'a>(access: impl Iterator<Item = &'a Arc<Writer>>, error: &Arc<Writer>) -> Self {
        let mut distinct: Vec<Arc<Writer>> = Vec::new();
        for writer in access {
            if !distinct.iter().any(|other| Arc::ptr_eq(other, writer)) {
                distinct.push(Arc::clone(writer));
            }
        }
        Logs {
            access: distinct,
            error: Arc::clone(error),
        }
    }

    fn totals(&self) -> [(&'static str, Totals); 2] {
        let mut access = Totals { written: 0, lost: 0 };
        for totals in self.access.iter().map(|writer| writer.totals()) {
            access.written += totals.written;
            access.lost += totals.lost;
        }
        [("access", access), ("error", self.error.totals())]
    }
}

fn exporter(traces: &carme_config::Traces) -> Option<Exporter> {
    let endpoint = traces.endpoint.clone()?;
    let version = env!("CARGO_PKG_VERSION");
    Some(Exporter::start(ExporterOptions::new(
        endpoint,
        traces.service.as_str(),
        version,
    )))
}

/// The running server, as far as it is watched.
pub(super) struct Watch {
    apps: Vec<(App, Roster)>,
    metrics: Option<Arc<Metrics>>,
    logs: Logs,
    exporter: Option<Exporter>,
    shutdown: Shutdown,
    started: SystemTime,
}

impl Watch {
    /// Watches these apps. Counts requests only if the configuration shows the figures to anybody.
    pub(super) fn new(config: &Config, running: &[Running], logs: Logs, shutdown: &Shutdown) -> Arc<Self> {
        let apps: Vec<_> = running
            .iter()
            .map(|running| (running.app.clone(), running.workers.roster()))
            .collect();
        let metrics = config.monitor.counts().then(|| {
            let app = |(_, roster): &'_ (App, Roster)| {
                let routes = roster.seats().map(|seat| Arc::clone(seat.route())).collect();
                (roster.app().to_owned(), routes)
            };
            let named: Vec<(String, Vec<Arc<str>>)> = apps.iter().map(app).collect();
            Arc::new(Metrics::new(
                named.iter().map(|(name, routes)| (name.as_str(), routes.clone())),
            ))
        });
        Arc::new(Watch {
            apps,
            metrics,
            logs,
            exporter: config.traces.as_ref().and_then(exporter),
            shutdown: shutdown.clone(),
            started: SystemTime::now(),
        })
    }

    /// Where the front counts.
    pub(super) fn metrics(&self) -> Option<Arc<Metrics>> {
        self.metrics.clone()
    }

    /// How the front takes part in traces.
    pub(super) fn traces(&self, config: &Config) -> Option<Traces> {
        config.traces.as_ref().map(|traces| Traces {
            sample: traces.sample,
            exporter: self.exporter.clone(),
        })
    }

    /// Sends what the collector has not been told yet.
    pub(super) async fn finish(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.finish(LAST_SPANS).await;
        }
    }

    /// The pages with which the server's own addresses begin; none if they are shown elsewhere or nowhere.
    pub(super) fn public_pages(self: &Arc<Self>, config: &carme_config::Monitor) -> Option<Monitor> {
        (config.public_health || config.public_metrics)
            .then(|| self.pages(config, config.public_health, config.public_metrics))
    }

    /// Serves those who watch until the set of tasks is dropped.
    pub(super) fn serve(
        self: &Arc<Self>,
        sockets: Vec<Watched>,
        config: &carme_config::Monitor,
    ) -> JoinSet<()> {
        let mut serving = JoinSet::new();
        for Watched { listener, metrics } in sockets {
            eprintln!("{}", announcement(&listener.to_string(), config, metrics));
            let site = Arc::new(self.site(config, metrics));
            // Nothing of theirs has to be finished.
            let never = Shutdown::new(Duration::ZERO);
            serving.spawn(async move {
                carme_front::serve(vec![listener], site, never).await;
            });
        }
        serving
    }

    fn site(self: &Arc<Self>, config: &carme_config::Monitor, metrics: bool) -> Site<App> {
        let limits = Limits {
            connections: CONNECTIONS,
            ..Limits::default()
        };
        let options = SiteOptions {
            limits,
            monitor: Some(self.pages(config, true, metrics)),
            ..SiteOptions::default()
        };
        Site::new(options, [])
    }

    fn pages(self: &Arc<Self>, config: &carme_config::Monitor, health: bool, metrics: bool) -> Monitor {
        Monitor {
            alive: health.then(|| config.alive.clone()),
            ready: health.then(|| config.ready.clone()),
            metrics: metrics.then(|| config.metrics.clone()),
            insight: Arc::clone(self) as Arc<dyn Insight>,
        }
    }

    /// What needs the front's thread; the memory of processes does not.
    fn look(&self) -> Look {
        let app = |(app, roster): &(App, Roster)| Looked {
            roster: roster.clone(),
            census: app.census(),
            states: roster.seats().map(|seat| seat.state()).collect(),
        };
        let mut text = Exposition::default();
        if let Some(metrics) = &self.metrics {
            metrics.write(&mut text);
        }
        Look {
            text,
            apps: self.apps.iter().map(app).collect(),
            logs: self.logs.totals(),
            spans: self.exporter.as_ref().map(Exporter::totals).unwrap_or_default(),
            started: self.started,
        }
    }
}

impl Insight for Watch {
    fn is_draining(&self) -> bool {
        self.shutdown.has_begun()
    }

    fn apps(&self) -> Vec<Readiness> {
        let app = |(_, roster): &(App, Roster)| {
            let mut readiness = Readiness {
                app: roster.app().to_owned(),
                workers: roster.seats().len(),
                ready: 0,
                starting: 0,
                failed: 0,
            };
            for seat in roster.seats() {
                match seat.state() {
                    State::Ready { .. } => readiness.ready += 1,
                    State::Starting => readiness.starting += 1,
                    State::Failed { .. } => readiness.failed += 1,
                    State::Draining { .. } | State::Stopped => {}
                }
            }
            readiness
        };
        self.apps.iter().map(app).collect()
    }

    fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send>> {
        let look = self.look();
        Box::pin(async move {
            // A scrape that fails is one that Prometheus knows how to report.
            let written = tokio::task::spawn_blocking(move || look.write()).await;
            written.unwrap_or_default()
        })
    }
}

/// The server at one time.
struct Look {
    text: Exposition,
    apps: Vec<Looked>,
    logs: [(&'static str, Totals); 2],
    spans: carme_traces::Totals,
    started: SystemTime,
}

struct Looked {
    roster: Roster,
    census: Census,
    states: Vec<State>,
}

impl Looked {
    /// The process of each worker that has one.
    fn processes(&self) -> impl Iterator<Item = (&str, u32)> {
        self.roster
            .seats()
            .zip(&self.states)
            .filter_map(|(seat, state)| match state {
                State::Ready { pid, .. } | State::Draining { pid } => Some((&**seat.route(), *pid)),
                State::Starting | State::Failed { .. } | State::Stopped => None,
            })
    }
}

impl Look {
    /// All of it as text. Asks the operating system; not for async code.
    fn write(self) -> String {
        let Look {
            mut text,
            apps,
            logs,
            spans,
            started,
        } = self;
        write_queues(&mut text, &apps);
        write_workers(&mut text, &apps);
        write_logs(&mut text, &logs);
        let mut told = text.family(
            "carme_trace_spans_total",
            Kind::Counter,
            "Spans for the collector of traces: sent, or dropped because it did not take them.",
        );
        told.sample(&[("outcome", "sent")], spans.sent);
        told.sample(&[("outcome", "dropped")], spans.dropped);
        text.family("carme_build_info", Kind::Gauge, "Which Carme this is; always 1.")
            .sample(
                &[
                    ("version", env!("CARGO_PKG_VERSION")),
                    ("os", std::env::consts::OS),
                    ("arch", std::env::consts::ARCH),
                ],
                1,
            );
        let since_epoch = started
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        text.single(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the server started, in seconds since 1970.",
            since_epoch.as_secs_f64(),
        );
        let mut front = text.family(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory of the front's process: its resident set, on Windows its working set.",
        );
        if let Some(bytes) = resident(std::process::id()) {
            front.sample(&[], bytes);
        }
        text.into_text()
    }
}

fn write_queues(text: &mut Exposition, apps: &[Looked]) {
    for (name, help, pick) in [
        (
            "carme_queue_length",
            "Requests that no worker has taken yet.",
            (|census| census.queued) as fn(&Census) -> usize,
        ),
        (
            "carme_queue_limit",
            "Requests that may wait; one more is refused.",
            |census| census.queue_limit,
        ),
        (
            "carme_app_requests_in_flight",
            "Requests that a worker has and has not finished.",
            |census| census.in_flight,
        ),
    ] {
        let mut family = text.family(name, Kind::Gauge, help);
        for app in apps {
            family.sample(&[("app", app.roster.app())], pick(&app.census));
        }
    }
}

fn write_workers(text: &mut Exposition, apps: &[Looked]) {
    let mut workers = text.family("carme_workers", Kind::Gauge, "Workers by state.");
    for app in apps {
        for state in STATES {
            let count = app
                .states
                .iter()
                .filter(|found| state_name(found) == state)
                .count();
            workers.sample(&[("app", app.roster.app()), ("state", state)], count);
        }
    }
    let mut restarts = text.family(
        "carme_worker_restarts_total",
        Kind::Counter,
        "Workers that had to be replaced, by the cause.",
    );
    for app in apps {
        for seat in app.roster.seats() {
            for cause in Cause::ALL {
                let labels = [
                    ("app", app.roster.app()),
                    ("route", seat.route()),
                    ("cause", cause.as_str()),
                ];
                restarts.sample(&labels, seat.restarts(cause));
            }
        }
    }
    let mut memory = text.family(
        "carme_worker_resident_memory_bytes",
        Kind::Gauge,
        "Memory of a worker's process: its resident set, on Windows its working set.",
    );
    for app in apps {
        for (route, pid) in app.processes() {
            if let Some(bytes) = resident(pid) {
                memory.sample(&[("app", app.roster.app()), ("route", route)], bytes);
            }
        }
    }
}

fn write_logs(text: &mut Exposition, logs: &[(&'static str, Totals)]) {
    let mut written = text.family(
        "carme_log_lines_written_total",
        Kind::Counter,
        "Lines of a log that the operating system took.",
    );
    for (log, totals) in logs {
        written.sample(&[("log", log)], totals.written);
    }
    let mut lost = text.family(
        "carme_log_lines_lost_total",
        Kind::Counter,
        "Lines of a log that were dropped because nothing took them.",
    );
    for (log, totals) in logs {
        lost.sample(&[("log", log)], totals.lost);
    }
}

/// A socket for those who watch, and whether they see the metrics there.
pub(super) struct Watched {
    listener: Listener,
    metrics: bool,
}

/// Listens at the addresses for those who watch.
pub(super) fn listen(config: &carme_config::Monitor) -> Result<Vec<Watched>, BindError> {
    let listen = |at: &MonitorListener| {
        Ok(Watched {
            listener: site::listen_at(&at.bind, BACKLOG)?,
            metrics: at.metrics,
        })
    };
    config.listeners.iter().map(listen).collect()
}

/// Where these pages are, for the line that says so.
fn announcement(address: &str, config: &carme_config::Monitor, metrics: bool) -> String {
    let mut pages = vec![config.alive.as_str(), config.ready.as_str()];
    if metrics {
        pages.push(&config.metrics);
    }
    format!("Monitoring at {address} ({})", pages.join(", "))
}
