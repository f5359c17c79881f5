//! A member at work: its state, its counters, and the rules that need nothing but itself.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::health::Progress;
use crate::method::PeakEwma;
use crate::request::MemberId;
use crate::settings::Member;
use crate::status::{Flag, Status};

/// Where a member is after an error or an absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    /// Nothing special.
    Settled,
    /// It was given another chance and has not answered yet: one request at a time. Apache lets all of them loose.
    Probation,
    /// It answered: its share grows from this time on.
    SlowStart { since: Instant },
}

/// Who wants a member to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Configured,
    ByHand,
}

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: MemberId,
    pub(crate) origin: Origin,
    /// As configured, to tell what was changed by hand.
    pub(crate) configured: Member,
    /// As it is now, but for the status.
    pub(crate) config: Member,
    pub(crate) name_hash: u64,
    pub(crate) status: Status,
    /// Requests in flight: `busy`.
    pub(crate) busy: u32,
    /// How often it was chosen: `elected`.
    pub(crate) elected: u64,
    /// Bytes sent to it (`transferred`, "To") and received from it (`read`, "From").
    pub(crate) transferred: u64,
    pub(crate) read: u64,
    /// The bytes that `bytraffic` does not count any more.
    pub(crate) traffic_base: (u64, u64),
    pub(crate) lbstatus: i64,
    /// `error_time`; none for a status that was set by hand, which is tried again at once, as with Apache's zero.
    pub(crate) error_time: Option<Instant>,
    /// How often it was given another chance since its last connection: `retries`.
    pub(crate) retries: u32,
    /// Failures of requests, in all and one after another.
    pub(crate) failures: u64,
    pub(crate) failures_in_row: u32,
    pub(crate) coming_back: Return,
    pub(crate) slow_start: Duration,
    /// Number of the balancer's last choice of this member: the longest idle one has the least.
    pub(crate) last_chosen: u64,
    pub(crate) ewma: PeakEwma,
    pub(crate) health: Progress,
}

/// Slow start is done in thousandths, and begins with a tenth.
const FULL: u64 = 1000;
const FIRST: u64 = 100;

impl Live {
    pub(crate) fn new(id: MemberId, config: Member, origin: Origin, slow_start: Duration) -> Live {
        Live {
            id,
            origin,
            configured: config.clone(),
            name_hash: crate::method::name_hash(&config.name),
            status: config.status,
            config,
            busy: 0,
            elected: 0,
            transferred: 0,
            read: 0,
            traffic_base: (0, 0),
            lbstatus: 0,
            error_time: None,
            retries: 0,
            failures: 0,
            failures_in_row: 0,
            coming_back: Return::Settled,
            slow_start,
            last_chosen: 0,
            ewma: PeakEwma::default(),
            health: Progress::default(),
        }
    }

    /// `ap_proxy_retry_worker`: another chance for a member in Error whose `retry` is over.
    pub(crate) fn retry(&mut self, now: Instant) {
        if !self.status.has(Flag::Error) || self.status.has(Flag::Stopped) {
            return;
        }
        if self.status.has(Flag::IgnoreErrors) || self.retry_at().is_none_or(|at| now > at) {
            self.clear_error();
        }
    }

    /// The last instant at which a member in Error is not tried again. `None`: it may be tried now.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        Some(self.error_time? + self.config.retry)
    }

    pub(crate) fn clear_error(&mut self) {
        self.retries += 1;
        self.status.set(Flag::Error, false);
        self.coming_back = Return::Probation;
    }

    /// Into Error, unless its errors are ignored.
    pub(crate) fn mark_error(&mut self, now: Instant) {
        if !self.status.has(Flag::IgnoreErrors) {
            self.status.set(Flag::Error, true);
            self.error_time = Some(now);
            self.failures_in_row = 0;
            self.coming_back = Return::Settled;
        }
    }

    /// It has answered: it is well.
    pub(crate) fn prove(&mut self, now: Instant) {
        self.retries = 0;
        if !self.status.has(Flag::Error) {
            self.error_time = None;
        }
        if self.coming_back == Return::Probation {
            self.start_slowly(now);
        }
    }

    pub(crate) fn start_slowly(&mut self, now: Instant) {
        self.coming_back = match self.slow_start.is_zero() {
            true => Return::Settled,
            false => Return::SlowStart { since: now },
        };
    }

    /// Its share of what it gets when settled, in thousandths.
    fn share(&self, now: Instant) -> u64 {
        let Return::SlowStart { since } = self.coming_back else {
            return FULL;
        };
        let gone = now.saturating_duration_since(since);
        if gone >= self.slow_start {
            return FULL;
        }
        ((gone.as_secs_f64() / self.slow_start.as_secs_f64() * FULL as f64) as u64).clamp(FIRST, FULL)
    }

    /// `lbfactor`, less in a slow start; at least 1.
    pub(crate) fn factor(&self, now: Instant) -> i64 {
        (u64::from(self.config.load_factor.hundredths()) * self.share(now) / FULL).max(1) as i64
    }

    /// The most requests in flight now.
    pub(crate) fn limit(&self, now: Instant) -> Option<u32> {
        if self.coming_back == Return::Probation {
            return Some(1);
        }
        let max = u64::from(self.config.max.map(NonZeroU32::get)?);
        Some((max * self.share(now)).div_ceil(FULL) as u32)
    }

    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.limit(now).is_none_or(|limit| self.busy < limit)
    }

    /// `busy`, more in a slow start.
    pub(crate) fn scaled_busy(&self, now: Instant) -> u64 {
        u64::from(self.busy) * FULL / self.share(now)
    }

    /// `bytraffic`'s measure: each direction divided by the factor.
    pub(crate) fn scaled_traffic(&self, now: Instant) -> u64 {
        let factor = self.factor(now) as u64;
        (self.transferred - self.traffic_base.0) / factor + (self.read - self.traffic_base.1) / factor
    }

    /// `queue`'s measure: requests in flight with one more, for its factor; then how recently it was chosen.
    pub(crate) fn queue_rank(&self, now: Instant) -> (f64, u64) {
        (
            (f64::from(self.busy) + 1.0) / self.factor(now) as f64,
            self.last_chosen,
        )
    }

    pub(crate) fn has_route(&self, route: &[u8]) -> bool {
        self.config
            .route
            .as_ref()
            .is_some_and(|own| !own.is_empty() && own.as_bytes() == route)
    }
}
