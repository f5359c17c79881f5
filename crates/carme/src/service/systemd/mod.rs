//! Services under systemd: a unit is written, and `systemctl` does the rest.

mod notify;
mod unit;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;
use std::time::Instant;

use carme_config::{Console, Surroundings};

use self::unit::{MARK, Unit};
use super::{Plan, Runs, ServiceName};
use crate::cli::Start;
use crate::serve::{self, Host};

/// A service's standard error leads to the journal.
pub(super) const CONSOLE: Console = Console::Present;

/// Where an administrator's units are.
const UNITS: &str = "/etc/systemd/system";
/// There is one if and only if systemd runs the system.
const BOOTED: &str = "/run/systemd/system";
/// What is printed where no systemd can be asked: today's.
const CURRENT_VERSION: u32 = 257;

/// Why a service could not be installed or told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "systemd does not run this system: have whatever does start `carme serve -c {}` (--dry-run prints a unit all the \
         same)", .0.display()
    )]
    NoSystemd(PathBuf),
    #[error("systemd does not run this system")]
    NoSystemdHere,
    #[error("only root may do this: sudo carme service …")]
    NotRoot,
    #[error(
        "{} belongs to root, and a site need not run as root: name a user, --user www-data, or --user root if it must", .0.display()
    )]
    WhichUser(PathBuf),
    #[error("the apps have users of their own, so the server must run as root: leave out --user {0}")]
    AppUsers(String),
    #[error("there is no user {0}: sudo useradd --system {0}")]
    NoUser(String),
    #[error(
        "there is a service {0} already: carme service uninstall --name {0}, or choose another with --name"
    )]
    Exists(ServiceName),
    #[error("there is no service {name} that carme has installed ({} is not there)", .file.display())]
    Missing { name: ServiceName, file: PathBuf },
    #[error("{} was not installed by carme, and is left alone", .0.display())]
    NotOurs(PathBuf),
    #[error(
        "systemd starts services with the system or when they are told to: --start auto, or --start manual"
    )]
    Delayed,
    #[error("a password is asked for on Windows only: leave out --password-stdin")]
    Password,
    #[error("{}: {source}", .file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("systemctl {arguments}: {reason}")]
    Systemctl { arguments: String, reason: String },
}

/// The system's systemd.
struct Systemd {
    units: PathBuf,
    systemctl: PathBuf,
}

impl Systemd {
    /// The one that runs this system.
    fn here() -> Result<Self, Error> {
        if !Path::new(BOOTED).is_dir() {
            return Err(Error::NoSystemdHere);
        }
        Ok(Self {
            units: UNITS.into(),
            systemctl: "systemctl".into(),
        })
    }

    fn file(&self, name: &ServiceName) -> PathBuf {
        self.units.join(format!("{name}.service"))
    }

    /// Writes the unit and makes it known.
    fn install(&self, name: &ServiceName, text: &str, start: Start) -> Result<(), Error> {
        let file = self.file(name);
        let wrong = |source| Error::File {
            file: file.clone(),
            source,
        };
        let created = std::fs::File::create_new(&file);
        match created.and_then(|mut unit| io::Write::write_all(&mut unit, text.as_bytes())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(name.clone()));
            }
            written => written.map_err(wrong)?,
        }
        let known = self.systemctl(&["daemon-reload"]).and_then(|()| match start {
            Start::Manual => Ok(()),
            Start::Auto | Start::Delayed => self.systemctl(&["enable", "--quiet", &unit_name(name)]),
        });
        if known.is_err() {
            let _ = std::fs::remove_file(&file);
        }
        known
    }

    /// Stops the service, if it runs, and removes its unit.
    fn uninstall(&self, name: &ServiceName) -> Result<(), Error> {
        let file = self.ours(name)?;
        self.systemctl(&["disable", "--quiet", "--now", &unit_name(name)])?;
        std::fs::remove_file(&file).map_err(|source| Error::File { file, source })?;
        self.systemctl(&["daemon-reload"])
    }

    /// The unit's file, if we have written it.
    fn ours(&self, name: &ServiceName) -> Result<PathBuf, Error> {
        let file = self.file(name);
        match std::fs::read_to_string(&file) {
            Ok(text) if text.starts_with(MARK) => Ok(file),
            Ok(_) => Err(Error::NotOurs(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing {
                name: name.clone(),
                file,
            }),
            Err(source) => Err(Error::File { file, source }),
        }
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<(), Error> {
        let Output { status, stderr, .. } = self.ask(arguments)?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&stderr).trim().to_owned();
        Err(Error::Systemctl {
            arguments: arguments.join(" "),
            reason: if said.is_empty() { status.to_string() } else { said },
        })
    }

    fn ask(&self, arguments: &[&str]) -> Result<Output, Error> {
        let mut command = Command::new(&self.systemctl);
        command.args(arguments).stdin(Stdio::null());
        command.output().map_err(|error| Error::Systemctl {
            arguments: arguments.join(" "),
            reason: error.to_string(),
        })
    }
}

