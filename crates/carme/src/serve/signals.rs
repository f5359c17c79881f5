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
        /// SIGUSR1, as nginx has it.
        reopen: Signal,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
                reopen: signal(SignalKind::user_defined1())?,
            })
        }

        pub(super) async fn next(&mut self) -> Order {
            tokio::select! {
                _ = self.interrupt.recv() => Order::Stop("SIGINT".into()),
                _ = self.terminate.recv() => Order::Stop("SIGTERM".into()),
                _ = self.reopen.recv() => Order::ReopenLogs,
                _ = self.hangup.recv() => Order::Reload("SIGHUP".into()),
            }
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
