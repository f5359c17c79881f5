//! An app's workers as they are seen from outside: where each is in its life, and how often it was replaced.

use std::sync::Arc;

use tokio::sync::watch;

use crate::endings::{Cause, Endings};
use crate::supervisor::State;

/// An app's places. Clones are cheap; they outlive the workers, which are all stopped then.
#[derive(Clone, Debug)]
pub struct Roster {
    app: Arc<str>,
    places: Arc<[Entry]>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) route: Arc<str>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) endings: Arc<Endings>,
}

/// One place of a [`Roster`].
#[derive(Clone, Copy, Debug)]
pub struct Seat<'r>(&'r Entry);

impl Roster {
    pub(crate) fn new(app: Arc<str>, places: impl Iterator<Item = Entry>) -> Self {
        Roster {
            app,
            places: places.collect(),
        }
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The places in their order.
    pub fn seats(&self) -> impl ExactSizeIterator<Item = Seat<'_>> {
        self.places.iter().map(Seat)
    }
}

impl<'r> Seat<'r> {
    /// The route of its workers.
    pub fn route(&self) -> &'r Arc<str> {
        &self.0.route
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// How often its worker was replaced for this cause.
    pub fn restarts(&self, cause: Cause) -> u64 {
        self.0.endings.get(cause)
    }
}
