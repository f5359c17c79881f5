//! The tasks beside a queue: they watch the time while there are requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

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
