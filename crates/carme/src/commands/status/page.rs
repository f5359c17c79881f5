//! The page that `carme status` prints for people.

use std::fmt::Write as _;

use carme_control::{AppState, AppStatus, ServerState, Status, WorkerState, WorkerStatus, printable};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};

use super::figures::{counted, memory, span};

/// All of it. With what it was `before`, it also says how much came to pass in each second since then.
pub(super) fn page(status: &Status, _before: Option<&Status>) -> String {
    let mut page = head(status);
    for app in &status.apps {
        page.push('\n');
        page.push_str(&application(app));
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

fn application(app: &AppStatus) -> String {
    let state = match app.state {
        AppState::Starting => "starting: not all of its workers serve yet",
        AppState::Ready => "ready",
        AppState::Degraded => "degraded: some of its workers have failed",
        AppState::Failed => "failed: none of its workers serves",
        AppState::Stopped => "stopped",
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
    let _ = writeln!(
        text,
        "\n{} waiting for a worker (at most {} may), {} being answered",
        counted(app.queued, "request", "requests"),
        app.queue_limit,
        app.in_flight,
    );
    let _ = writeln!(text, "\n{}", workers(&app.workers));
    for worker in &app.workers {
        text.push_str(&failure(worker));
    }
    text
}

fn workers(workers: &[WorkerStatus]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["WORKER", "STATE", "PROCESS", "MEMORY", "RESTARTS"]);
    for worker in workers {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        table.add_row([
            printable(&worker.route),
            state(worker.state).into(),
            or_none(worker.pid.map(|pid| pid.to_string())),
            or_none(worker.memory_bytes.map(memory)),
            worker.restarts_in_all().to_string(),
        ]);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column
            .set_padding((0, 2))
            .set_constraint(ColumnConstraint::ContentWidth);
        if at > 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Ready => "ready",
        WorkerState::Draining => "draining",
        WorkerState::Failed => "failed",
        WorkerState::Stopped => "stopped",
        WorkerState::Unknown => "unknown",
    }
}

/// Why a worker does not serve, if that is known.
fn failure(worker: &WorkerStatus) -> String {
    let Some(failure) = &worker.failure else {
        return String::new();
    };
    let again = match failure.again_in_seconds {
        Some(seconds) => format!("; starts again in {}", span(seconds.ceil())),
        None => String::new(),
    };
    let mut text = format!(
        "\n{} failed: {}{again}\n",
        printable(&worker.route),
        printable(&failure.message)
    );
    for line in printable(&failure.traceback).lines() {
        let _ = writeln!(text, "    {line}");
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
            memory_bytes: pid.map(|_| 45 << 20),
            restarts: BTreeMap::new(),
            failure: None,
        }
    }

    fn status() -> Status {
        let failed = WorkerStatus {
            restarts: BTreeMap::from([("exited".into(), 2), ("signal".into(), 1)]),
            failure: Some(FailureStatus {
                message: "its app could not be imported: KeyError: 'DB'".into(),
                traceback: "Traceback (most recent call last):\n  \u{1b}[2Jwsgi.py\nKeyError: 'DB'\n".into(),
                again_in_seconds: Some(7.2),
            }),
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
                workers: vec![worker("site_1", WorkerState::Ready, Some(4712)), failed],
            }],
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
1 request waiting for a worker (at most 1000 may), 3 being answered

WORKER  STATE   PROCESS  MEMORY  RESTARTS
site_1  ready      4712  45 MiB         0
site_2  failed        -       -         3

site_2 failed: its app could not be imported: KeyError: 'DB'; starts again in 8s
    Traceback (most recent call last):
      \\u{1b}[2Jwsgi.py
    KeyError: 'DB'
"
        );
    }
}
