//! The wish to stop, as a value.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Asks the server to stop. All clones are one.
#[derive(Debug, Clone)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
    graceful_timeout: Arc<Mutex<Duration>>,
}

impl Shutdown {
    /// Once begun, requests in flight get `graceful_timeout` to finish.
    pub fn new(graceful_timeout: Duration) -> Self {
        Shutdown {
            begun: watch::Sender::new(false),
            graceful_timeout: Arc::new(Mutex::new(graceful_timeout)),
        }
    }

    /// Begins it. Again is not an error.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// True once it has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// What requests in flight get to finish.
    pub fn graceful_timeout(&self) -> Duration {
        *self.patience()
    }

    /// Another one from now on; what has begun keeps its own.
    pub fn set_graceful_timeout(&self, graceful_timeout: Duration) {
        *self.patience() = graceful_timeout;
    }

    fn patience(&self) -> MutexGuard<'_, Duration> {
        self.graceful_timeout
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when it has begun.
    pub async fn begun(&self) {
        // `self` holds the sender, so this cannot fail.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }
}
