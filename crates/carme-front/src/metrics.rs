//! What the front counts. Off, it costs a branch a request; on, some ten relaxed atomic additions and a look at the clock.
//!
//! Label sets are not looked up: an app has a number and a worker has a place, and both come with the request. So there
//! is no lock, no hashing and no allocation on a request's path; the text is put together when somebody asks for it.

use std::sync::Arc;
use std::time::Duration;

use carme_farm::dispatch::{Account, Failure};
use carme_metrics::{Counter, Exposition, Histogram, Kind};
use http::StatusCode;

/// `1xx` to `5xx`.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The statuses that the front answers with by itself. Others are counted under the last.
const OWN_STATUSES: [(u16, &str); 17] = [
    (400, "400"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (414, "414"),
    (416, "416"),
    (417, "417"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (0, "other"),
];

/// Why an app gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    QueueFull,
    QueueTimeout,
    Stopping,
    TooLarge,
    WorkerDied,
    TimedOut,
    AppRaised,
    InvalidResponse,
}

impl Cause {
    const ALL: [(Cause, &str); 8] = [
        (Cause::QueueFull, "queue_full"),
        (Cause::QueueTimeout, "queue_timeout"),
        (Cause::Stopping, "stopping"),
        (Cause::TooLarge, "too_large"),
        (Cause::WorkerDied, "worker_died"),
        (Cause::TimedOut, "request_timeout"),
        (Cause::AppRaised, "app_raised"),
        (Cause::InvalidResponse, "invalid_response"),
    ];

    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::QueueFull { .. } => Cause::QueueFull,
            Failure::QueueTimeout => Cause::QueueTimeout,
            Failure::Stopping => Cause::Stopping,
            Failure::TooLarge => Cause::TooLarge,
            Failure::WorkerDied => Cause::WorkerDied,
            Failure::TimedOut(_) => Cause::TimedOut,
            Failure::AppRaised(_) => Cause::AppRaised,
            Failure::InvalidResponse(_) => Cause::InvalidResponse,
        }
    }
}

/// Everything that the front counts. Share it behind an `Arc`.
#[derive(Debug, Default)]
pub struct Metrics {
    apps: Vec<AppSeries>,
    balancers: Vec<BalancerSeries>,
    /// Requests that the front answered without an app: no location, malformed, the monitor's own.
    front: Vec<ClassSeries>,
    front_bytes: Bytes,
    begun: Counter,
    ended: Counter,
    aborted: Counter,
    own_answers: [Counter; OWN_STATUSES.len()],
    connections_accepted: Counter,
    connections_closed: Counter,
    accept_errors: Counter,
    connections_refused: Counter,
    handshakes: [Counter; Handshake::ALL.len()],
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
    Failed,
}

impl Handshake {
    const ALL: [(Handshake, &str); 3] = [
        (Handshake::Full, "full"),
        (Handshake::Resumed, "resumed"),
        (Handshake::Failed, "failed"),
    ];
}

/// One app's figures.
#[derive(Debug)]
struct AppSeries {
    name: String,
    /// By the worker's seat; the last is for requests that no worker took.
    routes: Vec<RouteSeries>,
    bytes: Bytes,
    failures: [Counter; Cause::ALL.len()],
}

/// One balancer's figures. Its members come and go, and have figures of their own.
#[derive(Debug)]
struct BalancerSeries {
    name: String,
    classes: Vec<ClassSeries>,
    bytes: Bytes,
}

#[derive(Debug)]
struct RouteSeries {
    /// Empty for requests that no worker took.
    route: Arc<str>,
    classes: Vec<ClassSeries>,
}

/// What is known of requests with one app, route and class of status.
#[derive(Debug, Default)]
struct ClassSeries {
    /// Its count is the number of requests.
    duration: Histogram,
    queued: Histogram,
    worked: Histogram,
}

#[derive(Debug, Default)]
struct Bytes {
    received: Counter,
    sent: Counter,
}

/// What a request that is over has to say.
pub(crate) struct Observation<'a> {
    pub(crate) app: Option<u16>,
    pub(crate) balancer: Option<u16>,
    pub(crate) account: Option<&'a Account>,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// The client has the whole response.
    pub(crate) sent: bool,
}

fn classes() -> Vec<ClassSeries> {
    CLASSES.iter().map(|_| ClassSeries::default()).collect()
}

