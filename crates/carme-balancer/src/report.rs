//! What there is to see: all that Apache's balancer-manager shows of a balancer and its members, and what Carme adds.
//! Pools, time limits and addresses belong to the caller and are not here.

use std::time::{Duration, Instant};

use crate::balancer::Balancer;
use crate::member::{Live, Origin, Return};
use crate::request::MemberId;
use crate::settings::{Member, Settings};
use crate::status::{Flag, Status};

/// A balancer at one moment.
#[derive(Debug, Clone)]
pub struct BalancerReport {
    /// Its settings, with all changes since it was made.
    pub settings: Settings,
    /// `maxattempts`, worked out if it is not set.
    pub max_attempts: u32,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests that got 503 from this balancer so far.
    pub refused: u64,
    /// Its members, in order.
    pub members: Vec<MemberReport>,
}

/// A member at one moment. The names in code are those of `balancer-manager?xml=1`.
#[derive(Debug, Clone)]
pub struct MemberReport {
    /// Which.
    pub id: MemberId,
    /// Its configuration, with all changes since: name, `route`, `redirect`, `loadfactor`, `lbset` and so on. Its status is
    /// the one configured.
    pub config: Member,
    /// Its flags now; printed, it is `status`.
    pub status: Status,
    /// What it does.
    pub state: State,
    /// Whether it was added by hand.
    pub added: bool,
    /// `busy`: requests in flight.
    pub busy: u32,
    /// The most requests in flight now; less than `max` while it comes back. `None`: no limit.
    pub limit: Option<u32>,
    /// Requests that wait for this member and no other, because of their sessions.
    pub waiting: usize,
    /// `elected`: how often it was chosen.
    pub elected: u64,
    /// `lbstatus`.
    pub lbstatus: i64,
    /// `transferred` ("To"): bytes sent to it.
    pub transferred: u64,
    /// `read` ("From"): bytes received from it.
    pub read: u64,
    /// `error_time`, as the time since then. `None`: no error since its last answer.
    pub error_age: Option<Duration>,
    /// When it is tried again, if it is in Error and is.
    pub retry_in: Option<Duration>,
    /// `retries`: how often it was tried again since its last answer.
    pub retries: u32,
    /// Requests that failed at it.
    pub failures: u64,
    /// Its latency as `ewma` sees it.
    pub latency: Duration,
    /// Checks in a row that count towards a change of state.
    pub checks_in_row: u32,
    /// How long ago the last check ended.
    pub check_age: Option<Duration>,
}

/// What a member does, in one word; the most important if several hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Removed; finishes its last requests.
    Removed,
    /// Stopped by hand.
    Stopped,
    /// Disabled by hand.
    Disabled,
    /// Failed its health checks.
    Unhealthy,
    /// In Error.
    Error,
    /// Gets only its own sessions.
    Draining,
    /// Tried again, with one request at a time.
    Probation,
    /// Coming back; gets a growing share.
    SlowStart,
    /// Stands by.
    Standby,
    /// Spare.
    Spare,
    /// In use.
    Ready,
}

impl State {
    fn of(member: &Live, now: Instant) -> State {
        let flags = [
            (Flag::Shutdown, State::Removed),
            (Flag::Stopped, State::Stopped),
            (Flag::Disabled, State::Disabled),
            (Flag::HealthFailed, State::Unhealthy),
            (Flag::Error, State::Error),
            (Flag::Drain, State::Draining),
        ];
        if let Some(&(_, state)) = flags.iter().find(|(flag, _)| member.status.has(*flag)) {
            return state;
        }
        match member.coming_back {
            Return::Probation => State::Probation,
            Return::SlowStart { since } if now.saturating_duration_since(since) < member.slow_start => {
                State::SlowStart
            }
            _ if member.status.has(Flag::HotSpare) => State::Spare,
            _ if member.status.has(Flag::HotStandby) => State::Standby,
            _ => State::Ready,
        }
    }

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            State::Removed => "removed",
            State::Stopped => "stopped",
            State::Disabled => "disabled",
            State::Unhealthy => "unhealthy",
            State::Error => "error",
            State::Draining => "draining",
            State::Probation => "probation",
            State::SlowStart => "slow start",
            State::Standby => "standby",
            State::Spare => "spare",
            State::Ready => "ready",
        }
    }
}

impl Balancer {
    /// Everything at this moment.
    pub fn report(&self, now: Instant) -> BalancerReport {
        BalancerReport {
            settings: self.settings.clone(),
            max_attempts: self.max_attempts(),
            waiting: self.waiting.len(),
            refused: self.refused,
            members: self
                .members
                .iter()
                .map(|member| self.report_member(member, now))
                .collect(),
        }
    }

    fn report_member(&self, member: &Live, now: Instant) -> MemberReport {
        let age = |at: Instant| now.saturating_duration_since(at);
        let retried = member.status.has(Flag::Error) && !member.status.has(Flag::Stopped);
        MemberReport {
            id: member.id,
            config: member.config.clone(),
            status: member.status,
            state: State::of(member, now),
            added: member.origin == Origin::ByHand,
            busy: member.busy,
            limit: member.limit(now),
            waiting: self.waiting.own_len(member.id),
            elected: member.elected,
            lbstatus: member.lbstatus,
            transferred: member.transferred,
            read: member.read,
            error_age: member.error_time.map(age),
            retry_in: retried.then(|| {
                member
                    .retry_at()
                    .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
            }),
            retries: member.retries,
            failures: member.failures,
            latency: Duration::from_secs_f64(member.ewma.latency(now)),
            checks_in_row: member.health.in_row,
            check_age: member.health.last.map(age),
        }
    }
}
