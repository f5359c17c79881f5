//! `carme service`: the server as a service of the system, under Windows' service control manager or under systemd.
//!
//! What is common: a service serves one configuration file, its name is made of the file's unless it is given, and it is
//! not installed with a file that has problems.

mod name;
mod rights;

#[cfg(unix)]
#[path = "systemd/mod.rs"]
mod system;
#[cfg(windows)]
#[path = "windows/mod.rs"]
mod system;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use carme_config::{Config, Console, Problems, Surroundings, probe};

use crate::cli::{Install, ServiceCommand, ServiceWhich};
use crate::serve::Host;

pub(crate) use name::ServiceName;

/// What the exit code says where there is nothing to say it for: as `systemctl status` has it.
const NOT_RUNNING: u8 = 3;

/// Why a command about a service was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(
        "which service? Name it: --name NAME, or its file: -c FILE (there is no carme.toml in this folder)"
    )]
    NoneNamed,
    #[error("which file is to be served? Name it: -c FILE")]
    NoFile,
    #[error(transparent)]
    Problems(#[from] Problems),
    #[error(transparent)]
    System(#[from] system::Error),
}

impl ServiceError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoneNamed | Self::NoFile | Self::Problems(_) => {
                ExitCode::from(crate::commands::WRONG_CONFIGURATION)
            }
            Self::System(_) => ExitCode::FAILURE,
        }
    }
}

/// Carries out a command; returns the program's exit code.
pub(crate) fn service(command: ServiceCommand, surroundings: &Surroundings) -> ExitCode {
    let done = match command {
        ServiceCommand::Install(install) => self::install(install, surroundings),
        ServiceCommand::Uninstall(which) => named(which, surroundings, |name| system::uninstall(&name)),
        ServiceCommand::Start(which) => named(which, surroundings, |name| system::start(&name)),
        ServiceCommand::Stop(which) => named(which, surroundings, |name| system::stop(&name)),
        ServiceCommand::Status(which) => {
            let status = resolve(which, surroundings).and_then(|name| Ok(system::status(&name)?));
            return match status {
                Ok(Runs::Yes) => ExitCode::SUCCESS,
                Ok(Runs::No) => ExitCode::from(NOT_RUNNING),
                Err(error) => refuse(&error),
            };
        }
        ServiceCommand::Run(run) => return system::run(run.name, run.config, surroundings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// Who waits for the word of a server that `carme serve` starts.
pub(crate) fn host() -> Arc<dyn Host> {
    system::host()
}

/// Whether a service runs.
enum Runs {
    Yes,
    No,
}

fn refuse(error: &ServiceError) -> ExitCode {
    match error {
        // They name file and line themselves.
        ServiceError::Problems(problems) => eprintln!("{problems}"),
        error => eprintln!("carme: {error}"),
    }
    error.exit_code()
}

fn named(
    which: ServiceWhich,
    surroundings: &Surroundings,
    run: impl FnOnce(ServiceName) -> Result<(), system::Error>,
) -> Result<(), ServiceError> {
    Ok(run(resolve(which, surroundings)?)?)
}

/// The name of the service that is meant.
fn resolve(which: ServiceWhich, surroundings: &Surroundings) -> Result<ServiceName, ServiceError> {
    match (which.name, file(which.config.as_deref(), surroundings)) {
        (Some(name), _) => Ok(name),
        (None, Some(file)) => Ok(ServiceName::of_file(&file)),
        (None, None) => Err(ServiceError::NoneNamed),
    }
}

/// The absolute path of the file that was named, or of the one that is here.
fn file(named: Option<&Path>, surroundings: &Surroundings) -> Option<PathBuf> {
    let here = surroundings.directory.join("carme.toml");
    let file = match named {
        Some(named) => surroundings.directory.join(named),
        None if here.is_file() => here,
        None => return None,
    };
    Some(std::path::absolute(&file).unwrap_or(file))
}

/// What is to be installed, checked.
struct Plan {
    name: ServiceName,
    file: PathBuf,
    config: Config,
    install: Install,
}

fn install(install: Install, surroundings: &Surroundings) -> Result<(), ServiceError> {
    let file = file(install.which.config.as_deref(), surroundings).ok_or(ServiceError::NoFile)?;
    let config = check(&file, surroundings, system::CONSOLE)?;
    let name = match &install.which.name {
        Some(name) => name.clone(),
        None => ServiceName::of_file(&file),
    };
    Ok(system::install(&Plan {
        name,
        file,
        config,
        install,
    })?)
}

/// The file, as thoroughly checked as `carme check` does.
fn check(file: &Path, surroundings: &Surroundings, console: Console) -> Result<Config, Problems> {
    let surroundings = Surroundings {
        // A service has no environment that somebody has activated.
        virtual_env: None,
        probe: Some(probe),
        now: Some(SystemTime::now()),
        console,
        ..surroundings.clone()
    };
    crate::configuration::of_file(file, &surroundings)
}
