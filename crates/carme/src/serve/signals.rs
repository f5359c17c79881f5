//! What the operating system tells the server: signals on Unix, console events on Windows.

use std::io;

use super::orders::Order;

/// Listens for what is an order to the server.
pub(crate) struct Signals(imp::Signals);

impl Signals {
    /// Takes them over from their default, which ends the process on the spot. To be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        imp::Signals::new().map(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Order {
        self.0.next().await
    }
}

#[cfg(unix)]
mod imp {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::Order;

    pub(super) struct Signals {
        interrupt: Signal,
        terminate: Signal,
        hangup: Signal,
        /// The end of the terminal is the end of the server, as it is without us.
        ends_with_terminal: bool,
        /// SIGUSR1, as nginx has it.
        reopen: Signal,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                // Before it is taken over.
                ends_with_terminal: has_terminal() && !is_hangup_ignored(),
                hangup: signal(SignalKind::hangup())?,
                reopen: signal(SignalKind::user_defined1())?,
            })
        }

        pub(super) async fn next(&mut self) -> Order {
            tokio::select! {
                _ = self.interrupt.recv() => Order::Stop("SIGINT".into()),
                _ = self.terminate.recv() => Order::Stop("SIGTERM".into()),
                _ = self.reopen.recv() => Order::ReopenLogs,
                _ = self.hangup.recv() => {
                    if self.ends_with_terminal && !has_terminal() {
                        Order::Stop("the terminal being closed".into())
                    } else {
                        Order::Reload("SIGHUP".into())
                    }
                }
            }
        }
    }

    /// Whether this process belongs to a terminal that is there.
    fn has_terminal() -> bool {
        std::fs::File::open("/dev/tty").is_ok()
    }

    /// Whether it was started so that the end of its terminal is nothing to it, as `nohup` does.
    fn is_hangup_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        ignores_hangup(&status)
    }

    fn ignores_hangup(status: &str) -> bool {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & 1 != 0)
    }

    #[test]
    fn who_ignores_hangups() {
        for (status, ignores) in [
            ("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), ignores, "{status}");
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::io;

    use tokio::signal::windows::{
        CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
    };

    use super::Order;

    pub(super) struct Signals {
        interrupt: CtrlC,
        brk: CtrlBreak,
        close: CtrlClose,
        shutdown: CtrlShutdown,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: ctrl_c()?,
                brk: ctrl_break()?,
                close: ctrl_close()?,
                shutdown: ctrl_shutdown()?,
            })
        }

        pub(super) async fn next(&mut self) -> Order {
            Order::Stop(
                tokio::select! {
                    _ = self.interrupt.recv() => "Ctrl+C",
                    _ = self.brk.recv() => "Ctrl+Break",
                    _ = self.close.recv() => "the console being closed",
                    _ = self.shutdown.recv() => "the system shutting down",
                }
                .into(),
            )
        }
    }
}
