//! An app's workers as they are seen from outside: where each is in its life, and how often it was replaced.

use std::sync::Arc;
use std::time::SystemTime;

use crate::endings::Cause;
use crate::supervisor::{Failure, Shared, State};

/// An app's seats. Clones are cheap; they outlive the workers, which are all stopped then.
#[derive(Clone, Debug)]
pub struct Roster {
    app: Arc<str>,
    seats: Arc<[Arc<Shared>]>,
}

/// One seat of a [`Roster`]: a route, and the worker that has it.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'r> {
    number: u16,
    shared: &'r Shared,
}

impl Roster {
    pub(crate) fn new(app: Arc<str>, seats: impl Iterator<Item = Arc<Shared>>) -> Self {
        Roster {
            app,
            seats: seats.collect(),
        }
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The seats in which there is to be a worker or still is one, and those that were drained by hand, in their order.
    pub fn seats(&self) -> impl Iterator<Item = Seat<'_>> {
        self.all().filter(|seat| seat.shared.shown.borrow().is_used())
    }

    /// All seats, those too that are kept for more workers than there are.
    pub fn all(&self) -> impl Iterator<Item = Seat<'_>> {
        self.seats.iter().enumerate().map(|(number, shared)| Seat {
            number: u16::try_from(number).unwrap_or(u16::MAX),
            shared,
        })
    }
}

impl<'r> Seat<'r> {
    /// Which seat it is, from 0.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The route of its workers.
    pub fn route(&self) -> &'r Arc<str> {
        &self.shared.route
    }

    /// Where its worker is in its life.
    pub fn state(&self) -> State {
        self.shared.shown.borrow().state.clone()
    }

    /// Somebody has drained it, and it stays empty until it is enabled.
    pub fn is_drained(&self) -> bool {
        self.shared.shown.borrow().is_drained
    }

    /// Which generation of the app its worker belongs to: 1 at the start, one more with each reload; 0 without a worker.
    pub fn generation(&self) -> u64 {
        self.shared.shown.borrow().generation
    }

    /// When its worker became ready.
    pub fn ready_since(&self) -> Option<SystemTime> {
        self.shared.shown.borrow().ready
    }

    /// When and why one of its workers failed last.
    pub fn last_failure(&self) -> Option<(SystemTime, Arc<Failure>)> {
        self.shared.shown.borrow().failed.clone()
    }

    /// How often its worker was replaced for this cause.
    pub fn restarts(&self, cause: Cause) -> u64 {
        self.shared.endings.get(cause)
    }
}
