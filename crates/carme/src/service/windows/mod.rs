//! Windows services: what the commands ask of the service control manager.

mod account;
#[allow(unsafe_code)]
mod event_log;
mod manager;
#[allow(unsafe_code)]
mod process;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carme_config::{Config, Console, LogOutput, Problems, Surroundings, defaults};
use windows_service::service::{
    ServiceAccess, ServiceExitCode, ServiceStartType, ServiceState, ServiceStatus,
};

use self::account::Account;
use self::manager::Opened;
use super::rights::Rights;
use super::{Plan, Runs, ServiceName};
use crate::serve::{self, Host};

pub(super) use process::run;

/// Who waits for the word of a server that somebody has started by hand.
pub(super) fn host() -> Arc<dyn Host> {
    Arc::new(serve::Console)
}

/// A service's standard output leads nowhere.
pub(super) const CONSOLE: Console = Console::Absent;

/// What the service control manager refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Windows lets only administrators {doing}: open a terminal with \"Run as administrator\"")]
    NotElevated { doing: &'static str },
    #[error(
        "there is a service {0} already: carme service uninstall --name {0}, or choose another with --name"
    )]
    Exists(ServiceName),
    #[error("there is no service {0}: carme service install -c FILE --name {0}")]
    Missing(ServiceName),
    #[error(
        "the service {0} is being removed, and some program still has it open: close the Services window and the Task Manager"
    )]
    BeingRemoved(ServiceName),
    #[error("there is no account {0}")]
    NoAccount(String),
    #[error(
        "Windows does not let the account of {0} log on: its password has changed (install the service again), or it \
         lacks the right \"Log on as a service\" (Local Security Policy, User Rights Assignment)"
    )]
    Logon(ServiceName),
    #[error("the service {0} is disabled: sc config {0} start= demand")]
    Disabled(ServiceName),
    #[error("the password cannot be read: {0}")]
    Password(io::Error),
    #[error("the service {name} ended while it started, with code {code}{reason}")]
    Ended {
        name: ServiceName,
        code: u32,
        reason: Reason,
    },
    #[error("the service {name} has said nothing for {} s, and is {state}", .patience.as_secs())]
    Silent {
        name: ServiceName,
        state: &'static str,
        patience: Duration,
    },
    #[error("{doing}: {source}")]
    System { doing: String, source: io::Error },
}

/// Why a service ended while it started.
#[derive(Debug)]
pub(crate) enum Reason {
    /// Its error log says so.
    Log { file: PathBuf, lines: String },
    /// What is wrong with its file.
    Configuration(Problems),
    /// It is in the Event Log alone.
    Unknown,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log { file, lines } => write!(f, "; {} ends with\n{}", file.display(), lines.trim_end()),
            Self::Configuration(problems) => write!(f, ":\n{problems}"),
            Self::Unknown => f.write_str("; the Event Log (Application) says why"),
        }
    }
}

/// Installs the service; undoes what it has done if a part fails.
pub(super) fn install(plan: &Plan) -> Result<(), Error> {
    let Plan {
        name, file, config, ..
    } = plan;
    let account = Account::parse(plan.install.user.as_deref());
    if plan.install.dry_run {
        println!("Name:    {name}");
        println!("Account: {}", account.shown());
        println!("Start:   {:?}", plan.install.start);
        println!("Command: {}", manager::command_line(name, file)?);
        print!("{}", rights(&account, config, file));
        return Ok(());
    }
    // Before anybody is asked for a password.
    let manager = manager::for_installing()?;
    let password = account
        .password(plan.install.password_stdin)
        .map_err(Error::Password)?;
    let service = manager.create(plan, &account, password)?;
    let finished = service.configure(plan).and_then(|()| {
        event_log::register(name).map_err(|source| Error::System {
            doing: format!("{name} cannot be made known to the Event Log"),
            source,
        })
    });
    if let Err(error) = finished {
        let _ = service.delete();
        return Err(error);
    }
    println!("Installed the service {name}, which serves {}.", file.display());
    print!("{}", rights(&account, config, file));
    if let Err(error) = make_log_folder(config, file, &account) {
        eprintln!("carme: warning: {error}");
    }
    for python in below_profiles(config) {
        eprintln!(
            "carme: warning: {} is in a folder of one user, which {} may not read: install Python for all users",
            python.display(),
            account.shown()
        );
    }
    println!("Start it: carme service start --name {name}");
    Ok(())
}

