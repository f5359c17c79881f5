//! What systemd hears of the server it has started (`sd_notify`), one datagram each time.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::serve::{Failed, Host, Stage};

/// How often systemd hears that something goes on, if it does not say how often it wants to.
const PULSE: Duration = Duration::from_secs(5);
/// A start or a stop that is told of may take so much longer than the unit says.
const EXTENSION: Duration = Duration::from_secs(15);

/// The word that the watchdog waits for.
const ALIVE: &str = "WATCHDOG=1";

/// systemd, as the host of a server.
pub(super) struct Systemd {
    socket: UnixDatagram,
    /// A front that is silent for so long is started again.
    watchdog: Option<Duration>,
    /// What `systemctl status` shows while all is well.
    said: Mutex<Vec<String>>,
}

impl Systemd {
    /// The one that waits for this process, as its environment says.
    pub(super) fn of_this_process() -> Option<io::Result<Self>> {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let watchdog = number("WATCHDOG_USEC").map(Duration::from_micros);
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Some(Self::at(&socket, watchdog.filter(|_| ours)))
    }

    fn at(path: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A systemd that does not listen must not hold up the server.
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address(path)?)?;
        Ok(Self {
            socket,
            watchdog,
            said: Mutex::default(),
        })
    }

    fn send(&self, state: &str) {
        if let Err(error) = self.socket.send(state.as_bytes()) {
            tracing::debug!("systemd is not told {state:?}: {error}");
        }
    }

    /// The line for `systemctl status`.
    fn status(&self, broken: &[String]) -> String {
        let line = match broken {
            [] => self
                .said
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .join("; "),
            broken => broken.join("; "),
        };
        line.replace('\n', " ")
    }
}

/// A path, or with `@` before it a name that no file has.
fn address(path: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        if let [b'@', name @ ..] = path.as_bytes() {
            return SocketAddr::from_abstract_name(name);
        }
    }
    SocketAddr::from_pathname(path)
}

impl Host for Systemd {
    fn say(&self, line: &str) {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.to_owned());
        eprintln!("{line}");
    }

    fn hear(&self, stage: &Stage) {
        match stage {
            Stage::Starting => self.send("STATUS=Starting"),
            Stage::Serving { broken } => {
                self.send(&format!("READY=1\nSTATUS={}\n{ALIVE}", self.status(broken)));
            }
            Stage::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.try_into().unwrap_or(0));
                let now = now.as_micros();
                self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reloading"));
            }
            Stage::Stopping { .. } => self.send("STOPPING=1\nSTATUS=Finishing the requests in flight"),
        }
    }

    fn alive(&self, stage: &Stage) {
        let longer = |left: Duration| format!("EXTEND_TIMEOUT_USEC={}", (left + EXTENSION).as_micros());
        match stage {
            Stage::Starting => self.send(&format!("{ALIVE}\n{}", longer(Duration::ZERO))),
            Stage::Serving { .. } | Stage::Reloading => self.send(ALIVE),
            Stage::Stopping { until } => {
                let left = until.saturating_duration_since(tokio::time::Instant::now());
                self.send(&format!("{ALIVE}\n{}", longer(left)));
            }
        }
    }

    fn pulse(&self) -> Option<Duration> {
        // Twice in each interval, so that a late one is not too late.
        Some(self.watchdog.map_or(PULSE, |watchdog| (watchdog / 2).min(PULSE)))
    }

    fn failed(&self, why: &Failed) {
        self.send(&format!("STATUS={}", why.message.replace('\n', " ")));
        eprintln!("{why}");
    }
}
