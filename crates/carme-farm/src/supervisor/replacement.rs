//! Workers that are to be replaced: in which order, why, and who waits for it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Failure;
use crate::endings::Cause;

/// A seat whose worker is to be followed by another.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) seat: usize,
    pub(super) cause: Cause,
    /// Attempts that have failed.
    pub(super) failed: u32,
    /// Not before this time.
    pub(super) after: Instant,
    /// Told the route and the failure if it comes to nothing; the end of the channel is the end of all.
    pub(super) asked_by: Option<mpsc::UnboundedSender<Unreplaced>>,
}

/// A worker that could not be replaced.
#[derive(Clone, Debug)]
pub struct Unreplaced {
    /// Its route.
    pub route: Arc<str>,
    /// Why its successor did not start.
    pub failure: Arc<Failure>,
}

/// After so many failures whoever asked for it is told, and the worker stays.
pub(super) const ATTEMPTS: u32 = 3;

/// What is to be replaced, in order.
#[derive(Debug, Default)]
pub(super) struct Replacements(VecDeque<Replacement>);

impl Replacements {
    /// Puts it at the end. A seat that waits already is asked for once; for whom somebody waits counts more.
    pub(super) fn push(&mut self, new: Replacement) {
        if let Some(at) = self.0.iter().position(|other| other.seat == new.seat) {
            if new.asked_by.is_some() {
                self.0[at] = new;
            }
            return;
        }
        self.0.push_back(new);
    }

    /// Takes the first whose time has come.
    pub(super) fn pop(&mut self, now: Instant, may: impl Fn(&Replacement) -> bool) -> Option<Replacement> {
        let due = |next: &Replacement| next.after <= now && may(next);
        let at = self.0.iter().position(due)?;
        self.0.remove(at)
    }

    /// When the next could be due.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        self.0.iter().map(|next| next.after).filter(|at| *at > now).min()
    }

    /// Forgets the seat.
    pub(super) fn forget(&mut self, seat: usize) {
        self.0.retain(|next| next.seat != seat);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
