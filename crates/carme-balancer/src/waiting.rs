//! Requests that wait for a member, first come first served.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use crate::request::{MemberId, Session, Token};

/// What a waiting request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Whichever member the method gives it.
    Any,
    /// Its session's member.
    Member(MemberId),
}

/// A request's place in the queue.
pub(crate) type Place = u64;

/// A request as far as it is needed to choose again.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    pub(crate) token: Token,
    pub(crate) session: Session,
    pub(crate) hash_key: Option<Box<[u8]>>,
    pub(crate) random: u64,
    pub(crate) tried: Vec<MemberId>,
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    pub(crate) waits_for: For,
}

/// The queue. Everything it does is logarithmic in its length.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    places: BTreeMap<Place, Waiter>,
    tokens: HashMap<Token, Place>,
    any: BTreeSet<Place>,
    own: BTreeMap<MemberId, BTreeSet<Place>>,
    deadlines: BTreeSet<(Instant, Place)>,
    next: Place,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn push(&mut self, waiter: Waiter) {
        let place = self.next;
        self.next += 1;
        self.tokens.insert(waiter.token, place);
        self.deadlines.insert((waiter.until, place));
        self.index(waiter.waits_for).insert(place);
        self.places.insert(place, waiter);
    }

    fn index(&mut self, waits_for: For) -> &mut BTreeSet<Place> {
        match waits_for {
            For::Any => &mut self.any,
            For::Member(member) => self.own.entry(member).or_default(),
        }
    }

    fn unindex(&mut self, waits_for: For, place: Place) {
        match waits_for {
            For::Any => self.any.remove(&place),
            For::Member(member) => {
                let Some(own) = self.own.get_mut(&member) else {
                    return;
                };
                let removed = own.remove(&place);
                if own.is_empty() {
                    self.own.remove(&member);
                }
                removed
            }
        };
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Waiter> {
        self.places.get(&place)
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.places.remove(&place)?;
        self.tokens.remove(&waiter.token);
        self.deadlines.remove(&(waiter.until, place));
        self.unindex(waiter.waits_for, place);
        Some(waiter)
    }

    pub(crate) fn remove_token(&mut self, token: Token) -> Option<Waiter> {
        self.remove(*self.tokens.get(&token)?)
    }

    /// It goes on waiting, in its place, for something else.
    pub(crate) fn redirect(&mut self, place: Place, waits_for: For) {
        let Some(waiter) = self.places.get_mut(&place) else {
            return;
        };
        let before = std::mem::replace(&mut waiter.waits_for, waits_for);
        if before != waits_for {
            self.unindex(before, place);
            self.index(waits_for).insert(place);
        }
    }

    /// The first from that place on that takes any member.
    pub(crate) fn first_any(&self, from: Place) -> Option<Place> {
        self.any.range(from..).next().copied()
    }

    /// The first of each member's own.
    pub(crate) fn first_owns(&self) -> impl Iterator<Item = (MemberId, Place)> {
        self.own
            .iter()
            .filter_map(|(&member, places)| Some((member, *places.first()?)))
    }

    /// Since when the one waits that waits longest.
    pub(crate) fn first_since(&self) -> Option<Instant> {
        self.places.values().next().map(|waiter| waiter.since)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(until, _)| until)
    }

    /// Takes out one whose time is over.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Waiter> {
        let &(until, place) = self.deadlines.first()?;
        if until > now { None } else { self.remove(place) }
    }

    /// How many wait for this member and no other.
    pub(crate) fn own_len(&self, member: MemberId) -> usize {
        self.own.get(&member).map_or(0, BTreeSet::len)
    }
}
