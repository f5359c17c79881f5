//! The service control manager, with its errors in our words.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceConfig, ServiceErrorControl,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceStatus,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::Error;
use super::account::Account;
use crate::cli::Start;
use crate::service::{Plan, ServiceName};

/// The system's numbers for what our messages are about.
const ACCESS_DENIED: i32 = 5;
const INVALID_LEVEL: i32 = 124;
const ALREADY_RUNNING: i32 = 1056;
const INVALID_ACCOUNT: i32 = 1057;
const DISABLED: i32 = 1058;
const DOES_NOT_EXIST: i32 = 1060;
const NOT_ACTIVE: i32 = 1062;
const LOGON_FAILED: i32 = 1069;
const MARKED_FOR_DELETE: i32 = 1072;
const EXISTS: i32 = 1073;

/// The pauses before a service that has failed is started again; the last one from then on.
const RESTARTS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// After so long without a failure the pauses begin anew.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// What stopping may take beyond `graceful_timeout` when the system shuts down.
const BEYOND_GRACEFUL: Duration = Duration::from_secs(15);

/// A connection that may install.
pub(super) struct Manager(ServiceManager);

/// Connects so that services can be created.
pub(super) fn for_installing() -> Result<Manager, Error> {
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    ServiceManager::local_computer(None::<&OsStr>, access)
        .map(Manager)
        .map_err(|error| explain(error, None, "install services"))
}

/// Opens a service so that what `doing` says can be done.
pub(super) fn open(name: &ServiceName, access: ServiceAccess, doing: &'static str) -> Result<Opened, Error> {
    let wrong = |error| explain(error, Some(name), doing);
    let manager =
        ServiceManager::local_computer(None::<&OsStr>, ServiceManagerAccess::CONNECT).map_err(wrong)?;
    let service = manager.open_service(name.as_str(), access).map_err(wrong)?;
    Ok(Opened {
        name: name.clone(),
        doing,
        service,
    })
}

/// What the service control manager starts.
fn arguments(name: &ServiceName, file: &Path) -> Vec<OsString> {
    let words: [&OsStr; 6] = [
        "service".as_ref(),
        "run".as_ref(),
        "--name".as_ref(),
        name.as_str().as_ref(),
        "--config".as_ref(),
        file.as_ref(),
    ];
    words.map(OsStr::to_owned).into()
}

fn program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|source| Error::System {
        doing: "where carme is cannot be told".to_owned(),
        source,
    })
}

/// The command that is installed, for people.
pub(super) fn command_line(name: &ServiceName, file: &Path) -> Result<String, Error> {
    let mut line = format!("\"{}\"", program()?.display());
    for word in arguments(name, file) {
        let word = word.to_string_lossy();
        line.push_str(&match word.contains(' ') {
            true => format!(" \"{word}\""),
            false => format!(" {word}"),
        });
    }
    Ok(line)
}

impl Manager {
    /// Creates the service.
    pub(super) fn create(
        &self,
        plan: &Plan,
        account: &Account,
        password: Option<OsString>,
    ) -> Result<Opened, Error> {
        let name = &plan.name;
        let own = name.as_str().strip_prefix("carme-").unwrap_or(name.as_str());
        let info = ServiceInfo {
            name: name.as_str().into(),
            display_name: format!("Carme: {own}").into(),
            service_type: ServiceType::OWN_PROCESS,
            start_type: match plan.install.start {
                Start::Auto | Start::Delayed => ServiceStartType::AutoStart,
                Start::Manual => ServiceStartType::OnDemand,
            },
            error_control: ServiceErrorControl::Normal,
            executable_path: program()?,
            launch_arguments: arguments(name, &plan.file),
            dependencies: Vec::new(),
            account_name: account.name().map(OsString::from),
            account_password: password,
        };
        let doing = "install services";
        let service =
            self.0
                .create_service(&info, ServiceAccess::ALL_ACCESS)
                .map_err(|error| match number(&error) {
                    Some(INVALID_ACCOUNT) => Error::NoAccount(account.shown().to_owned()),
                    _ => explain(error, Some(name), doing),
                })?;
        Ok(Opened {
            name: name.clone(),
            doing,
            service,
        })
    }
}

/// A service, opened for something.
pub(super) struct Opened {
    name: ServiceName,
    doing: &'static str,
    service: Service,
}

