//! What the running server is told from outside: to stop, or to reload. Signals are one source of orders, and anything
//! else that takes them brings them here through [`Orders`].

use std::borrow::Cow;
use std::io;

use tokio::sync::mpsc;

use super::signals::Signals;

/// What the server is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Finish and end; told again: end at once.
    Stop(Told),
    /// Read the configuration again, and start new workers.
    #[cfg_attr(windows, allow(dead_code, reason = "no signal asks for it there"))]
    Reload(Told),
    /// Open the log files anew: somebody has moved them.
    #[cfg_attr(windows, allow(dead_code, reason = "no signal asks for it there"))]
    ReopenLogs,
}

/// By whom, for the log: `SIGTERM`.
pub(crate) type Told = Cow<'static, str>;

/// A way to give orders. Clones are the same way.
#[derive(Debug, Clone)]
pub(crate) struct Orders(mpsc::UnboundedSender<Order>);

impl Orders {
    /// Returns at once; what the server makes of it is in the error log.
    pub(crate) fn give(&self, order: Order) {
        // Only a server that is over does not listen.
        let _ = self.0.send(order);
    }
}

/// Where orders arrive.
pub(crate) struct Inbox {
    signals: Signals,
    given: mpsc::UnboundedReceiver<Order>,
}

/// Listens to signals and to whoever has the sender. To be called within a runtime.
pub(crate) fn listen() -> io::Result<(Orders, Inbox)> {
    let (sender, given) = mpsc::unbounded_channel();
    let signals = Signals::new()?;
    Ok((Orders(sender), Inbox { signals, given }))
}

impl Inbox {
    /// Waits for the next order. Cancel safe.
    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            order = self.signals.next() => order,
            Some(order) = self.given.recv() => order,
        }
    }

    /// Waits for the next order to stop; what else is ordered meanwhile is not done any more.
    pub(crate) async fn stop(&mut self) -> Told {
        loop {
            if let Order::Stop(told) = self.next().await {
                return told;
            }
        }
    }
}
