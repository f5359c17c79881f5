//! An app and its workers at one moment, as `carme status` is told.

use std::time::SystemTime;

use carme_control::{AppState, AppStatus, FailureStatus, WorkerState, WorkerStatus};
use carme_farm::dispatch::Census;
use carme_farm::{Cause, Failure, Seat, State};
use tokio::time::Instant;

use super::super::apps::Running;

/// All but the memory of its processes.
pub(super) fn app(running: &Running) -> AppStatus {
    let census = running.app.census();
    let about = running.roster.seats().find_map(|seat| match seat.state() {
        State::Ready { about, .. } => Some(about),
        _ => None,
    });
    let workers: Vec<WorkerStatus> = running.roster.seats().map(|seat| worker(seat, &census)).collect();
    AppStatus {
        name: running.name.to_string(),
        state: app_state(workers.iter().map(|worker| worker.state)),
        title: about.as_ref().map(|about| about.title.clone()),
        interface: about.as_ref().map(|about| about.interface.clone()),
        python: about.map(|about| about.python),
        queued: census.queued,
        queue_limit: census.queue_limit,
        in_flight: census.in_flight,
        requests: census.answered,
        workers,
    }
}

/// Workers that are not meant to serve do not count.
fn app_state(workers: impl Iterator<Item = WorkerState> + Clone) -> AppState {
    let is_meant = |state: &WorkerState| {
        !matches!(
            state,
            WorkerState::Drained | WorkerState::Draining | WorkerState::Stopped
        )
    };
    let workers = workers.filter(is_meant);
    let has = |wanted| workers.clone().any(|state| state == wanted);
    if workers.clone().next().is_none() {
        AppState::Stopped
    } else if has(WorkerState::Failed) {
        if has(WorkerState::Ready) {
            AppState::Degraded
        } else {
            AppState::Failed
        }
    } else if has(WorkerState::Starting) {
        AppState::Starting
    } else {
        AppState::Ready
    }
}

fn worker(seat: Seat<'_>, census: &Census) -> WorkerStatus {
    let found = seat.state();
    let (state, pid) = match &found {
        State::Starting => (WorkerState::Starting, None),
        State::Ready { pid, .. } => (WorkerState::Ready, Some(*pid)),
        State::Draining { pid } => (WorkerState::Draining, Some(*pid)),
        State::Failed { .. } => (WorkerState::Failed, None),
        State::Stopped if seat.is_drained() => (WorkerState::Drained, None),
        State::Stopped => (WorkerState::Stopped, None),
    };
    let its = || {
        census
            .workers
            .iter()
            .filter(|worker| worker.seat == seat.number())
    };
    let causes = Cause::ALL.into_iter().map(|cause| (cause, seat.restarts(cause)));
    let sum = |failures: bool| {
        let counted = causes.clone().filter(|(cause, _)| is_failure(*cause) == failures);
        counted.map(|(_, count)| count).sum()
    };
    let is_serving = matches!(found, State::Ready { .. });
    WorkerStatus {
        route: seat.route().to_string(),
        state,
        pid,
        age_seconds: seat.ready_since().filter(|_| is_serving).map(seconds_since),
        generation: seat.generation(),
        requests: its()
            .filter(|worker| Some(worker.pid) == pid)
            .map(|worker| worker.answered)
            .sum(),
        in_flight: its().map(|worker| u64::from(worker.in_flight)).sum(),
        memory_bytes: None,
        failures: sum(true),
        replacements: sum(false),
        restarts: causes
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (cause.as_str().to_owned(), count))
            .collect(),
        last_failure: last_failure(seat, &found),
    }
}

fn last_failure(seat: Seat<'_>, state: &State) -> Option<FailureStatus> {
    let last = seat.last_failure();
    let seconds_ago = last.as_ref().map(|(time, _)| seconds_since(*time));
    match state {
        State::Failed { failure, again_at } => {
            let again_in = again_at.saturating_duration_since(Instant::now());
            Some(told(failure, seconds_ago, Some(again_in.as_secs_f64())))
        }
        _ => last.map(|(_, failure)| told(&failure, seconds_ago, None)),
    }
}

fn told(failure: &Failure, seconds_ago: Option<f64>, again_in_seconds: Option<f64>) -> FailureStatus {
    FailureStatus {
        message: failure.message.clone(),
        traceback: failure.traceback.clone(),
        last_lines: failure.last_lines.clone(),
        seconds_ago,
        again_in_seconds,
    }
}

/// 0 if the clock was put back.
fn seconds_since(time: SystemTime) -> f64 {
    SystemTime::now()
        .duration_since(time)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Whether something went wrong, as opposed to a worker that was replaced because somebody or a setting said so.
fn is_failure(cause: Cause) -> bool {
    match cause {
        Cause::NotStarted
        | Cause::ImportFailed
        | Cause::StartupTimeout
        | Cause::Exited
        | Cause::Signal
        | Cause::Broken
        | Cause::Damaged
        | Cause::Hung => true,
        Cause::Requests | Cause::Age | Cause::Memory | Cause::Idle | Cause::Reload | Cause::Restart => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_what_its_workers_are() {
        use WorkerState::{Drained, Draining, Failed, Ready, Starting, Stopped};
        for (workers, expected) in [
            (&[Ready, Ready][..], AppState::Ready),
            (&[Ready, Drained, Draining, Stopped], AppState::Ready),
            (&[Ready, Starting], AppState::Starting),
            (&[Failed, Ready], AppState::Degraded),
            (&[Starting, Failed], AppState::Failed),
            (&[Starting, Starting], AppState::Starting),
            (&[Draining, Stopped], AppState::Stopped),
            (&[Drained], AppState::Stopped),
            (&[], AppState::Stopped),
        ] {
            assert_eq!(app_state(workers.iter().copied()), expected, "{workers:?}");
        }
    }
}
