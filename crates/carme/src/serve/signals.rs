//! What tells the server to stop: signals on Unix, console events on Windows.

use std::io;

/// Listens for the ways to be told to stop.
pub(crate) struct StopSignals(imp::StopSignals);

impl StopSignals {
    /// Takes them over from their default, which ends the process on the spot. To be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        imp::StopSignals::new().map(Self)
    }

    /// Waits for the next one; returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        self.0.next().await
    }
}

#[cfg(unix)]
mod imp {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct StopSignals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl StopSignals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        pub(super) async fn next(&mut self) -> &'static str {
            tokio::select! {
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.terminate.recv() => "SIGTERM",
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

    pub(super) struct StopSignals {
        interrupt: CtrlC,
        brk: CtrlBreak,
        close: CtrlClose,
        shutdown: CtrlShutdown,
    }

    impl StopSignals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: ctrl_c()?,
                brk: ctrl_break()?,
                close: ctrl_close()?,
                shutdown: ctrl_shutdown()?,
            })
        }

        pub(super) async fn next(&mut self) -> &'static str {
            tokio::select! {
                _ = self.interrupt.recv() => "Ctrl+C",
                _ = self.brk.recv() => "Ctrl+Break",
                _ = self.close.recv() => "the console being closed",
                _ = self.shutdown.recv() => "the system shutting down",
            }
        }
    }
}