/// What the account must be able to do, for people.
fn rights(account: &Account, config: &Config, file: &Path) -> String {
    let mut rights = Rights::of(config, file);
    // What is kept is beside the file if nothing is said.
    if config.server.state_directory.is_none() && config.balancers.iter().any(|balancer| balancer.persist) {
        rights.write.extend(file.parent().map(Path::to_owned));
    }
    let mut text = format!("It runs as {}, which must be able to\n", account.shown());
    for (what, paths) in [("read ", &rights.read), ("write", &rights.write)] {
        for path in paths {
            text.push_str(&format!("  {what}  {}\n", path.display()));
        }
    }
    text
}

/// Makes the folder of the logs that the file does not name, and lets the account write there.
fn make_log_folder(config: &Config, file: &Path, account: &Account) -> Result<(), Error> {
    let folder = file.parent().unwrap_or(file).join(defaults::SERVICE_LOG_FOLDER);
    if !Rights::of(config, file).write.contains(&folder) || folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(|source| Error::System {
        doing: format!("{} cannot be made", folder.display()),
        source,
    })?;
    let Some(user) = account.for_icacls() else {
        return Ok(());
    };
    let granted = Command::new("icacls")
        .arg(&folder)
        .args(["/grant", &format!("{user}:(OI)(CI)M")])
        .stdin(Stdio::null())
        .output()
        .and_then(|output| match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )),
        });
    granted.map_err(|source| Error::System {
        doing: format!(
            "{user} could not be given the right to write to {}",
            folder.display()
        ),
        source,
    })
}

/// Interpreters in the folder of a user, which other accounts cannot read.
fn below_profiles(config: &Config) -> impl Iterator<Item = &Path> {
    let profiles = std::env::var_os("USERPROFILE").map(PathBuf::from);
    let pythons = config.apps.iter().map(|app| app.python.path.as_path());
    pythons.filter(move |python| {
        profiles
            .as_ref()
            .is_some_and(|profile| python.starts_with(profile))
    })
}

/// Stops and removes the service.
pub(super) fn uninstall(name: &ServiceName) -> Result<(), Error> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE;
    let service = manager::open(name, access, "remove services")?;
    stop_service(&service)?;
    service.delete()?;
    event_log::unregister(name).map_err(|source| Error::System {
        doing: format!("{name} is removed, but the Event Log still knows it"),
        source,
    })?;
    println!("Removed the service {name}; its files and logs are where they were.");
    Ok(())
}

/// Starts the service and waits until it serves.
pub(super) fn start(name: &ServiceName) -> Result<(), Error> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG | ServiceAccess::START;
    let service = manager::open(name, access, "start services")?;
    let before = Before::of(service.configuration_file());
    let began = Instant::now();
    if !service.start()? {
        println!("{name} runs already.");
        return Ok(());
    }
    let status = wait(&service, &[ServiceState::Running, ServiceState::Stopped])?;
    if status.current_state == ServiceState::Running {
        println!("{name} serves, after {:.1} s.", began.elapsed().as_secs_f32());
        return Ok(());
    }
    Err(Error::Ended {
        name: name.clone(),
        code: match status.exit_code {
            ServiceExitCode::Win32(code) | ServiceExitCode::ServiceSpecific(code) => code,
        },
        reason: before.reason(),
    })
}

/// Stops the service and waits until its last request is answered.
pub(super) fn stop(name: &ServiceName) -> Result<(), Error> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP;
    let service = manager::open(name, access, "stop services")?;
    match stop_service(&service)? {
        Some(took) => println!("{name} stopped, after {:.1} s.", took.as_secs_f32()),
        None => println!("{name} does not run."),
    }
    Ok(())
}

/// How long it took, or `None` if it did not run.
fn stop_service(service: &Opened) -> Result<Option<Duration>, Error> {
    let began = Instant::now();
    let mut status = service.query()?;
    if status.current_state == ServiceState::Stopped {
        return Ok(None);
    }
    if status.current_state == ServiceState::StartPending {
        // The manager passes nothing on until then.
        wait(service, &[ServiceState::Running, ServiceState::Stopped])?;
    }
    if status.current_state != ServiceState::StopPending && !service.stop()? {
        return Ok(None);
    }
    status = service.query()?;
    if status.current_state != ServiceState::Stopped {
        println!(
            "{} stops: requests in flight are finished, for up to graceful_timeout.",
            service.name()
        );
        wait(service, &[ServiceState::Stopped])?;
    }
    Ok(Some(began.elapsed()))
}

