//! The balancer's own settings changed by hand, and all that was changed by hand in a form that can be kept.
//!
//! Apache keeps these with `BalancerPersist On`.

use std::time::{Duration, Instant};

use super::membership::merged;
use super::{Balancer, Change};
use crate::member::Origin;
use crate::settings::{Member, Method, Settings};
use crate::status::Flag;
use crate::sticky::StickySession;

/// A change of the balancer itself: what balancer-manager can set.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingChange {
    /// `b_lbm`
    Method(Method),
    /// `b_tmo`
    Timeout(Duration),
    /// `b_max`
    MaxAttempts(Option<u32>),
    /// `b_sforce`
    Nofailover(bool),
    /// `b_ss`
    Sticky(Option<StickySession>),
}

/// All that is otherwise than configured, because somebody said so.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ByHand {
    /// Of the balancer.
    pub settings: Vec<SettingChange>,
    /// Members added, as they are now.
    pub added: Vec<Member>,
    /// Names of members removed.
    pub removed: Vec<String>,
    /// Names of configured members, and what was changed; also of those that are expected.
    pub changed: Vec<(String, Vec<Change>)>,
}

/// What is set by hand. Error and failed checks come and go by themselves.
const HAND_FLAGS: [Flag; 6] = [
    Flag::IgnoreErrors,
    Flag::Drain,
    Flag::Disabled,
    Flag::Stopped,
    Flag::HotStandby,
    Flag::HotSpare,
];

impl Balancer {
    /// Changes a setting.
    pub fn change_setting(&mut self, change: SettingChange, now: Instant) {
        match change {
            SettingChange::Method(method) => self.set_method(method, now),
            SettingChange::Timeout(timeout) => self.settings.timeout = timeout,
            SettingChange::MaxAttempts(attempts) => self.settings.max_attempts = attempts,
            SettingChange::Nofailover(on) => self.settings.nofailover = on,
            SettingChange::Sticky(sticky) => self.settings.sticky = sticky,
        }
        self.serve_waiting(now);
    }

    /// Another method starts anew.
    pub fn set_method(&mut self, method: Method, now: Instant) {
        if method != self.settings.method {
            self.settings.method = method;
            self.reset();
            self.serve_waiting(now);
        }
    }

    /// A new configuration of the balancer itself: what it says otherwise than the old one is so now, and what was changed
    /// by hand stays. Members and counters are not touched.
    pub fn configure(&mut self, new: Settings, now: Instant) {
        let old = std::mem::replace(&mut self.configured, new.clone());
        let current = self.settings.clone();
        let method = merged(current.method, &old.method, new.method);
        self.settings = Settings {
            method: current.method,
            timeout: merged(current.timeout, &old.timeout, new.timeout),
            max_attempts: merged(current.max_attempts, &old.max_attempts, new.max_attempts),
            nofailover: merged(current.nofailover, &old.nofailover, new.nofailover),
            sticky: merged(current.sticky, &old.sticky, new.sticky.clone()),
            ..new
        };
        for member in &mut self.members {
            member.slow_start = self.settings.slow_start;
        }
        self.set_method(method, now);
        self.serve_waiting(now);
    }

    /// What was changed by hand.
    pub fn by_hand(&self) -> ByHand {
        let (now, configured) = (&self.settings, &self.configured);
        let changes = [
            (SettingChange::Method(now.method), now.method != configured.method),
            (
                SettingChange::Timeout(now.timeout),
                now.timeout != configured.timeout,
            ),
            (
                SettingChange::MaxAttempts(now.max_attempts),
                now.max_attempts != configured.max_attempts,
            ),
            (
                SettingChange::Nofailover(now.nofailover),
                now.nofailover != configured.nofailover,
            ),
            (
                SettingChange::Sticky(now.sticky.clone()),
                now.sticky != configured.sticky,
            ),
        ];
        let mut by_hand = ByHand {
            settings: changes
                .into_iter()
                .filter(|(_, changed)| *changed)
                .map(|(change, _)| change)
                .collect(),
            removed: self.removed.iter().cloned().collect(),
            changed: self.expected.clone().into_iter().collect(),
            ..ByHand::default()
        };
        for member in self
            .members
            .iter()
            .filter(|member| !member.status.has(Flag::Shutdown))
        {
            let flags = HAND_FLAGS.into_iter();
            match member.origin {
                Origin::ByHand => {
                    let mut added = member.config.clone();
                    flags.for_each(|flag| added.status.set(flag, member.status.has(flag)));
                    by_hand.added.push(added);
                }
                Origin::Configured => {
                    let differs =
                        |flag: &Flag| member.status.has(*flag) != member.configured.status.has(*flag);
                    let mut changes: Vec<_> = flags
                        .filter(differs)
                        .map(|flag| Change::Status(flag, member.status.has(flag)))
                        .collect();
                    changes.extend(changed_values(&member.config, &member.configured));
                    if !changes.is_empty() {
                        by_hand.changed.push((member.config.name.clone(), changes));
                    }
                }
            }
        }
        by_hand
    }

    /// Does all that once more, after a start. What concerns members that are not configured any more is left out.
    pub fn restore(&mut self, by_hand: ByHand, now: Instant) {
        for change in by_hand.settings {
            self.change_setting(change, now);
        }
        for name in by_hand.removed {
            if let Some(id) = self.find(&name) {
                let _ = self.remove(id, now);
            }
        }
        for member in by_hand.added {
            let _ = self.add(member, now);
        }
        for (name, changes) in by_hand.changed {
            let Some(id) = self.find(&name) else { continue };
            for change in changes {
                let _ = self.change(id, change, now);
            }
        }
    }
}

fn changed_values(current: &Member, configured: &Member) -> impl Iterator<Item = Change> {
    let changes = [
        (
            Change::LoadFactor(current.load_factor),
            current.load_factor != configured.load_factor,
        ),
        (Change::LbSet(current.lbset), current.lbset != configured.lbset),
        (
            Change::Route(current.route.clone()),
            current.route != configured.route,
        ),
        (
            Change::Redirect(current.redirect.clone()),
            current.redirect != configured.redirect,
        ),
        (Change::Max(current.max), current.max != configured.max),
        (
            Change::Health(current.health.clone()),
            current.health != configured.health,
        ),
    ];
    changes
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(change, _)| change)
}
