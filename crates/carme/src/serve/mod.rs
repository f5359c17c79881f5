//! `carme serve`: listeners, workers, signals, and a graceful end.

mod announce;
mod apps;
mod error_log;
mod locations;
mod logs;
mod look;
mod monitor;
mod signals;
mod site;

use std::process::ExitCode;
use std::sync::Arc;

use carme_config::Config;
use carme_farm::dispatch::Hooks;
use carme_farm::{Failure, FindFiles};
use carme_front::{Drained, Shutdown};
use carme_log::Destination;
use tokio::time::Instant;

use apps::Running;
use error_log::ErrorLog;
use logs::Logs;
use monitor::Watch;
use signals::StopSignals;

/// What happens when an app does not start at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstFailure {
    /// The server ends: somebody has just typed its target.
    Ends,
    /// The server goes on and tries again: other apps may be well.
    IsTriedAgain,
}

/// Why the server ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    ErrorLog(carme_log::OpenError),
    #[error(transparent)]
    AccessLog(#[from] logs::LogError),
    #[error(transparent)]
    Listen(#[from] site::ListenError),
    #[error(transparent)]
    Install(#[from] carme_farm::InstallError),
    #[error("the server could not be started: {0}")]
    System(#[from] std::io::Error),
    #[error("app {app} could not be started: {}", failure.message)]
    App { app: String, failure: Arc<Failure> },
}

/// How the server ended when it was told to.
enum Ended {
    /// Everything was finished or ended.
    Orderly,
    /// It was told twice.
    AtOnce,
}

/// Serves until it is told to stop; returns the program's exit code.
pub(crate) fn run(config: &Config, first_failure: FirstFailure) -> ExitCode {
    let error = match try_run(config, first_failure) {
        Ok(Ended::Orderly) => return ExitCode::SUCCESS,
        Ok(Ended::AtOnce) => return ExitCode::FAILURE,
        Err(error) => error,
    };
    if let ServeError::App { failure, .. } = &error
        && !failure.traceback.is_empty()
    {
        eprintln!("{}", failure.traceback.trim_end());
    }
    eprintln!("carme: {error}");
    ExitCode::FAILURE
}

fn try_run(config: &Config, first_failure: FirstFailure) -> Result<Ended, ServeError> {
    let server = &config.server;
    let destination = logs::destination(&server.error_log, server.error_log_rotation, Destination::Stderr);
    // Written to its end when this function returns.
    let error_log = ErrorLog::open(destination).map_err(ServeError::ErrorLog)?;
    let logs = Logs::new(Arc::clone(error_log.writer()));
    carme_farm::raise_limit();
    let files: FindFiles = Arc::new(|| crate::worker_files::EMBEDDED.install());
    // If they cannot be had, no app will ever start.
    files()?;
    let hooks = Hooks::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    hooks.install(&mut builder);
    let runtime = builder.enable_all().build()?;
    let ended = runtime.block_on(serve(config, first_failure, &files, &hooks, logs));
    // What still runs in threads of the runtime ends with the process.
    runtime.shutdown_background();
    ended
}

async fn serve(
    config: &Config,
    first_failure: FirstFailure,
    files: &FindFiles,
    hooks: &Hooks,
    mut logs: Logs,
) -> Result<Ended, ServeError> {
    let mut signals = StopSignals::new()?;
    let access_logs = logs::access_logs(config, &mut logs)?;
    logs.reopen_on_signal()?;
    let listeners = site::listen(config)?;
    let addresses: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    let watched = monitor::listen(&config.monitor).map_err(site::ListenError::from)?;
    let running = apps::start(config, files, hooks)?;
    let apps: Vec<_> = running.iter().map(|running| running.app.clone()).collect();
    let shutdown = Shutdown::new(config.server.timeouts.graceful);
    let watch = Watch::new(config, &running, logs, &shutdown);
    let site = Arc::new(site::site(config, access_logs, &apps, &listeners, &watch));
    // Until all else is over: whoever watches sees the end, too.
    let _watching = watch.serve(watched, &config.monitor);
    let front = tokio::spawn(carme_front::serve(listeners, site, shutdown.clone()));
    let told = {
        let start = first_answers(config, first_failure, &running, &addresses);
        tokio::select! {
            started = start => match started {
                Ok(()) => signals.next().await,
                Err(error) => {
                    end_workers(running, Instant::now()).await;
                    return Err(error);
                }
            },
            told = signals.next() => told,
        }
    };
    tracing::info!("stopping after {told}");
    let deadline = Instant::now() + config.server.timeouts.graceful;
    shutdown.begin();
    let orderly = async {
        if let Ok(Drained { aborted: cut @ 1.. }) = front.await {
            tracing::warn!("{cut} connections were cut off when graceful_timeout was over");
        }
        for app in &apps {
            app.close(true);
        }
        end_workers(running, deadline).await;
        watch.finish().await;
    };
    tokio::select! {
        () = orderly => Ok(Ended::Orderly),
        told = signals.next() => {
            tracing::warn!("stopping at once after {told} again");
            Ok(Ended::AtOnce)
        }
    }
}

/// Waits for each app's first word and passes it on.
async fn first_answers(
    config: &Config,
    first_failure: FirstFailure,
    running: &[Running],
    addresses: &[String],
) -> Result<(), ServeError> {
    if running.is_empty() {
        eprintln!("{}", announce::line_without_apps(addresses));
    }
    for (index, Running { workers, .. }) in running.iter().enumerate() {
        let plan = workers.plan();
        match workers.first().await {
            Ok(about) => {
                let mut paths = Vec::new();
                for location in config.places_of(index) {
                    // Once, however many hosts it is for.
                    let path = location.path.script_name();
                    if !paths.contains(&path) {
                        paths.push(path);
                    }
                }
                eprintln!("{}", announce::line(&about, plan, addresses, &paths));
            }
            Err(failure) if first_failure == FirstFailure::Ends => {
                return Err(ServeError::App {
                    app: plan.name.to_string(),
                    failure,
                });
            }
            Err(failure) => tracing::error!(app = &*plan.name, "it does not start: {failure}"),
        }
    }
    Ok(())
}

/// Ends the workers of all apps, all at the same time.
async fn end_workers(running: Vec<Running>, deadline: Instant) {
    let mut ending = tokio::task::JoinSet::new();
    for Running { workers, .. } in running {
        ending.spawn(workers.drain(deadline));
    }
    ending.join_all().await;
}
