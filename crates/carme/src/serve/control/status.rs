//! An app and its workers at one moment, as `carme status` is told.

use carme_control::{AppState, AppStatus, FailureStatus, WorkerState, WorkerStatus};
use carme_farm::{Cause, Seat, State};
use tokio::time::Instant;

use super::super::apps::Running;

/// All but the memory of its processes.
pub(super) fn app(running: &Running) -> AppStatus {
    let census = running.app.census();
    let states: Vec<State> = running.roster.seats().map(|seat| seat.state()).collect();
    let about = states.iter().find_map(|state| match state {
        State::Ready { about, .. } => Some(about.clone()),
        _ => None,
    });
    let workers: Vec<WorkerStatus> = running
        .roster
        .seats()
        .zip(&states)
        .map(|(seat, state)| worker(seat, state))
        .collect();
    AppStatus {
        name: running.name.to_string(),
        state: app_state(workers.iter().map(|worker| worker.state)),
        title: about.as_ref().map(|about| about.title.clone()),
        interface: about.as_ref().map(|about| about.interface.clone()),
        python: about.map(|about| about.python),
        queued: census.queued,
        queue_limit: census.queue_limit,
        in_flight: census.in_flight,
        workers,
    }
}

fn app_state(workers: impl Iterator<Item = WorkerState> + Clone) -> AppState {
    let has = |wanted| workers.clone().any(|state| state == wanted);
    if workers.clone().all(|state| state == WorkerState::Ready) {
        AppState::Ready
    } else if has(WorkerState::Failed) {
        if has(WorkerState::Ready) {
            AppState::Degraded
        } else {
            AppState::Failed
        }
    } else if has(WorkerState::Starting) {
        AppState::Starting
    } else {
        AppState::Stopped
    }
}

fn worker(seat: Seat<'_>, state: &State) -> WorkerStatus {
    let (state, pid, failure) = match state {
        State::Starting => (WorkerState::Starting, None, None),
        State::Ready { pid, .. } => (WorkerState::Ready, Some(*pid), None),
        State::Draining { pid } => (WorkerState::Draining, Some(*pid), None),
        State::Failed { failure, again_at } => {
            let failure = FailureStatus {
                message: failure.message.clone(),
                traceback: failure.traceback.clone(),
                again_in_seconds: Some(again_at.saturating_duration_since(Instant::now()).as_secs_f64()),
            };
            (WorkerState::Failed, None, Some(failure))
        }
        State::Stopped => (WorkerState::Stopped, None, None),
    };
    let restarts = Cause::ALL.into_iter().map(|cause| (cause, seat.restarts(cause)));
    WorkerStatus {
        route: seat.route().to_string(),
        state,
        pid,
        memory_bytes: None,
        restarts: restarts
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (cause.as_str().to_owned(), count))
            .collect(),
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_what_its_workers_are() {
        use WorkerState::{Draining, Failed, Ready, Starting, Stopped};
        for (workers, expected) in [
            (&[Ready, Ready][..], AppState::Ready),
            (&[Ready, Starting], AppState::Starting),
            (&[Failed, Ready], AppState::Degraded),
            (&[Starting, Failed], AppState::Failed),
            (&[Starting, Starting], AppState::Starting),
            (&[Draining, Stopped], AppState::Stopped),
        ] {
            assert_eq!(app_state(workers.iter().copied()), expected, "{workers:?}");
        }
    }
}
