//! Members that come and go: by hand, with a new configuration, from discovery.

use std::time::Instant;

use super::{Balancer, Change, Refused};
use crate::member::{Live, Origin};
use crate::request::MemberId;
use crate::settings::Member;
use crate::status::Flag;

impl Balancer {
    /// One more member by hand, the last in order. It starts slowly. (Apache adds it disabled: give it that status for
    /// the same.)
    pub fn add(&mut self, member: Member, now: Instant) -> Result<MemberId, Refused> {
        if self.find(&member.name).is_some() {
            return Err(Refused::Exists(member.name));
        }
        // One that was configured and removed by hand is back.
        let origin = if self.removed.remove(&member.name) {
            Origin::Configured
        } else {
            Origin::ByHand
        };
        let id = self.start(member, origin, now);
        self.serve_waiting(now);
        Ok(id)
    }

    /// Those who wait are served by the caller, when all members have come: one of them may wait for its own.
    fn start(&mut self, member: Member, origin: Origin, now: Instant) -> MemberId {
        let id = self.push_member(member, origin);
        if let Some(added) = self.members.last_mut() {
            added.start_slowly(now);
        }
        self.restart_traffic();
        id
    }

    /// Removes a member by hand: it gets nothing more, and is gone when its last request is done. Those who wait for it
    /// go elsewhere. A reload does not bring it back, but [`Balancer::add`] does.
    pub fn remove(&mut self, id: MemberId, now: Instant) -> Result<(), Refused> {
        let index = self
            .index_of(id)
            .filter(|&i| !self.members[i].status.has(Flag::Shutdown));
        let member = &self.members[index.ok_or(Refused::NoSuchMember)?];
        if member.origin == Origin::Configured {
            self.removed.insert(member.config.name.clone());
        }
        self.retire(id, now);
        Ok(())
    }

    /// The member of this name, which is not there yet, has been removed by hand: when the configuration or discovery
    /// brings it, it stays away. Forgotten if the next that they bring are without it.
    pub fn expect_removed(&mut self, name: String) {
        self.removed.insert(name);
    }

    /// The member of this name, which is not there yet, has been changed by hand: it is so when the configuration or
    /// discovery brings it.
    pub fn expect_changed(&mut self, name: String, changes: Vec<Change>) {
        self.expected.insert(name, changes);
    }

    fn retire(&mut self, id: MemberId, now: Instant) {
        let Some(index) = self.index_of(id) else { return };
        self.members[index].status.set(Flag::Shutdown, true);
        if self.members[index].busy == 0 {
            self.members.remove(index);
        }
        self.serve_waiting(now);
    }

    /// Makes these the configured members: after a reload, or from discovery. Members of the same name stay what they are,
    /// with their counters, their state and what was changed by hand, and take what the configuration has changed;
    /// others come and go. Members added by hand stay, after the configured ones in order; removed ones stay away.
    pub fn replace_members(&mut self, members: impl IntoIterator<Item = Member>, now: Instant) {
        let mut order = Vec::new();
        let mut names = Vec::new();
        for member in members {
            if names.contains(&member.name) {
                continue;
            }
            names.push(member.name.clone());
            match self.find(&member.name) {
                Some(id) => {
                    self.reconfigure(id, member, now);
                    order.push(id);
                }
                None if self.removed.contains(&member.name) => {}
                None => {
                    let expected = self.expected.remove(&member.name).unwrap_or_default();
                    let id = self.start(member, Origin::Configured, now);
                    for change in expected {
                        let _ = self.change(id, change, now);
                    }
                    order.push(id);
                }
            }
        }
        // What is not configured any more needs no note that it was removed.
        self.removed.retain(|name| names.contains(name));
        let is_gone = |member: &&Live| member.origin == Origin::Configured && !order.contains(&member.id);
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(is_gone)
            .map(|member| member.id)
            .collect();
        for id in gone {
            self.retire(id, now);
        }
        let place = |id: MemberId| order.iter().position(|&other| other == id).unwrap_or(usize::MAX);
        self.members.sort_by_key(|member| place(member.id));
        self.serve_waiting(now);
    }

    /// A new configuration for a member: what it says otherwise than the old one is so now; the rest stays as it was,
    /// changed by hand or not.
    fn reconfigure(&mut self, id: MemberId, new: Member, now: Instant) {
        let Some(index) = self.index_of(id) else { return };
        let member = &mut self.members[index];
        let was_usable = member.status.is_usable();
        let old = std::mem::replace(&mut member.configured, new.clone());
        for flag in Flag::ALL {
            if new.status.has(flag) != old.status.has(flag) {
                member.status.set(flag, new.status.has(flag));
            }
        }
        if new.health != old.health {
            member.health = Default::default();
        }
        if new.health.is_none() && old.health.is_some() {
            // Nobody would find out that it is well again.
            let is_failed = new.status.has(Flag::HealthFailed);
            member.status.set(Flag::HealthFailed, is_failed);
        }
        let current = member.config.clone();
        member.config = Member {
            name: new.name,
            route: merged(current.route, &old.route, new.route),
            redirect: merged(current.redirect, &old.redirect, new.redirect),
            load_factor: merged(current.load_factor, &old.load_factor, new.load_factor),
            lbset: merged(current.lbset, &old.lbset, new.lbset),
            max: merged(current.max, &old.max, new.max),
            acquire: new.acquire,
            retry: new.retry,
            status: new.status,
            health: merged(current.health, &old.health, new.health),
        };
        member.origin = Origin::Configured;
        if !was_usable && member.status.is_usable() {
            member.start_slowly(now);
            self.restart_traffic();
        }
    }
}

/// The new value if the configuration has changed, else the current one.
pub(super) fn merged<T: PartialEq>(current: T, old: &T, new: T) -> T {
    if new == *old { current } else { new }
}
