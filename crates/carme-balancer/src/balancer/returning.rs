//! Members that are not usable and come back by themselves: whether and when.

use std::time::{Duration, Instant};

use super::Balancer;
use crate::member::Live;
use crate::request::Unavailable;
use crate::settings::Awaits;
use crate::status::Flag;

/// A member in Error is tried after the end of its `retry`, not at it.
const JUST_AFTER: Duration = Duration::from_millis(1);

impl Balancer {
    /// Whether a request for which no member is usable waits until then.
    pub(super) fn is_worth_waiting(&self, route: Option<&[u8]>, until: Instant, now: Instant) -> bool {
        if self.settings.timeout.is_zero() {
            return false;
        }
        let is_leaving = |member: &Live| member.status.has(Flag::Shutdown);
        match self.settings.awaits {
            Awaits::Anything => true,
            // Nobody makes a balancer for no members: they are on their way.
            Awaits::Return if self.members.iter().all(is_leaving) => true,
            Awaits::Return => next_return(&self.members, route, now).is_some_and(|at| at <= until),
        }
    }

    /// How long it will take until another try is worth while for whoever has got this answer. `None`: nobody knows.
    ///
    /// Where all are full that is as long as the request has waited that waits longest, or as this one has.
    pub fn retry_after(&self, reason: &Unavailable, now: Instant) -> Option<Duration> {
        // Whole seconds: who comes a little too early has come in vain.
        let until = |at: Instant| {
            let seconds = at.saturating_duration_since(now).as_millis().div_ceil(1000);
            Duration::from_secs(seconds as u64)
        };
        match reason {
            Unavailable::NoMembers => None,
            Unavailable::NoneUsable => next_return(&self.members, None, now).map(until),
            Unavailable::RouteUnusable(route) => {
                let own = self.members.iter().filter(|member| member.has_route(route));
                next_return(own, Some(route), now).map(until)
            }
            Unavailable::QueueFull(_) => self
                .waiting
                .first_since()
                .map(|since| now.saturating_duration_since(since)),
            Unavailable::WaitedTooLong(waited) => Some(*waited),
        }
    }
}

/// When the first of these members may be usable for such a request. `None`: none comes back by itself.
fn next_return<'a>(
    members: impl IntoIterator<Item = &'a Live>,
    route: Option<&[u8]>,
    now: Instant,
) -> Option<Instant> {
    let returns = members
        .into_iter()
        .filter_map(|member| member.returns_at(route, now));
    returns.min()
}

impl Live {
    /// When it is tried again, or may have passed its checks. `None`: it is usable, or somebody has taken it out of use;
    /// one that drains comes back for its own route alone.
    fn returns_at(&self, route: Option<&[u8]>, now: Instant) -> Option<Instant> {
        let mut taken_out = [Flag::Shutdown, Flag::Stopped, Flag::Disabled].into_iter();
        let drains = self.status.has(Flag::Drain) && !route.is_some_and(|route| self.has_route(route));
        if self.status.is_usable() || drains || taken_out.any(|flag| self.status.has(flag)) {
            return None;
        }
        let checked = self.passes_at(now);
        match self.status.has(Flag::HealthFailed) {
            true => checked,
            false => {
                let tried = self.retry_at().map_or(now, |at| at + JUST_AFTER);
                Some(checked.map_or(tried, |checked| checked.min(tried)))
            }
        }
    }

    /// When it has passed enough checks, if it passes them from now on; how long they take nobody knows.
    fn passes_at(&self, now: Instant) -> Option<Instant> {
        let rule = self.config.health.as_ref()?;
        let first = self.health.due(rule).map_or(now, |due| due.max(now));
        let others = rule.passes.get().saturating_sub(self.health.in_row + 1);
        Some(first + rule.interval * others)
    }
}
