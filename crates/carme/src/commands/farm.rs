//! `carme restart`, `drain`, `enable`, `scale` and `stacks`: what can be done with the workers of a running server; two of
//! them also with the members of its balancers.

use std::process::ExitCode;

use carme_control::{Reply, Request, Unfinished, printable};

use super::reach;
use crate::cli::{RouteOptions, ScaleOptions, Which, WorkersOptions};

/// Returns when all workers that are meant are replaced, or stay because no other starts.
pub(crate) fn restart(options: &WorkersOptions) -> ExitCode {
    reach::run(async {
        let server = reach::server(&options.which).await?;
        let request = Request::Restart {
            route: options.route.clone(),
        };
        let Reply::Restarted { routes, unfinished } = reach::ask(&server, &request).await? else {
            return Err(reach::misunderstood(&server));
        };
        let stays = |route: &String| unfinished.iter().any(|other| other.route == *route);
        let replaced: Vec<String> = routes.into_iter().filter(|route| !stays(route)).collect();
        if !replaced.is_empty() {
            println!("restarted {}", printable(&replaced.join(", ")));
        }
        for Unfinished {
            route,
            message,
            traceback,
        } in &unfinished
        {
            if !traceback.is_empty() {
                eprintln!("{}", printable(traceback.trim_end()));
            }
            let (route, message) = (printable(route), printable(message));
            eprintln!("carme: {route} stays as it was, no other starts in its place: {message}");
        }
        if unfinished.is_empty() {
            Ok(())
        } else {
            Err(ExitCode::FAILURE)
        }
    })
}

/// Returns when the worker has ended, or the member has nothing in flight.
pub(crate) fn drain(options: &RouteOptions) -> ExitCode {
    let route = options.route.clone();
    have_done(&options.which, Request::Drain { route })
}

/// Returns when the worker or the member serves.
pub(crate) fn enable(options: &RouteOptions) -> ExitCode {
    let route = options.route.clone();
    have_done(&options.which, Request::Enable { route })
}

/// Returns at once.
pub(crate) fn scale(options: &ScaleOptions) -> ExitCode {
    let request = Request::Scale {
        app: options.app.clone(),
        workers: options.workers,
    };
    have_done(&options.which, request)
}

/// Returns when the workers were asked.
pub(crate) fn stacks(options: &WorkersOptions) -> ExitCode {
    let route = options.route.clone();
    have_done(&options.which, Request::Stacks { route })
}

/// Has something done, and prints the sentence that says so.
pub(super) fn have_done(which: &Which, request: Request) -> ExitCode {
    reach::run(async move {
        let server = reach::server(which).await?;
        match reach::ask(&server, &request).await? {
            Reply::Done { message } => {
                println!("{}", printable(&message));
                Ok(())
            }
            _ => Err(reach::misunderstood(&server)),
        }
    })
}