fn unit_name(name: &ServiceName) -> String {
    format!("{name}.service")
}

/// The version of the systemd that a `systemctl` is part of, if there is one.
fn version(systemctl: &Path) -> Option<u32> {
    let output = Command::new(systemctl).arg("--version").output().ok()?;
    // systemd 252 (252.38-1~deb12u1)
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_ascii_whitespace().nth(1)?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Installs the service, or prints its unit.
pub(super) fn install(plan: &Plan) -> Result<(), Error> {
    if plan.install.start == Start::Delayed {
        return Err(Error::Delayed);
    }
    if plan.install.password_stdin {
        return Err(Error::Password);
    }
    let user = user(plan)?;
    let program = std::env::current_exe().map_err(|source| Error::File {
        file: "carme".into(),
        source,
    })?;
    let unit = Unit {
        name: plan.name.as_str(),
        program: &program,
        file: &plan.file,
        config: &plan.config,
        user: &user,
        version: version(Path::new("systemctl")).unwrap_or(CURRENT_VERSION),
    };
    if plan.install.dry_run {
        print!("{}", unit.text());
        return Ok(());
    }
    let systemd = Systemd::here().map_err(|_| Error::NoSystemd(plan.file.clone()))?;
    root()?;
    systemd.install(&plan.name, &unit.text(), plan.install.start)?;
    let name = &plan.name;
    println!("Installed {}.", systemd.file(name).display());
    println!("It serves {} as {user}.", plan.file.display());
    println!("Start it: sudo carme service start --name {name}");
    Ok(())
}

/// Whom the service runs as: root if its apps have users of their own, or else the user that was named, or the owner of the
/// app's folder.
fn user(plan: &Plan) -> Result<String, Error> {
    let name_of = |uid: u32| {
        uzers::get_user_by_uid(uid).map_or_else(
            || uid.to_string(),
            |user| user.name().to_string_lossy().into_owned(),
        )
    };
    if plan.config.apps.iter().any(|app| app.user.is_some()) {
        return match &plan.install.user {
            Some(user) if user != "root" => Err(Error::AppUsers(user.clone())),
            _ => Ok("root".to_owned()),
        };
    }
    if let Some(user) = &plan.install.user {
        return match uzers::get_user_by_name(user) {
            Some(_) => Ok(user.clone()),
            None => Err(Error::NoUser(user.clone())),
        };
    }
    let folder = match plan.config.apps.first() {
        Some(app) => &app.directory,
        None => plan.file.parent().unwrap_or(&plan.file),
    };
    let owner = std::fs::metadata(folder).map_err(|source| Error::File {
        file: folder.to_owned(),
        source,
    })?;
    match owner.uid() {
        0 => Err(Error::WhichUser(folder.to_owned())),
        uid => Ok(name_of(uid)),
    }
}

fn root() -> Result<(), Error> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::NotRoot),
    }
}

/// Stops and removes the service.
pub(super) fn uninstall(name: &ServiceName) -> Result<(), Error> {
    let systemd = Systemd::here()?;
    root()?;
    systemd.uninstall(name)?;
    println!("Removed the service {name}; its files and logs are where they were.");
    Ok(())
}

/// Starts the service and waits until it serves.
pub(super) fn start(name: &ServiceName) -> Result<(), Error> {
    let systemd = Systemd::here()?;
    let began = Instant::now();
    let started = systemd.systemctl(&["start", &unit_name(name)]);
    match started {
        Ok(()) => println!("{name} serves, after {:.1} s.", began.elapsed().as_secs_f32()),
        Err(error) => {
            // With the last lines of its log, where the reason is.
            show(&systemd, name)?;
            return Err(error);
        }
    }
    Ok(())
}

