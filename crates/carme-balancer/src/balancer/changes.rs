//! Changes at run time: what Apache's balancer-manager writes (`balancer_process_balancer_worker`), and members added
//! and removed, which it can only half.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::Balancer;
use crate::health::HealthCheck;
use crate::request::MemberId;
use crate::settings::{LbSet, LoadFactor, Member, Method, Settings};
use crate::status::Flag;

/// A change of a member.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sets or clears a status flag. Clearing all that makes a member unusable enables it.
    Status(Flag, bool),
    /// Clears Disabled, Stopped, Drain, Error and the failed health check.
    Enable,
    /// `loadfactor`.
    LoadFactor(LoadFactor),
    /// `lbset`.
    LbSet(LbSet),
    /// `route`.
    Route(Option<String>),
    /// `redirect`.
    Redirect(Option<String>),
    /// `max`.
    Max(Option<NonZeroU32>),
    /// The health check.
    Health(Option<HealthCheck>),
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The member is gone.
    #[error("the balancer has no such member (any more)")]
    NoSuchMember,
    /// A member of that name is there already.
    #[error("the balancer has a member `{0}` already")]
    Exists(String),
    /// [`Flag::Shutdown`] is set by removing a member, not by hand.
    #[error("a member is shut down by removing it")]
    Shutdown,
}

impl Balancer {
    /// Changes a member.
    pub fn change(&mut self, id: MemberId, change: Change, now: Instant) -> Result<(), Refused> {
        let index = self
            .index_of(id)
            .filter(|&i| !self.members[i].status.has(Flag::Shutdown));
        let member = &mut self.members[index.ok_or(Refused::NoSuchMember)?];
        let was_usable = member.status.is_usable();
        match change {
            Change::Status(Flag::Shutdown, _) => return Err(Refused::Shutdown),
            // The configured status stays, so that a reload can tell what it changes from what was done by hand.
            Change::Status(flag, on) => member.status.set(flag, on),
            Change::Enable => {
                for flag in [
                    Flag::Disabled,
                    Flag::Stopped,
                    Flag::Drain,
                    Flag::Error,
                    Flag::HealthFailed,
                ] {
                    member.status.set(flag, false);
                }
            }
            Change::LoadFactor(factor) => {
                member.config.load_factor = factor;
                // `recalc_factors`.
                for member in &mut self.members {
                    member.lbstatus = i64::from(member.config.load_factor.hundredths());
                }
            }
            Change::LbSet(set) => member.config.lbset = set,
            Change::Route(route) => member.config.route = route,
            Change::Redirect(route) => member.config.redirect = route,
            Change::Max(max) => member.config.max = max,
            Change::Health(health) => {
                member.config.health = health;
                member.health = Default::default();
            }
        }
        if let Some(index) = self.index_of(id)
            && !was_usable
            && self.members[index].status.is_usable()
        {
            self.members[index].error_time = None;
            self.members[index].start_slowly(now);
            self.restart_traffic();
        }
        self.serve_waiting(now);
        Ok(())
    }

    /// The methods' `reset`: when the method changes, all start anew. (Apache means to do so when a member is enabled, too,
    /// but puts it off until the method changes or a member is added: `ap_proxy_sync_balancer`.) Unlike Apache the requests
    /// in flight stay what they are, and so do the counters that people read.
    fn reset(&mut self) {
        for member in &mut self.members {
            member.lbstatus = 0;
        }
        self.forget_traffic();
    }

    /// Another method.
    pub fn set_method(&mut self, method: Method, now: Instant) {
        if method != self.settings.method {
            self.settings.method = method;
            self.reset();
            self.serve_waiting(now);
        }
    }

    /// Other settings; members and counters stay.
    pub fn set_settings(&mut self, settings: Settings, now: Instant) {
        let method = settings.method;
        self.settings = Settings {
            method: self.settings.method,
            ..settings
        };
        for member in &mut self.members {
            member.slow_start = self.settings.slow_start;
        }
        self.set_method(method, now);
        self.serve_waiting(now);
    }

    /// One more member, the last in order. It starts slowly. (Apache adds it disabled: give it that status for the same.)
    pub fn add(&mut self, member: Member, now: Instant) -> Result<MemberId, Refused> {
        if self.find(&member.name).is_some() {
            return Err(Refused::Exists(member.name));
        }
        let id = self.push_member(member);
        if let Some(added) = self.members.last_mut() {
            added.start_slowly(now);
        }
        self.restart_traffic();
        self.serve_waiting(now);
        Ok(id)
    }

    /// The member gets nothing more, and is gone when its last request is done. Those who wait for it go elsewhere.
    pub fn remove(&mut self, id: MemberId, now: Instant) -> Result<(), Refused> {
        let index = self.index_of(id).ok_or(Refused::NoSuchMember)?;
        self.members[index].status.set(Flag::Shutdown, true);
        if self.members[index].busy == 0 {
            self.members.remove(index);
        }
        self.serve_waiting(now);
        Ok(())
    }

    /// Makes these the members: after a reload, or from discovery. Members of the same name stay what they are, with
    /// their counters and their state, and take the new configuration; others are added and removed. The order is the
    /// new one.
    pub fn replace_members(&mut self, members: impl IntoIterator<Item = Member>, now: Instant) {
        let mut order = Vec::new();
        for member in members {
            let id = match self.find(&member.name) {
                Some(id) if order.contains(&id) => continue,
                Some(id) => {
                    self.reconfigure(id, member, now);
                    id
                }
                None => match self.add(member, now) {
                    Ok(id) => id,
                    Err(_) => continue,
                },
            };
            order.push(id);
        }
        let old: Vec<_> = self
            .members
            .iter()
            .map(|member| member.id)
            .filter(|id| !order.contains(id))
            .collect();
        for id in old {
            let _ = self.remove(id, now);
        }
        let place = |id: MemberId| order.iter().position(|&other| other == id).unwrap_or(usize::MAX);
        self.members.sort_by_key(|member| place(member.id));
        self.serve_waiting(now);
    }

    /// A new configuration for a member. Flags that it sets or clears against the old one change; what has happened
    /// since (Error, a failed check, a drain by hand) stays.
    fn reconfigure(&mut self, id: MemberId, config: Member, now: Instant) {
        let Some(index) = self.index_of(id) else { return };
        let member = &mut self.members[index];
        let was_usable = member.status.is_usable();
        for flag in Flag::ALL {
            if config.status.has(flag) != member.config.status.has(flag) {
                member.status.set(flag, config.status.has(flag));
            }
        }
        if config.health != member.config.health {
            member.health = Default::default();
        }
        member.config = config;
        if !was_usable && member.status.is_usable() {
            member.start_slowly(now);
            self.restart_traffic();
        }
    }

    /// How long the balancer waits for a usable member: `b_tmo`.
    pub fn set_timeout(&mut self, timeout: Duration, now: Instant) {
        self.settings.timeout = timeout;
        self.serve_waiting(now);
    }
}
