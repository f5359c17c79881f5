//! The requests that wait: who is served when a place is free, and when the wait is over.

use std::time::{Duration, Instant};

use super::choosing::{Decision, Wanted};
use super::{Balancer, Session};
use crate::member::Return;
use crate::request::{Unavailable, Wake};
use crate::status::Flag;
use crate::waiting::{Place, Waiter};

/// How often a slow start's growing limit is looked at while requests wait for it.
const SLOW_START_STEPS: u32 = 50;

/// What became of a waiting request.
enum Served {
    Gone,
    StillWaiting,
}

impl Balancer {
    /// The next request that has its answer. To be called until there is none, after every call that changes anything.
    pub fn next_wake(&mut self) -> Option<Wake> {
        self.wakes.pop_front()
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Ends the waits that are over, and serves whom time has made room for.
    pub fn tick(&mut self, now: Instant) {
        while let Some(waiter) = self.waiting.pop_expired(now) {
            let reason = match self.is_any_usable() {
                true => {
                    // For people: nobody wants to read the nanoseconds by which a timer is late.
                    let waited = now.saturating_duration_since(waiter.since).as_millis();
                    Unavailable::WaitedTooLong(Duration::from_millis(waited as u64))
                }
                false => self.none_usable(),
            };
            self.send_away(waiter, reason);
        }
        self.serve_waiting(now);
    }

    /// When [`Balancer::tick`] should be called. `None`: time changes nothing, as long as nothing else happens.
    pub fn next_tick(&self, now: Instant) -> Option<Instant> {
        let deadline = self.waiting.next_deadline()?;
        // A member is tried when its retry is over, not just when it ends.
        let just_after = |at: Instant| at + Duration::from_millis(1);
        let times = self.members.iter().filter_map(|member| match member.coming_back {
            _ if member.status.has(Flag::Stopped) => None,
            _ if member.status.has(Flag::Error) => Some(member.retry_at().map_or(now, just_after)),
            Return::SlowStart { .. } => Some(now + member.slow_start / SLOW_START_STEPS),
            _ => None,
        });
        times.chain([deadline]).min()
    }

    fn is_any_usable(&self) -> bool {
        self.members.iter().any(|member| member.status.is_usable())
    }

    /// Gives what room there is to those who wait, first come first served.
    pub(super) fn serve_waiting(&mut self, now: Instant) {
        if self.waiting.len() == 0 {
            return;
        }
        let mut any_after = Some(0);
        let mut blocked = Vec::new();
        loop {
            let any = any_after.and_then(|after| self.waiting.first_any(after));
            let own = self
                .waiting
                .first_owns()
                .filter(|(member, _)| !blocked.contains(member));
            let Some((member, place)) = own
                .map(|(member, place)| (Some(member), place))
                .chain(any.map(|p| (None, p)))
                .min_by_key(|&(_, place)| place)
            else {
                return;
            };
            match (self.reconsider(place, now), member) {
                (Served::Gone, _) => {}
                (Served::StillWaiting, Some(member)) => blocked.push(member),
                // One that has tried some members may wait while another could be served; of those that have tried none
                // the first stands for all.
                (Served::StillWaiting, None) => {
                    let picky = self
                        .waiting
                        .get(place)
                        .is_some_and(|waiter| !waiter.tried.is_empty());
                    any_after = picky.then_some(place + 1);
                }
            }
        }
    }

    fn reconsider(&mut self, place: Place, now: Instant) -> Served {
        let Some(waiter) = self.waiting.get(place).cloned() else {
            return Served::Gone;
        };
        let wanted = Wanted {
            route: waiter.session.route.as_deref(),
            hash_key: waiter.hash_key.as_deref(),
            random: waiter.random,
            tried: &waiter.tried,
        };
        let reason = match self.decide(&wanted, now) {
            Decision::Member { index, route_changed } => {
                self.waiting.remove(place);
                let session = Session {
                    route_changed,
                    ..waiter.session
                };
                let waited = now.saturating_duration_since(waiter.since);
                let granted = self.grant(index, session, waiter.tried.len() as u32, waited, now);
                self.wakes.push_back(Wake {
                    token: waiter.token,
                    result: Ok(granted),
                });
                return Served::Gone;
            }
            Decision::Full { waits_for, .. } => {
                self.waiting.redirect(place, waits_for);
                return Served::StillWaiting;
            }
            Decision::NoneUsable if self.is_worth_waiting(wanted.route, waiter.until, now) => {
                return Served::StillWaiting;
            }
            Decision::NoneUsable => self.none_usable(),
            Decision::Refused(reason) => reason,
        };
        self.waiting.remove(place);
        self.send_away(waiter, reason);
        Served::Gone
    }

    fn send_away(&mut self, waiter: Waiter, reason: Unavailable) {
        self.refused += 1;
        self.wakes.push_back(Wake {
            token: waiter.token,
            result: Err(reason),
        });
    }
}
