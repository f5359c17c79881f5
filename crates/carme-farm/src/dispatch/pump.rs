//! The tasks beside a queue: one hears the workers' bells, one watches the time while there are requests.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use carme_ring::link::Bell;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::app::{App, Inner};

/// How often slots are collected and waits are ended while there are streams.
const TICK: Duration = Duration::from_millis(20);
/// How long a wake-up of a fast worker's second thread is held back at most.
const STALL: Duration = Duration::from_millis(1);

pub(super) fn start(app: &App) {
    let signals = app.0.signals.clone();
    let weak = Arc::downgrade(&app.0);
    tokio::spawn({
        let weak = weak.clone();
        let signals = signals.clone();
        async move {
            while weak.strong_count() > 0 {
                signals.busy.notified().await;
                while with(&weak, |app| app.streams() > 0) == Some(true) {
                    sleep(TICK).await;
                    with(&weak, |app| app.lock().tick());
                }
            }
        }
    });
    tokio::spawn(async move {
        while weak.strong_count() > 0 {
            signals.held_back.notified().await;
            sleep(STALL).await;
            with(&weak, |app| app.lock().look_for_stall());
        }
    });
}

fn with<T>(weak: &Weak<Inner>, f: impl FnOnce(App) -> T) -> Option<T> {
    weak.upgrade().map(|inner| f(App(inner)))
}

/// Hears a worker's bell until the worker is detached. The bell only wakes the runtime, which settles when it goes on;
/// the task settles once more for the case that it never rested.
pub(super) fn listen(app: &App, bell: Bell) -> io::Result<AbortHandle> {
    let _runtime = app.0.runtime.enter();
    let stream = imp::Stream::from_std(bell.into_std()?)?;
    let weak = Arc::downgrade(&app.0);
    let task = tokio::spawn(async move {
        let mut bytes = [0; 256];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
            if with(&weak, |app| app.lock().drain_all()).is_none() {
                return;
            }
        }
    });
    Ok(task.abort_handle())
}

#[cfg(unix)]
mod imp {
    pub(super) use tokio::net::UnixStream as Stream;
}

#[cfg(windows)]
mod imp {
    pub(super) use tokio::net::TcpStream as Stream;
}