/// Tells how the service is doing.
pub(super) fn status(name: &ServiceName) -> Result<Runs, Error> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG;
    let service = manager::open(name, access, "see this service")?;
    let status = service.query()?;
    let config = service.config()?;
    let state = match status.process_id {
        Some(pid) if pid != 0 => format!("{} (pid {pid})", state_name(status.current_state)),
        _ => state_name(status.current_state).to_owned(),
    };
    let start = match config.start_type {
        ServiceStartType::AutoStart => "with Windows",
        ServiceStartType::OnDemand => "when it is told to",
        ServiceStartType::Disabled => "never: it is disabled",
        _ => "with Windows, as a driver",
    };
    println!("{name}: {state}");
    println!("  starts   {start}");
    if let Some(account) = &config.account_name {
        println!("  runs as  {}", account.to_string_lossy());
    }
    println!("  command  {}", config.executable_path.display());
    if let (ServiceState::Stopped, ServiceExitCode::ServiceSpecific(code)) =
        (status.current_state, status.exit_code)
    {
        println!("  it ended with code {code}: the Event Log (Application) says why");
    }
    Ok(match status.current_state {
        ServiceState::Running | ServiceState::StopPending => Runs::Yes,
        _ => Runs::No,
    })
}

fn state_name(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Stopped => "stopped",
        ServiceState::StartPending => "starting",
        ServiceState::StopPending => "stopping",
        ServiceState::Running => "running",
        ServiceState::ContinuePending => "continuing",
        ServiceState::PausePending => "pausing",
        ServiceState::Paused => "paused",
    }
}

/// Waits for one of these states, for as long as the service tells that it is alive.
fn wait(service: &Opened, states: &[ServiceState]) -> Result<ServiceStatus, Error> {
    const AT_LEAST: Duration = Duration::from_secs(30);
    const LOOK: Duration = Duration::from_millis(100);
    let mut heard = Instant::now();
    let mut checkpoint = 0;
    loop {
        let status = service.query()?;
        if states.contains(&status.current_state) {
            return Ok(status);
        }
        if status.checkpoint != checkpoint {
            checkpoint = status.checkpoint;
            heard = Instant::now();
        }
        let patience = status.wait_hint.max(AT_LEAST);
        if heard.elapsed() > patience {
            return Err(Error::Silent {
                name: service.name().clone(),
                state: state_name(status.current_state),
                patience,
            });
        }
        std::thread::sleep(LOOK);
    }
}

/// How things are before a service starts.
enum Before {
    /// Its error log, and where it ends.
    Log(PathBuf, u64),
    /// Its file is wrong.
    Wrong(Problems),
    Unknown,
}

impl Before {
    /// Looks at a service's configuration file.
    fn of(file: Option<PathBuf>) -> Self {
        let (Some(file), Ok(surroundings)) = (file, Surroundings::of_this_process()) else {
            return Self::Unknown;
        };
        let surroundings = Surroundings {
            virtual_env: None,
            console: CONSOLE,
            ..surroundings
        };
        match Config::from_file(&file, &surroundings) {
            Ok(config) => match config.server.error_log {
                LogOutput::File(log) => {
                    let end = std::fs::metadata(&log).map_or(0, |about| about.len());
                    Self::Log(log, end)
                }
                LogOutput::Standard => Self::Unknown,
            },
            Err(problems) => Self::Wrong(problems),
        }
    }

    /// Why it has ended since then.
    fn reason(self) -> Reason {
        match self {
            Self::Log(file, end) => {
                let bytes = std::fs::read(&file).unwrap_or_default();
                let new = usize::try_from(end).ok().and_then(|end| bytes.get(end..));
                let lines = String::from_utf8_lossy(new.unwrap_or_default()).into_owned();
                match lines.trim() {
                    "" => Reason::Unknown,
                    _ => Reason::Log { file, lines },
                }
            }
            Self::Wrong(problems) => Reason::Configuration(problems),
            Self::Unknown => Reason::Unknown,
        }
    }
}
