//! The page that `carme status` prints for people.

use std::fmt::Write as _;

use carme_control::{AppState, AppStatus, ServerState, Status, WorkerState, WorkerStatus, printable};

use super::balancers::balancer;
use super::figures::{counted, memory, or_none, span};
use super::rates::Rates;
use super::table::{Column, table};

/// All of it. With what it was `before`, it also says how much came to pass in each second since then.
pub(super) fn page(status: &Status, before: Option<&Status>) -> String {
    let rates = before.and_then(|before| Rates::between(before, status));
    let mut page = head(status);
    for app in &status.apps {
        page.push('\n');
        page.push_str(&application(app, rates.as_ref()));
    }
    for each in &status.balancers {
        page.push('\n');
        page.push_str(&balancer(each, rates.as_ref()));
    }
    page
}

fn head(status: &Status) -> String {
    let identity = &status.identity;
    let state = match status.state {
        ServerState::Serving => "serving",
        ServerState::Stopping => "stopping",
        ServerState::Unknown => "in an unknown state",
    };
    let mut head = format!(
        "carme {}: {}\nprocess {}, {state}, started {} ago, {}",
        printable(&identity.version),
        printable(identity.name()),
        identity.pid,
        span(status.uptime_seconds),
        counted(status.connections, "open connection", "open connections"),
    );
    if let Some(bytes) = status.memory_bytes {
        let _ = write!(head, ", {} of memory without the workers", memory(bytes));
    }
    let _ = writeln!(
        head,
        "\nlistening at {}",
        printable(&identity.addresses.join(", "))
    );
    head
}

fn application(app: &AppStatus, rates: Option<&Rates<'_>>) -> String {
    let state = match app.state {
        AppState::Starting => "starting: not all of its workers serve yet",
        AppState::Ready => "ready",
        AppState::Degraded => "degraded: some of its workers have failed",
        AppState::Failed => "failed: none of its workers serves",
        AppState::Stopped => "stopped: it has no workers",
        AppState::Unknown => "in an unknown state",
    };
    let mut text = format!("app {}: {state}", printable(&app.name));
    if let (Some(title), Some(interface), Some(python)) = (&app.title, &app.interface, &app.python) {
        let _ = write!(
            text,
            " ({}, {}, {})",
            printable(title),
            printable(interface),
            printable(python)
        );
    }
    let _ = write!(
        text,
        "\n{} waiting for a worker (at most {} may), {} in flight, {} answered",
        counted(app.queued, "request", "requests"),
        app.queue_limit,
        app.in_flight,
        app.requests,
    );
    if let Some(rates) = rates {
        let _ = write!(text, ", {:.1} a second", rates.of_app(app));
    }
    let _ = writeln!(text, "\n\n{}", workers(app, rates));
    for worker in &app.workers {
        text.push_str(&failure(worker));
    }
    text
}

fn workers(app: &AppStatus, rates: Option<&Rates<'_>>) -> String {
    // It says something while a reload is under way, or after one that could not be finished.
    let generations = app
        .workers
        .iter()
        .map(|worker| worker.generation)
        .filter(|&of| of > 0);
    let differ = generations.clone().min() != generations.max();
    let mut columns: Vec<Column<'_, WorkerStatus>> = vec![
        ("WORKER", Box::new(|worker| printable(&worker.route))),
        ("STATE", Box::new(|worker| state(worker.state).to_owned())),
        ("PROCESS", Box::new(|worker| or_none(worker.pid))),
        ("AGE", Box::new(|worker| or_none(worker.age_seconds.map(span)))),
        ("REQUESTS", Box::new(|worker| worker.requests.to_string())),
        ("IN FLIGHT", Box::new(|worker| worker.in_flight.to_string())),
        (
            "MEMORY",
            Box::new(|worker| or_none(worker.memory_bytes.map(memory))),
        ),
        ("FAILURES", Box::new(|worker| worker.failures.to_string())),
        ("REPLACED", Box::new(|worker| worker.replacements.to_string())),
    ];
    if let Some(rates) = rates {
        let rate = |worker: &WorkerStatus| format!("{:.1}", rates.of_worker(&app.name, worker));
        columns.insert(5, ("A SECOND", Box::new(rate)));
    }
    if differ {
        columns.push(("GENERATION", Box::new(|worker| worker.generation.to_string())));
    }
    table(&columns, &app.workers)
}

fn state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Ready => "ready",
        WorkerState::Draining => "draining",
        WorkerState::Drained => "drained",
        WorkerState::Failed => "failed",
        WorkerState::Stopped => "stopped",
        WorkerState::Unknown => "unknown",
    }
}

