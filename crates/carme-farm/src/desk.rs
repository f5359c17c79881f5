//! The dispatcher, as the workers' side of the farm needs it: the workers' desk, and the queue that their steward sees.

use std::future::Future;
use std::sync::Arc;

use carme_ring::link::{ControlSender, FrontBells};
use carme_ring::{Geometry, Region, StreamId, WorkerIndex};

use crate::dispatch::{App, Census, Identity};

/// The dispatcher, as workers need it.
pub(crate) trait Desk: Clone + Send + Sync + 'static {
    /// Readies a place for a new worker; returns the region that it shares, or nothing if that is damaged.
    fn region_for(&self, place: WorkerIndex) -> Option<(Arc<Region>, Geometry)>;
    /// A worker has said hello; it has this place from now on.
    fn attach(
        &self,
        place: WorkerIndex,
        worker: Identity,
        bells: FrontBells,
        control: ControlSender,
    ) -> std::io::Result<()>;
    /// Whether the worker takes requests.
    fn serving(&self, place: WorkerIndex, serving: bool);
    /// The worker's process is confirmed dead.
    fn died(&self, place: WorkerIndex);
    /// The worker wants the body of this request as a file.
    fn need_file(&self, place: WorkerIndex, stream: StreamId);
    /// The worker has sent the body of this response as a file.
    fn file_from_worker(
        &self,
        place: WorkerIndex,
        stream: StreamId,
        file: std::fs::File,
        offset: u64,
        length: u64,
    );
}

/// The dispatcher, as the workers' steward needs it.
pub(crate) trait Queue: Send + Sync + 'static {
    /// What there is to do, and who does it.
    fn census(&self) -> Census;
    /// Waits until the region is damaged; says how. Cancel safe.
    fn damaged(&self) -> impl Future<Output = String> + Send;
    /// Waits until a worker hangs, each once. Cancel safe.
    fn hung(&self) -> impl Future<Output = WorkerHangs> + Send;
    /// Whether nothing in flight at a worker that hangs is worth waiting for.
    fn has_only_hung(&self, place: WorkerIndex) -> bool;
    /// Makes a new region in place of a damaged one. No worker is alive.
    fn renew(&self) -> std::io::Result<()>;
}

/// A worker has a request that is over its time and could not be interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerHangs {
    /// Its place.
    pub(crate) place: WorkerIndex,
    /// A sentence for the error log.
    pub(crate) reason: String,
}

impl Desk for App {
    fn region_for(&self, place: WorkerIndex) -> Option<(Arc<Region>, Geometry)> {
        self.prepare(place);
        Some((self.region()?, self.geometry()))
    }

    fn attach(
        &self,
        place: WorkerIndex,
        worker: Identity,
        bells: FrontBells,
        control: ControlSender,
    ) -> std::io::Result<()> {
        self.attach(place, worker, bells, control)
    }

    fn serving(&self, place: WorkerIndex, serving: bool) {
        self.serve(place, serving);
    }

    fn died(&self, place: WorkerIndex) {
        self.died(place);
    }

    fn need_file(&self, place: WorkerIndex, stream: StreamId) {
        self.need_file(place, stream);
    }

    fn file_from_worker(
        &self,
        place: WorkerIndex,
        stream: StreamId,
        file: std::fs::File,
        offset: u64,
        length: u64,
    ) {
        self.file_from_worker(place, stream, file, offset, length);
    }
}

impl Queue for App {
    fn census(&self) -> Census {
        self.census()
    }

    async fn damaged(&self) -> String {
        self.damaged().await.to_string()
    }

    async fn hung(&self) -> WorkerHangs {
        let hung = self.hung().await;
        WorkerHangs {
            place: hung.place,
            reason: hung.to_string(),
        }
    }

    fn has_only_hung(&self, place: WorkerIndex) -> bool {
        self.has_only_hung(place)
    }

    fn renew(&self) -> std::io::Result<()> {
        self.renew()
    }
}
