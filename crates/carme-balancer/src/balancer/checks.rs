//! Health checks: when they are due and what their results change.

use std::time::Instant;

use super::Balancer;
use crate::health::{Check, HealthChange, HealthCheck};
use crate::request::MemberId;
use crate::status::Flag;

impl Balancer {
    /// The members to check now, each with its rule; every one needs a [`Balancer::checked`] before it is due again.
    /// Stopped members are not checked, draining and disabled ones are.
    pub fn due_checks(&mut self, now: Instant) -> Vec<(MemberId, HealthCheck)> {
        let mut due = Vec::new();
        for member in &mut self.members {
            let Some(rule) = &member.config.health else {
                continue;
            };
            let is_due = member.health.due(rule).is_none_or(|at| now >= at);
            if is_due && !member.health.running && !member.status.has(Flag::Stopped) {
                member.health.running = true;
                due.push((member.id, rule.clone()));
            }
        }
        due
    }

    /// When the next check is due. `None`: there are none, or those that are due run already.
    pub fn next_check(&self, now: Instant) -> Option<Instant> {
        let checked = self
            .members
            .iter()
            .filter(|m| !m.health.running && !m.status.has(Flag::Stopped));
        checked
            .filter_map(|m| Some(m.health.due(m.config.health.as_ref()?).unwrap_or(now)))
            .min()
    }

    /// A check's result.
    pub fn checked(&mut self, id: MemberId, result: Check, now: Instant) -> HealthChange {
        let Some(index) = self.index_of(id) else {
            return HealthChange::None;
        };
        let member = &mut self.members[index];
        let Some(rule) = &member.config.health else {
            return HealthChange::None;
        };
        let is_down = member.status.has(Flag::HealthFailed) || member.status.has(Flag::Error);
        let change = member.health.take(rule, result, is_down, now);
        match change {
            HealthChange::None => return change,
            HealthChange::Disabled => {
                member.status.set(Flag::HealthFailed, true);
                member.error_time = Some(now);
            }
            HealthChange::Enabled => {
                member.status.set(Flag::HealthFailed, false);
                member.status.set(Flag::Error, false);
                member.start_slowly(now);
                self.restart_traffic();
            }
        }
        self.serve_waiting(now);
        change
    }
}
