//! Changes by hand at run time: what Apache's balancer-manager writes (`balancer_process_balancer_worker`), and members
//! added and removed, of which it can only add. All of them outlive a reload of the configuration, as far as it does not
//! say something new itself; [`Balancer::by_hand`] gives them for the next start.

use std::num::NonZeroU32;
use std::time::Instant;

use super::Balancer;
use crate::health::HealthCheck;
use crate::request::MemberId;
use crate::settings::{LbSet, LoadFactor, Method};
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
    pub(super) fn reset(&mut self) {
        match self.settings.method {
            // It looks at no quotas, and leaves them as they are.
            Method::ByTraffic => self.forget_traffic(),
            _ => self.members.iter_mut().for_each(|member| member.lbstatus = 0),
        }
    }
}