impl Metrics {
    /// Figures for these apps, in the order of their numbers: the name, and the routes in the order of their seats.
    pub fn new<'a>(apps: impl IntoIterator<Item = (&'a str, Vec<Arc<str>>)>) -> Self {
        let series = |route| RouteSeries {
            route,
            classes: classes(),
        };
        let app = |(name, routes): (&str, Vec<Arc<str>>)| AppSeries {
            name: name.to_owned(),
            routes: routes.into_iter().chain(["".into()]).map(series).collect(),
            bytes: Bytes::default(),
            failures: Default::default(),
        };
        Metrics {
            apps: apps.into_iter().map(app).collect(),
            front: classes(),
            ..Metrics::default()
        }
    }

    /// The same with figures for these balancers, in the order of their numbers.
    pub fn with_balancers(mut self, names: impl IntoIterator<Item = String>) -> Self {
        let series = |name| BalancerSeries {
            name,
            classes: classes(),
            bytes: Bytes::default(),
        };
        self.balancers = names.into_iter().map(series).collect();
        self
    }

    fn balancer(&self, number: Option<u16>) -> Option<&BalancerSeries> {
        self.balancers.get(usize::from(number?))
    }

    fn app(&self, number: Option<u16>) -> Option<&AppSeries> {
        self.apps.get(usize::from(number?))
    }

    pub(crate) fn begin(&self) {
        self.begun.increment();
    }

    pub(crate) fn observe(&self, seen: &Observation<'_>) {
        let Observation { account, .. } = *seen;
        let app = self.app(seen.app);
        let balancer = self.balancer(seen.balancer);
        let classes = match (app, balancer) {
            (None, None) => &self.front,
            (None, Some(balancer)) => &balancer.classes,
            (Some(app), _) => {
                let worker = account.and_then(|account| account.worker.as_ref());
                let route = worker.and_then(|worker| app.routes.get(usize::from(worker.seat)));
                // There is always the last.
                let Some(route) = route.or(app.routes.last()) else {
                    return;
                };
                &route.classes
            }
        };
        let class = usize::from(seen.status / 100).clamp(1, CLASSES.len()) - 1;
        if let Some(series) = classes.get(class) {
            series.duration.observe(seen.duration);
            if let Some(account) = account {
                series.queued.observe(account.queued);
                if account.worker.is_some() {
                    series.worked.observe(account.worked);
                }
            }
        }
        let bytes = app.map(|app| &app.bytes);
        let bytes = bytes.or(balancer.map(|balancer| &balancer.bytes));
        let bytes = bytes.unwrap_or(&self.front_bytes);
        bytes.received.add(seen.bytes_in);
        bytes.sent.add(seen.bytes_out);
        if !seen.sent {
            self.aborted.increment();
        }
        self.ended.increment();
    }

    /// An app gave no answer.
    #[cold]
    pub(crate) fn failed(&self, app: Option<u16>, failure: &Failure) {
        if let Some(app) = self.app(app) {
            app.failures[Cause::of(failure) as usize].increment();
        }
    }

    /// The front answers by itself because something is wrong.
    #[cold]
    pub(crate) fn own_answer(&self, status: StatusCode) {
        let known = OWN_STATUSES.iter().position(|(code, _)| *code == status.as_u16());
        self.own_answers[known.unwrap_or(OWN_STATUSES.len() - 1)].increment();
    }

    pub(crate) fn connected(&self) {
        self.connections_accepted.increment();
    }

    pub(crate) fn disconnected(&self) {
        self.connections_closed.increment();
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_errors.increment();
    }

    /// A connection was one too many of its address.
    #[cold]
    pub(crate) fn refused(&self) {
        self.connections_refused.increment();
    }

    pub(crate) fn handshake(&self, ended: Handshake) {
        self.handshakes[ended as usize].increment();
    }

    /// Writes all figures.
    pub fn write(&self, text: &mut Exposition) {
        let mut requests = text.family(
            "carme_http_requests_total",
            Kind::Counter,
            "Requests that are over, whoever answered them.",
        );
        self.each_series(|labels, series| requests.sample(labels, series.duration.count()));
        self.write_histogram(
            text,
            "carme_http_request_duration_seconds",
            "From the end of a request's header section to the end of its response.",
            |series| &series.duration,
        );
        self.write_histogram(
            text,
            "carme_http_request_queue_seconds",
            "From a request being ready for a worker until a worker took it, or until it was over untaken.",
            |series| &series.queued,
        );
        self.write_histogram(
            text,
            "carme_http_request_worker_seconds",
            "From a worker taking a request until its response was complete.",
            |series| &series.worked,
        );
        text.single(
            "carme_http_requests_in_progress",
            Kind::Gauge,
            "Requests whose header section has come and whose response has not been sent.",
            // In this order, so that it is never less than none.
            {
                let ended = self.ended.get();
                self.begun.get().saturating_sub(ended)
            },
        );
        text.single(
            "carme_http_requests_aborted_total",
            Kind::Counter,
            "Requests whose client did not get the whole response.",
            self.aborted.get(),
        );
        self.write_bytes(
            text,
            "carme_http_request_bytes_total",
            "Bytes of requests received, header sections included.",
            |bytes| &bytes.received,
        );
        self.write_bytes(
            text,
            "carme_http_response_bytes_total",
            "Bytes of responses sent, header sections included.",
            |bytes| &bytes.sent,
        );
        let mut own = text.family(
            "carme_http_error_responses_total",
            Kind::Counter,
            "Responses of the front itself because something was wrong, by status code.",
        );
        for ((_, code), counter) in OWN_STATUSES.iter().zip(&self.own_answers) {
            own.sample(&[("code", code)], counter.get());
        }
        let mut failures = text.family(
            "carme_app_failures_total",
            Kind::Counter,
            "Requests that an app gave no answer to, by cause; the first four were refused and reached no worker.",
        );
        for app in &self.apps {
            for ((_, cause), counter) in Cause::ALL.iter().zip(&app.failures) {
                failures.sample(&[("app", &app.name), ("cause", cause)], counter.get());
            }
        }
        let closed = self.connections_closed.get();
        let accepted = self.connections_accepted.get();
        text.single(
            "carme_connections_accepted_total",
            Kind::Counter,
            "Connections accepted.",
            accepted,
        );
        text.single(
            "carme_connections_open",
            Kind::Gauge,
            "Connections that are open.",
            accepted.saturating_sub(closed),
        );
        text.single(
            "carme_connections_refused_total",
            Kind::Counter,
            "Connections that were one too many of their address.",
            self.connections_refused.get(),
        );
        let mut handshakes = text.family(
            "carme_tls_handshakes_total",
            Kind::Counter,
            "TLS handshakes, by how they ended.",
        );
        for ((_, outcome), counter) in Handshake::ALL.iter().zip(&self.handshakes) {
            handshakes.sample(&[("outcome", outcome)], counter.get());
        }
        text.single(
            "carme_connection_accept_errors_total",
            Kind::Counter,
            "Times that no connection could be accepted, for want of descriptors or memory.",
            self.accept_errors.get(),
        );
    }

    /// Each series that has something to say, with its labels.
    fn each_series(&self, mut each: impl FnMut(&[(&str, &str)], &ClassSeries)) {
        let mut all = |app: &str, route: &str, balancer: &str, classes: &[ClassSeries]| {
            for (class, series) in CLASSES.iter().zip(classes) {
                if series.duration.count() > 0 {
                    let labels = [
                        ("app", app),
                        ("route", route),
                        ("balancer", balancer),
                        ("status", class),
                    ];
                    each(&labels, series);
                }
            }
        };
        all("", "", "", &self.front);
        for balancer in &self.balancers {
            all("", "", &balancer.name, &balancer.classes);
        }
        for app in &self.apps {
            for route in &app.routes {
                all(&app.name, &route.route, "", &route.classes);
            }
        }
    }

    fn write_histogram(
        &self,
        text: &mut Exposition,
        name: &'static str,
        help: &str,
        pick: impl Fn(&ClassSeries) -> &Histogram,
    ) {
        let mut family = text.family(name, Kind::Histogram, help);
        self.each_series(|labels, series| {
            let snapshot = pick(series).snapshot();
            if snapshot.count() > 0 {
                family.histogram(labels, &snapshot);
            }
        });
    }

    fn write_bytes(
        &self,
        text: &mut Exposition,
        name: &'static str,
        help: &str,
        pick: impl Fn(&Bytes) -> &Counter,
    ) {
        let mut family = text.family(name, Kind::Counter, help);
        family.sample(&[], pick(&self.front_bytes).get());
        for app in &self.apps {
            family.sample(&[("app", &app.name)], pick(&app.bytes).get());
        }
        for balancer in &self.balancers {
            family.sample(&[("balancer", &balancer.name)], pick(&balancer.bytes).get());
        }
    }
}

#[cfg(test)]
mod tests;
