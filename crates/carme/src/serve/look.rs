//! The metrics that are looked up when somebody asks: queues, workers, logs, the process.

use std::time::{Duration, SystemTime};

use carme_farm::dispatch::Census;
use carme_farm::{Cause, Roster, State, resident};
use carme_log::Totals;
use carme_metrics::{Exposition, Kind};

use super::look_members::{self, LookedBalancer};

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

/// The server at one time.
pub(super) struct Look {
    pub(super) text: Exposition,
    pub(super) apps: Vec<Looked>,
    pub(super) balancers: Vec<LookedBalancer>,
    pub(super) logs: [(&'static str, Totals); 2],
    pub(super) spans: carme_traces::Totals,
    pub(super) started: SystemTime,
}

/// An app at that time.
pub(super) struct Looked {
    pub(super) roster: Roster,
    pub(super) census: Census,
    pub(super) states: Vec<State>,
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
    pub(super) fn write(self) -> String {
        let Look {
            mut text,
            apps,
            balancers,
            logs,
            spans,
            started,
        } = self;
        write_queues(&mut text, &apps);
        write_workers(&mut text, &apps);
        look_members::write(&mut text, &balancers);
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
    let mut waits = text.family(
        "carme_worker_gil_wait_seconds_total",
        Kind::Counter,
        "How long threads of a worker that were called for a request waited for Python's lock.",
    );
    for app in apps {
        for seat in app.roster.seats() {
            // Two, while one replaces the other.
            let its = app
                .census
                .workers
                .iter()
                .filter(|worker| worker.seat == seat.number());
            let wait: Duration = its.map(|worker| worker.gil_wait).sum();
            let labels = [("app", app.roster.app()), ("route", seat.route())];
            waits.sample(&labels, wait.as_secs_f64());
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
