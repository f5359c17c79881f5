//! `carme serve`: listeners, workers, signals, and a graceful end.

mod announce;
mod apps;
mod balancers;
mod by_hand;
mod control;
mod develop;
mod discovery;
mod error_log;
mod host;
mod locations;
mod logs;
mod look;
mod look_members;
mod monitor;
pub(crate) mod orders;
mod passed;
mod reload;
mod rules;
mod server;
mod signals;
mod site;

use std::process::ExitCode;
use std::sync::Arc;

use carme_config::{Config, Development};
use carme_farm::dispatch::Hooks;
use carme_farm::{Failure, FindFiles};
use carme_log::Destination;
use tokio::task::JoinSet;
use tokio::time::Instant;

use control::Control;
use error_log::ErrorLog;
use host::Stages;
use orders::{Inbox, Order};
use server::{Outfit, Server};

pub(crate) use host::{Console, Failed, Host, Stage};
pub(crate) use server::Source;

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
    Trust(#[from] balancers::TrustError),
    #[error(transparent)]
    Install(#[from] carme_farm::InstallError),
    #[error("the server could not be started: {0}")]
    System(#[from] std::io::Error),
    #[error("app {app} could not be started: {}", failure.message)]
    App { app: String, failure: Arc<Failure> },
}

/// How the server ended when it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Everything was finished or ended.
    Orderly,
    /// It was told twice.
    AtOnce,
}

impl From<&ServeError> for Failed {
    fn from(error: &ServeError) -> Self {
        Failed {
            message: error.to_string(),
            traceback: match error {
                ServeError::App { failure, .. } => failure.traceback.clone(),
                _ => String::new(),
            },
        }
    }
}

/// Serves until it is told to stop; returns the program's exit code.
pub(crate) fn run(
    config: Config,
    source: Source,
    host: Arc<dyn Host>,
    development: Option<Development>,
) -> ExitCode {
    match try_run(config, source, Arc::clone(&host), development) {
        Ok(Ended::Orderly) => ExitCode::SUCCESS,
        Ok(Ended::AtOnce) => ExitCode::FAILURE,
        Err(error) => {
            host.failed(&Failed::from(&error));
            ExitCode::FAILURE
        }
    }
}

fn try_run(
    config: Config,
    source: Source,
    host: Arc<dyn Host>,
    development: Option<Development>,
) -> Result<Ended, ServeError> {
    let first_failure = match (&source, &development) {
        // Whoever works on it will mend it.
        (_, Some(_)) | (Source::File(..), None) => FirstFailure::IsTriedAgain,
        (Source::Options, None) => FirstFailure::Ends,
    };
    let server = &config.server;
    let destination = logs::destination(&server.error_log, server.error_log_rotation, Destination::Stderr);
    // Written to its end when this function returns.
    let error_log = ErrorLog::open(destination).map_err(ServeError::ErrorLog)?;
    carme_farm::raise_limit();
    passed::take();
    let files: FindFiles = Arc::new(|readers| crate::worker_files::EMBEDDED.install(readers));
    // If they cannot be had, no app will ever start.
    for app in &config.apps {
        files(apps::readers(app))?;
    }
    let hooks = Hooks::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    hooks.install(&mut builder);
    let runtime = builder.enable_all().build()?;
    let development = development.map(|wanted| develop::Development::new(&wanted, &config));
    let outfit = Outfit {
        source: Arc::new(source),
        files,
        hooks,
        error_log,
        stages: Stages::begin(host),
        live: development.as_ref().map(develop::Development::live),
    };
    let ended = runtime.block_on(serve(Arc::new(config), first_failure, outfit, development));
    // What still runs in threads of the runtime ends with the process.
    runtime.shutdown_background();
    ended
}

async fn serve(
    config: Arc<Config>,
    first_failure: FirstFailure,
    outfit: Outfit,
    development: Option<develop::Development>,
) -> Result<Ended, ServeError> {
    let (orders, mut inbox) = orders::listen()?;
    let stages = Arc::clone(&outfit.stages);
    stages.host().attach(&orders);
    let server = Server::start(config, outfit)?;
    let _following = development.map(|development| development.follow(Arc::clone(&server)));
    let control = Control::open(&server, orders);
    let ended = tokio::select! {
        ended = serve_until_told(&server, first_failure, &mut inbox) => ended,
        () = stages.pulse() => unreachable!("it goes on for as long as it is asked to"),
    }?;
    control.end(ended).await;
    Ok(ended)
}

async fn serve_until_told(
    server: &Arc<Server>,
    first_failure: FirstFailure,
    inbox: &mut Inbox,
) -> Result<Ended, ServeError> {
    let stages = &server.outfit.stages;
    let told = {
        let orders = obey(server, inbox);
        tokio::pin!(orders);
        tokio::select! {
            started = first_answers(server, first_failure) => match started {
                Ok(broken) => {
                    stages.serving(broken);
                    orders.await
                }
                Err(error) => {
                    server.end_apps(Instant::now()).await;
                    return Err(error);
                }
            },
            told = &mut orders => told,
        }
    };
    tracing::info!("stopping after {told}");
    stages.stopping(Instant::now() + server.shutdown.graceful_timeout());
    tokio::select! {
        () = server.stop() => Ok(Ended::Orderly),
        told = inbox.stop() => {
            tracing::warn!("stopping at once after {told} again");
            Ok(Ended::AtOnce)
        }
    }
}

/// Does what the server is told, until it is to stop; returns by whom.
async fn obey(server: &Arc<Server>, inbox: &mut Inbox) -> orders::Told {
    // They end by themselves when the server stops.
    let mut reloads = JoinSet::new();
    loop {
        match inbox.next().await {
            Order::Stop(told) => {
                reloads.detach_all();
                return told;
            }
            Order::ReopenLogs => drop(server.reopen_logs()),
            Order::Reload(told) => {
                while reloads.try_join_next().is_some() {}
                let server = Arc::clone(server);
                reloads.spawn(async move { server.reload(&told).await });
            }
        }
    }
}

/// Waits for each app's first word and passes it on. Returns a line for each app that does not start.
async fn first_answers(server: &Server, first_failure: FirstFailure) -> Result<Vec<String>, ServeError> {
    let (now, host) = (server.now(), server.outfit.stages.host());
    let addresses: Vec<String> = now.doors.iter().map(|door| door.address.clone()).collect();
    if now.apps.is_empty() {
        host.say(&announce::line_without_apps(&addresses));
    }
    let mut broken = Vec::new();
    for (index, running) in now.apps.iter().enumerate() {
        let plan = &apps::plan(&now.config.apps[index]);
        match running.first().await {
            Ok(about) => {
                let paths = paths_of(&now.config, index);
                host.say(&announce::line(&about, plan, &addresses, &paths));
            }
            Err(failure) if first_failure == FirstFailure::Ends => {
                return Err(ServeError::App {
                    app: plan.name.to_string(),
                    failure,
                });
            }
            Err(failure) => {
                tracing::error!(app = &*plan.name, "it does not start: {failure}");
                broken.push(format!("app {} did not start: {failure}", plan.name));
                if let Some(live) = &server.outfit.live {
                    live.broke(develop::Broken {
                        message: format!("app {} does not start: {}", plan.name, failure.message),
                        traceback: failure.traceback.clone(),
                        is_start: true,
                    });
                    let paths = paths_of(&now.config, index);
                    host.say(&announce::line_until_it_starts(plan, &addresses, &paths));
                }
            }
        }
    }
    Ok(broken)
}

/// Where an app answers, each path once, however many hosts it is for.
fn paths_of(config: &Config, app: usize) -> Vec<&str> {
    let mut paths = Vec::new();
    for location in config.places_of(app) {
        let path = location.path.script_name();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}
