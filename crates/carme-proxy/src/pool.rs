//! The idle connections to one member.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http1::Link;

/// Idle connections, the one that was used last at the end.
#[derive(Default)]
pub(crate) struct Pool(Mutex<VecDeque<Idle>>);

struct Idle {
    link: Link,
    since: Instant,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last, if it can be used once more. `ttl`: it must not have idled for so long.
    pub(crate) fn take(&self, ttl: Option<Duration>) -> Option<Link> {
        loop {
            let mut idle = self.idle().pop_back()?;
            // All before it are older.
            if ttl.is_some_and(|ttl| idle.since.elapsed() >= ttl) {
                self.idle().clear();
                return None;
            }
            if idle.link.is_still_ready() {
                return Some(idle.link);
            }
        }
    }

    /// Keeps one for the next request.
    pub(crate) fn put(&self, link: Link) {
        let since = Instant::now();
        self.idle().push_back(Idle { link, since });
    }

    /// Closes those that their members have closed, and those that have idled for `ttl`, but for the `keep` youngest,
    /// which are closed when somebody would use them: as Apache does with `smax`.
    pub(crate) fn sweep(&self, ttl: Option<Duration>, keep: Option<usize>) {
        let mut gone = Vec::new();
        {
            let mut idle = self.idle();
            let surplus = idle.len().saturating_sub(keep.unwrap_or(0));
            let mut left = VecDeque::with_capacity(idle.len());
            for (at, mut one) in idle.drain(..).enumerate() {
                let is_old = ttl.is_some_and(|ttl| one.since.elapsed() >= ttl);
                match (is_old && at < surplus) || !one.link.is_still_ready() {
                    true => gone.push(one),
                    false => left.push_back(one),
                }
            }
            *idle = left;
        }
        // Closed outside the lock.
        drop(gone);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.idle().len()
    }
}