impl Opened {
    pub(super) fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Description, delayed start, recovery, and patience at the system's shutdown.
    pub(super) fn configure(&self, plan: &Plan) -> Result<(), Error> {
        let service = &self.service;
        let restart = |delay| ServiceAction {
            action_type: ServiceActionType::Restart,
            delay,
        };
        let configured = service
            .set_description(format!("Serves {} with Carme.", plan.file.display()))
            .and_then(|()| {
                service.update_failure_actions(ServiceFailureActions {
                    reset_period: ServiceFailureResetPeriod::After(FORGIVEN_AFTER),
                    reboot_msg: None,
                    command: None,
                    actions: Some(RESTARTS.map(restart).into()),
                })
            })
            .and_then(|()| {
                service.set_preshutdown_timeout(plan.config.server.timeouts.graceful + BEYOND_GRACEFUL)
            })
            .and_then(|()| {
                // An exit with an error is a failure, too, not only a crash.
                let restarted = service.set_failure_actions_on_non_crash_failures(true);
                unless_unknown(
                    restarted,
                    "start a service again that ends with an error, only one that crashes",
                )
            })
            .and_then(|()| match plan.install.start {
                Start::Delayed => unless_unknown(
                    service.set_delayed_auto_start(true),
                    "start services a while after itself",
                ),
                Start::Auto | Start::Manual => Ok(()),
            });
        configured.map_err(|error| self.explain(error))
    }

    pub(super) fn delete(&self) -> Result<(), Error> {
        self.service.delete().map_err(|error| self.explain(error))
    }

    pub(super) fn query(&self) -> Result<ServiceStatus, Error> {
        self.service.query_status().map_err(|error| self.explain(error))
    }

    pub(super) fn config(&self) -> Result<ServiceConfig, Error> {
        self.service.query_config().map_err(|error| self.explain(error))
    }

    /// The file that it serves, as its command says.
    pub(super) fn configuration_file(&self) -> Option<PathBuf> {
        let command = self.service.query_config().ok()?.executable_path;
        let command = command.to_str()?.to_owned();
        let (_, file) = command.rsplit_once("--config ")?;
        Some(PathBuf::from(file.trim().trim_matches('"')))
    }

    /// False if it runs already.
    pub(super) fn start(&self) -> Result<bool, Error> {
        match self.service.start::<&OsStr>(&[]) {
            Ok(()) => Ok(true),
            Err(error) if number(&error) == Some(ALREADY_RUNNING) => Ok(false),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// False if it did not run.
    pub(super) fn stop(&self) -> Result<bool, Error> {
        match self.service.stop() {
            Ok(_) => Ok(true),
            Err(error) if number(&error) == Some(NOT_ACTIVE) => Ok(false),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn explain(&self, error: windows_service::Error) -> Error {
        explain(error, Some(&self.name), self.doing)
    }
}

/// What a system that is not quite Windows does not know is not worth a service.
fn unless_unknown(done: windows_service::Result<()>, what: &str) -> windows_service::Result<()> {
    match done {
        Err(error) if number(&error) == Some(INVALID_LEVEL) => {
            eprintln!("carme: warning: this system does not {what}");
            Ok(())
        }
        done => done,
    }
}

fn number(error: &windows_service::Error) -> Option<i32> {
    match error {
        windows_service::Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

fn explain(error: windows_service::Error, name: Option<&ServiceName>, doing: &'static str) -> Error {
    match (number(&error), name) {
        (Some(ACCESS_DENIED), _) => Error::NotElevated { doing },
        (Some(EXISTS), Some(name)) => Error::Exists(name.clone()),
        (Some(DOES_NOT_EXIST), Some(name)) => Error::Missing(name.clone()),
        (Some(MARKED_FOR_DELETE), Some(name)) => Error::BeingRemoved(name.clone()),
        (Some(LOGON_FAILED), Some(name)) => Error::Logon(name.clone()),
        (Some(DISABLED), Some(name)) => Error::Disabled(name.clone()),
        (_, name) => Error::System {
            doing: match name {
                Some(name) => format!("Windows does not {doing} ({name})"),
                None => format!("Windows does not {doing}"),
            },
            source: match error {
                windows_service::Error::Winapi(error) => error,
                other => io::Error::other(other),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_managers_numbers_become_sentences() {
        let name: ServiceName = "carme-shop".parse().unwrap();
        for (code, text) in [
            (ACCESS_DENIED, "Run as administrator"),
            (EXISTS, "there is a service carme-shop already"),
            (DOES_NOT_EXIST, "there is no service carme-shop"),
            (MARKED_FOR_DELETE, "close the Services window"),
            (LOGON_FAILED, "Log on as a service"),
            (DISABLED, "sc config carme-shop start= demand"),
        ] {
            let error = windows_service::Error::Winapi(io::Error::from_raw_os_error(code));
            let message = explain(error, Some(&name), "start services").to_string();
            assert!(message.contains(text), "{code}: {message}");
        }
    }
}
