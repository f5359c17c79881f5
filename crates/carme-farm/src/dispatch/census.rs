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
    /// How long the threads of each worker, by its place, have waited for the GIL when they were called.
    pub gil_waits: Vec<Duration>,
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
            ..Census::default()
        };
        if let Some(ring) = &self.ring {
            let places = (0..self.workers.len()).map(|place| WorkerIndex(place as u16));
            census.gil_waits = places.map(|worker| ring.gil_wait(worker)).collect();
        }
        for id in self.streams.ids() {
            match self.streams.get(id).map(|stream| &stream.phase) {
                Some(Phase::Backlogged | Phase::Submitted(_)) => census.queued += 1,
                Some(Phase::InFlight | Phase::Answering) => census.in_flight += 1,
                Some(Phase::Ended) | None => {}
            }
        }
        census
    }
}
