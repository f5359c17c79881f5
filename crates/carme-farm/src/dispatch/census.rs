//! How many requests are where, for those who watch.

use std::time::Duration;

use carme_ring::WorkerIndex;

use super::app::{App, State};
use super::streams::Phase;

/// How many requests an app has at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Requests that no worker has taken.
    pub queued: usize,
    /// Requests that a worker has and has not finished.
    pub in_flight: usize,
    /// Requests that may wait.
    pub queue_limit: usize,
    /// Requests that workers have finished, those included that are gone.
    pub answered: u64,
    /// The workers that there are, in the order of their places.
    pub workers: Vec<WorkerCensus>,
}

/// What one worker does. One that is replaced and the one that replaces it have the same seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCensus {
    /// Which of the app's seats it has, from 0.
    pub seat: u16,
    /// Its process.
    pub pid: u32,
    /// Its place in the ring.
    pub place: WorkerIndex,
    /// Requests that it has and has not finished.
    pub in_flight: u32,
    /// Requests that it has finished.
    pub answered: u64,
    /// How long its threads have waited for the GIL when they were called.
    pub gil_wait: Duration,
}

impl App {
    /// Counts the requests, looking at each: for now and then.
    pub fn census(&self) -> Census {
        self.lock().census()
    }
}

impl State {
    fn census(&mut self) -> Census {
        // Who has taken what is noticed late where nothing depends on it.
        self.drain_all();
        self.collect_all();
        let mut census = Census {
            queue_limit: self.limits.queue,
            answered: self.answered,
            ..Census::default()
        };
        let mut in_flight = vec![0; self.workers.len()];
        for id in self.streams.ids() {
            let Some(stream) = self.streams.get(id) else {
                continue;
            };
            match &stream.phase {
                Phase::Backlogged | Phase::Submitted(_) => census.queued += 1,
                Phase::InFlight | Phase::Answering => {
                    census.in_flight += 1;
                    if let Some((worker, _)) = &stream.worker {
                        in_flight[worker.get()] += 1;
                    }
                }
                Phase::Ended => {}
            }
        }
        let Some(ring) = &self.ring else { return census };
        let workers = self.workers.iter().zip(in_flight).enumerate();
        census.workers = workers
            .filter_map(|(place, (attached, in_flight))| {
                let attached = attached.as_ref()?;
                let place = WorkerIndex(place as u16);
                Some(WorkerCensus {
                    seat: attached.identity.seat,
                    pid: attached.identity.pid,
                    place,
                    in_flight,
                    answered: attached.answered,
                    gil_wait: ring.gil_wait(place),
                })
            })
            .collect();
        census
    }
}
