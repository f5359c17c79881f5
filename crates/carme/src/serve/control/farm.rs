//! What commands do to workers.

use carme_config::LogOutput;
use carme_control::{Reply, Unfinished};
use carme_farm::{Refused, State, Unreplaced};

use super::super::apps::Running;
use super::super::server::Now;
use super::names;

fn refused(refused: &Refused) -> Reply {
    Reply::Refused {
        message: refused.to_string(),
    }
}

/// Replaces one worker, or all, one after another.
pub(super) async fn restart(now: &Now, route: Option<String>) -> Reply {
    let apps = match &route {
        Some(route) => match names::worker(now, route) {
            Ok(running) => std::slice::from_ref(running),
            Err(message) => return Reply::Refused { message },
        },
        None => &now.apps[..],
    };
    let (mut routes, mut unfinished) = (Vec::new(), Vec::new());
    for running in apps {
        tracing::info!(app = &*running.name, route, "restarting after carme restart");
        match &route {
            Some(route) => routes.push(route.clone()),
            None => routes.extend(running.roster.seats().map(|seat| seat.route().to_string())),
        }
        match running.workers().restart(route.as_deref()).await {
            Ok(stay) => unfinished.extend(stay.iter().map(told)),
            Err(error) => return refused(&error),
        }
    }
    if routes.is_empty() {
        return Reply::Refused {
            message: names::workers(now),
        };
    }
    Reply::Restarted { routes, unfinished }
}

fn told(unreplaced: &Unreplaced) -> Unfinished {
    Unfinished {
        route: unreplaced.route.to_string(),
        message: unreplaced.failure.message.clone(),
        traceback: unreplaced.failure.traceback.clone(),
    }
}

/// Lets one worker finish what it has, and keeps its seat empty.
pub(super) async fn drain(running: &Running, route: &str) -> Reply {
    tracing::info!(app = &*running.name, route, "draining after carme drain");
    match running.workers().drain(route).await {
        Ok(()) => Reply::Done {
            message: format!("{route} is drained, until `carme enable {route}`"),
        },
        Err(error) => refused(&error),
    }
}

/// Fills a seat again that was drained.
pub(super) async fn enable(running: &Running, route: &str) -> Reply {
    tracing::info!(app = &*running.name, route, "enabled by carme enable");
    if let Err(error) = running.workers().enable(route).await {
        return refused(&error);
    }
    let state = running
        .roster
        .seats()
        .find(|seat| &**seat.route() == route)
        .map(|seat| seat.state());
    match state {
        Some(State::Failed { failure, .. }) => Reply::Refused {
            message: format!("{route} is enabled, and does not start yet: {failure}"),
        },
        _ => Reply::Done {
            message: format!("{route} serves"),
        },
    }
}

/// Has so many workers from now on.
pub(super) fn scale(now: &Now, app: &str, workers: u16) -> Reply {
    let Some(running) = now.apps.iter().find(|running| &*running.name == app) else {
        let apps: Vec<&str> = now.apps.iter().map(|running| &*running.name).collect();
        let known = if apps.is_empty() {
            "this server has none".to_owned()
        } else {
            format!("the apps are {}", apps.join(", "))
        };
        return Reply::Refused {
            message: format!("there is no app {app}; {known}"),
        };
    };
    tracing::info!(app, "carme scale asks for {workers} workers");
    match running.workers().scale(workers) {
        Ok(()) => Reply::Done {
            message: match workers {
                1 => format!("app {app} has 1 worker from now on, until the next reload"),
                _ => format!("app {app} has {workers} workers from now on, until the next reload"),
            },
        },
        Err(error) => refused(&error),
    }
}

/// Has one worker, or all, write what their Python threads are at into the error log.
pub(super) fn stacks(now: &Now, route: Option<&str>) -> Reply {
    let apps = match route {
        Some(route) => match names::worker(now, route) {
            Ok(running) => std::slice::from_ref(running),
            Err(message) => return Reply::Refused { message },
        },
        None => &now.apps[..],
    };
    let mut asked = Vec::new();
    for running in apps {
        // One that is being replaced, and the one that replaces it, have the same route: both are asked.
        for worker in running.app.census().workers {
            let seat = running.roster.all().find(|seat| seat.number() == worker.seat);
            let Some(seat) = seat.filter(|seat| route.is_none_or(|route| &**seat.route() == route)) else {
                continue;
            };
            if running.app.ask_for_stacks(worker.place) {
                asked.push(format!("{} (process {})", seat.route(), worker.pid));
            }
        }
    }
    if asked.is_empty() {
        let who = route.unwrap_or("no worker");
        let what = if route.is_some() {
            "has no process"
        } else {
            "has a process"
        };
        return Reply::Refused {
            message: format!("{who} {what} that could be asked; carme status tells why"),
        };
    }
    let place = match &now.config.server.error_log {
        LogOutput::Standard => "its standard error".to_owned(),
        LogOutput::File(path) => path.display().to_string(),
    };
    Reply::Done {
        message: format!(
            "in the server's error log, {place}, are the stacks of {}",
            asked.join(", ")
        ),
    }
}