/// Stops the service and waits until its last request is answered.
pub(super) fn stop(name: &ServiceName) -> Result<(), Error> {
    let systemd = Systemd::here()?;
    let began = Instant::now();
    systemd.systemctl(&["stop", &unit_name(name)])?;
    println!("{name} stopped, after {:.1} s.", began.elapsed().as_secs_f32());
    Ok(())
}

/// Tells how the service is doing, in systemd's words.
pub(super) fn status(name: &ServiceName) -> Result<Runs, Error> {
    let systemd = Systemd::here()?;
    Ok(match show(&systemd, name)? {
        true => Runs::Yes,
        false => Runs::No,
    })
}

/// Prints what systemd knows of it; true if it runs.
fn show(systemd: &Systemd, name: &ServiceName) -> Result<bool, Error> {
    let output = systemd.ask(&["status", "--no-pager", "--full", &unit_name(name)])?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.status.success())
}

/// Who waits for the word of this server: systemd, if it has started it.
pub(super) fn host() -> Arc<dyn Host> {
    match notify::Systemd::of_this_process() {
        Some(Ok(systemd)) => Arc::new(systemd),
        Some(Err(error)) => {
            eprintln!("carme: warning: systemd cannot be told anything (NOTIFY_SOCKET): {error}");
            Arc::new(serve::Console)
        }
        None => Arc::new(serve::Console),
    }
}

/// What only Windows starts.
pub(super) fn run(_: ServiceName, file: PathBuf, _: &Surroundings) -> ExitCode {
    eprintln!(
        "carme: `service run` is for Windows. Write: carme serve -c {}",
        file.display()
    );
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A systemd whose `systemctl` writes down what it is asked, and refuses this.
    struct Fake {
        folder: tempfile::TempDir,
        systemd: Systemd,
    }

    impl Fake {
        fn new(refused: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let systemctl = folder.path().join("systemctl");
            let asked = folder.path().join("asked");
            let script = format!(
                "#!/bin/sh\necho \"$@\" >> '{}'\n[ \"$1\" = '{refused}' ] && {{ echo 'it will not' >&2; exit 1; }}\nexit 0\n",
                asked.display()
            );
            std::fs::write(&systemctl, script).unwrap();
            std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
            let systemd = Systemd {
                units: folder.path().to_owned(),
                systemctl,
            };
            Self { folder, systemd }
        }

        fn asked(&self) -> String {
            std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
        }
    }

    fn name() -> ServiceName {
        "carme-site".parse().unwrap()
    }

    fn text() -> String {
        format!("{MARK}\n[Service]\n")
    }

    #[test]
    fn what_is_installed_is_removed_again() {
        let fake = Fake::new("nothing");
        fake.systemd.install(&name(), &text(), Start::Auto).unwrap();
        assert_eq!(
            std::fs::read_to_string(fake.systemd.file(&name())).unwrap(),
            text()
        );
        let again = fake.systemd.install(&name(), &text(), Start::Auto).unwrap_err();
        assert!(
            again
                .to_string()
                .contains("there is a service carme-site already"),
            "{again}"
        );
        fake.systemd.uninstall(&name()).unwrap();
        assert!(!fake.systemd.file(&name()).exists());
        assert_eq!(
            fake.asked(),
            "daemon-reload\nenable --quiet carme-site.service\ndisable --quiet --now carme-site.service\ndaemon-reload\n"
        );
        let missing = fake.systemd.uninstall(&name()).unwrap_err().to_string();
        assert!(missing.contains("there is no service carme-site"), "{missing}");
    }

    #[test]
    fn a_service_for_later_is_not_enabled() {
        let fake = Fake::new("nothing");
        fake.systemd.install(&name(), &text(), Start::Manual).unwrap();
        assert_eq!(fake.asked(), "daemon-reload\n");
    }

    #[test]
    fn what_systemd_refuses_leaves_nothing() {
        let fake = Fake::new("enable");
        let error = fake
            .systemd
            .install(&name(), &text(), Start::Auto)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "systemctl enable --quiet carme-site.service: it will not");
        assert!(!fake.systemd.file(&name()).exists());
    }

    #[test]
    fn the_unit_of_somebody_else_is_left_alone() {
        let fake = Fake::new("nothing");
        std::fs::write(fake.systemd.file(&name()), "[Service]\n").unwrap();
        let error = fake.systemd.uninstall(&name()).unwrap_err().to_string();
        assert!(error.contains("was not installed by carme"), "{error}");
        assert!(fake.systemd.file(&name()).exists());
        assert_eq!(fake.asked(), "");
    }
}