/// Why a worker does not serve, in full; why the one before it ended, in a line.
fn failure(worker: &WorkerStatus) -> String {
    let Some(failure) = &worker.last_failure else {
        return String::new();
    };
    let ago = match failure.seconds_ago {
        Some(seconds) => format!(" {} ago", span(seconds)),
        None => String::new(),
    };
    let is_over = failure.again_in_seconds.is_none();
    let again = match failure.again_in_seconds {
        Some(seconds) => format!("; starts again in {}", span(seconds.ceil())),
        None => String::new(),
    };
    let mut text = format!(
        "\n{} failed{ago}: {}{again}\n",
        printable(&worker.route),
        printable(&failure.message)
    );
    if is_over {
        return text;
    }
    for line in printable(&failure.traceback).lines() {
        let _ = writeln!(text, "    {line}");
    }
    if failure.traceback.is_empty() && !failure.last_lines.is_empty() {
        text.push_str("    its last lines:\n");
        for line in failure.last_lines.iter().flat_map(|line| line.lines()) {
            let _ = writeln!(text, "    {}", printable(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use carme_control::{FailureStatus, Identity};

    use super::*;

    fn worker(route: &str, state: WorkerState, pid: Option<u32>) -> WorkerStatus {
        WorkerStatus {
            route: route.into(),
            state,
            pid,
            age_seconds: pid.map(|_| 7_980.0),
            generation: pid.map_or(0, |_| 1),
            requests: pid.map_or(0, |_| 6123),
            in_flight: pid.map_or(0, |_| 3),
            memory_bytes: pid.map(|_| 45 << 20),
            failures: 0,
            replacements: 1,
            restarts: BTreeMap::new(),
            last_failure: None,
        }
    }

    fn failure(traceback: &str, again_in_seconds: Option<f64>) -> Option<FailureStatus> {
        Some(FailureStatus {
            message: "it exited with code 1".into(),
            traceback: traceback.into(),
            last_lines: vec!["cannot connect".into(), "giving up".into()],
            seconds_ago: Some(3.9),
            again_in_seconds,
        })
    }

    fn status() -> Status {
        let traceback = "Traceback (most recent call last):\n  \u{1b}[2Jwsgi.py\nKeyError: 'DB'\n";
        let failed = WorkerStatus {
            failures: 3,
            last_failure: failure(traceback, Some(7.2)),
            ..worker("site_2", WorkerState::Failed, None)
        };
        Status {
            identity: Identity {
                version: "1.2.3".into(),
                pid: 4711,
                file: Some("/srv/site/carme.toml".into()),
                addresses: vec!["http://127.0.0.1:8000".into(), "https://0.0.0.0:443".into()],
            },
            state: ServerState::Serving,
            uptime_seconds: 7_981.0,
            connections: 12,
            memory_bytes: Some(11 << 20),
            apps: vec![AppStatus {
                name: "site".into(),
                state: AppState::Degraded,
                title: Some("mysite.wsgi:application".into()),
                interface: Some("WSGI".into()),
                python: Some("CPython 3.13.1".into()),
                queued: 1,
                queue_limit: 1000,
                in_flight: 3,
                requests: 12_345,
                workers: vec![worker("site_1", WorkerState::Ready, Some(4712)), failed],
            }],
            balancers: Vec::new(),
        }
    }

    #[test]
    fn it_is_read_without_a_manual() {
        assert_eq!(
            page(&status(), None),
            "\
carme 1.2.3: /srv/site/carme.toml
process 4711, serving, started 2h 13m ago, 12 open connections, 11 MiB of memory without the workers
listening at http://127.0.0.1:8000, https://0.0.0.0:443

app site: degraded: some of its workers have failed (mysite.wsgi:application, WSGI, CPython 3.13.1)
1 request waiting for a worker (at most 1000 may), 3 in flight, 12345 answered

WORKER  STATE   PROCESS     AGE  REQUESTS  IN FLIGHT  MEMORY  FAILURES  REPLACED
site_1  ready      4712  2h 13m      6123          3  45 MiB         0         1
site_2  failed        -       -         0          0       -         3         1

site_2 failed 3s ago: it exited with code 1; starts again in 8s
    Traceback (most recent call last):
      \\u{1b}[2Jwsgi.py
    KeyError: 'DB'
"
        );
    }

    #[test]
    fn a_failure_without_a_traceback_has_its_last_lines_and_one_that_is_over_a_line() {
        let mut now = status();
        let workers = &mut now.apps[0].workers;
        workers[0].last_failure = failure("", None);
        workers[1].last_failure = failure("", Some(0.0));
        let text = page(&now, None);
        let end = "\n\nsite_1 failed 3s ago: it exited with code 1\n\n\
                   site_2 failed 3s ago: it exited with code 1; starts again in 0s\n    \
                   its last lines:\n    cannot connect\n    giving up\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_second_look_says_how_much_is_done_in_a_second() {
        let (before, mut now) = (status(), status());
        now.uptime_seconds += 2.0;
        now.apps[0].requests += 25;
        now.apps[0].workers[0].requests += 5;
        // Its successor.
        let second = &mut now.apps[0].workers[1];
        (second.pid, second.requests, second.generation) = (Some(4713), 7, 2);
        let text = page(&now, Some(&before));
        for part in [
            " 12370 answered, 12.5 a second\n",
            "REQUESTS  A SECOND  IN FLIGHT",
            "  6128       2.5  ",
            "     7       3.5  ",
            "REPLACED  GENERATION\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        now.identity.pid += 1;
        assert!(!page(&now, Some(&before)).contains("a second"), "another server");
    }
}
