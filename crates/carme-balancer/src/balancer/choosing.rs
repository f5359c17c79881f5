//! Which member a request gets, or why none.
//!
//! `find_session_route`, `find_route_worker` and `force_recovery` of `mod_proxy_balancer.c`, and
//! `proxy_balancer_get_best_worker` of `proxy_util.c`. What Apache does not know is a member that is full: its requests
//! go to the others, and only when all are full do requests wait. A full member is not an unusable one: no spare,
//! standby or higher set takes its place.

use std::time::{Duration, Instant};

use super::Balancer;
use crate::member::{Live, Return};
use crate::method::Choice;
use crate::request::{MemberId, Unavailable};
use crate::settings::Settings;
use crate::status::Flag;
use crate::waiting::For;

/// A request, new or waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) route: Option<&'a [u8]>,
    pub(super) hash_key: Option<&'a [u8]>,
    pub(super) random: u64,
    pub(super) tried: &'a [MemberId],
}

#[derive(Debug)]
pub(super) enum Decision {
    Member { index: usize, route_changed: bool },
    Full { waits_for: For, limit: Duration },
    NoneUsable,
    Refused(Unavailable),
}

/// What a set of members has for a request that any of them may answer.
enum Best {
    Member(usize),
    Full(Duration),
    NoneUsable,
}

impl Settings {
    /// Whether a request that has tried these members leaves this one for later. What Apache would choose once more,
    /// because it was recovered by force or its `retry` was short, is passed over only with `untried_first`.
    fn passes_over(&self, member: &Live, tried: &[MemberId]) -> bool {
        tried.contains(&member.id) && (self.untried_first || member.coming_back != Return::Probation)
    }
}

impl Balancer {
    pub(super) fn decide(&mut self, wanted: &Wanted<'_>, now: Instant) -> Decision {
        self.force_recovery(now);
        if let Some(route) = wanted.route {
            if !route.is_empty()
                && let Some(index) = self.find_route(route, 1, wanted.tried, now)
            {
                return self.decide_session(index, route, now);
            }
            if self.settings.nofailover && self.members.iter().any(|member| member.has_route(route)) {
                return Decision::Refused(Unavailable::RouteUnusable(route.to_vec()));
            }
        }
        let mut best = self.best(wanted, wanted.tried, now);
        if matches!(best, Best::NoneUsable) && !wanted.tried.is_empty() {
            best = self.best(wanted, &[], now);
        }
        match best {
            Best::Member(index) => Decision::Member {
                index,
                route_changed: self.settings.sticky.is_some(),
            },
            Best::Full(limit) => Decision::Full {
                waits_for: For::Any,
                limit,
            },
            Best::NoneUsable => Decision::NoneUsable,
        }
    }

    /// The session's member; it pays for the request as if the method had chosen it.
    fn decide_session(&mut self, index: usize, route: &[u8], now: Instant) -> Decision {
        let member = &self.members[index];
        if !member.has_room(now) {
            let limit = member.config.acquire.unwrap_or(self.settings.acquire);
            return Decision::Full {
                waits_for: For::Member(member.id),
                limit,
            };
        }
        let mut total = 0;
        for member in self.members.iter_mut().filter(|member| member.status.is_usable()) {
            let factor = member.factor(now);
            member.lbstatus += factor;
            total += factor;
        }
        self.members[index].lbstatus -= total;
        Decision::Member {
            index,
            route_changed: !self.members[index].has_route(route),
        }
    }

    /// `find_route_worker`: the usable member of that route, ordinary ones first, or the one it redirects to.
    fn find_route(&mut self, route: &[u8], depth: usize, tried: &[MemberId], now: Instant) -> Option<usize> {
        for standby in [false, true] {
            for index in 0..self.members.len() {
                let member = &mut self.members[index];
                if member.status.has(Flag::HotStandby) != standby || !member.has_route(route) {
                    continue;
                }
                member.retry(now);
                if member.status.is_usable() && !self.settings.passes_over(member, tried) {
                    return Some(index);
                }
                // Bounded, because redirects may go round in a circle.
                if depth >= self.members.len() {
                    continue;
                }
                if let Some(redirect) = self.members[index]
                    .config
                    .redirect
                    .clone()
                    .filter(|route| !route.is_empty())
                    && let Some(target) = self.find_route(redirect.as_bytes(), depth + 1, tried, now)
                {
                    return Some(target);
                }
            }
        }
        None
    }

    /// `force_recovery`: when every member is in Error, whatever else it is, all get another chance at once.
    fn force_recovery(&mut self, now: Instant) {
        for member in &mut self.members {
            member.retry(now);
            if !member.status.has(Flag::Error) {
                return;
            }
        }
        if self.settings.force_recovery {
            for member in &mut self.members {
                member.clear_error();
            }
        }
    }

    /// `proxy_balancer_get_best_worker`: sets in ascending order; in each the ordinary members, and as many spares as
    /// there are unusable ordinary members; standbys if there is nothing else.
    fn best(&mut self, wanted: &Wanted<'_>, tried: &[MemberId], now: Instant) -> Best {
        let mut sets: Vec<_> = self.members.iter().map(|member| member.config.lbset).collect();
        sets.sort_unstable();
        sets.dedup();
        for set in sets {
            let mut candidates = Vec::with_capacity(self.members.len());
            let (mut spares, mut standbys, mut unusable) = (Vec::new(), Vec::new(), 0);
            for (index, member) in self.members.iter_mut().enumerate() {
                if member.config.lbset != set {
                    continue;
                }
                let (spare, standby) = (
                    member.status.has(Flag::HotSpare),
                    member.status.has(Flag::HotStandby),
                );
                if member.status.has(Flag::Drain) {
                    unusable += usize::from(!spare && !standby);
                    continue;
                }
                member.retry(now);
                let usable = member.status.is_usable() && !self.settings.passes_over(member, tried);
                match (usable, spare, standby) {
                    (true, true, _) => spares.push(index),
                    (true, false, true) => standbys.push(index),
                    (true, false, false) => candidates.push(index),
                    (false, false, false) => unusable += 1,
                    (false, ..) => {}
                }
            }
            candidates.extend(spares.into_iter().take(unusable));
            for candidates in [candidates, standbys] {
                if !candidates.is_empty() {
                    return self.best_with_room(candidates, wanted, now);
                }
            }
        }
        Best::NoneUsable
    }

    fn best_with_room(&mut self, mut candidates: Vec<usize>, wanted: &Wanted<'_>, now: Instant) -> Best {
        let acquire = |index: &usize| {
            self.members[*index]
                .config
                .acquire
                .unwrap_or(self.settings.acquire)
        };
        let limit = candidates.iter().map(acquire).max().unwrap_or_default();
        candidates.retain(|&index| self.members[index].has_room(now));
        if candidates.is_empty() {
            return Best::Full(limit);
        }
        let choice = Choice {
            hash_key: wanted.hash_key,
            random: wanted.random,
            now,
        };
        Best::Member(self.settings.method.best(&mut self.members, &candidates, &choice))
    }
}
