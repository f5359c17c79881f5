//! How many connections may be open at once. The number can change while they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for connections.
pub(crate) struct Capacity {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

struct Size {
    most: usize,
    /// Places that were taken when they were to go: they go when they are given back.
    owed: usize,
}

/// One connection's place, until it is dropped.
pub(crate) struct Place {
    capacity: Arc<Capacity>,
    permit: Option<OwnedSemaphorePermit>,
}

fn possible(most: usize) -> usize {
    most.min(Semaphore::MAX_PERMITS)
}

impl Capacity {
    pub(crate) fn new(most: usize) -> Self {
        let most = possible(most);
        Capacity {
            free: Arc::new(Semaphore::new(most)),
            size: Mutex::new(Size { most, owed: 0 }),
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a free place; in order.
    pub(crate) async fn place(self: &Arc<Self>) -> Place {
        Place {
            capacity: Arc::clone(self),
            // It is never closed.
            permit: Arc::clone(&self.free).acquire_owned().await.ok(),
        }
    }

    /// So many from now on. Those that are one too many stay until they end.
    pub(crate) fn set(&self, most: usize) {
        let most = possible(most);
        let mut size = self.size();
        if most >= size.most {
            let more = most - size.most;
            let kept = more.min(size.owed);
            size.owed -= kept;
            self.free.add_permits(more - kept);
        } else {
            let fewer = size.most - most;
            size.owed += fewer - self.free.forget_permits(fewer);
        }
        size.most = most;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut size = self.capacity.size();
        if size.owed > 0
            && let Some(permit) = self.permit.take()
        {
            size.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn fits(capacity: &Arc<Capacity>) -> Option<Place> {
        tokio::time::timeout(Duration::from_millis(1), capacity.place())
            .await
            .ok()
    }

    async fn free(capacity: &Arc<Capacity>) -> usize {
        let mut places = Vec::new();
        while let Some(place) = fits(capacity).await {
            places.push(place);
        }
        places.len()
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_and_shrinks_while_places_are_taken() {
        let capacity = Arc::new(Capacity::new(3));
        let (first, second) = (fits(&capacity).await, fits(&capacity).await);
        capacity.set(1);
        assert_eq!(free(&capacity).await, 0);
        drop(first);
        assert_eq!(free(&capacity).await, 0, "two were there for one place");
        capacity.set(4);
        assert_eq!(free(&capacity).await, 3);
        capacity.set(1);
        capacity.set(2);
        assert_eq!(free(&capacity).await, 1, "what was owed is paid first");
        drop(second);
        assert_eq!(free(&capacity).await, 2);
    }
}
