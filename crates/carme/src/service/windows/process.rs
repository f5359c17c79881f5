//! The process that the service control manager has started: it serves, and tells the manager how it is doing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use carme_config::{Config, Console, LogOutput, Surroundings};
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use super::event_log;
use crate::commands::WRONG_CONFIGURATION;
use crate::serve::orders::{Order, Orders};
use crate::serve::{self, Failed, Host, Source, Stage};
use crate::service::ServiceName;

/// How often the manager hears that something goes on.
const PULSE: Duration = Duration::from_secs(1);
/// So long without a word, and the manager may take the service for hung.
const PATIENCE: Duration = Duration::from_secs(15);

/// The system's error for a program that it has not started as a service.
const NOT_A_SERVICE: i32 = 1063;

/// What the command line said, for the function that the system calls without it.
static LINE: OnceLock<Line> = OnceLock::new();

struct Line {
    name: ServiceName,
    file: PathBuf,
    surroundings: Surroundings,
}

define_windows_service!(entry, service_main);

/// Serves for the service control manager; returns when the service has stopped.
pub(in crate::service) fn run(name: ServiceName, file: PathBuf, surroundings: &Surroundings) -> ExitCode {
    let line = LINE.get_or_init(|| Line {
        name,
        file,
        surroundings: surroundings.clone(),
    });
    match service_dispatcher::start(line.name.as_str(), entry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(NOT_A_SERVICE) => {
            eprintln!(
                "carme: this is what the service control manager starts. Write: carme service start --name {}",
                line.name
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("carme: the service control manager cannot be reached: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Called by the system, in a thread of its own.
fn service_main(_: Vec<OsString>) {
    let Some(line) = LINE.get() else { return };
    let process = match Process::register(&line.name) {
        Ok(process) => process,
        Err(error) => {
            let text = format!("carme: the service control manager does not listen: {error}");
            let _ = event_log::report(&line.name, &text);
            return;
        }
    };
    let code = serve(line, &process);
    process.stopped(code);
}

/// Serves until it is told to stop; returns the service's exit code.
fn serve(line: &Line, process: &Arc<Process>) -> u32 {
    let file = &line.file;
    let folder = file.parent().unwrap_or(file);
    // The system starts services in its own folder.
    if let Err(error) = std::env::set_current_dir(folder) {
        process.report(&format!(
            "carme: the folder of {} cannot be used: {error}",
            file.display()
        ));
        return WRONG_CONFIGURATION.into();
    }
    let surroundings = Surroundings {
        directory: folder.to_owned(),
        console: Console::Absent,
        ..line.surroundings.clone()
    };
    let config = match crate::configuration::of_file(file, &surroundings) {
        Ok(config) => config,
        Err(problems) => {
            process.report(&problems.to_string());
            return WRONG_CONFIGURATION.into();
        }
    };
    make_log_folder(&config, folder);
    let source = Source::File(file.clone(), surroundings);
    let host = Arc::clone(process) as Arc<dyn Host>;
    let failed = serve::run(config, source, host, None) != ExitCode::SUCCESS && !process.is_stopping();
    u32::from(failed)
}

/// Makes the folder for the logs that a file does not name. If it cannot be made, opening them says so.
fn make_log_folder(config: &Config, folder: &Path) {
    let logs = folder.join(carme_config::defaults::SERVICE_LOG_FOLDER);
    let is_there = |output: &LogOutput| matches!(output, LogOutput::File(file) if file.starts_with(&logs));
    if config.access_logs.iter().any(|log| is_there(&log.output)) || is_there(&config.server.error_log) {
        let _ = std::fs::create_dir_all(logs);
    }
}

/// This process, as the service control manager sees it.
struct Process {
    name: ServiceName,
    /// `None` for the moment between the registration's beginning and its end.
    manager: OnceLock<ServiceStatusHandle>,
    state: Mutex<State>,
}

struct State {
    reported: ServiceState,
    checkpoint: u32,
    orders: Option<Orders>,
    /// By whom it was told to stop.
    stop: Option<&'static str>,
}

impl Process {
    /// Takes the manager's orders from now on, and says that it starts.
    fn register(name: &ServiceName) -> windows_service::Result<Arc<Self>> {
        let process = Arc::new(Self {
            name: name.clone(),
            manager: OnceLock::new(),
            state: Mutex::new(State {
                reported: ServiceState::StartPending,
                checkpoint: 0,
                orders: None,
                stop: None,
            }),
        });
        let told = Arc::clone(&process);
        let manager =
            service_control_handler::register(name.as_str(), move |control| told.control(&control))?;
        let _ = process.manager.set(manager);
        process.hear(&Stage::Starting);
        Ok(process)
    }

    /// What the manager wants; called in a thread of the system.
    fn control(&self, control: &ServiceControl) -> ServiceControlHandlerResult {
        match control {
            ServiceControl::Stop => self.stop("the service control manager"),
            ServiceControl::Preshutdown | ServiceControl::Shutdown => self.stop("the system shutting down"),
            ServiceControl::Interrogate => {}
            _ => return ServiceControlHandlerResult::NotImplemented,
        }
        ServiceControlHandlerResult::NoError
    }

    /// Has the server stop. Once: a second order would cut off what is being finished.
    fn stop(&self, told: &'static str) {
        let mut state = self.lock();
        if state.stop.is_some() {
            return;
        }
        state.stop = Some(told);
        state.reported = ServiceState::StopPending;
        state.checkpoint = 1;
        self.tell(&state, PATIENCE);
        if let Some(orders) = &state.orders {
            orders.give(Order::Stop(told.into()));
        }
    }

    /// All apps have started, or are broken.
    fn serves(&self, broken: &[String]) {
        let mut state = self.lock();
        if state.reported != ServiceState::StartPending {
            return;
        }
        state.reported = ServiceState::Running;
        state.checkpoint = 0;
        self.tell(&state, Duration::ZERO);
        for line in broken {
            self.report(&format!("{line}\nIt is tried again and again."));
        }
    }

    /// Whether somebody has told it to stop, the manager or a command.
    fn is_stopping(&self) -> bool {
        self.lock().reported == ServiceState::StopPending
    }

    /// The last word.
    fn stopped(&self, code: u32) {
        let mut state = self.lock();
        state.reported = ServiceState::Stopped;
        state.checkpoint = 0;
        self.set(ServiceStatus {
            exit_code: match code {
                0 => ServiceExitCode::NO_ERROR,
                code => ServiceExitCode::ServiceSpecific(code),
            },
            ..status(&state, Duration::ZERO)
        });
    }

    fn tell(&self, state: &State, wait_hint: Duration) {
        self.set(status(state, wait_hint));
    }

    fn set(&self, status: ServiceStatus) {
        if let Some(manager) = self.manager.get() {
            // A manager that does not listen cannot be told that either.
            let _ = manager.set_service_status(status);
        }
    }

    fn report(&self, text: &str) {
        if let Err(error) = event_log::report(&self.name, text) {
            tracing::warn!("the Event Log takes nothing: {error}");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(state: &State, wait_hint: Duration) -> ServiceStatus {
    ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state.reported,
        controls_accepted: match state.reported {
            ServiceState::Running => {
                ServiceControlAccept::STOP
                    | ServiceControlAccept::SHUTDOWN
                    | ServiceControlAccept::PRESHUTDOWN
            }
            _ => ServiceControlAccept::empty(),
        },
        exit_code: ServiceExitCode::NO_ERROR,
        checkpoint: state.checkpoint,
        wait_hint,
        process_id: None,
    }
}

impl Host for Process {
    fn attach(&self, orders: &Orders) {
        let mut state = self.lock();
        if let Some(told) = state.stop {
            orders.give(Order::Stop(told.into()));
        }
        state.orders = Some(orders.clone());
    }

    fn say(&self, line: &str) {
        tracing::info!("{line}");
    }

    fn hear(&self, stage: &Stage) {
        match stage {
            Stage::Serving { broken } => self.serves(broken),
            Stage::Starting | Stage::Stopping { .. } => self.alive(stage),
            Stage::Reloading => {}
        }
    }

    fn alive(&self, stage: &Stage) {
        let mut state = self.lock();
        let patience = match stage {
            Stage::Starting if state.stop.is_none() => PATIENCE,
            Stage::Stopping { until } => {
                state.reported = ServiceState::StopPending;
                until.saturating_duration_since(tokio::time::Instant::now()) + PATIENCE
            }
            Stage::Starting | Stage::Serving { .. } | Stage::Reloading => return,
        };
        state.checkpoint += 1;
        self.tell(&state, patience);
    }

    fn pulse(&self) -> Option<Duration> {
        Some(PULSE)
    }

    fn failed(&self, why: &Failed) {
        let text = why.to_string();
        tracing::error!("{text}");
        self.report(&text);
    }
}
