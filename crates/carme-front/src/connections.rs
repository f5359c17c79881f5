//! All open connections: their limit, their deadlines, and their end when the server stops.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::capacity::Place;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::state::{ABORT, ConnectionState, DRAIN, OVERDUE};

pub(crate) struct Connections {
    pace: Arc<Pace>,
    table: Mutex<Table>,
    /// Some connection is there after there was none.
    begun: Notify,
    /// There is none any more.
    emptied: Notify,
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<Arc<ConnectionState>>>,
    free: Vec<usize>,
    /// What connections that come late must be told.
    stage: u8,
}

impl Table {
    fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// A connection's place among the open ones; gives it back, with what it was let in by, when dropped.
pub(crate) struct Attendance {
    connections: Arc<Connections>,
    key: usize,
    state: Arc<ConnectionState>,
    /// Where it was counted.
    metrics: Option<Arc<Metrics>>,
    _place: Place,
}

impl Connections {
    pub(crate) fn new(pace: Arc<Pace>) -> Self {
        Connections {
            pace,
            table: Mutex::default(),
            begun: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.table().open()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a new connection.
    pub(crate) fn enter(
        self: &Arc<Self>,
        state: Arc<ConnectionState>,
        place: Place,
        metrics: Option<Arc<Metrics>>,
    ) -> Attendance {
        if let Some(metrics) = &metrics {
            metrics.connected();
        }
        let mut table = self.table();
        let key = match table.free.pop() {
            Some(key) => key,
            None => {
                table.slots.push(None);
                table.slots.len() - 1
            }
        };
        table.slots[key] = Some(Arc::clone(&state));
        if table.open() == 1 {
            self.begun.notify_one();
        }
        if table.stage != 0 {
            state.signal(table.stage);
        }
        drop(table);
        Attendance {
            connections: Arc::clone(self),
            key,
            state,
            metrics,
            _place: place,
        }
    }

    /// Keeps the clock going and tells connections that their deadline has passed. Never ends.
    pub(crate) async fn watch(&self) {
        loop {
            while self.table().open() == 0 {
                self.begun.notified().await;
            }
            tokio::time::sleep(self.pace.clock().tick()).await;
            self.pace.clock().update();
            let now = self.pace.now();
            for state in self.table().slots.iter().flatten() {
                if state.is_overdue(now) {
                    state.signal(OVERDUE);
                }
            }
        }
    }

    /// Lets the connections finish what is in flight, for at most `patience`; the number that had to be cut off.
    pub(crate) async fn drain(&self, patience: Duration) -> usize {
        self.tell(DRAIN);
        if tokio::time::timeout(patience, self.empty()).await.is_ok() {
            return 0;
        }
        let left = self.table().open();
        self.tell(ABORT);
        self.empty().await;
        left
    }

    fn tell(&self, stage: u8) {
        let mut table = self.table();
        table.stage |= stage;
        for state in table.slots.iter().flatten() {
            state.signal(stage);
        }
    }

    async fn empty(&self) {
        while self.table().open() > 0 {
            self.emptied.notified().await;
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.state.close();
        if let Some(metrics) = &self.metrics {
            metrics.disconnected();
        }
        let mut table = self.connections.table();
        let state = table.slots[self.key].take();
        table.free.push(self.key);
        if table.open() == 0 {
            table.slots.clear();
            table.free.clear();
            self.connections.emptied.notify_one();
        }
        drop(table);
        drop(state);
    }
}
