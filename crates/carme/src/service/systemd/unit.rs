//! The text of a unit.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use carme_config::{Bind, Config};

use crate::service::rights::Rights;

/// The first line: a unit without it is somebody else's.
pub(super) const MARK: &str =
    "# Installed by `carme service install`; write your changes with `systemctl edit`.";

/// `Type=notify-reload` came with it.
const NOTIFY_RELOAD: u32 = 253;
/// `RestartSteps=` came with it.
const RESTART_STEPS: u32 = 254;

/// What a stop may take beyond `graceful_timeout` before systemd kills.
const BEYOND_GRACEFUL: Duration = Duration::from_secs(10);
/// What a start may take beyond the longest `startup_timeout`.
const BEYOND_STARTUP: Duration = Duration::from_secs(30);
/// A front that says nothing for so long is stuck, and is started again.
const WATCHDOG: Duration = Duration::from_secs(30);

/// What a unit is made of.
pub(super) struct Unit<'p> {
    pub(super) name: &'p str,
    pub(super) program: &'p Path,
    pub(super) file: &'p Path,
    pub(super) config: &'p Config,
    pub(super) user: &'p str,
    /// systemd's version.
    pub(super) version: u32,
}

impl Unit<'_> {
    /// The whole file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let own = self.name.strip_prefix("carme-").unwrap_or(self.name);
        let _ = write!(
            text,
            "{MARK}\n\
             [Unit]\n\
             Description=Carme: {own}\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
             # It is started again however often it fails.\n\
             StartLimitIntervalSec=0\n\
             \n\
             [Service]\n"
        );
        self.lifetime(&mut text);
        self.account(&mut text);
        self.hardening(&mut text);
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }

    fn lifetime(&self, text: &mut String) {
        match self.version {
            NOTIFY_RELOAD.. => text.push_str("Type=notify-reload\n"),
            _ => text.push_str("Type=notify\nExecReload=/bin/kill -HUP $MAINPID\n"),
        }
        let startup = self.config.apps.iter().map(|app| app.startup_timeout).max();
        let startup = startup.unwrap_or_default() + BEYOND_STARTUP;
        let graceful = self.config.server.timeouts.graceful + BEYOND_GRACEFUL;
        let folder = self.file.parent().unwrap_or(self.file);
        let _ = write!(
            text,
            "ExecStart={} serve -c {}\n\
             WorkingDirectory={}\n\
             Restart=on-failure\n\
             RestartSec=1\n",
            word(self.program),
            word(self.file),
            path(folder),
        );
        if self.version >= RESTART_STEPS {
            text.push_str("RestartSteps=5\nRestartMaxDelaySec=60\n");
        }
        let _ = write!(
            text,
            "WatchdogSec={}\n\
             TimeoutStartSec={}\n\
             # Longer than graceful_timeout, {}.\n\
             TimeoutStopSec={}\n\
             # The front ends its workers itself.\n\
             KillMode=mixed\n",
            seconds(WATCHDOG),
            seconds(startup),
            carme_config::DisplayDuration(self.config.server.timeouts.graceful),
            seconds(graceful),
        );
    }

    fn account(&self, text: &mut String) {
        let _ = write!(
            text,
            "\nUser={user}\n\
             LimitNOFILE=65536\n\
             UMask=0027\n\
             # For commands such as `carme status`, and for what workers load.\n\
             RuntimeDirectory={name}\n\
             RuntimeDirectoryMode=0755\n\
             CacheDirectory={name}\n\
             CacheDirectoryMode=0755\n\
             Environment=XDG_CACHE_HOME=%C/{name}\n\
             # For what commands change of balancers.\n\
             StateDirectory={name}\n",
            user = self.user,
            name = self.name,
        );
        if self.user != "root" {
            let low = |bind: &Bind| bind.port().is_some_and(|port| (1..1024).contains(&port));
            match self.config.server.listen.iter().any(low) {
                true => text.push_str(
                    "# Ports below 1024.\n\
                     AmbientCapabilities=CAP_NET_BIND_SERVICE\n\
                     CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n",
                ),
                false => text.push_str("CapabilityBoundingSet=\n"),
            }
        }
    }

    /// What a Python site does not miss. Memory that is written and run, and devices, are left to it: some libraries
    /// need them.
    fn hardening(&self, text: &mut String) {
        text.push_str(
            "\nNoNewPrivileges=yes\n\
             PrivateTmp=yes\n\
             ProtectSystem=full\n",
        );
        let rights = Rights::of(self.config, self.file);
        let written: Vec<String> = rights.write.iter().map(|folder| word(folder)).collect();
        if !written.is_empty() {
            let _ = writeln!(text, "ReadWritePaths={}", written.join(" "));
        }
        let homes = ["/home", "/root", "/run/user"];
        let at_home = |path: &Path| homes.iter().any(|home| path.starts_with(home));
        let somewhere = rights.read.iter().chain(&rights.write);
        if !somewhere
            .chain([&self.program.to_owned()])
            .any(|path| at_home(path))
        {
            text.push_str("ProtectHome=yes\n");
        }
        text.push_str(
            "ProtectClock=yes\n\
             ProtectControlGroups=yes\n\
             ProtectHostname=yes\n\
             ProtectKernelLogs=yes\n\
             ProtectKernelModules=yes\n\
             ProtectKernelTunables=yes\n\
             LockPersonality=yes\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
             RestrictNamespaces=yes\n\
             RestrictRealtime=yes\n\
             RestrictSUIDSGID=yes\n\
             SystemCallArchitectures=native\n\
             SystemCallFilter=@system-service\n\
             SystemCallErrorNumber=EPERM\n",
        );
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A path as the whole value: only its percent signs mean something.
fn path(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

/// A path as one word of a command or a list.
fn word(path: &Path) -> String {
    let text = self::path(path).replace('$', "$$");
    if text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\')) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use carme_config::Surroundings;

    use super::*;

    /// A site in a folder, and what its file says.
    pub(in super::super) fn config(server: &str) -> Config {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("app.py"), "").expect("written");
        let surroundings = Surroundings {
            directory: folder.path().to_owned(),
            ..Surroundings::default()
        };
        // Any program will do: it is not started.
        let python = std::env::current_exe().expect("the test knows its path");
        let text = format!(
            "[server]\n{server}\n[apps.site]\ntarget = \"app\"\npython = '{}'\n",
            python.display()
        );
        let mut config = Config::from_toml(&text, Path::new("carme.toml"), &surroundings)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let app = &mut config.apps[0];
        app.directory = PathBuf::from("/srv/site");
        app.target.import_root = PathBuf::from("/srv/site");
        app.python.path = PathBuf::from("/srv/site/.venv/bin/python");
        config
    }

    fn text(config: &Config, version: u32, user: &str) -> String {
        Unit {
            name: "carme-site",
            program: Path::new("/usr/local/bin/carme"),
            file: Path::new("/srv/site/carme.toml"),
            config,
            user,
            version,
        }
        .text()
    }

    #[test]
    fn the_whole_unit() {
        let config = config("listen = [\"127.0.0.1:8000\"]\ngraceful_timeout = \"1m\"");
        assert_eq!(text(&config, 257, "site"), include_str!("unit_snapshot.service"));
    }

    #[test]
    fn an_older_systemd_gets_what_it_knows() {
        let config = config("");
        let old = text(&config, 252, "site");
        assert!(
            old.contains("\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\n"),
            "{old}"
        );
        assert!(!old.contains("RestartSteps"), "{old}");
        let new = text(&config, 253, "site");
        assert!(
            new.contains("\nType=notify-reload\n") && !new.contains("RestartSteps"),
            "{new}"
        );
    }

    #[test]
    fn low_ports_need_a_right_that_root_has() {
        let low = config("listen = [\"0.0.0.0:80\"]");
        assert!(text(&low, 257, "site").contains("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"));
        assert!(!text(&low, 257, "root").contains("Capabilit"));
    }

    #[test]
    fn a_site_in_a_home_sees_it() {
        let mut config = config("");
        assert!(text(&config, 257, "site").contains("\nProtectHome=yes\n"));
        config.apps[0].directory = PathBuf::from("/home/site/app");
        assert!(!text(&config, 257, "site").contains("ProtectHome"));
    }

    #[test]
    fn paths_with_everything_in_them() {
        assert_eq!(
            word(Path::new("/srv/a b/100%$x\".toml")),
            "\"/srv/a b/100%%$$x\\\".toml\""
        );
        assert_eq!(word(Path::new("/srv/site.toml")), "/srv/site.toml");
        assert_eq!(path(Path::new("/srv/a b/100%")), "/srv/a b/100%%");
    }

    /// systemd's own word, where it is at hand.
    #[test]
    fn systemd_understands_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("carme-site.service");
        let version = super::super::version(Path::new("systemctl"));
        // A program that is there.
        let program = std::env::current_exe().expect("the test knows its path");
        let unit = Unit {
            name: "carme-site",
            program: &program,
            file: Path::new("/"),
            config: &config("listen = [\"0.0.0.0:80\"]\nerror_log = \"error.log\""),
            user: "root",
            version: version.unwrap_or(252),
        };
        std::fs::write(&file, unit.text()).expect("written");
        let verified = std::process::Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&file)
            .output();
        let Ok(verified) = verified else {
            println!("skipped: systemd-analyze is not at hand");
            return;
        };
        let said = String::from_utf8_lossy(&verified.stderr);
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("carme-site")).collect();
        assert_eq!(about_it, Vec::<&str>::new());
    }
}
