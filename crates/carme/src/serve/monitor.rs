//! What those who watch the server are shown, and where.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use carme_config::{Config, MonitorListener};
use carme_farm::dispatch::App;
use carme_farm::{Roster, State};
use carme_front::{
    Insight, Limits, Listener, Metrics, Monitor, Readiness, Server, Shutdown, Site, SiteOptions, Traces,
};
use carme_metrics::Exposition;
use carme_traces::{Exporter, ExporterOptions};

use super::apps::Running;
use super::balancers::Balanced;
use super::host::Host;
use super::logs::Logs;
use super::look::{Look, Looked};
use super::look_members::LookedBalancer;
use super::site;

/// Connections of those who watch, at each address of theirs.
const CONNECTIONS: usize = 256;
/// Of theirs, too, that wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a collector may take for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

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
    balancers: Vec<Arc<Balanced>>,
    /// The apps and their routes, as the metrics know them.
    named: Vec<(String, Vec<Arc<str>>)>,
    metrics: Option<Arc<Metrics>>,
    logs: Logs,
    exporter: Option<Exporter>,
    /// Whom the exporter tells, and as whom.
    told: Option<(Option<carme_traces::Endpoint>, String)>,
    shutdown: Shutdown,
    started: SystemTime,
}

impl Watch {
    /// Watches these apps and balancers, and goes on with what was counted before. Counts requests only if the configuration shows the figures to anybody.
    pub(super) fn new(
        config: &Config,
        running: &[Arc<Running>],
        balancers: &[Arc<Balanced>],
        logs: Logs,
        shutdown: &Shutdown,
        before: Option<&Watch>,
    ) -> Arc<Self> {
        let apps: Vec<_> = running
            .iter()
            .map(|running| (running.app.clone(), running.roster.clone()))
            .collect();
        let named: Vec<(String, Vec<Arc<str>>)> = apps
            .iter()
            .map(|(_, roster)| {
                let routes = roster.all().map(|seat| Arc::clone(seat.route())).collect();
                (roster.app().to_owned(), routes)
            })
            .collect();
        let names = |balancers: &[Arc<Balanced>]| -> Vec<String> {
            balancers.iter().map(|balanced| balanced.name.clone()).collect()
        };
        // The same figures go on as long as they are about the same workers and balancers.
        let before_metrics = before.and_then(|watch| {
            let is_same = watch.named == named && names(&watch.balancers) == names(balancers);
            let metrics = watch.metrics.as_ref().filter(|_| is_same)?;
            Some(Arc::clone(metrics))
        });
        let metrics = config.monitor.counts().then(|| {
            before_metrics.unwrap_or_else(|| {
                let of_apps = named.iter().map(|(name, routes)| (name.as_str(), routes.clone()));
                Arc::new(Metrics::new(of_apps).with_balancers(names(balancers)))
            })
        });
        let told = |traces: &carme_config::Traces| (traces.endpoint.clone(), traces.service.clone());
        let traces = config.traces.as_ref().map(told);
        let exporter = match before {
            Some(before) if before.told == traces => before.exporter.clone(),
            _ => config.traces.as_ref().and_then(exporter),
        };
        Arc::new(Watch {
            apps,
            balancers: balancers.to_vec(),
            named,
            metrics,
            logs,
            exporter,
            told: traces,
            shutdown: shutdown.clone(),
            started: before.map_or_else(SystemTime::now, |before| before.started),
        })
    }

    /// Whether both tell the same collector.
    pub(super) fn shares_exporter(&self, other: &Self) -> bool {
        self.told == other.told
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

    /// Serves those who watch until what is returned is dropped.
    pub(super) fn serve(
        self: &Arc<Self>,
        sockets: Vec<Watched>,
        config: &carme_config::Monitor,
        host: &dyn Host,
    ) -> Vec<Watching> {
        let serve = |Watched { listener, metrics }| {
            host.say(&announcement(&listener.to_string(), config, metrics));
            let server = Server::new(Arc::new(self.site(config, metrics)));
            server.open(listener);
            Watching { server, metrics }
        };
        sockets.into_iter().map(serve).collect()
    }

    /// Serves those who watch in another's place.
    pub(super) fn take_over(self: &Arc<Self>, watching: &[Watching], config: &carme_config::Monitor) {
        for Watching { server, metrics } in watching {
            server.replace(Arc::new(self.site(config, *metrics)));
        }
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
            balancers: self
                .balancers
                .iter()
                .map(|balanced| LookedBalancer::of(balanced))
                .collect(),
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
                workers: roster.seats().count(),
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

/// A socket for those who watch, and whether they see the metrics there.
pub(super) struct Watched {
    listener: Listener,
    metrics: bool,
}

/// An address for those who watch. Nothing of theirs has to be finished.
pub(super) struct Watching {
    server: Server<App>,
    metrics: bool,
}

/// Listens at the addresses for those who watch.
pub(super) fn listen(config: &carme_config::Monitor) -> Result<Vec<Watched>, site::ListenError> {
    let mut watched = Vec::new();
    for MonitorListener { bind, metrics } in &config.listeners {
        let listeners = site::listen_at(bind, BACKLOG)?.into_iter();
        watched.extend(listeners.map(|listener| Watched {
            listener,
            metrics: *metrics,
        }));
    }
    Ok(watched)
}

/// Where these pages are, for the line that says so.
fn announcement(address: &str, config: &carme_config::Monitor, metrics: bool) -> String {
    let mut pages = vec![config.alive.as_str(), config.ready.as_str()];
    if metrics {
        pages.push(&config.metrics);
    }
    format!("Monitoring at {address} ({})", pages.join(", "))
}
